//! Networks, devices and streams of a segment, with figures that hang together.
//!
//! Each end has a link (wired, wireless, mobile, a service's own); how bad it is gives loss, jitter, delay, concealment and
//! degradation of both directions. A weak wireless signal is heard.

#![expect(clippy::similar_names, reason = "caller and callee are Graph's words")]

use crate::simulate::{
    World,
    call::{Party, Session},
    dice::{Dice, whole},
    json::Json,
    people::{DOMAIN, Equipment, outside_equipment},
};

/// An end of a media line.
#[derive(Debug)]
enum End<'a> {
    /// A client whose network is known.
    Client { equipment: &'a Equipment, link: Link },
    /// A server of the meeting or the telephone network.
    Service,
    /// Somebody of another organisation: Graph tells nothing.
    Hidden,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    at_home: bool,
    medium: Medium,
    over_tcp: bool,
    relayed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Wired,
    Wifi { signal_percent: i64, five_ghz: bool },
    Mobile,
    Tunnel,
}

/// What a session's network did to its packets.
#[derive(Clone, Copy, Debug)]
struct Quality {
    /// 0 is good, 1 hardly usable.
    trouble: f64,
    loss: f64,
    jitter_s: f64,
    round_trip_s: f64,
}

/// Writes the media lines of a segment. `ends` are caller and callee; `None` is a service.
pub(super) fn media(json: &mut Json, world: &World, session: &Session, ends: [Option<Party>; 2], segment: u64) {
    let mut dice = Dice::of(session.seed, &[3, segment]);
    let outside = ends.map(|party| outside_gear(world, party));
    let [caller, callee] = [0, 1].map(|side| end(world, ends[side], outside[side].as_ref(), &mut dice));
    let quality = Quality::between(&caller, &callee, &mut dice);
    let seconds = (session.end - session.start).as_seconds_f64();
    let lines = session.lines;
    let labels = [
        ("main-audio", true),
        ("main-video", lines.video),
        ("applicationsharing-video", lines.sharing),
        ("data", lines.data),
    ];
    json.list(labels.into_iter().filter(|(_, used)| *used), |json, (label, _)| {
        json.raw("{\"label\":\"").raw(label).raw("\",\"callerNetwork\":");
        network(json, &caller, quality, &mut dice);
        json.raw(",\"calleeNetwork\":");
        network(json, &callee, quality, &mut dice);
        json.raw(",\"callerDevice\":");
        device(json, &caller, label, quality, &mut dice);
        json.raw(",\"calleeDevice\":");
        device(json, &callee, label, quality, &mut dice);
        json.raw(",\"streams\":[");
        json.list(["callerToCallee", "calleeToCaller"], |json, direction| {
            stream(json, label, direction, seconds, quality, &mut dice);
        });
        json.raw("]}");
    });
}

/// Guests call with gear that nobody keeps.
fn outside_gear(world: &World, party: Option<Party>) -> Option<Equipment> {
    match party {
        Some(Party::Guest(number) | Party::AcsUser(number)) => Some(outside_equipment(world.seed(), number)),
        _ => None,
    }
}

fn end<'a>(world: &'a World, party: Option<Party>, outside: Option<&'a Equipment>, dice: &mut Dice) -> End<'a> {
    let equipment = match party {
        Some(Party::User(place)) => &world.people()[place].equipment,
        Some(Party::External(_)) => return End::Hidden,
        _ => match outside {
            Some(equipment) => equipment,
            None => return End::Service,
        },
    };
    End::Client { equipment, link: Link::of(equipment, dice) }
}

impl Link {
    fn of(equipment: &Equipment, dice: &mut Dice) -> Self {
        let at_home = dice.chance(equipment.home_share);
        let portable = matches!(equipment.platform, "iOS" | "android" | "visionOS");
        let fixed = matches!(equipment.platform, "ipPhone" | "roomSystem");
        let medium = if portable && dice.chance(0.4) {
            Medium::Mobile
        } else if fixed || !portable && dice.chance(if at_home { 0.15 } else { 0.55 }) {
            if at_home && dice.chance(0.2) { Medium::Tunnel } else { Medium::Wired }
        } else {
            let five_ghz = dice.chance(0.8);
            Medium::Wifi { signal_percent: whole(100.0 - 65.0 * dice.unit() * dice.unit()), five_ghz }
        };
        Self { at_home, medium, over_tcp: dice.chance(0.04), relayed: dice.chance(0.35) }
    }

