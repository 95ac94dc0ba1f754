//! Rows of logs as people see them.

use crate::{
    archive::{links::Linked, versions::VersionInfo},
    cli::render::{self, Shown},
    model::{
        derive,
        document::{Document, Part, What},
        id::{RecordKey, Seq, Version},
        kind::Kind,
        link::Confidence,
        time::{Age, Span, Timestamp},
    },
};

fn shown(kind: Kind, id: &str, json: &str, linked: &[Linked]) -> String {
    let key = RecordKey { kind, id: id.to_owned() };
    let info = VersionInfo {
        key: key.clone(),
        version: Version(1),
        seq: Seq(7),
        newest: true,
        raw_bytes: 0,
        frame_bytes: 0,
        sealed: None,
    };
    let day = Span::new(Timestamp(0), Timestamp(0) + Age::days(1));
    let mut part = Part::new(What::Row, "https://graph/x".into(), None, Timestamp(0), json.into());
    part.asked = Some(day);
    let document = Document { key, version: Version(1), parts: vec![part] };
    let derived = derive::derive(&document, json);
    let versions = [info];
    let shown = Shown { info: &versions[0], versions: &versions, derived: &derived, json, asked: Some(day), linked };
    let mut out = Vec::new();
    render::record(&shown, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_call_of_a_plan_tells_who_when_and_what_it_cost_and_keeps_the_rest_in_order() {
    let json = r#"{"operator":"Microsoft \u001b[31m","id":"p1","callId":"c","userId":"u1","userPrincipalName":"a@contoso.com",
        "userDisplayName":"Adele","startDateTime":"2026-11-01T08:00:00.5Z","endDateTime":"2026-11-01T08:04:37Z","duration":276,
        "charge":0.00,"connectionCharge":1.2400,"callType":"user_out","currency":"EUR","callerNumber":"+498955501",
        "calleeNumber":"+4989123***","conferenceId":null,"destinationName":"","administrativeUnitInfos":[],"newThing":{"a":1}}"#;
    let linked = Linked {
        key: RecordKey::call("e523d2ed"),
        start: Timestamp::parse("2026-11-01T08:00:00.2Z"),
        confidence: Confidence::High,
        reason: "same user".into(),
    };
    let expected = "\
pstn p1
  type        user_out (outbound)
  start       2026-11-01T08:00:00.5Z
  end         2026-11-01T08:04:37Z
  duration    4 min 36 s
  user        Adele <a@contoso.com>  id u1
  from        +498955501
  to          +4989123***  (masked by Microsoft)
  charge      0.00 EUR · 1.2400 EUR for the connection
  version     1 (1 of 1, the newest; ledger entry 7)

members (3)
├─ callId  c
├─ operator  Microsoft \\u{1b}[31m
└─ newThing  {\"a\":1}  (not documented)

linked (1)
└─ call e523d2ed  2026-11-01T08:00:00Z
      high: same user
";
    assert_eq!(shown(Kind::Pstn, "p1", json, &[linked]), expected);
}

#[test]
fn a_failed_attempt_says_why_and_no_time_is_not_shown_as_one() {
    let json = r#"{"id":"d1","callType":"ByotIn","successfulCall":false,"finalSipCode":486,"finalSipCodePhrase":"Busy Here",
        "callEndSubReason":540486,"inviteDateTime":"2026-11-01T08:00:00Z","failureDateTime":"0001-01-01T00:00:00Z",
        "callerNumber":"Internal Revenue Service","duration":0}"#;
    let text = shown(Kind::DirectRouting, "key made of the row", json, &[]);
    for line in [
        "  type        ByotIn (inbound)\n  start       2026-11-01T08:00:00Z\n  duration    0 s\n",
        "  from        Internal Revenue Service\n  outcome     FAILED · SIP 486 Busy Here · sub reason 540486\n",
        "\nmembers (1)\n└─ id  d1  (not this row's alone)\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("0001") && !text.contains("linked"), "{text}");
}

#[test]
fn logs_that_graph_has_in_beta_say_so() {
    let sum = shown(
        Kind::DialOut,
        "k",
        r#"{"userId":"u","totalCalls":2,"totalCallSeconds":90,"totalCallCharge":5.1250,"currency":"GBP"}"#,
        &[],
    );
    for line in [
        "  source      beta: ",
        "  sum of      1970-01-01T00:00:00Z → 1970-01-02T00:00:00Z\n  calls       2, 1 min 30 s together\n",
        "  charge      5.1250 GBP\n",
    ] {
        assert!(sum.contains(line), "{sum}");
    }
    for kind in [Kind::Sms, Kind::BlockedUser] {
        assert!(shown(kind, "k", "{}", &[]).contains("  source      beta: "));
    }
    for kind in [Kind::Pstn, Kind::DirectRouting] {
        assert!(!shown(kind, "k", "{}", &[]).contains("beta"));
    }
}

#[test]
fn what_is_no_row_still_shows_and_a_person_shows_all_members() {
    assert!(shown(Kind::Sms, "k", "[]", &[]).starts_with("sms k\n"));
    let person = shown(Kind::Person, "u", r#"{"id":"u","displayName":"Adele","mail":null}"#, &[]);
    assert!(person.ends_with("\nmembers (1)\n└─ displayName  Adele\n"), "{person}");
}
