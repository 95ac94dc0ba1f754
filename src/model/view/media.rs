//! Views of a segment's media: streams, and the network and devices at both ends.

use crate::model::view::{Object, leaf::Leaf, view};

view! {
    /// One media line of a segment.
    pub struct Media<'a> {
        label: Leaf<'a> = "label",
        caller_network: Option<Network<'a>> = "callerNetwork",
        callee_network: Option<Network<'a>> = "calleeNetwork",
        caller_device: Option<Device<'a>> = "callerDevice",
        callee_device: Option<Device<'a>> = "calleeDevice",
        streams: Vec<Stream<'a>> = "streams",
    }
}

view! {
    /// A media line of which nothing is read but what becomes columns.
    pub struct Figures<'a> {
        streams: Vec<StreamFigures<'a>> = "streams",
    }
}

view! {
    /// Of a stream, what becomes columns.
    pub struct StreamFigures<'a> {
        average_audio_degradation: Leaf<'a> = "averageAudioDegradation",
        average_packet_loss_rate: Leaf<'a> = "averagePacketLossRate",
        max_jitter: Leaf<'a> = "maxJitter",
        max_packet_loss_rate: Leaf<'a> = "maxPacketLossRate",
        max_round_trip_time: Leaf<'a> = "maxRoundTripTime",
    }
}

view! {
    /// A media line as it is when a call is stored: what becomes columns or is searched. All of it would be three times as much.
    pub struct Stored<'a> {
        caller_network: Option<StoredNetwork<'a>> = "callerNetwork",
        callee_network: Option<StoredNetwork<'a>> = "calleeNetwork",
        caller_device: Option<StoredDevice<'a>> = "callerDevice",
        callee_device: Option<StoredDevice<'a>> = "calleeDevice",
        streams: Vec<StoredStream<'a>> = "streams",
        .."label",
    }
}

view! {
    /// Of a stream, what becomes columns or is searched.
    pub struct StoredStream<'a> {
        audio_codec: Leaf<'a> = "audioCodec",
        average_audio_degradation: Leaf<'a> = "averageAudioDegradation",
        average_packet_loss_rate: Leaf<'a> = "averagePacketLossRate",
        max_jitter: Leaf<'a> = "maxJitter",
        max_packet_loss_rate: Leaf<'a> = "maxPacketLossRate",
        max_round_trip_time: Leaf<'a> = "maxRoundTripTime",
        video_codec: Leaf<'a> = "videoCodec",
        .."averageAudioNetworkJitter",
        .."averageBandwidthEstimate",
        .."averageFreezeDuration",
        .."averageJitter",
        .."averageRatioOfConcealedSamples",
        .."averageReceivedFrameRate",
        .."averageRoundTripTime",
        .."averageVideoFrameLossPercentage",
        .."averageVideoFrameRate",
        .."averageVideoPacketLossRate",
        .."endDateTime",
        .."isAudioForwardErrorCorrectionUsed",
        .."lowFrameRateRatio",
        .."lowVideoProcessingCapabilityRatio",
        .."maxAudioNetworkJitter",
        .."maxRatioOfConcealedSamples",
        .."packetUtilization",
        .."postForwardErrorCorrectionPacketLossRate",
        .."rmsFreezeDuration",
        .."startDateTime",
        .."streamDirection",
        .."streamId",
        .."wasMediaBypassed",
    }
}

view! {
    /// Of a network, what is searched.
    pub struct StoredNetwork<'a> {
        basic_service_set_identifier: Leaf<'a> = "basicServiceSetIdentifier",
        connection_type: Leaf<'a> = "connectionType",
        dns_suffix: Leaf<'a> = "dnsSuffix",
        ip_address: Leaf<'a> = "ipAddress",
        mac_address: Leaf<'a> = "macAddress",
        reflexive_ip_address: Leaf<'a> = "reflexiveIPAddress",
        relay_ip_address: Leaf<'a> = "relayIPAddress",
        subnet: Leaf<'a> = "subnet",
        trace_route_hops: Vec<TraceRouteHop<'a>> = "traceRouteHops",
        wifi_microsoft_driver: Leaf<'a> = "wifiMicrosoftDriver",
        wifi_vendor_driver: Leaf<'a> = "wifiVendorDriver",
        .."bandwidthLowEventRatio",
        .."delayEventRatio",
        .."linkSpeed",
        .."networkTransportProtocol",
        .."port",
        .."receivedQualityEventRatio",
        .."relayPort",
        .."sentQualityEventRatio",
        .."wifiBand",
        .."wifiBatteryCharge",
        .."wifiChannel",
        .."wifiMicrosoftDriverVersion",
        .."wifiRadioType",
        .."wifiSignalStrength",
        .."wifiVendorDriverVersion",
    }
}