    fn trouble(self) -> f64 {
        let medium = match self.medium {
            Medium::Wired => 0.0,
            Medium::Tunnel => 0.15,
            Medium::Mobile => 0.25,
            Medium::Wifi { signal_percent, five_ghz } => {
                let weak = f64::from(i32::try_from(75 - signal_percent).unwrap_or(0).max(0)) / 75.0;
                weak * 1.4 + if five_ghz { 0.0 } else { 0.1 }
            }
        };
        medium + if self.over_tcp { 0.2 } else { 0.0 } + if self.relayed { 0.05 } else { 0.0 }
    }
}

impl Quality {
    fn between(caller: &End<'_>, callee: &End<'_>, dice: &mut Dice) -> Self {
        let of = |end: &End<'_>| if let End::Client { link, .. } = end { link.trouble() } else { 0.0 };
        let luck = dice.unit();
        let trouble = (of(caller).max(of(callee)) * (0.5 + dice.unit()) + luck.powi(6) * 0.5).min(1.0);
        Self {
            trouble,
            loss: if trouble < 0.12 && dice.chance(0.5) {
                0.0
            } else {
                (dice.around(0.0004, 0.8) * (trouble * 5.5).exp()).min(0.6)
            },
            jitter_s: dice.around(0.004, 0.4) * (1.0 + 8.0 * trouble),
            round_trip_s: dice.around(0.035, 0.5) * (1.0 + 5.0 * trouble),
        }
    }

    /// A share of the call that grows with trouble; mostly 0 on a good line.
    fn events(self, dice: &mut Dice) -> f64 {
        if dice.unit() > 0.05 + self.trouble { 0.0 } else { (self.trouble * dice.unit()).min(1.0) }
    }
}

fn network(json: &mut Json, end: &End<'_>, quality: Quality, dice: &mut Dice) {
    match end {
        End::Hidden => _ = json.raw(NETWORK_UNKNOWN),
        End::Service => {
            let net = format!("10.0.{}", dice.below(64));
            json.raw("{\"ipAddress\":\"")
                .raw(&net)
                .raw(".")
                .show(dice.between(4, 250))
                .raw("\",\"subnet\":\"")
                .raw(&net);
            json.raw(".0\",\"linkSpeed\":0,\"connectionType\":\"wired\",\"port\":").show(dice.between(3478, 3482));
            json.raw(",\"reflexiveIPAddress\":\"52.").show(dice.between(112, 116)).raw(".").show(dice.below(256));
            json.raw(".").show(dice.between(1, 255)).raw(NETWORK_OF_SERVICE);
        }
        End::Client { equipment, link } => client_network(json, equipment, *link, quality, dice),
    }
}

fn client_network(json: &mut Json, gear: &Equipment, link: Link, quality: Quality, dice: &mut Dice) {
    let (ip, subnet, public) = if link.at_home {
        (&gear.home_ip, &gear.home_subnet, &gear.home_public_ip)
    } else {
        (&gear.office_ip, &gear.office_subnet, &gear.office_public_ip)
    };
    let (name, speed) = match link.medium {
        Medium::Wired => ("wired", *dice.pick(&[1_000_000_000_u64, 1_000_000_000, 100_000_000, 2_500_000_000])),
        Medium::Tunnel => ("tunnel", 4_294_967_295),
        Medium::Mobile => ("mobile", 0),
        Medium::Wifi { five_ghz: true, .. } => ("wifi", *dice.pick(&[526_500_000, 866_700_000, 1_200_900_000])),
        Medium::Wifi { .. } => ("wifi", *dice.pick(&[65_000_000, 144_400_000])),
    };
    json.raw("{\"ipAddress\":\"").raw(ip).raw("\",\"subnet\":\"").raw(subnet).raw("\",\"linkSpeed\":").show(speed);
    json.raw(",\"connectionType\":\"").raw(name).raw("\",\"port\":").show(dice.between(50_000, 50_060));
    json.raw(",\"reflexiveIPAddress\":\"").raw(public).raw("\",\"relayIPAddress\":\"");
    if link.relayed {
        json.raw("52.").show(dice.between(113, 123)).raw(".").show(dice.below(256)).raw(".").show(dice.between(1, 255));
    }
    json.raw("\",\"relayPort\":").show(dice.between(3478, 3482)).raw(",\"macAddress\":\"");
    json.raw(if name == "wifi" { "02:00:00:00:00:00" } else { "" }).raw("\"");
    wireless(json, gear, link, dice);
    json.raw(",\"dnsSuffix\":\"");
    if !link.at_home {
        json.raw("corp.").raw(DOMAIN);
    }
    json.raw("\",\"sentQualityEventRatio\":").single(quality.events(dice));
    json.raw(",\"receivedQualityEventRatio\":").single(quality.events(dice)).raw(",\"delayEventRatio\":");
    if dice.chance(0.3) {
        json.single(quality.events(dice))
    } else {
        json.raw("null")
    };
    json.raw(",\"bandwidthLowEventRatio\":null,\"networkTransportProtocol\":\"");
    json.raw(if link.over_tcp { "tcp" } else { "udp" }).raw("\",\"traceRouteHops\":[]}");
}

