//! Calls and rows of the logs name each other, whichever of them is asked about.

use callvault::{
    archive::{ArchiveWriter, Folder, batch::Prepared, frame::FrameWriter},
    model::{
        document::{Document, Part, What},
        id::{RecordKey, Version},
        kind::Kind,
        time::{Age, Timestamp},
    },
    simulate::Planted,
};

use crate::support::{Bench, ago, empty};

const CALL: &str = "47c20123-cf34-4b96-af5c-ee4b9b4d1943";

/// Puts a row of the direct routing log into the archive, as a sync would.
fn keep(bench: &Bench, id: &str, json: &str) {
    let mut writer = ArchiveWriter::open(&Folder::new(&bench.archive()), Timestamp::now()).unwrap();
    let part = Part::new(What::Row, "https://graph/page".into(), None, Timestamp::now(), json.into());
    let key = RecordKey { kind: Kind::DirectRouting, id: id.into() };
    let document = Document { key, version: Version(1), parts: vec![part] };
    let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
    writer.keep(&[Prepared::new(&document, &mut frames).unwrap()]).unwrap();
}

#[test]
fn a_call_and_its_row_are_shown_with_each_other_and_raw_stays_raw() {
    let bench = Bench::new(empty());
    let start = ago(Age::hours(9));
    bench.simulator.plant(Planted::meeting(CALL, start));
    bench.sync();
    let row = format!(
        r#"{{"id":"row-1","correlationId":"{CALL}","callType":"ByotIn","startDateTime":"{start}","callerNumber":"+4989123***","charge":0.00}}"#
    );
    keep(&bench, "row-1", &row);

    let of_row = bench.run("show row-1 --links --format json").ends_with(0).json();
    let expected = serde_json::json!([{"kind": "call", "id": CALL, "start": start.to_string(), "confidence": "certain",
        "reason": "correlationId is the call's id"}]);
    assert_eq!(of_row, expected);
    let of_call = bench.run(&format!("show {CALL} --links --format json")).ends_with(0).json();
    assert_eq!((of_call.as_array().unwrap().len(), &of_call[0]["id"]), (1, &"row-1".into()));

    let shown = bench.run("show row-1").ends_with(0).text();
    assert!(shown.contains("\n  from        +4989123***  (masked by Microsoft)\n"), "{shown}");
    let links = format!("\nlinked (1)\n└─ call {CALL}  {start}\n      certain: correlationId is the call's id\n");
    assert!(shown.ends_with(&links), "{shown}");
    let shown = bench.run(&format!("show {CALL}")).ends_with(0).text();
    assert!(shown.contains("\nlinked (1)\n└─ direct-routing row-1  "), "{shown}");

    for flags in ["--raw", "--format json", "--raw --format json"] {
        assert_eq!(bench.run(&format!("show row-1 {flags}")).ends_with(0).line(), row, "{flags}");
    }
}

#[test]
fn what_is_linked_with_nothing_says_so_and_is_an_empty_list() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(CALL, ago(Age::hours(9))));
    bench.sync();
    let none = bench.run(&format!("show {CALL} --links")).ends_with(0).telling("nothing is linked with it");
    assert!(none.stdout.is_empty());
    assert_eq!(bench.run(&format!("show {CALL} --links --format json")).ends_with(0).line(), "[]");
    assert!(!bench.run(&format!("show {CALL}")).ends_with(0).text().contains("linked"));
    bench.run(&format!("show {CALL} --links --raw")).ends_with(2).telling("--raw");
}