view! {
    /// Of a device, what is searched.
    pub struct StoredDevice<'a> {
        capture_device_driver: Leaf<'a> = "captureDeviceDriver",
        capture_device_name: Leaf<'a> = "captureDeviceName",
        render_device_driver: Leaf<'a> = "renderDeviceDriver",
        render_device_name: Leaf<'a> = "renderDeviceName",
        .."captureNotFunctioningEventRatio",
        .."cpuInsufficentEventRatio",
        .."deviceClippingEventRatio",
        .."deviceGlitchEventRatio",
        .."howlingEventCount",
        .."initialSignalLevelRootMeanSquare",
        .."lowSpeechLevelEventRatio",
        .."lowSpeechToNoiseEventRatio",
        .."micGlitchRate",
        .."receivedNoiseLevel",
        .."receivedSignalLevel",
        .."renderMuteEventRatio",
        .."renderNotFunctioningEventRatio",
        .."renderZeroVolumeEventRatio",
        .."sentNoiseLevel",
        .."sentSignalLevel",
        .."speakerGlitchRate",
    }
}

/// A view of a media line that has what becomes columns.
pub trait Line<'a>: Object<'a> {
    fn figures(&self) -> impl Iterator<Item = StreamFigures<'a>>;
}

impl<'a> Line<'a> for Stored<'a> {
    fn figures(&self) -> impl Iterator<Item = StreamFigures<'a>> {
        self.streams.iter().map(|stream| StreamFigures {
            average_audio_degradation: stream.average_audio_degradation,
            average_packet_loss_rate: stream.average_packet_loss_rate,
            max_jitter: stream.max_jitter,
            max_packet_loss_rate: stream.max_packet_loss_rate,
            max_round_trip_time: stream.max_round_trip_time,
        })
    }
}

impl<'a> Line<'a> for Figures<'a> {
    fn figures(&self) -> impl Iterator<Item = StreamFigures<'a>> {
        self.streams.iter().cloned()
    }
}

view! {
    /// `mediaStream`. Rates and ratios are fractions, jitters, round trips and freezes are `Edm.Duration`.
    pub struct Stream<'a> {
        audio_codec: Leaf<'a> = "audioCodec",
        average_audio_degradation: Leaf<'a> = "averageAudioDegradation",
        average_audio_network_jitter: Leaf<'a> = "averageAudioNetworkJitter",
        average_bandwidth_estimate: Leaf<'a> = "averageBandwidthEstimate",
        average_freeze_duration: Leaf<'a> = "averageFreezeDuration",
        average_jitter: Leaf<'a> = "averageJitter",
        average_packet_loss_rate: Leaf<'a> = "averagePacketLossRate",
        average_ratio_of_concealed_samples: Leaf<'a> = "averageRatioOfConcealedSamples",
        average_received_frame_rate: Leaf<'a> = "averageReceivedFrameRate",
        average_round_trip_time: Leaf<'a> = "averageRoundTripTime",
        average_video_frame_loss_percentage: Leaf<'a> = "averageVideoFrameLossPercentage",
        average_video_frame_rate: Leaf<'a> = "averageVideoFrameRate",
        average_video_packet_loss_rate: Leaf<'a> = "averageVideoPacketLossRate",
        end_date_time: Leaf<'a> = "endDateTime",
        is_audio_forward_error_correction_used: Leaf<'a> = "isAudioForwardErrorCorrectionUsed",
        low_frame_rate_ratio: Leaf<'a> = "lowFrameRateRatio",
        low_video_processing_capability_ratio: Leaf<'a> = "lowVideoProcessingCapabilityRatio",
        max_audio_network_jitter: Leaf<'a> = "maxAudioNetworkJitter",
        max_jitter: Leaf<'a> = "maxJitter",
        max_packet_loss_rate: Leaf<'a> = "maxPacketLossRate",
        max_ratio_of_concealed_samples: Leaf<'a> = "maxRatioOfConcealedSamples",
        max_round_trip_time: Leaf<'a> = "maxRoundTripTime",
        packet_utilization: Leaf<'a> = "packetUtilization",
        post_forward_error_correction_packet_loss_rate: Leaf<'a> = "postForwardErrorCorrectionPacketLossRate",
        rms_freeze_duration: Leaf<'a> = "rmsFreezeDuration",
        start_date_time: Leaf<'a> = "startDateTime",
        stream_direction: Leaf<'a> = "streamDirection",
        stream_id: Leaf<'a> = "streamId",
        video_codec: Leaf<'a> = "videoCodec",
        was_media_bypassed: Leaf<'a> = "wasMediaBypassed",
    }
}

