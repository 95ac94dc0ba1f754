//! What scripts and schedulers rely on: exit codes, what stands on stdout, who may read what, and that no secret leaves.

use std::{fs, io::Read, os::unix::fs::PermissionsExt, process::Stdio};

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{Planted, Settings},
};
use serde_json::Value;

use crate::support::{Bench, ago, company, empty, end_of, files_under};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn reading_an_archive_that_does_not_exist_ends_with_2_and_makes_none() {
    let bench = Bench::new(empty());
    for line in ["query", "query --count", "show x", "status", "verify", "reindex", "export --format csv"] {
        let ran = bench.run(line).ends_with(2).telling(&bench.archive().display().to_string());
        assert!(ran.stdout.is_empty(), "{line}");
    }
    assert!(!bench.archive().exists());
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_offending_part() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("here", ago(Age::hours(9))));
    bench.sync();
    let wrong: [(&[&str], &str); 17] = [
        (&["show", "nowhere"], "nowhere"),
        (&["show", "here", "--version", "9"], "9"),
        (&["query", "--from", "yesterdayish"], "yesterdayish"),
        (&["query", "--from", "2026-11-02", "--to", "2026-11-01"], "--to"),
        (&["query", "--min-duration", "soon"], "soon"),
        (&["query", "--kind", "fax"], "fax"),
        (&["query", "--participant", " "], "--participant"),
        (&["query", "--sort", "sideways"], "sideways"),
        (&["query", "--colour"], "--colour"),
        (&["query", "name:("], "column"),
        (&["query", "anna OR"], "column"),
        (&["export", "--format", "pdf"], "pdf"),
        (&["sync", "--source", "gossip"], "gossip"),
        (&["sync", "--from", "tomorrowish"], "tomorrowish"),
        (&["simulate", "--drop-notifications", "2"], "--drop-notifications"),
        (&["simulate", "--clock-rate", "0"], "--clock-rate"),
        (&["frobnicate"], "frobnicate"),
    ];
    for (args, part) in wrong {
        let ran = bench.args(args).ends_with(2).telling(part);
        assert!(ran.stdout.is_empty(), "{args:?} writes to stdout");
    }
}

#[test]
fn a_config_file_that_is_wrong_is_named_with_its_line() {
    let bench = Bench::new(empty());
    fs::write(bench.beside("config.toml"), "[graph]\nrequests_per_20_seconds = 3\n").unwrap();
    bench.run("status").ends_with(2).telling("line 2");
    fs::remove_file(bench.beside("config.toml")).unwrap();
    bench.run("status").ends_with(2).telling("config.toml");
}

#[test]
fn a_wrong_secret_ends_with_4_and_tells_what_microsoft_says() {
    let bench = Bench::new(empty()).with_secret("not-the-secret-0123");
    let ran = bench.run("sync -v -v").ends_with(4).telling("AADSTS7000215").telling("the secret's value, not its id");
    assert!(!ran.stderr.contains("not-the-secret") && ran.stdout.is_empty(), "{}", ran.stderr);
    assert!(!bench.archive().exists(), "no archive is made for a sync that could not begin");
}

#[test]
fn missing_credentials_end_with_4_and_name_the_variable() {
    let bench = Bench::new(empty());
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"] {
        let mut program = bench.program();
        let output = program.env_remove(name).arg("sync").output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert!(String::from_utf8_lossy(&output.stderr).contains(name));
    }
}

#[test]
fn a_missing_permission_leaves_the_source_out_unless_it_was_named() {
    for roles in [Vec::new(), vec!["User.Read.All".to_owned()]] {
        let bench = Bench::new(Settings { roles, ..empty() });
        bench.run("sync").ends_with(0).telling("CallRecords.Read.All");
        bench.run("sync --source calls").ends_with(4).telling("CallRecords.Read.All").telling("hint: ");
    }
}

#[test]
fn neither_secret_nor_token_reaches_output_or_archive() {
    let bench = Bench::new(company(5, 3));
    let secret = bench.simulator.client_secret().to_owned();
    let mut said = Vec::new();
    for line in [
        "-v -v --log-format json sync --format json",
        "-v -v sync",
        "-v -v status",
        "sync --help",
        "-v -v query",
        "--help",
    ] {
        let ran = bench.run(line).ends_with(0);
        said.extend(ran.stdout);
        said.extend(ran.stderr.into_bytes());
    }
    for file in files_under(&bench.archive()) {
        said.extend(fs::read(file).unwrap());
    }
    let has = |needle: &[u8]| said.windows(needle.len()).any(|window| window == needle);
    assert!(!has(secret.as_bytes()), "the secret");
    assert!(!has(b"Bearer ") && !has(b"eyJ0"), "a token");
}

#[test]
fn what_the_archive_is_made_of_nobody_else_reads() {
    let bench = Bench::new(company(5, 3));
    bench.sync();
    bench.run(&format!("export --format ndjson --output {}", bench.beside("out.ndjson").display())).ends_with(0);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.archive()), 0o700);
    assert_eq!(mode(&bench.archive().join("index")), 0o700);
    for file in files_under(&bench.archive()).iter().chain([&bench.beside("out.ndjson")]) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let bench = Bench::new(company(20, 12));
    bench.sync();
    for line in [
        "export --format ndjson",
        "export --format csv",
        "export --format xlsx",
        "export --format parquet --rows streams",
        "query --limit 0 --format ndjson",
        "query --limit 0 --format json",
        "query --limit 0",
    ] {
        let mut program = bench.program();
        let mut child =
            program.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(end_of(&mut child, line).code(), Some(0), "{line}");
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(!stderr.contains("error"), "{line}: {stderr}");
    }
}

