//! Damage is found and named; what is derived is made again, what was archived is never given out changed.

use std::fs;

use callvault::{model::time::Age, simulate::Planted};
use rusqlite::Connection;

use crate::support::{Bench, ago, empty, files_under};

fn bench() -> Bench {
    let bench = Bench::new(empty());
    for (id, hours) in [("first", 30), ("second", 20), ("third", 10)] {
        bench.simulator.plant(Planted::meeting(id, ago(Age::hours(hours))).sessions(2));
    }
    bench.sync();
    bench
}

fn tamper(bench: &Bench, sql: &str) {
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
}

/// The second version stored, and the id of its record.
fn second(bench: &Bench) -> (i64, String) {
    let listed = |id: &str| {
        let versions = bench.run(&format!("show {id} --versions --format json")).ends_with(0).json();
        (versions[0]["seq"].as_i64().unwrap(), id.to_owned())
    };
    ["first", "second", "third"].map(listed).into_iter().find(|(seq, _)| *seq == 4).unwrap()
}

#[test]
fn a_changed_body_is_named_by_verify_and_not_shown() {
    let bench = bench();
    let (seq, id) = second(&bench);
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let mut frame: Vec<u8> =
        connection.query_row("SELECT frame FROM version WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
    let middle = frame.len() / 2;
    frame[middle] ^= 1;
    connection.execute("UPDATE version SET frame = ?1 WHERE seq = ?2", rusqlite::params![frame, seq]).unwrap();
    drop(connection);

    let verified = bench.run("verify").ends_with(6);
    assert!(verified.text().contains(&id), "{}", verified.text());
    let findings = bench.run("verify --format json").ends_with(6).json();
    assert!(findings["findings"][0]["what"] == "content" && findings["findings"][0].to_string().contains(&id));
    bench.run(&format!("show {id} --raw")).ends_with(6).telling(&id);
    bench.run("export --format ndjson").ends_with(6).telling(&id);
    for other in ["first", "second", "third"].into_iter().filter(|other| *other != id) {
        bench.run(&format!("show {other} --raw")).ends_with(0);
    }
}

#[test]
fn a_reindex_that_meets_damage_names_it_and_answers_go_on() {
    let bench = bench();
    let (seq, id) = second(&bench);
    tamper(&bench, &format!("UPDATE version SET frame = zeroblob(length(frame)) WHERE seq = {seq}"));
    bench.run("reindex").ends_with(6).telling(&id);
    let ran = bench.run("query type:groupCall --count").ends_with(3);
    assert_eq!(ran.line(), "2");
    assert!(!bench.archive().join("index.new").exists());
}

#[test]
fn each_kept_table_is_guarded() {
    for sql in [
        "UPDATE version SET frame = NULL WHERE seq = 4",
        "UPDATE version SET frame = (SELECT frame FROM version WHERE seq = 3) WHERE seq = 4",
        "UPDATE version SET version = 7 WHERE seq = 4",
        "DELETE FROM version WHERE seq = 4",
        "DELETE FROM ledger WHERE seq = 1",
        "DELETE FROM ledger WHERE seq = 2",
        "DELETE FROM ledger WHERE seq = 4",
        "DELETE FROM version WHERE seq = 5; DELETE FROM ledger WHERE seq = 5",
        "DELETE FROM checkpoint",
        "UPDATE checkpoint SET note = replace(note, 'callvault', 'callvoult')",
    ] {
        let bench = bench();
        tamper(&bench, sql);
        let verified = bench.run("verify").ends_with(6);
        assert!(verified.text().contains("DAMAGED"), "{sql}: {}", verified.text());
    }
}

#[test]
fn changed_rows_are_found_and_reindex_makes_them_again() {
    let bench = bench();
    tamper(&bench, "UPDATE session SET start_ns = start_ns + 1");
    bench.run("verify").ends_with(6);
    bench.run("reindex").ends_with(0);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_file_that_is_no_database_is_damage() {
    let bench = bench();
    let database = bench.archive().join("archive.db");
    let mut bytes = fs::read(&database).unwrap();
    let end = bytes.len().min(4096);
    bytes[..end].fill(0x55);
    fs::write(&database, bytes).unwrap();
    for line in ["query", "verify", "status", "sync"] {
        bench.run(line).ends_with(6);
    }
}

fn assert_answers(bench: &Bench) {
    let ran = bench.run("query type:groupCall --count").ends_with(0);
    assert_eq!(ran.line(), "3");
}

#[test]
fn without_an_index_queries_answer_and_sync_makes_it_again() {
    let bench = bench();
    fs::remove_dir_all(bench.archive().join("index")).unwrap();
    assert_answers(&bench);
    bench.sync();
    assert!(bench.archive().join("index").join("meta.json").is_file());
    assert_answers(&bench);
    bench.run("verify").ends_with(0);
}

#[test]
fn with_a_garbled_index_queries_answer_and_sync_makes_it_again() {
    let bench = bench();
    for file in files_under(&bench.archive().join("index")) {
        fs::write(file, b"garbage in every file of the index").unwrap();
    }
    assert_answers(&bench);
    bench.sync();
    assert_answers(&bench);
    bench.run("verify").ends_with(0);
}

#[test]
fn with_one_file_of_the_index_missing_reindex_makes_it_again() {
    let bench = bench();
    let files = files_under(&bench.archive().join("index"));
    let segment = files.iter().find(|file| file.extension().is_some_and(|extension| extension == "term")).unwrap();
    fs::remove_file(segment).unwrap();
    bench.run("verify").ends_with(6);
    bench.run("reindex").ends_with(0);
    assert_answers(&bench);
    bench.run("verify").ends_with(0);
}

#[test]
fn rows_of_another_version_of_the_program_are_named_and_made_anew() {
    let bench = bench();
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    connection
        .execute_batch(
            "UPDATE setting SET value = 1 WHERE name = 'derive_version'; DROP VIEW pstn_calls; DROP TABLE pstn",
        )
        .unwrap();
    drop(connection);
    let id = bench.simulator.world().expected(bench.simulator.now())[0].id.clone();
    for line in ["query".to_owned(), "export --format csv".to_owned(), format!("show {id}")] {
        bench.run(&line).ends_with(3).telling("another version of this program").telling("callvault reindex");
    }
    bench.run(&format!("show {id} --raw")).ends_with(0);
    bench.run("verify").ends_with(0);
    bench.sync();
    assert_answers(&bench);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_folder_with_other_files_is_not_taken_for_an_archive() {
    let bench = Bench::new(empty());
    fs::create_dir(bench.archive()).unwrap();
    fs::write(bench.archive().join("thesis.doc"), b"mine").unwrap();
    bench.run("sync").ends_with(2).telling("hint: ");
    assert_eq!(files_under(&bench.archive()).len(), 1, "nothing was put there");
}
