//! `doctor`: each trouble has its line, its mend and its exit code; and it touches nothing.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, process::Stdio};

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{LogKind, ManagedIdentity, Planted, Settings},
};
use serde_json::Value;

use crate::support::{Bench, Ran, ago, empty, files_under, finish};

/// A world of one call, pulled.
fn pulled(settings: Settings) -> Bench {
    let bench = Bench::new(settings);
    bench.simulator.plant(Planted::meeting("here", ago(Age::hours(9))));
    bench.sync();
    bench
}

/// Runs `doctor` as it is typed and as JSON, both of which must end with `code`; `""` takes a variable away.
fn doctor(bench: &Bench, variables: &[(&str, &str)], code: i32) -> Found {
    let run = |line: &str| {
        let mut program = bench.program();
        for (name, value) in variables {
            match *value {
                "" => program.env_remove(name),
                value => program.env(name, value),
            };
        }
        program.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(program.spawn().unwrap(), line).ends_with(code)
    };
    let (typed, json) = (run("doctor"), run("doctor --format json"));
    let checks = json.json()["checks"].as_array().unwrap().clone();
    assert_eq!(typed.text().lines().filter(|line| !line.contains('→')).count(), checks.len());
    Found { typed, checks }
}

struct Found {
    typed: Ran,
    checks: Vec<Value>,
}

impl Found {
    fn check(&self, name: &str) -> &Value {
        let found = self.checks.iter().find(|check| check["check"] == name);
        found.unwrap_or_else(|| panic!("no check {name}: {}", self.typed.text()))
    }

    /// The line of `name` stands so and tells this; whoever reads it is told the mend.
    #[track_caller]
    fn has(&self, name: &str, state: &str, finding: &str) -> &Self {
        let check = self.check(name);
        assert_eq!(check["state"], state, "{check}");
        assert!(check["finding"].as_str().unwrap().contains(finding), "{check}");
        let needs_mend = matches!(state, "warn" | "fail");
        assert_eq!(check["mend"].is_string(), needs_mend, "{check}");
        let word = match state {
            "fail" => "FAIL",
            "skipped" => "-",
            word => word,
        };
        let line = format!("{word:<4}  {name} ");
        assert!(self.typed.text().lines().any(|typed| typed.starts_with(&line)), "{}", self.typed.text());
        self
    }

    #[track_caller]
    fn mended(&self, name: &str, mend: &str) -> &Self {
        let check = self.check(name);
        assert!(check["mend"].as_str().unwrap().contains(mend), "{check}");
        assert!(self.typed.text().contains(mend), "{}", self.typed.text());
        self
    }
}

/// Every file of the archive with its content, but those in which SQLite's readers meet.
fn content(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let is_content = |name: &str| !name.ends_with("-shm") && !name.ends_with("-wal");
    let named = |file: std::path::PathBuf| (file.display().to_string(), fs::read(&file).unwrap());
    files_under(&bench.archive()).into_iter().map(named).filter(|(name, _)| is_content(name)).collect()
}

#[test]
fn before_the_first_sync_all_is_well_and_no_archive_is_made() {
    let bench = Bench::new(empty());
    let found = doctor(&bench, &[], 0);
    found.has("sign-in", "ok", "client secret").has("permissions", "ok", "CallRecords.Read.All");
    found.has("calls", "ok", "permitted").has("sms", "ok", "beta").has("archive", "ok", "the first sync makes it");
    found.has("identity", "ok", "AZURE_TENANT_ID").has("clock", "ok", "").has("config-file", "ok", "config.toml");
    assert!(!bench.archive().exists());
}

#[test]
fn after_a_sync_all_is_well_and_nothing_is_changed_or_told() {
    let bench = pulled(empty());
    let before = content(&bench);
    let found = doctor(&bench, &[], 0);
    assert_eq!(content(&bench), before);
    for check in ["archive", "folder", "lock", "disk", "database", "index", "rows", "coverage-calls", "last-sync"] {
        found.has(check, "ok", "");
    }
    found.has("coverage-people", "ok", "directory").has("lock", "ok", "nobody writes");
    assert!(!found.typed.text().contains(bench.simulator.client_secret()) && !found.typed.text().contains("eyJ"));
}

