//! Tables of records as CSV shows them, and of what is in calls.

use super::*;
use crate::{
    model::{
        hit::Person,
        id::{RecordId, Seq, Version},
        kind::Kind,
        time::Timestamp,
        view,
    },
    tables::csv::Csv,
};

fn hit() -> Hit {
    let person = |id: Option<&str>, name: Option<&str>, phone: Option<&str>| Person {
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        upn: None,
        phone: phone.map(str::to_owned),
    };
    Hit {
        kind: Kind::Call,
        id: "e523d2ed-2966-4b6b-925b-754a88034cc5".into(),
        version: Version(2),
        start: Timestamp::parse("2026-11-01T10:00:00.5Z"),
        end: None,
        duration_s: Some(-1.5),
        call_type: Some("groupCall".into()),
        modalities: Some(vec!["audio".into(), "video".into()]),
        organizer: Some(person(Some("a"), Some("=HYPERLINK(\"http://x\",\"y\")"), None)),
        participants: vec![
            person(Some("a"), Some("Vance, Adele"), None),
            person(None, Some("Zoë"), None),
            person(Some("+4420"), None, Some("+4420")),
        ],
        sessions: Some(3),
        failed: true,
        matched: Vec::new(),
        next: None,
        seq: Seq(7),
        record_id: RecordId(7),
    }
}

/// The file that these hits and documents make, of a shape.
fn csv(shape: Shape, rows: &[(&Hit, &str)]) -> String {
    let mut out = Vec::new();
    let mut sink: Box<dyn Sink + '_> = Box::new(Table::new(shape, Csv::new(&mut out, &shape.columns()).unwrap()));
    for (hit, json) in rows {
        sink.row(&Row { hit, json }).unwrap();
    }
    sink.finish().unwrap();
    String::from_utf8(out).unwrap()
}

fn titles(shape: Shape) -> Vec<String> {
    shape.columns().into_iter().map(|column| column.title.into_owned()).collect()
}

#[test]
fn a_record_is_one_quoted_row_under_a_header() {
    let text = csv(Shape::default(), &[(&hit(), "{}")]);
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next().unwrap(), titles(Shape::default()).join(","));
    assert_eq!(
        lines.next().unwrap(),
        "call,e523d2ed-2966-4b6b-925b-754a88034cc5,2,2026-11-01T10:00:00.5Z,,-1.5,groupCall,audio;video,a,\
         \"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",,,\"Vance, Adele; Zoë; +4420\",a;;+4420,3,true,"
    );
    assert_eq!((lines.next(), lines.next()), (Some(""), None));
}

/// The lines of a table of text, cells by their titles.
fn lines(text: &str) -> Vec<Vec<(String, String)>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut lines = reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect::<Vec<_>>());
    let titles = lines.next().unwrap();
    lines.map(|line| titles.iter().cloned().zip(line).collect()).collect()
}

/// The cells of a row of a log, by their titles.
fn of_log(kind: Kind, json: &str) -> Vec<(String, String)> {
    let shape = Shape { rows: Rows::Records, log: view::log::log(kind) };
    let mut lines = lines(&csv(shape, &[(&Hit { kind, ..hit() }, json)]));
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

fn cell<'a>(cells: &'a [(String, String)], title: &str) -> &'a str {
    let found = cells.iter().find(|(own, _)| own == title);
    found.map(|(_, cell)| cell.as_str()).unwrap()
}

#[test]
fn a_table_of_one_log_goes_on_with_its_own_columns() {
    let cells = of_log(
        Kind::Pstn,
        r#"{"id":"p1","charge":0.00,"connectionCharge":1.2400,"duration":61,"startDateTime":"2026-11-01T08:00:00.50Z",
        "callerNumber":"+4989123***","userDisplayName":"=cmd()","operator":null,"administrativeUnitInfos":[{"id":"a"}]}"#,
    );
    let common = titles(Shape::default());
    let titles: Vec<&str> = cells.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles[..common.len()], common);
    assert_eq!(
        titles[common.len()..][..6],
        ["log_id", "call_id", "call_type", "start_date_time", "end_date_time", "log_duration_s"]
    );
    let expected = [
        ("kind", "pstn"),
        ("log_id", "p1"),
        ("log_duration_s", "61"),
        ("start_date_time", "2026-11-01T08:00:00.5Z"),
        ("end_date_time", ""),
        // Letter for letter.
        ("charge", "0.00"),
        ("connection_charge", "1.2400"),
        ("caller_number", "'+4989123***"),
        ("user_display_name", "'=cmd()"),
        ("operator", ""),
        ("administrative_unit_infos", r#"[{"id":"a"}]"#),
    ];
    for (title, expected) in expected {
        assert_eq!(cell(&cells, title), expected, "{title}");
    }
}

#[test]
fn no_two_columns_of_a_table_have_one_title() {
    let records = Kind::HITS.into_iter().map(|kind| Shape { rows: Rows::Records, log: view::log::log(kind) });
    let parts = [Rows::Sessions, Rows::Segments, Rows::Streams].map(|rows| Shape { rows, log: None });
    for shape in records.chain(parts) {
        let titles = titles(shape);
        assert_eq!(titles.iter().collect::<std::collections::HashSet<_>>().len(), titles.len(), "{shape:?}");
    }
}

