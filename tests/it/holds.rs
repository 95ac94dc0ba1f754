//! Holds: what is covered stays, also what comes later.

use std::fs;

use callvault::{model::time::Age, simulate::Planted};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Bench, ago, empty};

pub(crate) fn bench() -> Bench {
    let bench = Bench::new(empty());
    for (id, hours) in [("first", 100), ("second", 50)] {
        bench.simulator.plant(Planted::meeting(id, ago(Age::hours(hours))));
    }
    bench.sync();
    bench
}

fn holds(bench: &Bench) -> Vec<Value> {
    bench.run("hold list --format json").ends_with(0).json().as_array().unwrap().clone()
}

#[test]
fn a_hold_covers_what_is_there_and_what_comes_later() {
    let bench = bench();
    let added = bench.args(&["hold", "add", "Case 7", "--matter", "Doe against Roe", "--from", "60h"]).ends_with(0);
    assert!(added.text().contains("it covers 1 records now"), "{}", added.text());
    bench.args(&["hold", "add", "words", "--matter", "m", "id:second"]).ends_with(0);
    bench
        .args(&["hold", "add", "nobody", "--matter", "m", "--participant", "who is not there"])
        .ends_with(0)
        .telling("no record so far");
    assert_eq!(holds(&bench).iter().map(|hold| hold["records"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 1, 0]);
    bench.simulator.plant(Planted::meeting("third", ago(Age::hours(3))));
    bench.sync();
    assert_eq!(holds(&bench).iter().map(|hold| hold["records"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 1, 0]);
    let table = bench.run("hold list").ends_with(0).text();
    assert!(table.contains("Doe against Roe"), "{table}");
    bench.run("verify").ends_with(0);
}

#[test]
fn a_hold_is_released_by_name_with_a_reason() {
    let bench = bench();
    bench.args(&["hold", "add", "a", "--matter", "m", "--everything"]).ends_with(0);
    bench.args(&["hold", "add", "a", "--matter", "m", "--kind", "call"]).ends_with(2).telling("in force already");
    bench.args(&["hold", "release", "b", "--reason", "over"]).ends_with(2).telling("no hold 'b' is in force");
    bench.args(&["hold", "release", "a", "--reason", " "]).ends_with(2);
    bench.args(&["hold", "release", "a", "--reason", "the matter is closed"]).ends_with(0);
    bench.run("hold list").ends_with(0).telling("no hold is in force");
    let all = bench.run("hold list --all --format json").ends_with(0).json();
    assert!(all[0]["released"].is_string(), "{all}");
    bench.args(&["hold", "add", "a", "--matter", "again", "--everything"]).ends_with(0);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_hold_says_what_it_is_about_and_is_wrong_as_a_query_is() {
    let bench = bench();
    for (args, told) in [
        (&["hold", "add", "a", "--matter", "m"][..], "neither text nor filter"),
        (&["hold", "add", "a", "--matter", "m", "--everything", "--failed"], "has no filter"),
        (&["hold", "add", "a", "--matter", " ", "--failed"], "--matter is empty"),
        (&["hold", "add", "a", "--matter", "m", "(x"], "error: "),
        (&["hold", "add", "a", "--matter", "m", "--from", "soon"], "--from"),
    ] {
        bench.args(args).ends_with(2).telling(told);
    }
    assert!(holds(&bench).is_empty());
}

#[test]
fn the_ledger_has_no_name_of_it_and_shows_that_it_was_changed() {
    for damage in [
        "UPDATE hold SET scope = '{\"failed\":true}'",
        "UPDATE hold SET released_seq = seq, released_ns = 0",
        "UPDATE hold SET name = NULL, matter = NULL, scope = NULL, salt = NULL",
        "DELETE FROM held; DELETE FROM hold",
    ] {
        let bench = bench();
        bench.args(&["hold", "add", "Nadja Quux", "--matter", "Quux", "--participant", "Quux"]).ends_with(0);
        let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
        let sql = "SELECT count(*) FROM ledger WHERE entry LIKE '%quux%'";
        assert_eq!(connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        let config = bench.beside("config.toml");
        let rule = "[[disposal.rule]]\nkind = 'call'\nkeep = '1d'\n";
        fs::write(&config, fs::read_to_string(&config).unwrap() + rule).unwrap();
        bench.run("retention set").ends_with(0);
        bench.run("verify").ends_with(0);
        connection.execute_batch(damage).unwrap();
        bench.run("retention apply --yes").ends_with(6).telling("hold");
        assert_eq!(bench.run("query --count").ends_with(0).line(), "2");
        let found = bench.run("verify --format json").ends_with(6).json();
        assert!(found["findings"].as_array().unwrap().iter().any(|finding| finding["what"] == "disposal"), "{found}");
    }
}