#[test]
fn each_source_is_asked_once_and_for_little() {
    let bench = Bench::new(empty());
    doctor(&bench, &[], 0);
    let asked = bench.simulator.requests();
    // Each examination of the two asks once.
    assert_eq!((asked.token, asked.list, asked.users_delta), (2, 2, 2));
    assert_eq!((asked.of_log(LogKind::Pstn), asked.of_log(LogKind::DialOut), asked.get), (2, 2, 0));
}

#[test]
fn refusals_of_the_login_host_are_named_as_what_they_are() {
    let bench = pulled(empty());
    for (code, finding, mend) in [
        (7_000_215, "the client secret is wrong", "the secret's value, not its id"),
        (7_000_222, "the client secret has expired", "az ad app credential reset --id"),
        (700_016, "the app is not known in this tenant", "az ad app show --id"),
        (90_002, "the tenant is not known", "--cloud"),
        (500_011, "Graph is not known in this tenant", "CALLVAULT_GRAPH_ENDPOINT"),
    ] {
        bench.simulator.refuse_sign_in(code, 2);
        let found = doctor(&bench, &[], 4);
        found.has("sign-in", "fail", finding).mended("sign-in", mend).has("sign-in", "fail", &format!("AADSTS{code}"));
        found.has("permissions", "skipped", "no token").has("calls", "skipped", "no token");
        found.has("coverage-calls", "ok", "no gap");
    }
}

#[test]
fn a_wrong_secret_is_told_without_telling_it() {
    let bench = Bench::new(empty()).with_secret("not-the-secret-0123");
    let found = doctor(&bench, &[], 4);
    found.has("sign-in", "fail", "AADSTS7000215").has("graph-host", "ok", "answers");
    assert!(!found.typed.text().contains("not-the-secret") && !found.typed.stderr.contains("not-the-secret"));
}

#[test]
fn a_token_without_any_permission_names_consent_and_the_commands() {
    let bench = Bench::new(Settings { roles: Vec::new(), ..empty() });
    let found = doctor(&bench, &[], 4);
    found.has("permissions", "fail", "admin consent is missing").has("calls", "fail", "CallRecords.Read.All");
    found.mended("permissions", "45bbb07e-7321-4fd7-a8f6-3ff27e6a81c8=Role").mended("permissions", "admin-consent");
    found.has("people", "warn", "User.Read.All").mended("people", "df021288-bdef-4463-88db-98f22de89214=Role");
}

#[test]
fn a_permission_that_nobody_granted_is_a_warning_and_one_taken_away_a_failure() {
    let roles = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect();
    let logs = Bench::new(Settings { roles: roles(&["CallRecord-PstnCalls.Read.All"]), ..empty() });
    doctor(&logs, &[], 0).has("calls", "warn", "sync leaves it out").has("pstn", "ok", "permitted");

    let bench = pulled(empty());
    let later = Bench::new(Settings { roles: roles(&["CallRecords.Read.All"]), ..empty() });
    let url = later.simulator.url();
    let found = doctor(&bench, &[("AZURE_AUTHORITY_HOST", &url), ("CALLVAULT_GRAPH_ENDPOINT", &url)], 4);
    found.has("people", "fail", "was taken away").mended("people", "User.Read.All").has("calls", "ok", "permitted");
}

