//! The media of a segment: streams with their quality, networks and devices of both ends.

use crate::{
    cli::render::{
        branch::Branch,
        figures::{Figures, bits_per_second, known, milliseconds, percent, with_unit},
    },
    model::view::media::{Device, Media, Network, Stream},
};

pub(super) fn branch(media: &Media<'_>) -> Branch {
    let mut branch = Branch::new(known(media.label).unwrap_or_else(|| "media".to_owned()));
    for stream in &media.streams {
        branch.leaf(&direction(stream), &stream_figures(stream));
    }
    for (side, network, device) in [
        ("caller", media.caller_network.as_ref(), media.caller_device.as_ref()),
        ("callee", media.callee_network.as_ref(), media.callee_device.as_ref()),
    ] {
        branch.leaf(&format!("{side} network"), &network.map(network_figures).unwrap_or_default());
        branch.leaf(&format!("{side} device"), &device.map(device_figures).unwrap_or_default());
    }
    branch
}

fn direction(stream: &Stream<'_>) -> String {
    match known(stream.stream_direction) {
        Some(text) if text.eq_ignore_ascii_case("callerToCallee") => "caller → callee".to_owned(),
        Some(text) if text.eq_ignore_ascii_case("calleeToCaller") => "callee → caller".to_owned(),
        Some(other) => other,
        None => "stream".to_owned(),
    }
}

fn stream_figures(stream: &Stream<'_>) -> Vec<String> {
    let mut figures = Figures::default();
    figures.text("", stream.audio_codec);
    figures.text("", stream.video_codec);
    let average_and_max = |average, max| [(average, "avg"), (max, "max")];
    figures.several("jitter", &average_and_max(milliseconds(stream.average_jitter), milliseconds(stream.max_jitter)));
    figures.several(
        "packet loss",
        &average_and_max(percent(stream.average_packet_loss_rate), percent(stream.max_packet_loss_rate)),
    );
    figures.several(
        "round trip",
        &average_and_max(milliseconds(stream.average_round_trip_time), milliseconds(stream.max_round_trip_time)),
    );
    figures.several("degradation", &[(with_unit(stream.average_audio_degradation, "MOS"), "")]);
    figures.several(
        "network jitter",
        &average_and_max(
            milliseconds(stream.average_audio_network_jitter),
            milliseconds(stream.max_audio_network_jitter),
        ),
    );
    figures.several(
        "concealed",
        &average_and_max(
            percent(stream.average_ratio_of_concealed_samples),
            percent(stream.max_ratio_of_concealed_samples),
        ),
    );
    figures.several(
        "frame rate",
        &[
            (with_unit(stream.average_video_frame_rate, "/s"), ""),
            (with_unit(stream.average_received_frame_rate, "/s"), "received"),
        ],
    );
    figures.several("frames lost", &[(with_unit(stream.average_video_frame_loss_percentage, "%"), "")]);
    figures.several("video packet loss", &[(percent(stream.average_video_packet_loss_rate), "")]);
    let corrected = percent(stream.post_forward_error_correction_packet_loss_rate);
    figures.several("packet loss after correction", &[(corrected, "")]);
    figures.several(
        "frozen",
        &[(milliseconds(stream.average_freeze_duration), "avg"), (milliseconds(stream.rms_freeze_duration), "rms")],
    );
    figures.share("low frame rate", stream.low_frame_rate_ratio);
    figures.share("low video capability", stream.low_video_processing_capability_ratio);
    figures.several("bandwidth", &[(bits_per_second(stream.average_bandwidth_estimate), "")]);
    figures.several("packets", &[(known(stream.packet_utilization), "")]);
    figures.flag("error correction used", stream.is_audio_forward_error_correction_used);
    figures.flag("media bypassed", stream.was_media_bypassed);
    figures.text("from", stream.start_date_time);
    figures.text("to", stream.end_date_time);
    figures.text("id", stream.stream_id);
    figures.0
}

