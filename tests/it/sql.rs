//! `sql`: questions as people and scripts type them.

use std::{
    io::Write,
    process::{Child, Stdio},
};

use callvault::{model::time::Age, simulate::Planted};
use serde_json::{Value, json};

use crate::support::{Bench, ago, company, empty};

fn bench() -> Bench {
    let bench = Bench::new(empty());
    for (id, hours) in [("e523d2ed-2966-4b6b-925b-754a88034cc5", 30), ("later", 20)] {
        bench.simulator.plant(Planted::meeting(id, ago(Age::hours(hours))).extra_members(r#""odd":[1e-7,"é"]"#));
    }
    bench.sync();
    bench
}

fn typed(bench: &Bench, args: &[&str], script: &str) -> (i32, String, String) {
    let mut program = bench.program();
    program.arg("sql").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = program.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_question_is_answered_in_every_format_with_types_that_fit() {
    let bench = bench();
    let question = "SELECT id, 7 AS n, 0.5 AS x, NULL AS none FROM calls ORDER BY start_ns";
    let hits = bench.args(&["sql", question, "--format", "json"]).ends_with(0).json();
    let guid = "e523d2ed-2966-4b6b-925b-754a88034cc5";
    assert_eq!(hits, json!([{"id":guid,"n":7,"x":0.5,"none":null},{"id":"later","n":7,"x":0.5,"none":null}]));
    let lines = bench.args(&["sql", question, "--format", "ndjson"]).ends_with(0).text();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::Array(lines), hits);
    let csv = bench.args(&["sql", question, "--format", "csv"]).ends_with(0).text();
    assert_eq!(csv, format!("id,n,x,none\r\n{guid},7,0.5,\r\nlater,7,0.5,\r\n"));
    let table = bench.args(&["sql", question]).ends_with(0).text();
    assert_eq!(table.lines().count(), 4);
    assert!(table.lines().next().unwrap().starts_with("id "), "{table}");
    let blob = bench
        .args(&["sql", "SELECT id FROM record WHERE typeof(id) = 'blob' AND kind = 1", "--format", "json"])
        .ends_with(0);
    assert_eq!(blob.json(), json!([{"id":guid}]), "ids of 16 bytes are told as GUIDs");
    let none = bench.args(&["sql", "SELECT 1 WHERE 0", "--format", "json"]).ends_with(0).json();
    assert_eq!(none, json!([]));
}

#[test]
fn raw_is_letter_for_letter_what_show_gives() {
    let bench = bench();
    for id in ["later", "e523d2ed-2966-4b6b-925b-754a88034cc5"] {
        let sql = format!("SELECT raw('{id}') AS raw, raw('{id}', 1) AS first, raw('{id}', 99) AS none");
        let rows = bench.args(&["sql", &sql, "--format", "json"]).ends_with(0).json();
        assert_eq!(rows[0]["raw"], bench.raw(id));
        assert_eq!(rows[0]["first"], bench.raw(id));
        assert_eq!(rows[0]["none"], Value::Null);
    }
    let odd = bench.args(&["sql", "SELECT raw(id) -> '$.odd' AS odd FROM calls LIMIT 1", "--format", "json"]);
    assert_eq!(odd.ends_with(0).json()[0]["odd"], "[1e-7,\"é\"]");
}

#[test]
fn what_is_wrong_ends_with_2_in_sqlites_words_and_shows_the_place() {
    let bench = bench();
    let wrong = [
        ("SELEC 1", "near \"SELEC\": syntax error\n  SELEC 1\n  ^"),
        ("SELECT nonsense FROM calls", "no such column: nonsense\n  SELECT nonsense FROM calls\n         ^"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("DELETE FROM hit", "this only reads"),
        ("ATTACH 'made.db' AS made", "this only reads"),
        ("VACUUM INTO 'made.db'", "this only reads"),
        (".frobnicate", "there is no command .frobnicate"),
        (".mode pdf", "pdf"),
        (".schema nowhere", "nowhere"),
    ];
    for (sql, told) in wrong {
        let ran = bench.args(&["sql", sql]).ends_with(2).telling(told);
        assert!(ran.stdout.is_empty(), "{sql}");
    }
    bench
        .args(&["sql", "SELECT 1; SELECT 2", "--format", "json"])
        .ends_with(2)
        .telling("--format json is one document");
    bench.run("verify").ends_with(0);
}

#[test]
fn a_script_comes_from_stdin_and_ends_with_its_first_mistake() {
    let bench = bench();
    let script = ".mode csv\nSELECT count(*) AS n\nFROM calls; -- two\nSELECT ';' AS text;\n.quit\nSELECT 9;\n";
    let (code, out, err) = typed(&bench, &[], script);
    assert_eq!((code, out.as_str()), (0, "n\r\n2\r\ntext\r\n;\r\n"), "{err}");
    assert!(!err.contains("callvault>"), "a prompt is for a terminal: {err}");
    let (code, out, err) = typed(&bench, &["--format", "ndjson"], "SELECT 1 AS n; SELECT nonsense; SELECT 2 AS n;");
    assert_eq!((code, out.as_str()), (2, "{\"n\":1}\n"));
    assert!(err.contains("no such column: nonsense"), "{err}");
    let (code, out, _) = typed(&bench, &[], ".tables\n.schema calls\n");
    assert_eq!(code, 0);
    assert!(out.lines().any(|line| line == "participations") && out.contains("CREATE VIEW calls"), "{out}");
    assert_eq!(typed(&bench, &[], "").0, 0);
    assert_eq!(typed(&bench, &[], "\n -- nothing\n").0, 0);
}

#[test]
fn an_answer_without_end_stops_when_its_reader_goes_away() {
    let bench = bench();
    for format in ["table", "ndjson", "json", "csv"] {
        let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";
        let mut program = bench.program();
        program.args(["sql", endless, "--format", format]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        let mut first = [0];
        std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{format}");
    }
}

#[test]
fn a_question_is_answered_beside_a_sync() {
    let bench = Bench::new(company(10, 4));
    bench.sync();
    let before = bench.args(&["sql", "SELECT count(*) AS n FROM calls", "--format", "json"]).ends_with(0).json();
    bench.simulator.plant(Planted::meeting("new", ago(Age::hours(20))));
    let mut sync = bench.start("sync");
    bench.args(&["sql", "SELECT max(length(raw(id))) FROM calls"]).ends_with(0);
    assert!(sync.wait().unwrap().success());
    let after = bench.args(&["sql", "SELECT count(*) AS n FROM calls", "--format", "json"]).ends_with(0).json();
    assert_eq!(after[0]["n"].as_i64().unwrap(), before[0]["n"].as_i64().unwrap() + 1);
}

#[test]
fn there_is_nothing_to_ask_where_there_is_no_archive() {
    let bench = Bench::new(empty());
    bench.args(&["sql", "SELECT 1"]).ends_with(2).telling(&bench.archive().display().to_string());
    assert!(!bench.archive().exists());
}
