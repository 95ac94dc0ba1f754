//! An archive that an earlier build made: read as it is, brought up to date by the next command that writes, nothing of it lost.

use std::{fs, path::Path};

use callvault::{model::time::Age, simulate::Planted};
use rusqlite::Connection;

use crate::support::{Bench, ago, empty};

/// Twelve generated calls as of step 4 of the schema: entries as lines, hashes in the envelopes, a row for each segment.
fn bench() -> Bench {
    let bench = Bench::new(empty());
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/step4.db.zst");
    let database = zstd::stream::decode_all(fs::File::open(packed).unwrap()).unwrap();
    fs::create_dir(bench.archive()).unwrap();
    fs::write(bench.archive().join("archive.db"), database).unwrap();
    bench
}

fn lines(bench: &Bench, sql: &str) -> Vec<String> {
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The archived JSON of each call.
fn documents(bench: &Bench) -> Vec<String> {
    let ids = lines(bench, "SELECT lower(hex(id)) FROM record WHERE newest_seq <= 13 ORDER BY record_id");
    assert_eq!(ids.len(), 12);
    let guid = |hex: &str| [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    ids.iter().map(|id| bench.run(&format!("show {} --raw", guid(id))).ends_with(0).text()).collect()
}

#[test]
fn an_archive_of_an_earlier_build_is_read_before_anything_writes_to_it() {
    let bench = bench();
    bench.run("verify").ends_with(0);
    assert!(documents(&bench).iter().all(|document| document.starts_with('{')));
}

#[test]
fn an_archive_of_an_earlier_build_goes_on_and_keeps_what_it_has() {
    let bench = bench();
    let documents_before = documents(&bench);
    let entries = lines(&bench, "SELECT entry FROM ledger ORDER BY seq");
    bench.simulator.plant(Planted::meeting("new", ago(Age::hours(20))).sessions(2));
    bench.sync();
    bench.run("verify").ends_with(0);
    assert_eq!(documents(&bench), documents_before);
    assert_eq!(lines(&bench, "SELECT line FROM entries ORDER BY seq")[..entries.len()], entries);
    assert_eq!(bench.run("export --format ndjson").ends_with(0).text().lines().count(), 13);
    bench.run("reindex").ends_with(0);
    bench.run("verify").ends_with(0);
}