fn network_figures(network: &Network<'_>) -> Vec<String> {
    let mut figures = Figures::default();
    figures.text("", network.connection_type);
    figures.several("", &[(address(known(network.ip_address), known(network.port)), "")]);
    figures.text("subnet", network.subnet);
    figures.several("seen as", &[(known(network.reflexive_ip_address), "")]);
    figures.several("relay", &[(address(known(network.relay_ip_address), known(network.relay_port)), "")]);
    figures.text("", network.network_transport_protocol);
    figures.several("link", &[(bits_per_second(network.link_speed), "")]);
    figures.text("MAC", network.mac_address);
    figures.text("DNS suffix", network.dns_suffix);
    figures.text("access point", network.basic_service_set_identifier);
    figures.text("wifi", network.wifi_radio_type);
    figures.text("band", network.wifi_band);
    figures.text("channel", network.wifi_channel);
    figures.several("signal", &[(with_unit(network.wifi_signal_strength, "%"), "")]);
    figures.several("battery", &[(with_unit(network.wifi_battery_charge, "%"), "")]);
    figures
        .several("driver", &[(known(network.wifi_vendor_driver), ""), (known(network.wifi_vendor_driver_version), "")]);
    figures.several(
        "Microsoft driver",
        &[(known(network.wifi_microsoft_driver), ""), (known(network.wifi_microsoft_driver_version), "")],
    );
    figures.share("too little bandwidth", network.bandwidth_low_event_ratio);
    figures.share("harmful delay", network.delay_event_ratio);
    figures.share("bad audio received", network.received_quality_event_ratio);
    figures.share("bad audio sent", network.sent_quality_event_ratio);
    for hop in &network.trace_route_hops {
        let label = known(hop.hop_count).map_or_else(|| "hop".to_owned(), |count| format!("hop {count}"));
        figures.several(&label, &[(known(hop.ip_address), ""), (milliseconds(hop.round_trip_time), "")]);
    }
    figures.0
}

fn address(ip_address: Option<String>, port: Option<String>) -> Option<String> {
    match (ip_address?, port.filter(|port| port != "0")) {
        (ip_address, Some(port)) if ip_address.contains(':') => Some(format!("[{ip_address}]:{port}")),
        (ip_address, Some(port)) => Some(format!("{ip_address}:{port}")),
        (ip_address, None) => Some(ip_address),
    }
}

fn device_figures(device: &Device<'_>) -> Vec<String> {
    let mut figures = Figures::default();
    figures.several(
        "captures",
        &[(known(device.capture_device_name), ""), (driver(known(device.capture_device_driver)), "")],
    );
    figures.several(
        "renders",
        &[(known(device.render_device_name), ""), (driver(known(device.render_device_driver)), "")],
    );
    let sent_and_received = |sent, received| [(with_unit(sent, "dB"), "sent"), (with_unit(received, "dB"), "received")];
    figures.several("signal", &sent_and_received(device.sent_signal_level, device.received_signal_level));
    figures.several("noise", &sent_and_received(device.sent_noise_level, device.received_noise_level));
    figures.several("initial signal", &[(with_unit(device.initial_signal_level_root_mean_square, ""), "")]);
    figures.share("microphone not working", device.capture_not_functioning_event_ratio);
    figures.share("loudspeaker not working", device.render_not_functioning_event_ratio);
    figures.share("muted", device.render_mute_event_ratio);
    figures.share("volume at zero", device.render_zero_volume_event_ratio);
    figures.share("processor too slow", device.cpu_insufficent_event_ratio);
    figures.share("clipping", device.device_clipping_event_ratio);
    figures.share("glitches", device.device_glitch_event_ratio);
    figures.share("speech too low", device.low_speech_level_event_ratio);
    figures.share("speech near noise", device.low_speech_to_noise_event_ratio);
    let above_zero = |rate: Option<f64>| rate.filter(|rate| *rate > 0.0).map(|rate| format!("{rate} in 5 min"));
    figures.several("microphone glitches", &[(above_zero(device.mic_glitch_rate.number()), "")]);
    figures.several("loudspeaker glitches", &[(above_zero(device.speaker_glitch_rate.number()), "")]);
    let howling = known(device.howling_event_count).filter(|count| count != "0");
    figures.several("howling", &[(howling, "times")]);
    figures.0
}

fn driver(driver: Option<String>) -> Option<String> {
    driver.map(|driver| format!("driver {driver}"))
}