view! {
    /// `networkInfo`.
    pub struct Network<'a> {
        bandwidth_low_event_ratio: Leaf<'a> = "bandwidthLowEventRatio",
        basic_service_set_identifier: Leaf<'a> = "basicServiceSetIdentifier",
        connection_type: Leaf<'a> = "connectionType",
        delay_event_ratio: Leaf<'a> = "delayEventRatio",
        dns_suffix: Leaf<'a> = "dnsSuffix",
        ip_address: Leaf<'a> = "ipAddress",
        link_speed: Leaf<'a> = "linkSpeed",
        mac_address: Leaf<'a> = "macAddress",
        network_transport_protocol: Leaf<'a> = "networkTransportProtocol",
        port: Leaf<'a> = "port",
        received_quality_event_ratio: Leaf<'a> = "receivedQualityEventRatio",
        reflexive_ip_address: Leaf<'a> = "reflexiveIPAddress",
        relay_ip_address: Leaf<'a> = "relayIPAddress",
        relay_port: Leaf<'a> = "relayPort",
        sent_quality_event_ratio: Leaf<'a> = "sentQualityEventRatio",
        subnet: Leaf<'a> = "subnet",
        trace_route_hops: Vec<TraceRouteHop<'a>> = "traceRouteHops",
        wifi_band: Leaf<'a> = "wifiBand",
        wifi_battery_charge: Leaf<'a> = "wifiBatteryCharge",
        wifi_channel: Leaf<'a> = "wifiChannel",
        wifi_microsoft_driver: Leaf<'a> = "wifiMicrosoftDriver",
        wifi_microsoft_driver_version: Leaf<'a> = "wifiMicrosoftDriverVersion",
        wifi_radio_type: Leaf<'a> = "wifiRadioType",
        wifi_signal_strength: Leaf<'a> = "wifiSignalStrength",
        wifi_vendor_driver: Leaf<'a> = "wifiVendorDriver",
        wifi_vendor_driver_version: Leaf<'a> = "wifiVendorDriverVersion",
    }
}

view! {
    /// `deviceInfo`.
    pub struct Device<'a> {
        capture_device_driver: Leaf<'a> = "captureDeviceDriver",
        capture_device_name: Leaf<'a> = "captureDeviceName",
        capture_not_functioning_event_ratio: Leaf<'a> = "captureNotFunctioningEventRatio",
        /// Graph spells it so.
        cpu_insufficent_event_ratio: Leaf<'a> = "cpuInsufficentEventRatio",
        device_clipping_event_ratio: Leaf<'a> = "deviceClippingEventRatio",
        device_glitch_event_ratio: Leaf<'a> = "deviceGlitchEventRatio",
        howling_event_count: Leaf<'a> = "howlingEventCount",
        initial_signal_level_root_mean_square: Leaf<'a> = "initialSignalLevelRootMeanSquare",
        low_speech_level_event_ratio: Leaf<'a> = "lowSpeechLevelEventRatio",
        low_speech_to_noise_event_ratio: Leaf<'a> = "lowSpeechToNoiseEventRatio",
        mic_glitch_rate: Leaf<'a> = "micGlitchRate",
        received_noise_level: Leaf<'a> = "receivedNoiseLevel",
        received_signal_level: Leaf<'a> = "receivedSignalLevel",
        render_device_driver: Leaf<'a> = "renderDeviceDriver",
        render_device_name: Leaf<'a> = "renderDeviceName",
        render_mute_event_ratio: Leaf<'a> = "renderMuteEventRatio",
        render_not_functioning_event_ratio: Leaf<'a> = "renderNotFunctioningEventRatio",
        render_zero_volume_event_ratio: Leaf<'a> = "renderZeroVolumeEventRatio",
        sent_noise_level: Leaf<'a> = "sentNoiseLevel",
        sent_signal_level: Leaf<'a> = "sentSignalLevel",
        speaker_glitch_rate: Leaf<'a> = "speakerGlitchRate",
    }
}

view! {
    /// `traceRouteHop`; only where Microsoft support turned tracing on.
    pub struct TraceRouteHop<'a> {
        hop_count: Leaf<'a> = "hopCount",
        ip_address: Leaf<'a> = "ipAddress",
        round_trip_time: Leaf<'a> = "roundTripTime",
    }
}
