//! What people call with: tables of machines, headsets, cameras, wireless cards and user agents.

pub(super) struct Cpu {
    pub(super) name: &'static str,
    pub(super) cores: u32,
    pub(super) mhz: u32,
}

pub(super) struct Headset {
    pub(super) microphone: &'static str,
    pub(super) speaker: &'static str,
    pub(super) driver: &'static str,
}

pub(super) struct Camera {
    pub(super) name: &'static str,
    pub(super) driver: &'static str,
}

pub(super) struct WifiCard {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

impl std::fmt::Debug for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl std::fmt::Debug for Headset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.microphone)
    }
}

impl std::fmt::Debug for Camera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl std::fmt::Debug for WifiCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[rustfmt::skip]
pub(super) static CPUS: &[Cpu] = &[
    Cpu { name: "12th Gen Intel(R) Core(TM) i7-1265U", cores: 10, mhz: 1800 },
    Cpu { name: "11th Gen Intel(R) Core(TM) i5-1145G7 @ 2.60GHz", cores: 4, mhz: 2611 },
    Cpu { name: "Intel(R) Core(TM) i5-8365U CPU @ 1.60GHz", cores: 4, mhz: 1896 },
    Cpu { name: "Intel(R) Core(TM) Ultra 7 165U", cores: 12, mhz: 1700 },
    Cpu { name: "AMD Ryzen 7 PRO 5850U with Radeon Graphics", cores: 8, mhz: 1901 },
    Cpu { name: "Snapdragon(R) X Elite - X1E80100", cores: 12, mhz: 3417 },
    Cpu { name: "Apple M3", cores: 8, mhz: 0 },
];

#[rustfmt::skip]
pub(super) static HEADSETS: &[Headset] = &[
    Headset { microphone: "Headset Microphone (Jabra Evolve2 65)", speaker: "Headset Earphone (Jabra Evolve2 65)", driver: "Jabra: 2.3.1.0" },
    Headset { microphone: "Headset Microphone (Poly BT700)", speaker: "Headset Earphone (Poly BT700)", driver: "Microsoft: 10.0.22621.3672" },
    Headset { microphone: "Headset Microphone (Plantronics Blackwire 5220 Series)", speaker: "Headset Earphone (Plantronics Blackwire 5220 Series)", driver: "Microsoft: 10.0.19041.4355" },
    Headset { microphone: "Microphone Array (Realtek(R) Audio)", speaker: "Speakers (Realtek(R) Audio)", driver: "Realtek Semiconductor Corp.: 6.0.9780.1" },
    Headset { microphone: "Kopfhörermikrofon (EPOS IMPACT 1061T)", speaker: "Kopfhörer (EPOS IMPACT 1061T)", driver: "Microsoft: 10.0.26100.1" },
    Headset { microphone: "Echo Cancelling Speakerphone (Jabra Speak 750)", speaker: "Echo Cancelling Speakerphone (Jabra Speak 750)", driver: "Jabra: 2.3.1.0" },
    Headset { microphone: "AirPods Pro von Käthe", speaker: "AirPods Pro von Käthe", driver: "Apple Inc." },
    Headset { microphone: "Default input device", speaker: "Default output device", driver: "" },
];

#[rustfmt::skip]
pub(super) static CAMERAS: &[Camera] = &[
    Camera { name: "Integrated Camera", driver: "Sunplus: 5.0.19.11" },
    Camera { name: "Logitech BRIO", driver: "Microsoft: 10.0.22621.1" },
    Camera { name: "Surface Camera Front", driver: "Intel Corporation: 64.22000.6.18094" },
    Camera { name: "FaceTime HD Camera", driver: "Apple Inc." },
];

#[rustfmt::skip]
pub(super) static WIFI_CARDS: &[WifiCard] = &[
    WifiCard { name: "Intel(R) Wi-Fi 6E AX211 160MHz", version: "Intel:23.110.0.5" },
    WifiCard { name: "Intel(R) Dual Band Wireless-AC 8265", version: "Intel:20.70.32.1" },
    WifiCard { name: "Qualcomm FastConnect 7800 Wi-Fi 7", version: "Qualcomm:3.1.0.1262" },
    WifiCard { name: "MediaTek Wi-Fi 6E MT7922", version: "MediaTek:3.3.0.908" },
];

/// Weight and name. `visionOS` is none of the documented members: an enum that grows must not stop anybody.
pub(super) static PLATFORMS: &[(u64, &str)] = &[
    (600, "windows"),
    (100, "macOS"),
    (90, "web"),
    (100, "iOS"),
    (70, "android"),
    (20, "ipPhone"),
    (15, "roomSystem"),
    (5, "visionOS"),
];

/// The user agents of a platform, newest last.
#[rustfmt::skip]
pub(super) fn user_agents(platform: &str) -> &'static [&'static str] {
    match platform {
        "windows" => &["CallSignalingAgent (27/1.0.0.2560205//;release_25060_cs)", "CallSignalingAgent (27/1.0.0.2594310//;release_25094_cs)", "CallSignalingAgent (27/1.0.0.2612214//;release_26012_cs)"],
        "macOS" => &["CallSignalingAgent (27/1.0.0.2594310//;release_mac_cs)", "CallSignalingAgent (27/1.0.0.2612214//;release_mac_cs)"],
        "web" => &["CallSignalingAgent (27/1.0.0.2594310//;release_25094_cs) Edg/141.0", "CallSignalingAgent (27/1.0.0.2612214//;release_26012_cs) Edg/143.0"],
        "iOS" => &["Microsoft Teams/7.16.0 (iPhone; iOS 18.5; Scale/3.00)", "Microsoft Teams/7.18.2 (iPhone; iOS 18.6; Scale/3.00)"],
        "android" => &["TeamsAndroid/1416/1.0.0.2026101404/SM-S921B", "TeamsAndroid/1416/1.0.0.2026102202/Pixel 8"],
        "ipPhone" => &["Teams-IPPhone/1449/1.0.94.2026050201 Yealink MP56"],
        "roomSystem" => &["SkypeRoomSystem/5.3.148.0 Logitech Tap", "SkypeRoomSystem/5.4.211.0 Logitech Tap"],
        _ => &["Microsoft Teams/7.18.2 (RealityDevice; visionOS 3.0)"],
    }
}