#[test]
fn numbers_stand_as_sent_and_what_only_looks_like_one_does_not_run() {
    let cases = [
        ("-1.20", "-1.20"),
        ("1e-7", "1e-7"),
        ("\"0.00\"", "0.00"),
        ("\"-2\"", "-2"),
        ("\"-2+cmd()\"", "'-2+cmd()"),
        ("\"+1\"", "'+1"),
        ("\"=1\"", "'=1"),
        ("\"-inf\"", "'-inf"),
        ("null", ""),
    ];
    for (json, expected) in cases {
        let cells = of_log(Kind::Sms, &format!(r#"{{"callCharge":{json},"smsUnits":{json}}}"#));
        assert_eq!([cell(&cells, "call_charge"), cell(&cells, "sms_units")], [expected; 2], "{json}");
    }
    let cells = of_log(
        Kind::DirectRouting,
        r#"{"successfulCall":false,"mediaBypassEnabled":"=1","failureDateTime":"0001-01-01T00:00:00Z"}"#,
    );
    let shown = ["successful_call", "media_bypass_enabled", "failure_date_time"].map(|title| cell(&cells, title));
    assert_eq!(shown, ["false", "'=1", ""]);
}

#[test]
fn a_table_without_rows_has_its_header() {
    assert_eq!(csv(Shape::default(), &[]), format!("{}\r\n", titles(Shape::default()).join(",")));
}

const CALL: &str = r#"{"id":"c","sessions":[
    {"id":"s0","modalities":["audio","video"],"isTest":false,"failureInfo":{"stage":"midcall","reason":null},
     "startDateTime":"2026-11-01T10:00:00Z","endDateTime":"2026-11-01T10:00:30.5Z",
     "caller":{"name":"PC-1","associatedIdentity":{"id":"a","displayName":"=Adele"},"userAgent":{"platform":"windows","headerValue":"UCWA"}},
     "segments":[{"id":"s0","media":[{"label":"main-audio","streams":[
        {"streamId":"7","streamDirection":"callerToCallee","averageJitter":"PT0.0125S","maxJitter":"PT1.5S","packetUtilization":67,
         "averagePacketLossRate":0.25,"wasMediaBypassed":true,"audioCodec":"SILK","maxRoundTripTime":"soon","averageAudioDegradation":null,
         "startDateTime":"2026-11-01T10:00:00.1234567Z","lowFrameRateRatio":"NaN"},
        {"streamId":"8","maxJitter":"PT2S"}]}]}]},
    {"id":"s1","segments":[{"media":[{"streams":[{}]}]},{"media":[]}]}]}"#;

fn shown<'l>(lines: &'l [Vec<(String, String)>], title: &str) -> Vec<&'l str> {
    lines.iter().map(|line| cell(line, title)).collect()
}

#[test]
fn a_call_has_a_line_a_stream_that_says_where_it_stands_and_all_that_is_said_of_it() {
    let lines = lines(&csv(Shape { rows: Rows::Streams, log: None }, &[(&hit(), CALL)]));
    let shown = |title| shown(&lines, title);
    assert_eq!(shown("call_id"), [hit().id.as_str(); 3]);
    assert_eq!(shown("session_n"), ["0", "0", "1"]);
    assert_eq!(shown("session_id"), ["s0", "s0", "s1"]);
    assert_eq!((shown("n"), shown("media_label")), (vec!["0", "1", "0"], vec!["main-audio", "main-audio", ""]));
    assert_eq!(shown("stream_id"), ["7", "8", ""]);
    assert_eq!(shown("max_jitter_ms"), ["1500", "2000", ""]);
    let first = |title| cell(&lines[0], title);
    assert_eq!(first("average_jitter_ms"), "12.5");
    assert_eq!(first("start_date_time"), "2026-11-01T10:00:00.1234567Z");
    assert_eq!(
        [first("packet_utilization"), first("average_packet_loss_rate"), first("was_media_bypassed")],
        ["67", "0.25", "true"]
    );
    // Of another type than it should be: told as it is.
    assert_eq!(
        [first("max_round_trip_time_ms"), first("low_frame_rate_ratio"), first("average_audio_degradation")],
        ["soon", "NaN", ""]
    );
}

#[test]
fn a_call_has_a_line_a_session_and_a_line_a_segment() {
    let sessions = lines(&csv(Shape { rows: Rows::Sessions, log: None }, &[(&hit(), CALL)]));
    assert_eq!(shown(&sessions, "id"), ["s0", "s1"]);
    assert_eq!(shown(&sessions, "modalities"), ["audio;video", ""]);
    assert_eq!(
        (shown(&sessions, "failed"), shown(&sessions, "failure_stage")),
        (vec!["true", "false"], vec!["midcall", ""])
    );
    let first =
        ["duration_s", "caller_name", "caller_machine", "caller_platform", "caller_agent", "callee_name", "is_test"];
    assert_eq!(
        first.map(|title| cell(&sessions[0], title)),
        ["30.5", "'=Adele", "PC-1", "windows", "UCWA", "", "false"]
    );

    let segments = lines(&csv(Shape { rows: Rows::Segments, log: None }, &[(&hit(), CALL)]));
    assert_eq!((shown(&segments, "session_n"), shown(&segments, "n")), (vec!["0", "1", "1"], vec!["0", "0", "1"]));
    assert_eq!(
        (shown(&segments, "media_count"), shown(&segments, "stream_count")),
        (vec!["1", "1", "0"], vec!["2", "1", "0"])
    );
    assert_eq!(shown(&segments, "max_jitter_ms"), ["2000", "", ""]);
}
