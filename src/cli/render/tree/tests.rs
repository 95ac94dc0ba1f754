//! Trees of records as people see them.

use super::*;
use crate::{
    archive::versions::VersionInfo,
    cli::render,
    model::{
        derive,
        document::Document,
        id::{RecordKey, Seq, Version},
    },
};

fn info(version: i64, newest: bool) -> VersionInfo {
    let key = RecordKey::call("e523d2ed-2966-4b6b-925b-754a88034cc5");
    VersionInfo {
        key,
        version: Version(version),
        seq: Seq(version + 1),
        newest,
        raw_bytes: 0,
        frame_bytes: 0,
        sealed: None,
    }
}

fn shown(json: &str) -> String {
    let versions = [info(1, false), info(2, true)];
    let document = Document { key: versions[1].key.clone(), version: Version(2), parts: Vec::new() };
    let derived = derive::derive(&document, json);
    let mut out = Vec::new();
    let shown = Shown { info: &versions[1], versions: &versions, derived: &derived, json, asked: None, linked: &[] };
    render::record(&shown, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const CALL: &str = r##"{"id":"e523d2ed-2966-4b6b-925b-754a88034cc5","version":2,"type":"peerToPeer","modalities":["audio"],
"startDateTime":"2020-02-25T18:52:21.2169889Z","endDateTime":"2020-02-25T18:52:46.7640013Z","joinWebUrl":"",
"organizer_v2":{"id":"82","identity":{"user":{"id":"82","displayName":"Abbie Wilkins","tenantId":"dc"}}},
"participants_v2":[{"id":"+4420","identity":{"phone":{"id":"+4420","displayName":null}}}],
"sessions":[{"id":"e5","startDateTime":"2020-02-25T18:52:21Z","endDateTime":"2020-02-25T18:52:46Z","modalities":["audio"],
 "failureInfo":{"stage":"midcall","reason":"lost \u001b[31mthe network"},
 "caller":{"@odata.type":"#microsoft.graph.callRecords.participantEndpoint","name":"machine_2","cpuCoresCount":8,
  "userAgent":{"platform":"android","productFamily":"teams","headerValue":"Teams/1.0"},
  "associatedIdentity":{"id":"82","displayName":"Abbie Wilkins","userPrincipalName":"abbie@contoso.com"},
  "feedback":{"rating":"poor","text":"hissing"}},
 "callee":{"@odata.type":"#microsoft.graph.callRecords.serviceEndpoint","userAgent":{"role":"mediationServer","platform":"unknown"}},
 "segments":[{"id":"e5","startDateTime":"2020-02-25T18:52:21Z","endDateTime":"2020-02-25T18:52:46Z",
  "media":[{"label":"main-audio","callerNetwork":{"ipAddress":"10.150.0.2","port":50000,"subnet":"10.150.0.0","linkSpeed":54000000,
    "connectionType":"wifi","wifiBand":"frequency50GHz","wifiSignalStrength":80,"basicServiceSetIdentifier":"","delayEventRatio":0},
   "calleeNetwork":null,"callerDevice":{"captureDeviceName":"Headset","receivedSignalLevel":-10,"cpuInsufficentEventRatio":0.25},
   "streams":[{"streamId":"15","streamDirection":"callerToCallee","averageAudioDegradation":0.25,"averageJitter":"PT0.016S",
     "maxJitter":"PT0.030S","averagePacketLossRate":0.0123,"audioCodec":"satin","videoCodec":"unknown"},
    {"streamDirection":"calleeToCaller","averageVideoFrameRate":14.9912}]}]}]}]}"##;

#[test]
fn a_call_is_a_tree_of_what_is_known() {
    let expected = "\
call e523d2ed-2966-4b6b-925b-754a88034cc5
  type        peerToPeer
  start       2020-02-25T18:52:21.2169889Z
  end         2020-02-25T18:52:46.7640013Z
  duration    25.5 s
  organizer   Abbie Wilkins <abbie@contoso.com>
  modalities  audio
  version     2 (2 of 2, the newest; ledger entry 3)
  FAILED      1 of 1 sessions

participants (2)
├─ Abbie Wilkins <abbie@contoso.com>  organizer, caller
│     joined 2020-02-25T18:52:21Z → 2020-02-25T18:52:46Z  25 s  1 session
│     id 82 · tenant dc
└─ +4420 [phone]  participant

sessions (1)
└─ session 1  2020-02-25T18:52:21Z → 2020-02-25T18:52:46Z  25 s  audio
   │  FAILED midcall: lost \\u{1b}[31mthe network
   │  caller  Abbie Wilkins <abbie@contoso.com> · machine machine_2 · 8 cores · android · teams ·
   │  Teams/1.0
   │  feedback of caller  poor · hissing
   │  callee  service · mediationServer
   │  id  e5
   └─ segment 1
      └─ main-audio
         ├─ caller → callee  satin · jitter 16 ms avg, 30 ms max · packet loss 1.23 % avg ·
         │     degradation 0.25 MOS · id 15
         ├─ callee → caller  frame rate 14.99 /s
         ├─ caller network  wifi · 10.150.0.2:50000 · subnet 10.150.0.0 · link 54 Mbit/s · band
         │     frequency50GHz · signal 80 %
         └─ caller device  captures Headset · signal -10 dB received · processor too slow 25 %
";
    let text = shown(CALL);
    assert_eq!(text, expected, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn sessions_of_one_person_hang_together_and_none_is_left_out() {
    let session = |n: usize, who: usize| {
        format!(
            r#"{{"id":"s{n}","startDateTime":"2026-11-01T10:{:02}:00Z","endDateTime":"2026-11-01T10:{:02}:30Z",
            "caller":{{"associatedIdentity":{{"id":"p{who}","displayName":"Person {who}"}}}},"segments":[]}}"#,
            n % 60,
            n % 60
        )
    };
    let sessions: Vec<String> = (0..500).map(|n| session(n, n % 250)).chain([session(500, 700)]).collect();
    let text = shown(&format!(r#"{{"sessions":[{}]}}"#, sessions.join(",")));
    assert!(text.contains("\nsessions (501)\n├─ Person 0  2 sessions  2026-11-01T10:00:00Z → "), "{text}");
    assert!(text.contains("\n└─ session 501  "), "{text}");
    assert_eq!((1..=501).filter(|n| text.contains(&format!("─ session {n}  "))).count(), 501);
    assert_eq!(text.matches("─ Person ").count(), 250 + 251);
}

#[test]
fn a_record_with_nothing_in_it_still_shows() {
    for json in ["{}", "[]", "", r#"{"sessions":[{}],"participants_v2":[{}]}"#] {
        let text = shown(json);
        assert!(text.starts_with("call e523d2ed"), "{text}");
    }
}
