//! Letter for letter: what Graph sent is what `show --raw` and `export` give back, whatever it was.

use callvault::{model::time::Age, simulate::Planted};

use crate::support::{Bench, ago, empty};

/// Members that a parser in between would change: numbers, escapes, blanks, order, things that nobody has documented.
const ODD: [&str; 9] = [
    r#""numbers":[1e-7,-0.0,9007199254740993,0.00,1.50,-1E+2,123456789012345678901234567890]"#,
    r#""empty":[[],{}," { \"a\" : 1 } "]"#,
    r#""escaped":"\u00e9\/\ud83d\ude00\u0000\u2028\b\f""#,
    "\"unescaped\":\"é/😀 𝄞 \u{202e}rtl\u{202c} e\u{301} \u{7f}\u{85}\u{2028}\u{feff}\"",
    r#""blank\u0020in its name":"z\u0338a","":"no name""#,
    r#""twice":1,"twice":2"#,
    r##""@odata.type":"#microsoft.graph.callRecords.ofTomorrow","nothing":null,"yes":true"##,
    r#""deep":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{"end":0}]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#,
    r#""long":"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000""#,
];

#[test]
fn numbers_escapes_and_unknown_members_come_back_letter_for_letter() {
    let bench = Bench::new(empty());
    let members = ODD.join(",");
    let session = |number: usize| format!(r#"{{"id":"session-{number}","segments":[{{{members}}}],{members}}}"#);
    let participant = format!(r#"{{"id":"somebody","identity":{{"kindOfTomorrow":{{{members}}}}},{members}}}"#);
    let sessions: Vec<_> = (0..70).map(session).collect();
    let call = Planted::meeting("odd", ago(Age::hours(20)))
        .extra_members(&members)
        .raw_sessions(sessions.clone())
        .raw_participants([participant.clone()]);
    bench.simulator.plant(call);
    bench.sync();
    let raw = bench.raw("odd");
    let holds = |part: &str| assert!(raw.contains(part), "{part} is not in {raw:.4000}");
    holds(&members);
    for session in &sessions {
        holds(session);
    }
    holds(&participant);
    assert_eq!(bench.run("export --format ndjson").ends_with(0).line(), raw);
    assert_eq!(bench.run("show odd --version 1 --raw").ends_with(0).line(), raw);
    bench.run("verify").ends_with(0);
    bench.run("reindex").ends_with(0);
    assert_eq!(bench.raw("odd"), raw, "making everything anew changes no letter");
}

#[test]
fn unknown_enum_members_are_kept_and_found() {
    let bench = Bench::new(empty());
    let session = r#"{"id":"s","modalities":["hologram"],"failureInfo":{"stage":"stageOfTomorrow","reason":"Why ever"},"segments":[]}"#;
    let mut call = Planted::meeting("future", ago(Age::hours(20))).raw_sessions([session]);
    call.call_type = "callOfTomorrow".to_owned();
    bench.simulator.plant(call);
    bench.sync();
    assert!(bench.raw("future").contains(session));
    let hit = &bench.run("query --type callOfTomorrow --failed --format json").ends_with(0).json()[0];
    assert_eq!((&hit["id"], &hit["type"], &hit["failed"]), (&"future".into(), &"callOfTomorrow".into(), &true.into()));
    assert_eq!(bench.run("query stage:stageOfTomorrow --count").ends_with(0).line(), "1");
    bench.run("show future").ends_with(0);
    bench.run("verify").ends_with(0);
}

#[test]
fn half_of_a_surrogate_pair_is_kept_though_it_is_no_character() {
    let bench = Bench::new(empty());
    let session = r#"{"id":"s","segments":[],"half":"\ud83d","other":"\ude00\ud83d"}"#;
    let named = r#"{"id":"p","identity":{"user":{"id":"p","displayName":"Half \ud83d Name"}}}"#;
    let call = Planted::meeting("half", ago(Age::hours(20))).raw_sessions([session]).raw_participants([named]);
    bench.simulator.plant(call);
    bench.sync();
    let raw = bench.raw("half");
    assert!(raw.contains(session) && raw.contains(named), "{raw}");
    bench.run("show half").ends_with(0);
    bench.run("verify").ends_with(0);
}

#[test]
fn text_that_steers_terminals_is_kept_in_the_archive_and_not_sent_to_terminals() {
    let bench = Bench::new(empty());
    let named = r#"{"id":"p","identity":{"user":{"id":"p","displayName":"Evil \u001b[2J\u0007 Name"}}}"#;
    bench.simulator.plant(Planted::meeting("evil", ago(Age::hours(20))).raw_participants([named]));
    bench.sync();
    assert!(bench.raw("evil").contains(named));
    for line in ["show evil", "query", "verify", "status"] {
        let ran = bench.run(line).ends_with(0);
        assert!(!ran.stdout.contains(&0x1b) && !ran.stdout.contains(&0x07), "{line}: {}", ran.text());
    }
}

#[test]
fn blanks_between_members_are_all_that_a_line_leaves_out() {
    let bench = Bench::new(empty());
    let call = Planted::meeting("spaced", ago(Age::hours(20)))
        .extra_members("\"spaced\" : {\r\n \"a b\" :\t1.0 ,  \"c\": [ 1e-7 , \" \" ] }");
    bench.simulator.plant(call);
    bench.sync();
    assert!(bench.raw("spaced").contains(r#""spaced":{"a b":1.0,"c":[1e-7," "]}"#));
    bench.run("verify").ends_with(0);
}