fn wireless(json: &mut Json, gear: &Equipment, link: Link, dice: &mut Dice) {
    let Medium::Wifi { signal_percent, five_ghz } = link.medium else {
        json.raw(NO_WIRELESS);
        return;
    };
    json.raw(",\"wifiMicrosoftDriver\":\"\",\"wifiMicrosoftDriverVersion\":\"Microsoft:10.0.26100.4484\",\"wifiVendorDriver\":");
    json.text(gear.wifi_card.name)
        .raw(",\"wifiVendorDriverVersion\":\"")
        .raw(gear.wifi_card.version)
        .raw("\",\"wifiChannel\":");
    json.show(if five_ghz { dice.pick(&[36, 40, 44, 48, 100, 116, 149]) } else { dice.pick(&[1, 6, 11]) });
    json.raw(",\"wifiBand\":\"").raw(if five_ghz { "frequency50GHz" } else { "frequency24GHz" });
    json.raw("\",\"basicServiceSetIdentifier\":\"").raw(if link.at_home { &gear.home_access_point } else { "" });
    json.raw("\",\"wifiRadioType\":\"").raw(if five_ghz { "wifi80211ax" } else { "wifi80211n" });
    json.raw("\",\"wifiSignalStrength\":").show(signal_percent).raw(",\"wifiBatteryCharge\":");
    json.show(dice.pick(&[100, 100, 100, 87, 64, 41, 12]));
}

fn device(json: &mut Json, end: &End<'_>, label: &str, quality: Quality, dice: &mut Dice) {
    let End::Client { equipment, .. } = end else {
        json.raw("{\"captureDeviceName\":null,\"captureDeviceDriver\":null").raw(DEVICE_UNKNOWN);
        return;
    };
    match label {
        "main-audio" => headset(json, equipment, quality, dice),
        "main-video" => {
            let camera = equipment.camera;
            json.raw("{\"captureDeviceName\":")
                .text(camera.name)
                .raw(",\"captureDeviceDriver\":")
                .text(camera.driver)
                .raw(DEVICE_UNKNOWN);
        }
        _ => _ = json.raw("{\"captureDeviceName\":\"\",\"captureDeviceDriver\":\"\"").raw(DEVICE_UNKNOWN),
    }
}