#[test]
fn a_token_of_another_tenant_is_told_from_the_one_set() {
    let managed_identity = ManagedIdentity { system_assigned: true, user_assigned: Vec::new(), header: "h".to_owned() };
    let bench = Bench::new(Settings { managed_identity, ..empty() });
    let endpoint = format!("{}{}", bench.simulator.url(), callvault::simulate::APP_SERVICE_PATH);
    let other = "00000000-1111-2222-3333-444444444444";
    let variables = [
        ("AZURE_CLIENT_SECRET", ""),
        ("AZURE_CLIENT_ID", ""),
        ("IDENTITY_ENDPOINT", endpoint.as_str()),
        ("IDENTITY_HEADER", "h"),
    ];
    let found = doctor(&bench, &[&variables[..], &[("AZURE_TENANT_ID", other)]].concat(), 4);
    found.has("tenant", "fail", other).has("tenant", "fail", bench.simulator.tenant_id());
    found.mended("tenant", "AZURE_TENANT_ID").has("login-host", "skipped", "managed identity");
    let found = doctor(&bench, &[&variables[..], &[("AZURE_TENANT_ID", "")]].concat(), 0);
    found.has("tenant", "ok", bench.simulator.tenant_id()).has("credential", "ok", "managed identity");
}

#[test]
fn a_clock_that_is_off_is_a_warning_and_far_off_a_failure() {
    let off = |age: Age| Bench::new(Settings { start_clock: Some(Timestamp::now() + age), ..empty() });
    doctor(&off(Age::minutes(2)), &[], 0).has("clock", "warn", "behind Microsoft's").mended("clock", "timedatectl");
    doctor(&off(Age::minutes(10)), &[], 2).has("clock", "fail", "behind Microsoft's").mended("clock", "timedatectl");
    doctor(&off(Age(-Age::minutes(10).0)), &[], 2).has("clock", "fail", "ahead of Microsoft's");
}

#[test]
fn without_network_the_archive_is_examined_all_the_same() {
    let bench = pulled(empty());
    let nobody = "http://127.0.0.1:1";
    let found = doctor(&bench, &[("AZURE_AUTHORITY_HOST", nobody), ("CALLVAULT_GRAPH_ENDPOINT", nobody)], 3);
    found.has("login-host", "fail", nobody).mended("login-host", "HTTPS_PROXY").has("graph-host", "fail", nobody);
    found.has("clock", "skipped", "").has("sign-in", "skipped", "").has("sms", "skipped", "");
    found.has("database", "ok", "").has("coverage-calls", "ok", "no gap").has("last-sync", "ok", "with 0");
}

#[test]
fn a_proxy_is_named_without_its_password_and_blamed_where_it_is_to_blame() {
    let bench = Bench::new(empty());
    let variables = [
        ("AZURE_AUTHORITY_HOST", "https://login.invalid"),
        ("CALLVAULT_GRAPH_ENDPOINT", "https://graph.invalid"),
        ("HTTPS_PROXY", "http://somebody:pa55word@127.0.0.1:1"),
    ];
    let found = doctor(&bench, &variables, 3);
    found.has("proxy", "ok", "HTTPS_PROXY=http://127.0.0.1:1");
    found.has("login-host", "fail", "through the proxy http://127.0.0.1:1").mended("login-host", "check HTTPS_PROXY");
    assert!(!found.typed.text().contains("pa55word"));
}