#[test]
fn results_alone_go_to_stdout() {
    let bench = Bench::new(company(5, 3));
    let sync = bench.run("-v -v sync --format json").ends_with(0);
    let _: Value = serde_json::from_slice(&sync.stdout).unwrap();
    assert!(!sync.stderr.contains('\u{1b}'), "no bar and no colour where there is no terminal");
    bench.run("-v status --format json").ends_with(0).json();
    bench.run("-v -v query --format json").ends_with(0).json();
    bench.run("-v verify --format json").ends_with(0).json();
    for line in bench.run("-v --log-format json sync").ends_with(0).stderr.lines() {
        let _: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let none = bench.run("query --from 2020-01-01 --to 2020-01-02 --format json").ends_with(0);
    assert_eq!(none.json(), Value::Array(Vec::new()));
    assert!(bench.run("query --from 2020-01-01 --to 2020-01-02").ends_with(0).stdout.is_empty());
}

#[test]
fn the_json_of_sync_and_status_has_the_keys_of_the_contract() {
    let bench = Bench::new(company(6, 4));
    let summary = bench.run("sync --format json").ends_with(0).json();
    for key in ["sources", "requests", "retries", "throttled_s", "elapsed_s"] {
        assert!(keys(&summary).contains(&key), "{key}");
    }
    for key in ["source", "windows", "listed", "fetched", "new_versions", "unchanged", "failed"] {
        assert!(keys(&summary["sources"][0]).contains(&key), "{key}");
    }
    assert_eq!(summary["sources"][0]["source"], "calls");
    let calls = bench.run("status --format json").ends_with(0).json()["sources"][0].clone();
    for key in ["source", "covered", "gaps", "at_risk", "lost", "records", "versions", "queued"] {
        assert!(keys(&calls).contains(&key), "{key}");
    }
    assert_eq!((&calls["queued"], &calls["records"]), (&0.into(), &summary["sources"][0]["fetched"]));
    let covered: Vec<_> = calls["covered"].as_array().unwrap().iter().collect();
    assert_eq!(covered.len(), 1, "{calls}");
    let time = |value: &Value| Timestamp::parse(value.as_str().unwrap()).unwrap();
    assert!(covered[0][0].as_str().unwrap().ends_with('Z'));
    assert!(time(&covered[0][1]) - time(&covered[0][0]) >= Age::days(29));
    assert_eq!(calls["lost"], Value::Array(Vec::new()));
}

#[test]
fn a_dry_run_asks_graph_for_nothing_and_makes_no_archive() {
    let bench = Bench::new(company(5, 3));
    bench.run("sync --dry-run").ends_with(0);
    assert_eq!((bench.simulator.requests().list, bench.simulator.requests().of_records()), (0, 0));
    assert!(!bench.archive().exists());
    let planned = |line: &str| {
        let plans = bench.run(line).ends_with(0).json();
        plans["sources"].as_array().unwrap().iter().map(|plan| plan["source"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(planned("sync --dry-run --format json --source sms,calls"), ["calls", "sms"]);
    assert!(planned("--cloud china sync --dry-run --format json").is_empty(), "this cloud has none of them");
}

#[test]
fn from_and_to_restrict_a_sync_and_the_rest_stays_a_gap() {
    let bench = Bench::new(empty());
    for (id, hours) in [("before", 61), ("first", 60), ("last", 41), ("after", 40)] {
        bench.simulator.plant(Planted::meeting(id, ago(Age::hours(hours))));
    }
    let time = |id: &str| bench.simulator.world().expected_call(id, bench.simulator.now()).unwrap().start;
    bench.run(&format!("sync --from {} --to {}", time("first"), time("after"))).ends_with(0);
    assert_eq!(bench.run("query --count").ends_with(0).line(), "2");
    assert!(bench.calls_status()["gaps"].as_array().unwrap().len() >= 2);
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}

#[test]
fn plain_http_to_other_machines_is_refused() {
    let bench = Bench::new(empty());
    let output =
        bench.program().env("CALLVAULT_GRAPH_ENDPOINT", "http://graph.example.com").arg("sync").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_archive_is_named_by_flag_before_environment_before_config() {
    let bench = Bench::new(company(4, 2));
    bench.sync();
    let run = |flag: bool, environment: Option<&str>| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_callvault"));
        program.env_clear().env("HOME", bench.beside("home")).args(["query", "--count"]);
        program.arg("--config").arg(bench.beside("named.toml"));
        if flag {
            program.arg("--archive").arg(bench.archive());
        }
        environment.map(|name| program.env("CALLVAULT_ARCHIVE", bench.beside(name)));
        program.output().unwrap().status.code()
    };
    fs::write(bench.beside("named.toml"), "").unwrap();
    assert_eq!((run(false, None), run(false, Some("archive")), run(true, Some("none"))), (Some(2), Some(0), Some(0)));
    fs::write(bench.beside("named.toml"), format!("archive = {:?}\n", bench.archive())).unwrap();
    assert_eq!((run(false, None), run(false, Some("none"))), (Some(0), Some(2)));
}