fn headset(json: &mut Json, equipment: &Equipment, quality: Quality, dice: &mut Dice) {
    let headset = equipment.headset;
    json.raw("{\"captureDeviceName\":").text(headset.microphone).raw(",\"captureDeviceDriver\":").text(headset.driver);
    json.raw(",\"renderDeviceName\":").text(headset.speaker).raw(",\"renderDeviceDriver\":").text(headset.driver);
    for (name, level) in [
        ("sentSignalLevel", -24.0),
        ("receivedSignalLevel", -22.0),
        ("sentNoiseLevel", -68.0),
        ("receivedNoiseLevel", -66.0),
    ] {
        json.raw(",\"").raw(name).raw("\":").show(whole(dice.bell(level, 6.0)));
    }
    json.raw(",\"initialSignalLevelRootMeanSquare\":").single(dice.around(30.0, 0.8));
    json.raw(",\"cpuInsufficentEventRatio\":").single(quality.events(dice) * 0.3);
    json.raw(",\"renderNotFunctioningEventRatio\":0,\"captureNotFunctioningEventRatio\":0");
    for name in
        ["deviceGlitchEventRatio", "lowSpeechToNoiseEventRatio", "lowSpeechLevelEventRatio", "deviceClippingEventRatio"]
    {
        let ratio = if dice.chance(0.08) { dice.unit().powi(4) } else { 0.0 };
        json.raw(",\"").raw(name).raw("\":").single(ratio);
    }
    json.raw(",\"howlingEventCount\":").show(u64::from(dice.chance(0.01))).raw(",\"renderZeroVolumeEventRatio\":");
    json.show(u64::from(dice.chance(0.01))).raw(",\"renderMuteEventRatio\":0,\"micGlitchRate\":");
    json.single(quality.events(dice) * 12.0)
        .raw(",\"speakerGlitchRate\":")
        .single(quality.events(dice) * 12.0)
        .raw("}");
}

fn stream(json: &mut Json, label: &str, direction: &str, seconds: f64, quality: Quality, dice: &mut Dice) {
    json.raw("{\"streamId\":\"").show(dice.between(1, 1 << 32)).raw("\",\"startDateTime\":null,\"endDateTime\":null");
    json.raw(",\"streamDirection\":\"").raw(direction).raw("\"");
    match label {
        "main-audio" => audio(json, seconds, quality, dice),
        "data" => _ = json.raw(",\"packetUtilization\":").show(whole(seconds * dice.unit() * 2.0)).raw(STREAM_OF_DATA),
        _ => video(json, label == "main-video", seconds, quality, dice),
    }
}

fn audio(json: &mut Json, seconds: f64, quality: Quality, dice: &mut Dice) {
    let loss = quality.loss * (0.5 + dice.unit());
    let concealed = (loss * 2.2 + quality.jitter_s * 0.8 * quality.trouble).min(1.0);
    json.raw(",\"averageAudioDegradation\":");
    if dice.chance(0.3) {
        json.raw("null")
    } else {
        json.single((loss * 9.0 + quality.jitter_s * 4.0).min(3.2))
    };
    loss_and_delay(json, loss, quality, dice);
    json.raw(",\"averageRatioOfConcealedSamples\":").single(concealed);
    json.raw(",\"maxRatioOfConcealedSamples\":").single((concealed * (1.5 + 4.0 * dice.unit())).min(1.0));
    json.raw(",\"packetUtilization\":").show(whole(seconds * (30.0 + 20.0 * dice.unit())));
    json.raw(",\"averageBandwidthEstimate\":").show(whole(dice.around(4e6, 0.7) * (1.1 - quality.trouble)));
    json.raw(",\"wasMediaBypassed\":null,\"postForwardErrorCorrectionPacketLossRate\":null,\"averageVideoFrameLossPercentage\":null,");
    json.raw("\"averageReceivedFrameRate\":null,\"lowFrameRateRatio\":null,\"averageVideoPacketLossRate\":null,");
    json.raw(
        "\"averageVideoFrameRate\":null,\"lowVideoProcessingCapabilityRatio\":null,\"averageAudioNetworkJitter\":",
    );
    json.duration(quality.jitter_s * 3.0)
        .raw(",\"maxAudioNetworkJitter\":")
        .duration(quality.jitter_s * (4.0 + 20.0 * dice.unit()));
    let codec = dice.pick(&["satin", "satin", "satin", "satinFullband", "opus", "silkWide", "g722"]);
    json.raw(",\"audioCodec\":\"").raw(codec).raw("\",\"videoCodec\":\"unknown\",\"rmsFreezeDuration\":null,");
    json.raw("\"averageFreezeDuration\":null,\"isAudioForwardErrorCorrectionUsed\":")
        .show(quality.trouble > 0.2)
        .raw("}");
}

