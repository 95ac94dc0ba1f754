//! People of the directory: found by whatever they were called, at whatever time.

use callvault::{
    model::time::Age,
    simulate::{CALL_RECORDS_ROLE, LogKind, Person, Planted, PlantedRow, Settings},
};
use serde_json::Value;

use crate::support::{Bench, ago, empty};

const NEW_NAME: &str = "Annegret Neuendorff";
const NEW_UPN: &str = "annegret.neuendorff@contoso.com";

/// A world with one call, `call`, in which the organizer bears the name that they have in the directory today.
fn bench(settings: Settings) -> (Bench, Person) {
    let bench = Bench::new(settings);
    let person = bench.simulator.world().people()[7].clone();
    let identity = format!(
        r#"{{"id":"{}","identity":{{"user":{{"id":"{}","displayName":"{}","userPrincipalName":"{}"}}}}}}"#,
        person.id, person.id, person.name, person.upn
    );
    let mut call = Planted::meeting("call", ago(Age::days(3))).sessions(1);
    call.organizer.clone_from(&identity);
    bench.simulator.plant(call.raw_participants([identity]));
    (bench, person)
}

fn rename(bench: &Bench, person: &Person) {
    assert!(bench.simulator.rename_user(&person.id, NEW_NAME, NEW_UPN, Some(NEW_UPN), bench.simulator.now()));
    bench.simulator.advance(Age::seconds(1));
}

fn hits(bench: &Bench, flag: &str, who: &str) -> Vec<Value> {
    let hits = bench.args(&["query", flag, who, "--format", "json"]).ends_with(0).json();
    hits.as_array().unwrap().clone()
}

