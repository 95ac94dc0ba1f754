//! Who asked the archive what: noted before it happens and after, and nobody can take it back unseen.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use callvault::{model::time::Age, simulate::Planted};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Bench, Ran, ago, empty, finish};

fn bench() -> Bench {
    let bench = Bench::new(empty());
    for (id, hours) in [("first", 30), ("second", 20)] {
        bench.simulator.plant(Planted::meeting(id, ago(Age::hours(hours))));
    }
    bench.sync();
    bench
}

fn journal(bench: &Bench) -> Vec<Value> {
    bench.run("journal --format json").ends_with(0).json().as_array().unwrap().clone()
}

/// Entries of the ledger of this kind.
fn entries(bench: &Bench, op: &str) -> Vec<Value> {
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let sql = "SELECT entry FROM ledger WHERE entry LIKE '{\"op\":\"' || ?1 || '\",%' ORDER BY seq";
    let mut statement = connection.prepare(sql).unwrap();
    let lines = statement.query_map([op], |row| row.get::<_, String>(0)).unwrap();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn access_db(bench: &Bench) -> Connection {
    Connection::open(bench.archive().join("access.db")).unwrap()
}

/// The program as somebody who may not write.
fn run_as_nobody(bench: &Bench, archive: &PathBuf, line: &str) -> Ran {
    let program = bench.beside("callvault");
    fs::copy(env!("CARGO_BIN_EXE_callvault"), &program).unwrap();
    let mut shell = Command::new("setpriv");
    shell.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).arg("--archive").arg(archive);
    shell.env_clear().args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(shell.spawn().unwrap(), line)
}

#[test]
fn every_question_is_noted_with_who_when_what_and_how_many() {
    let bench = bench();
    bench.run("query --participant nobody").ends_with(0);
    bench.run("query --limit 1").ends_with(0);
    bench.run("show first").ends_with(0);
    bench.run("show third").ends_with(2);
    bench.run("export --format ndjson").ends_with(0);
    bench.args(&["sql", "SELECT 1 UNION SELECT 2"]).ends_with(0);
    bench.run("verify").ends_with(0);
    let acts = journal(&bench);
    let told: Vec<_> =
        acts.iter().map(|act| (act["command"].as_str().unwrap(), &act["count"], &act["exit_code"])).collect();
    let (none, null) = (Value::from(0), Value::Null);
    let number = |number: u64| Value::from(number);
    assert_eq!(
        told,
        [
            ("query", &none, &none),
            ("query", &number(1), &none),
            ("show", &number(1), &none),
            ("show", &null, &number(2)),
            ("export", &number(2), &none),
            ("sql", &number(2), &none),
            ("verify", &null, &none),
            ("journal", &null, &null),
        ]
    );
    let uid = rustix::process::getuid().as_raw();
    let ours = acts.iter().all(|act| act["uid"] == uid);
    assert!(ours, "{acts:?}");
    let typed = acts[0]["arguments"].as_array().unwrap();
    assert_eq!(typed[typed.len() - 3..], ["query", "--participant", "nobody"]);
    let of_show = bench.run("journal --command show --format ndjson").ends_with(0).text();
    assert_eq!(of_show.lines().count(), 2);
    bench.run("journal --user nobody-of-that-name").ends_with(0).telling("nothing of the kind");
    let csv = bench.run("journal --format csv --to 1d").ends_with(0).text();
    assert_eq!(csv, "n,time,uid,user,login_uid,command,arguments,count,exit_code,ended\r\n");
    assert!(bench.run(&format!("journal --user {uid}")).ends_with(0).text().contains("--participant nobody"));
}

#[test]
fn statements_from_stdin_are_noted_too() {
    let bench = bench();
    let mut program = bench.program();
    program.arg("sql").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 'whom';").unwrap();
    finish(child, "sql").ends_with(0);
    assert!(journal(&bench).iter().any(|act| act["arguments"] == serde_json::json!(["SELECT 'whom';"])));
}

#[test]
fn the_ledger_enters_how_far_it_goes_and_verify_finds_what_is_changed_or_cut_off() {
    for damage in [
        "UPDATE act SET arguments = replace(arguments, 'first', 'other') WHERE n = 1",
        "UPDATE act SET line = replace(line, '\"uid\":', '\"uid\":1') WHERE n = 1",
        "DELETE FROM act WHERE n > 1",
        "DELETE FROM act",
    ] {
        let bench = bench();
        bench.run("show first").ends_with(0);
        bench.sync();
        let entered = entries(&bench, "journal");
        assert_eq!(entered.len(), 1);
        assert_eq!(entered[0]["rows"], 2);
        bench.sync();
        assert_eq!(entries(&bench, "journal").len(), 1, "what has not grown is not entered again");
        bench.run("verify").ends_with(0);
        access_db(&bench).execute_batch(damage).unwrap();
        let found = bench.run("verify --format json").ends_with(6).json();
        assert!(found["findings"].as_array().unwrap().iter().all(|finding| finding["what"] == "journal"), "{found}");
    }
    let bench = bench();
    bench.run("show first").ends_with(0);
    bench.sync();
    fs::remove_file(bench.archive().join("access.db")).unwrap();
    assert!(bench.run("verify").ends_with(6).text().contains("its end is cut off"));
    let dump = fs::read(bench.archive().join("archive.db")).unwrap();
    let typed = b"show\",\"first";
    assert!(!dump.windows(typed.len()).any(|window| window == typed), "the ledger has nothing of what was typed");
}

#[test]
fn it_is_turned_off_in_the_config_alone_and_the_ledger_says_so() {
    let bench = bench();
    bench.run("show first").ends_with(0);
    let config = fs::read_to_string(bench.beside("config.toml")).unwrap();
    fs::write(bench.beside("config.toml"), format!("{config}[journal]\nkeep = false\n")).unwrap();
    bench.run("show second").ends_with(0);
    bench.run("query").ends_with(0);
    bench.sync();
    assert_eq!(entries(&bench, "journal_kept").iter().map(|entry| &entry["kept"]).collect::<Vec<_>>(), [false]);
    fs::write(bench.beside("config.toml"), config).unwrap();
    bench.sync();
    bench.sync();
    assert_eq!(entries(&bench, "journal_kept").iter().map(|entry| &entry["kept"]).collect::<Vec<_>>(), [false, true]);
    let noted = journal(&bench);
    let commands: Vec<_> = noted.iter().map(|act| act["command"].as_str().unwrap()).collect();
    assert_eq!(
        commands,
        ["show", "journal off", "journal"],
        "what was asked meanwhile was not noted, but that it was off"
    );
    bench.run("verify").ends_with(0);
}

#[test]
fn who_may_not_write_is_answered_and_told_that_it_is_not_noted() {
    use std::os::unix::fs::PermissionsExt;

    let bench = bench();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    bench.run("show first").ends_with(0);
    for folder in [bench.beside(""), bench.archive()] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for file in crate::support::files_under(&bench.archive()) {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let ran = run_as_nobody(&bench, &bench.archive(), "show first --raw").ends_with(0);
    assert_eq!(ran.line(), bench.raw("first"));
    assert!(ran.stderr.contains("not noted in the journal"), "{}", ran.stderr);
    assert_eq!(journal(&bench).len(), 3, "theirs is not there");
}