fn video(json: &mut Json, camera: bool, seconds: f64, quality: Quality, dice: &mut Dice) {
    let loss = quality.loss * (0.5 + dice.unit());
    let rate = (dice.bell(if camera { 25.0 } else { 9.0 }, 3.0) * (1.0 - 0.5 * quality.trouble)).max(1.0);
    json.raw(",\"averageAudioDegradation\":null");
    loss_and_delay(json, loss, quality, dice);
    json.raw(",\"averageRatioOfConcealedSamples\":null,\"maxRatioOfConcealedSamples\":null,\"packetUtilization\":");
    json.show(whole(seconds * (60.0 + 200.0 * dice.unit()))).raw(",\"averageBandwidthEstimate\":");
    json.show(whole(dice.around(6e6, 0.7) * (1.1 - quality.trouble))).raw(",\"wasMediaBypassed\":null");
    json.raw(",\"postForwardErrorCorrectionPacketLossRate\":").single(loss * 0.3);
    json.raw(",\"averageVideoFrameLossPercentage\":").single((loss * 100.0 * dice.unit()).min(100.0));
    json.raw(",\"averageReceivedFrameRate\":").single(rate).raw(",\"lowFrameRateRatio\":").single(quality.events(dice));
    json.raw(",\"averageVideoPacketLossRate\":").single(loss).raw(",\"averageVideoFrameRate\":").single(rate * 0.97);
    json.raw(",\"lowVideoProcessingCapabilityRatio\":").single(quality.events(dice) * 0.5);
    json.raw(",\"averageAudioNetworkJitter\":null,\"maxAudioNetworkJitter\":null,\"audioCodec\":\"unknown\",\"videoCodec\":\"");
    json.raw(if dice.chance(0.3) { "av1" } else { "h264" }).raw("\",\"rmsFreezeDuration\":");
    json.duration(quality.trouble * dice.unit())
        .raw(",\"averageFreezeDuration\":")
        .duration(quality.trouble * 0.6 * dice.unit());
    json.raw(",\"isAudioForwardErrorCorrectionUsed\":null}");
}

fn loss_and_delay(json: &mut Json, loss: f64, quality: Quality, dice: &mut Dice) {
    json.raw(",\"averageJitter\":").duration(quality.jitter_s);
    json.raw(",\"maxJitter\":").duration(quality.jitter_s * (1.5 + 4.0 * dice.unit()));
    json.raw(",\"averagePacketLossRate\":").single(loss);
    json.raw(",\"maxPacketLossRate\":").single((loss * (1.5 + 6.0 * dice.unit())).min(1.0));
    json.raw(",\"averageRoundTripTime\":").duration(quality.round_trip_s);
    json.raw(",\"maxRoundTripTime\":").duration(quality.round_trip_s * (1.0 + 3.0 * dice.unit()));
}