fn ids(hits: &[Value]) -> Vec<&str> {
    hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

/// What the sync did with a source.
fn people_of(report: &Value) -> &Value {
    let sources = report["sources"].as_array().unwrap();
    sources.iter().find(|source| source["source"] == "people").unwrap()
}

#[test]
fn somebody_renamed_is_found_under_both_names_and_the_answer_says_so() {
    let (bench, person) = bench(empty());
    bench.sync();
    rename(&bench, &person);
    assert!(hits(&bench, "--participant", NEW_NAME).is_empty(), "nobody has told yet");
    bench.sync();
    for who in [NEW_NAME, NEW_UPN, &person.name, &person.upn, &person.id] {
        for flag in ["--participant", "--organizer"] {
            assert_eq!(ids(&hits(&bench, flag, who)), ["call"], "{flag} {who}");
        }
    }
    let matched = hits(&bench, "--participant", NEW_NAME)[0]["matched"].clone();
    assert_eq!(
        matched,
        serde_json::json!([{"asked": NEW_NAME, "id": person.id, "name": person.name, "upn": person.upn, "phone": null, "by": "name", "masked": false}])
    );
    assert_eq!(hits(&bench, "--participant", NEW_UPN)[0]["matched"][0]["by"], "upn");
    assert!(!bench.run("query --format ndjson").ends_with(0).text().contains("matched"), "nobody was asked for");
    let told = format!("matched {}, who is {NEW_NAME} since 20", person.name);
    bench.args(&["query", "--participant", NEW_NAME]).ends_with(0).telling(&told);
    let plain = bench.args(&["query", "--participant", &person.name]).ends_with(0);
    assert!(!plain.stderr.contains("matched"), "the record says so itself: {}", plain.stderr);
    bench.run("verify").ends_with(0);
}

#[test]
fn somebody_deleted_is_found_as_before() {
    let (bench, person) = bench(empty());
    bench.sync();
    rename(&bench, &person);
    bench.sync();
    assert!(bench.simulator.delete_user(&person.id, bench.simulator.now()));
    bench.simulator.advance(Age::seconds(1));
    bench.sync();
    for who in [NEW_NAME, NEW_UPN, &person.name] {
        assert_eq!(ids(&hits(&bench, "--participant", who)), ["call"], "{who}");
    }
    let shown = bench.run(&format!("show {}", person.id)).ends_with(0).text();
    for text in [
        &format!("names (2)\n├─ {}  known from 20", person.name),
        "REMOVED     deleted, may be brought back",
        "version     3",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let first = bench.run(&format!("show {} --version 1", person.id)).ends_with(0).text();
    assert!(first.contains(&person.name) && !first.contains(NEW_NAME) && !first.contains("REMOVED"), "{first}");
    let raw: Value = serde_json::from_str(&bench.raw(&person.id)).unwrap();
    assert_eq!(raw["@removed"]["reason"], "changed");
    let listed = bench.run(&format!("show {} --versions", person.id)).ends_with(0).text();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    bench.run("reindex").ends_with(0);
    assert_eq!(ids(&hits(&bench, "--participant", NEW_NAME)), ["call"]);
    bench.run("verify").ends_with(0);
}

#[test]
fn the_second_sync_asks_for_what_changed_alone() {
    let (bench, person) = bench(Settings { users: 250, ..empty() });
    let first = bench.run("sync --format json").ends_with(0).json();
    let everybody = bench.simulator.requests().users_delta;
    assert_eq!(people_of(&first)["fetched"], 250);
    assert!(everybody > 1, "more than a page");
    rename(&bench, &person);
    let second = bench.run("sync --format json").ends_with(0).json();
    assert_eq!(bench.simulator.requests().users_delta, everybody + 1);
    assert_eq!((&people_of(&second)["listed"], &people_of(&second)["new_versions"]), (&1.into(), &1.into()));
    let third = bench.run("sync --format json").ends_with(0).json();
    assert_eq!(people_of(&third)["listed"], 0);
}

#[test]
fn an_expired_delta_link_costs_a_full_query_and_nothing_else() {
    let (bench, person) = bench(Settings { delta_token_life: Some(Age::days(7)), users: 250, ..empty() });
    bench.sync();
    let everybody = bench.simulator.requests().users_delta;
    rename(&bench, &person);
    bench.simulator.advance(Age::days(8));
    let report = bench.run("sync --source people --format json").ends_with(0).json();
    // The refused link, and all pages anew.
    assert_eq!(bench.simulator.requests().users_delta, 2 * everybody + 1);
    let people = people_of(&report);
    assert_eq!(
        (&people["listed"], &people["new_versions"], &people["unchanged"]),
        (&250.into(), &1.into(), &249.into())
    );
    assert_eq!(ids(&hits(&bench, "--participant", NEW_NAME)), ["call"]);
}

#[test]
fn who_left_the_directory_while_the_link_expired_is_told_of_and_still_found() {
    let (bench, person) = bench(Settings { delta_token_life: Some(Age::days(7)), ..empty() });
    bench.sync();
    bench.simulator.delete_user_for_good(&person.id, bench.simulator.now());
    bench.simulator.advance(Age::days(8));
    bench.run("sync --source people").ends_with(0).telling("not in the directory any more").telling("people=1");
    assert_eq!(ids(&hits(&bench, "--participant", &person.name)), ["call"]);
    let again = bench.run("sync --source people").ends_with(0);
    assert!(!again.stderr.contains("not in the directory"), "{}", again.stderr);
}

#[test]
fn without_its_permission_the_directory_is_left_out_and_names_are_found_by_records_alone() {
    let (bench, person) = bench(Settings { roles: vec![CALL_RECORDS_ROLE.into()], ..empty() });
    bench.run("sync").ends_with(0).telling("people is left out: the app lacks the permission User.Read.All");
    bench.run("sync --source people").ends_with(4).telling("User.Read.All");
    let renamed = format!(
        r#"{{"id":"{}","identity":{{"user":{{"id":"{}","displayName":"{NEW_NAME}"}}}}}}"#,
        person.id, person.id
    );
    bench.simulator.plant(Planted::meeting("later", ago(Age::days(2))).sessions(1).raw_participants([renamed]));
    bench.sync();
    assert_eq!(ids(&hits(&bench, "--participant", NEW_NAME)), ["later", "call"]);
    let told = format!("matched {}, whom other records call {NEW_NAME}", person.name);
    bench.args(&["query", "--participant", NEW_NAME]).ends_with(0).telling(&told);
}

#[test]
fn a_number_finds_its_owner_and_what_the_logs_star() {
    let (bench, person) = bench(empty());
    let row = |id: &str, caller: &str, callee: &str| {
        bench
            .simulator
            .plant_row(PlantedRow::new(LogKind::Pstn, ago(Age::days(4))).id(id).bot().numbers(caller, callee));
    };
    row("starred", "+4930123456", "+4989777***");
    row("desk", "+4930123456", &person.phone);
    bench.sync();
    for who in ["+4989777123", "0049 89 777123", "089 777123"] {
        let hits = hits(&bench, "--participant", who);
        assert_eq!(ids(&hits), ["starred"], "{who}");
        let matched = &hits[0]["matched"][0];
        assert_eq!((&matched["phone"], &matched["masked"]), (&"+4989777***".into(), &true.into()));
    }
    bench
        .args(&["query", "--participant", "+4989777123"])
        .ends_with(0)
        .telling("+4989777*** (masked) may be +4989777123");
    for text in ["phone:+4989777123", "+4989777123"] {
        let found = bench.args(&["query", text, "--format", "json"]).ends_with(0).json();
        assert_eq!(ids(found.as_array().unwrap()), ["starred"], "{text}");
    }
    assert_eq!(ids(&hits(&bench, "--participant", &person.upn)), ["call", "desk"]);
    assert_eq!(ids(&hits(&bench, "--participant", &person.phone)), ["call", "desk"]);
    let csv = bench.args(&["query", "--participant", &person.phone, "--format", "csv"]).ends_with(0).text();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let last: Vec<_> = reader.records().map(|row| row.unwrap().iter().next_back().unwrap().to_owned()).collect();
    assert!(last.iter().all(|cell| serde_json::from_str::<Value>(cell).unwrap()[0]["by"] == "phone"), "{last:?}");
}