#[test]
fn settings_that_are_wrong_are_lines_too() {
    let bench = Bench::new(empty());
    doctor(&bench, &[("CALLVAULT_CLOUD", "mars")], 2).has("cloud", "fail", "no such cloud").mended("cloud", "--cloud");
    let found = doctor(&bench, &[("AZURE_CLIENT_SECRET", ""), ("AZURE_TOKEN_CREDENTIALS", "secret")], 4);
    found.has("credential", "fail", "AZURE_CLIENT_SECRET").has("archive", "ok", "yet");
    doctor(&bench, &[("AZURE_TENANT_ID", "")], 4).has("credential", "fail", "AZURE_TENANT_ID is not set");

    fs::set_permissions(bench.beside("config.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    doctor(&bench, &[], 0).has("config-file", "warn", "0666").mended("config-file", "chmod 600");
    fs::write(bench.beside("config.toml"), "[graph]\nno_such_key = 3\n").unwrap();
    doctor(&bench, &[], 2).has("config-file", "fail", "line 2");
}

#[test]
fn a_log_that_graph_serves_no_more_is_a_warning() {
    let bench = Bench::new(empty());
    bench.simulator.set_gone(&[(LogKind::Sms, 404), (LogKind::DialOut, 400)]);
    let found = doctor(&bench, &[], 0);
    found.has("sms", "warn", "does not serve it").has("dial-out", "warn", "beta").has("pstn", "ok", "permitted");
}

#[test]
fn an_archive_in_use_ends_with_5() {
    let bench = pulled(empty());
    let lock = fs::File::options().write(true).open(bench.archive().join("lock")).unwrap();
    lock.try_lock().unwrap();
    doctor(&bench, &[], 5).has("lock", "fail", "another process").mended("lock", "fuser");
    drop(lock);
    doctor(&bench, &[], 0).has("lock", "ok", "");
}

#[test]
fn others_who_may_look_into_the_archive_are_told() {
    let bench = pulled(empty());
    fs::set_permissions(bench.archive(), fs::Permissions::from_mode(0o750)).unwrap();
    doctor(&bench, &[], 0).has("folder", "warn", "(0750)").mended("folder", "chmod -R go=");
}

#[test]
fn damage_ends_with_6() {
    let bench = pulled(empty());
    let connection = rusqlite::Connection::open(bench.archive().join("archive.db")).unwrap();
    connection
        .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)")
        .unwrap();
    drop(connection);
    doctor(&bench, &[], 6).has("database", "fail", "the ledger ends").mended("database", "callvault verify");

    let database = bench.archive().join("archive.db");
    let mut bytes = fs::read(&database).unwrap();
    let end = bytes.len().min(4096);
    bytes[..end].fill(0x55);
    fs::write(&database, bytes).unwrap();
    let found = doctor(&bench, &[], 6);
    found.has("archive", "fail", "damaged").mended("archive", "backup").has("sign-in", "ok", "token");
}

#[test]
fn an_index_that_is_missing_is_a_warning_and_one_that_is_damaged_a_failure() {
    let bench = pulled(empty());
    let index = bench.archive().join("index");
    fs::write(index.join("meta.json"), "garbage").unwrap();
    doctor(&bench, &[], 6).has("index", "fail", "damaged").mended("index", "callvault reindex");
    fs::remove_dir_all(index).unwrap();
    doctor(&bench, &[], 0).has("index", "warn", "no search index").mended("index", "callvault reindex");
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let bench = Bench::new(empty());
    fs::create_dir(bench.archive()).unwrap();
    fs::write(bench.archive().join("thesis.doc"), b"mine").unwrap();
    doctor(&bench, &[], 2).has("archive", "fail", "holds no archive").mended("archive", "--archive DIR");
}

/// A world whose clock stood `age` ago when it was pulled, and agrees with ours again.
fn pulled_long_ago(age: Age) -> Bench {
    let then = Timestamp::now() - age;
    let bench = Bench::new(Settings { start_clock: Some(then), ..empty() });
    bench.simulator.plant(Planted::meeting("here", then - Age::hours(9)));
    bench.run("sync").ends_with(0);
    bench.simulator.advance(age);
    bench
}

#[test]
fn coverage_at_risk_ends_with_3_and_names_the_deadline() {
    let bench = pulled_long_ago(Age::days(28));
    let found = doctor(&bench, &[], 3);
    found.has("clock", "ok", "").has("coverage-calls", "fail", "h left");
    found.mended("coverage-calls", "callvault sync --source calls").has("last-sync", "warn", " days ago");
}

#[test]
fn coverage_that_is_lost_ends_with_7() {
    let bench = pulled_long_ago(Age::days(40));
    doctor(&bench, &[], 7).has("coverage-calls", "fail", "LOST").mended("coverage-calls", "callvault status");
}

#[test]
fn a_record_still_to_fetch_ends_with_3() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("absent", ago(Age::hours(30))).failing_forever(500));
    bench.run("sync").ends_with(3);
    let found = doctor(&bench, &[], 3);
    found.has("coverage-calls", "fail", "1 records are still to fetch").has("last-sync", "warn", "with 3");
}