const NO_WIRELESS: &str = concat!(
    ",\"wifiMicrosoftDriver\":null,\"wifiMicrosoftDriverVersion\":null,\"wifiVendorDriver\":null,\"wifiVendorDriverVersion\":null,",
    "\"wifiChannel\":null,\"wifiBand\":\"unknown\",\"basicServiceSetIdentifier\":null,\"wifiRadioType\":\"unknown\",",
    "\"wifiSignalStrength\":null,\"wifiBatteryCharge\":null"
);
const NETWORK_OF_SERVICE: &str = concat!(
    "\",\"relayIPAddress\":null,\"relayPort\":null,\"macAddress\":null,\"wifiMicrosoftDriver\":null,",
    "\"wifiMicrosoftDriverVersion\":null,\"wifiVendorDriver\":null,\"wifiVendorDriverVersion\":null,\"wifiChannel\":null,",
    "\"wifiBand\":\"unknown\",\"basicServiceSetIdentifier\":null,\"wifiRadioType\":\"unknown\",\"wifiSignalStrength\":null,",
    "\"wifiBatteryCharge\":null,\"dnsSuffix\":null,\"sentQualityEventRatio\":null,\"receivedQualityEventRatio\":null,",
    "\"delayEventRatio\":null,\"bandwidthLowEventRatio\":null,\"networkTransportProtocol\":\"udp\",\"traceRouteHops\":[]}"
);
const NETWORK_UNKNOWN: &str = concat!(
    "{\"ipAddress\":null,\"subnet\":null,\"linkSpeed\":null,\"connectionType\":\"unknown\",\"port\":null,",
    "\"reflexiveIPAddress\":null,\"relayIPAddress\":null,\"relayPort\":null,\"macAddress\":null,\"wifiMicrosoftDriver\":null,",
    "\"wifiMicrosoftDriverVersion\":null,\"wifiVendorDriver\":null,\"wifiVendorDriverVersion\":null,\"wifiChannel\":null,",
    "\"wifiBand\":\"unknown\",\"basicServiceSetIdentifier\":null,\"wifiRadioType\":\"unknown\",\"wifiSignalStrength\":null,",
    "\"wifiBatteryCharge\":null,\"dnsSuffix\":null,\"sentQualityEventRatio\":null,\"receivedQualityEventRatio\":null,",
    "\"delayEventRatio\":null,\"bandwidthLowEventRatio\":null,\"networkTransportProtocol\":\"unknown\",\"traceRouteHops\":[]}"
);
/// All members of a device after those of its capture part.
const DEVICE_UNKNOWN: &str = concat!(
    ",\"renderDeviceName\":null,\"renderDeviceDriver\":null,\"sentSignalLevel\":null,\"receivedSignalLevel\":null,",
    "\"sentNoiseLevel\":null,\"receivedNoiseLevel\":null,\"initialSignalLevelRootMeanSquare\":null,",
    "\"cpuInsufficentEventRatio\":null,\"renderNotFunctioningEventRatio\":null,\"captureNotFunctioningEventRatio\":null,",
    "\"deviceGlitchEventRatio\":null,\"lowSpeechToNoiseEventRatio\":null,\"lowSpeechLevelEventRatio\":null,",
    "\"deviceClippingEventRatio\":null,\"howlingEventCount\":null,\"renderZeroVolumeEventRatio\":null,",
    "\"renderMuteEventRatio\":null,\"micGlitchRate\":null,\"speakerGlitchRate\":null}"
);
/// All members of a data stream after its packets.
const STREAM_OF_DATA: &str = concat!(
    ",\"averageAudioDegradation\":null,\"averageJitter\":null,\"maxJitter\":null,\"averagePacketLossRate\":null,",
    "\"maxPacketLossRate\":null,\"averageRatioOfConcealedSamples\":null,\"maxRatioOfConcealedSamples\":null,",
    "\"averageRoundTripTime\":null,\"maxRoundTripTime\":null,\"averageBandwidthEstimate\":null,\"wasMediaBypassed\":null,",
    "\"postForwardErrorCorrectionPacketLossRate\":null,\"averageVideoFrameLossPercentage\":null,",
    "\"averageReceivedFrameRate\":null,\"lowFrameRateRatio\":null,\"averageVideoPacketLossRate\":null,",
    "\"averageVideoFrameRate\":null,\"lowVideoProcessingCapabilityRatio\":null,\"averageAudioNetworkJitter\":null,",
    "\"maxAudioNetworkJitter\":null,\"audioCodec\":\"unknown\",\"videoCodec\":\"unknown\",\"rmsFreezeDuration\":null,",
    "\"averageFreezeDuration\":null,\"isAudioForwardErrorCorrectionUsed\":null}"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_signal_is_heard() {
        let gear = outside_equipment(1, 1);
        let mean = |signal_percent| {
            let mut dice = Dice::of(1, &[]);
            let medium = Medium::Wifi { signal_percent, five_ghz: true };
            let link = Link { at_home: true, medium, over_tcp: false, relayed: false };
            let sum = (0..400).fold([0.0; 3], |sum, _| {
                let quality = Quality::between(&End::Client { equipment: &gear, link }, &End::Service, &mut dice);
                [sum[0] + quality.loss, sum[1] + quality.jitter_s, sum[2] + quality.round_trip_s]
            });
            sum.map(|sum| sum / 400.0)
        };
        let (strong, weak) = (mean(95), mean(38));
        assert!(strong[0] < 0.01 && weak[0] > strong[0] * 3.0, "{strong:?} {weak:?}");
        assert!(weak[1] > strong[1] * 2.0 && weak[2] > strong[2] * 1.5);
    }
}
