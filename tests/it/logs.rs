//! The five logs: every row kept whole, once, in each version, whatever Graph does with it.

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{
        CALL_RECORDS_ROLE, ExpectedRow, LogKind, LogRetention, PSTN_CALLS_ROLE, PageSizes, PlantedRow, Reshape,
        Settings, Weather,
    },
};
use serde_json::Value;

use crate::support::{Bench, company, empty, mild};

const DAY: Age = Age::days(1);

/// The logs whose rows are events, with the names of the contract.
const EVENTS: [(LogKind, &str, &str); 4] = [
    (LogKind::Pstn, "pstn", "pstn"),
    (LogKind::DirectRouting, "direct-routing", "direct-routing"),
    (LogKind::Sms, "sms", "sms"),
    (LogKind::BlockedUsers, "blocked-users", "blocked-user"),
];

/// A month of a company that telephones, and small pages.
pub(crate) fn telephoning() -> Settings {
    Settings { page_sizes: PageSizes { log: 7, ..PageSizes::default() }, log_days: Some(100), ..company(40, 28) }
}

/// The newest version of each record of a kind.
fn rows(bench: &Bench, kind: &str) -> Vec<Value> {
    let text = bench.run(&format!("export --kind {kind} --format ndjson")).ends_with(0).text();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn row_with<'r>(rows: &'r [Value], member: &str, value: &str) -> Vec<&'r Value> {
    rows.iter().filter(|row| row[member] == value).collect()
}

/// A row in the words of the truth, but for the call that it belongs to, which it need not name.
fn told(log: LogKind, row: &Value) -> ExpectedRow {
    let text = |names: &[&str]| names.iter().find_map(|name| row[*name].as_str()).map(str::to_owned);
    // Letter for letter: a charge of 0.00 is not one of 0.0.
    let money = |name: &str| (!row[name].is_null()).then(|| row[name].to_string());
    ExpectedRow {
        log,
        start: Timestamp::parse(&text(&["startDateTime", "sentDateTime", "blockDateTime"]).unwrap()).unwrap(),
        id: text(&["id"]),
        // Rows of bots have an empty one.
        user_id: text(&["userId"]).filter(|id| !id.is_empty()),
        user_display_name: text(&["userDisplayName"]),
        caller: text(&["callerNumber", "sourceNumber", "userTelephoneNumber"]),
        callee: text(&["calleeNumber", "destinationNumber"]),
        call_type: text(&["callType", "smsType", "userBlockMode"]).unwrap(),
        duration_s: row["duration"].as_i64().unwrap_or(0),
        charge: money("charge").or_else(|| money("callCharge")),
        connection_charge: money("connectionCharge"),
        call_id: text(&["callId", "correlationId", "smsId", "remediationId"]),
        call_record_id: None,
    }
}

/// Numbers as JSON values compare by value; the letters have a test of their own.
fn comparable(mut row: ExpectedRow) -> ExpectedRow {
    row.call_record_id = None;
    for money in [&mut row.charge, &mut row.connection_charge] {
        *money = money.as_ref().map(|text| serde_json::from_str::<Value>(text).unwrap().to_string());
    }
    row
}

pub(crate) fn assert_holds_the_logs(bench: &Bench) {
    for (log, source, kind) in EVENTS {
        let mut held: Vec<ExpectedRow> = rows(bench, kind).iter().map(|row| told(log, row)).collect();
        let now = bench.simulator.now();
        let mut expected: Vec<ExpectedRow> =
            bench.simulator.world().expected_rows(log, now).into_iter().map(comparable).collect();
        held.sort();
        expected.sort();
        let only = |these: &[ExpectedRow], those: &[ExpectedRow]| -> Vec<ExpectedRow> {
            these.iter().filter(|row| !those.contains(row)).cloned().collect()
        };
        let (surplus, missing) = (only(&held, &expected), only(&expected, &held));
        assert!(surplus.is_empty() && missing.is_empty(), "{source} has {surplus:#?}\nand lacks {missing:#?}");
        assert!(log == LogKind::BlockedUsers || expected.len() > 14, "{source} has only {} rows", expected.len());
        assert_eq!(held.len(), expected.len(), "{source}");
    }
}

#[test]
fn every_row_of_a_company_is_kept_over_all_pages() {
    let bench = Bench::new(telephoning());
    let summary = bench.run("sync --format json").ends_with(0).json();
    assert_holds_the_logs(&bench);
    for source in summary["sources"].as_array().unwrap() {
        assert_eq!((&source["failed"], &source["windows_failed"]), (&0.into(), &0.into()), "{source}");
    }
    bench.run("verify").ends_with(0);

    // A writer enters that there were accesses; the next run reads the last days again and finds nothing new in them.
    bench.run("sync --source people").ends_with(0);
    let before = bench.run("status --format json").ends_with(0).json()["head"].clone();
    let again = bench.run("sync --source pstn,direct-routing,sms,blocked-users --format json").ends_with(0).json();
    assert!(again["sources"].as_array().unwrap().iter().any(|source| source["unchanged"].as_u64().unwrap() > 0));
    assert_eq!(bench.run("status --format json").ends_with(0).json()["head"], before);
}

#[test]
fn the_dial_out_report_is_kept_day_by_day() {
    let bench = Bench::new(telephoning());
    bench.sync();
    let world = bench.simulator.world();
    let today = bench.simulator.now().floor_to(DAY);
    let mut lines = 0;
    for day in (1..=100).map(|n| today - Age::days(n)) {
        let expected = world.expected_dial_outs(day, day + DAY, bench.simulator.now());
        let hits = bench.args(&[
            "query",
            "--kind",
            "dial-out",
            "--from",
            &day.to_string(),
            "--to",
            &(day + DAY).to_string(),
            "--count",
        ]);
        assert_eq!(hits.ends_with(0).line(), expected.len().to_string(), "{day}");
        lines += expected.len();
        if lines > 3 {
            break;
        }
    }
    assert!(lines > 0, "nobody was called from any meeting");
    let first = &rows(&bench, "dial-out")[0];
    assert!(first["totalCalls"].as_i64().unwrap() > 0);
}

#[test]
fn a_row_on_the_boundary_of_two_windows_is_kept_once_and_none_is_missed() {
    let bench = Bench::new(empty());
    let today = bench.simulator.now().floor_to(DAY);
    // Windows of the first run begin at the farthest reach and are thirty days long.
    let pstn = today - Age::days(365) + Age::days(330);
    let direct = today - Age::days(150) + Age::days(120);
    for (log, boundary) in [(LogKind::Pstn, pstn), (LogKind::Sms, pstn), (LogKind::DirectRouting, direct)] {
        for (name, start) in [("before", boundary - Age(100)), ("on", boundary), ("after", boundary + Age(100))] {
            bench.simulator.plant_row(PlantedRow::new(log, start).id(format!("{name}-the-boundary")));
        }
    }
    let summary = bench.run("sync --source pstn,sms,direct-routing --format json").ends_with(0).json();
    for kind in ["pstn", "sms", "direct-routing"] {
        let rows = rows(&bench, kind);
        for name in ["before", "on", "after"] {
            assert_eq!(row_with(&rows, "id", &format!("{name}-the-boundary")).len(), 1, "{kind} {name}");
        }
    }
    let listed = |n: usize| summary["sources"][n]["unchanged"].as_u64().unwrap();
    assert_eq!(
        [listed(0), listed(1), listed(2)],
        [1, 0, 1],
        "both windows brought the row of an inclusive end: {summary}"
    );
}

#[test]
fn more_days_than_graph_answers_at_once_are_asked_for_in_parts() {
    let bench = Bench::new(empty());
    let now = bench.simulator.now();
    for age in [2, 45, 90] {
        bench
            .simulator
            .plant_row(PlantedRow::new(LogKind::DirectRouting, now - Age::days(age)).id(format!("age-{age}")));
    }
    bench.run("sync --source direct-routing --from 91d").ends_with(0);
    assert!(bench.simulator.requests().of_log(LogKind::DirectRouting) > 1);
    let rows = rows(&bench, "direct-routing");
    for age in [2, 45, 90] {
        assert_eq!(row_with(&rows, "id", &format!("age-{age}")).len(), 1, "{age} days old");
    }
}

#[test]
fn a_row_that_changes_is_a_new_version_and_the_old_one_stays() {
    let bench = Bench::new(empty());
    let now = bench.simulator.now();
    let row =
        PlantedRow::new(LogKind::Pstn, now - Age::days(3)).id("8d1f1f0e-settles").charge("0.00").call_type("user_out");
    bench.simulator.plant_row(row.change_at(now + Age::hours(20), |row| row.charge = Some("1.2400".into())));
    bench.sync();
    assert!(bench.raw("8d1f1f0e-settles").contains("\"charge\":0.00,"));
    bench.simulator.advance(DAY);
    bench.sync();
    bench.sync();
    let versions = bench.run("show 8d1f1f0e-settles --versions --format json").ends_with(0).json();
    let numbers: Vec<_> = versions.as_array().unwrap().iter().map(|info| info["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 2]);
    assert!(bench.raw("8d1f1f0e-settles").contains("\"charge\":1.2400,"), "money keeps its letters");
    let first = bench.run("show 8d1f1f0e-settles --raw --version 1").ends_with(0).line();
    assert!(first.contains("\"charge\":0.00,"));
    let csv = bench.run("query --kind pstn --format json").ends_with(0).json();
    let hit = csv.as_array().unwrap().iter().find(|hit| hit["id"] == "8d1f1f0e-settles").unwrap();
    assert_eq!((&hit["version"], &hit["sessions"], &hit["modalities"]), (&2.into(), &Value::Null, &Value::Null));
    assert_eq!(hit["type"], "user_out");
}

#[test]
fn a_user_who_is_filled_in_and_a_number_that_is_starred_later_make_a_version_and_no_other_row() {
    let bench = Bench::new(empty());
    let now = bench.simulator.now();
    let user = bench.simulator.world().people()[4].clone();
    let row = PlantedRow::new(LogKind::Pstn, now - Age::days(3)).id("told-later").numbers("+4930123456", "+4989555777");
    let row = row.bot().change_at(now + Age::hours(20), |row| {
        row.user_id = Some(user.id.clone());
        row.callee = Some("+4989555***".into());
    });
    bench.simulator.plant_row(row);
    bench.sync();
    bench.simulator.advance(DAY);
    bench.sync();
    assert_eq!(bench.run("query --kind pstn --count").ends_with(0).line(), "1");
    let versions = bench.run("show told-later --versions --format json").ends_with(0).json();
    assert_eq!(versions.as_array().unwrap().len(), 2);
    bench.run("verify").ends_with(0);
}

#[test]
fn rows_without_an_id_or_with_one_that_repeats_are_all_kept_under_keys_that_stay() {
    let bench = Bench::new(empty());
    let then = bench.simulator.now().floor_to(DAY) - Age::days(4);
    let plant = |log, minute: i64, id: Option<&str>| {
        let row = PlantedRow::new(log, then + Age::minutes(minute)).call_id(format!("call-{minute}"));
        bench.simulator.plant_row(match id {
            Some(id) => row.id(id),
            None => row.without_id(),
        });
    };
    for log in [LogKind::Pstn, LogKind::Sms, LogKind::DirectRouting] {
        plant(log, 1, Some("twice"));
        plant(log, 2, Some("twice"));
        plant(log, 3, None);
        plant(log, 4, None);
    }
    bench.sync();
    let ids = |kind: &str| {
        let hits = bench.run(&format!("query --kind {kind} --format json --limit 0")).ends_with(0).json();
        let mut ids: Vec<(String, String)> = Vec::new();
        for hit in hits.as_array().unwrap() {
            let (id, start) = (hit["id"].as_str().unwrap(), hit["start"].as_str().unwrap());
            let is_planted = Timestamp::parse(start).is_some_and(|start| start.floor_to(Age::minutes(10)) == then);
            if is_planted {
                ids.push((id.to_owned(), start.to_owned()));
            }
        }
        ids.sort();
        ids
    };
    for kind in ["pstn", "sms", "direct-routing"] {
        let first = ids(kind);
        assert_eq!(first.len(), 4, "{kind}: {first:?}");
        assert_eq!(first.iter().filter(|(id, _)| id == "twice").count(), 1, "{kind}: {first:?}");
        for (id, _) in first.iter().filter(|(id, _)| id != "twice") {
            assert_eq!((id.len(), &id[14..15]), (36, "8"), "a key of our own is a UUID of version 8");
            bench.run(&format!("show {id}")).ends_with(0);
        }
    }
    let before = ["pstn", "sms", "direct-routing"].map(ids);
    bench.simulator.advance(DAY);
    bench.sync();
    assert_eq!(["pstn", "sms", "direct-routing"].map(ids), before, "read again, they are the same rows");
    bench.run("reindex").ends_with(0);
    assert_eq!(["pstn", "sms", "direct-routing"].map(ids), before);
    bench.run("verify").ends_with(0);
}

#[test]
fn rows_without_an_id_that_are_about_the_same_do_not_multiply_when_they_are_read_again() {
    let bench = Bench::new(empty());
    let then = bench.simulator.now().floor_to(DAY) - Age::days(2);
    for charge in ["0.10", "0.20"] {
        bench.simulator.plant_row(PlantedRow::new(LogKind::Sms, then).without_id().call_id("same").charge(charge));
    }
    let count = || {
        bench.sync();
        bench.run("query --kind sms --count").ends_with(0).line()
    };
    assert_eq!(count(), "2");
    // Of another length each day is the span that they are asked for with.
    for _ in 0..2 {
        bench.simulator.advance(DAY);
        assert_eq!(count(), "2");
    }
}

#[test]
fn a_missing_permission_leaves_its_sources_out_and_stops_no_other() {
    let bench = Bench::new(Settings { roles: vec![PSTN_CALLS_ROLE.into()], ..telephoning() });
    let ran = bench.run("sync --format json").ends_with(0).telling("CallRecords.Read.All").telling("User.Read.All");
    let summary = ran.json();
    let named = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|entry| entry["source"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named(&summary["left_out"]), ["calls", "people"]);
    assert_eq!(named(&summary["sources"]), ["pstn", "direct-routing", "blocked-users", "dial-out", "sms"]);
    assert_holds_the_logs(&bench);
    bench.run("sync --source calls").ends_with(4).telling("CallRecords.Read.All");
    bench.run("sync --source people").ends_with(4).telling("User.Read.All");
    bench.run("sync --source sms").ends_with(0);

    let without = Bench::new(Settings { roles: vec![CALL_RECORDS_ROLE.into()], ..empty() });
    without.run("sync").ends_with(0).telling("people is left out").telling("User.Read.All");
}

#[test]
fn a_beta_log_that_was_never_there_is_left_out_and_one_that_disappears_is_missed() {
    let bench = Bench::new(Settings { gone: vec![(LogKind::Sms, 400), (LogKind::DialOut, 404)], ..telephoning() });
    let ran = bench.run("sync --format json").ends_with(0).telling("sms is left out").telling("dial-out is left out");
    assert_eq!(ran.json()["left_out"].as_array().unwrap().len(), 2);
    bench.run("sync --source sms").ends_with(3).telling("Graph does not have sms");
    bench.run("status").ends_with(0);

    let lost_later = Bench::new(empty());
    lost_later.sync();
    lost_later.simulator.set_gone(&[(LogKind::BlockedUsers, 404)]);
    lost_later.simulator.advance(DAY);
    let summary = lost_later.run("sync --format json").ends_with(3).json();
    for source in summary["sources"].as_array().unwrap() {
        let is_gone = source["source"] == "blocked-users";
        assert_eq!(source["windows_failed"].as_u64().unwrap() > 0, is_gone, "{source}");
    }
}

#[test]
fn old_windows_that_fail_in_an_outage_are_not_taken_for_forgotten() {
    let bench = Bench::new(Settings { gone: vec![(LogKind::Pstn, 500)], ..empty() });
    let summary = bench.run("sync --source pstn --from 364d --to 300d --format json").ends_with(3).json();
    assert!(summary["sources"][0]["windows_failed"].as_u64().unwrap() > 0, "{summary}");

    bench.simulator.set_gone(&[(LogKind::Pstn, 406)]);
    let summary = bench.run("sync --source pstn --from 364d --to 300d --format json").ends_with(0).json();
    assert_eq!(summary["sources"][0]["windows"], 0, "Graph refuses that time for good");
}

#[test]
fn a_log_that_refuses_old_time_is_had_as_far_as_it_answers() {
    let refused_before = [LogKind::BlockedUsers, LogKind::DialOut].map(|log| (log, Age::days(45))).to_vec();
    let bench = Bench::new(Settings { refused_before, ..empty() });
    let then = bench.simulator.now().floor_to(DAY) - Age::days(5);
    for log in [LogKind::BlockedUsers, LogKind::DialOut] {
        bench.simulator.plant_row(PlantedRow::new(log, then));
    }
    // No figure is published for how long these live: what is not to be had stays told.
    let summary = bench.run("sync --source blocked-users,dial-out --format json").ends_with(3).json();
    for source in summary["sources"].as_array().unwrap() {
        assert!(source["windows"].as_u64().unwrap() > 0 && source["windows_failed"].as_u64().unwrap() > 2, "{source}");
    }
    assert_eq!((rows(&bench, "blocked-user").len(), rows(&bench, "dial-out").len()), (1, 1));
}

#[test]
fn a_log_of_another_shape_is_kept_as_it_comes() {
    let bench = Bench::new(Settings {
        reshaped: vec![
            (LogKind::Sms, Reshape::UnknownMembers),
            (LogKind::Pstn, Reshape::WithoutId),
            (LogKind::DirectRouting, Reshape::UnknownMembers),
        ],
        ..telephoning()
    });
    bench.sync();
    for (log, _, kind) in EVENTS {
        let expected = bench.simulator.world().expected_rows(log, bench.simulator.now()).len();
        assert_eq!(rows(&bench, kind).len(), expected, "{kind}");
    }
    bench.run("verify").ends_with(0);

    bench.simulator.set_reshaped(&[(LogKind::Sms, Reshape::NoValue)]);
    bench.simulator.advance(DAY);
    let summary = bench.run("sync --format json").ends_with(3).json();
    let failed: Vec<_> = summary["sources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|source| source["windows_failed"].as_u64().unwrap() > 0)
        .map(|source| source["source"].clone())
        .collect();
    assert_eq!(failed, ["sms"], "a log that cannot be read harms no other");
}

#[test]
fn bad_weather_and_stops_cost_no_row() {
    let bench = Bench::new(Settings { weather: mild(Weather::faults(0.15, 7)), ..telephoning() });
    for _ in 0..12 {
        if bench.run("sync --source pstn,direct-routing,sms,blocked-users").status.code() == Some(0) {
            break;
        }
    }
    bench.simulator.set_weather(mild(Weather::calm()));
    bench.run("sync --source pstn,direct-routing,sms,blocked-users").ends_with(0);
    assert_holds_the_logs(&bench);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_source_asked_for_by_name_that_cannot_be_had_stops_no_other() {
    let bench = Bench::new(Settings { roles: vec![PSTN_CALLS_ROLE.into()], ..telephoning() });
    let ran = bench.run("sync --source calls,sms,people --format json").ends_with(4).telling("CallRecords.Read.All");
    let summary = ran.json();
    assert_eq!((&summary["sources"][0]["source"], summary["left_out"].as_array().unwrap().len()), (&"sms".into(), 2));
    assert!(bench.run("-q sync").ends_with(0).text().contains("left out: calls, people"));

    let refused = Bench::new(Settings { gone: vec![(LogKind::Sms, 403)], ..empty() });
    let ran = refused.run("sync").ends_with(0).telling("Graph refuses it, though the app has the permission");
    assert!(ran.text().contains("pstn:"), "{}", ran.text());
    refused.run("sync --source sms").ends_with(4);
}

#[test]
fn what_a_cloud_lacks_is_named_and_left_out() {
    let bench = Bench::new(empty());
    let ran = bench.run("--cloud china sync --format json").ends_with(0).telling("the cloud china does not have it");
    let summary = ran.json();
    assert_eq!(summary["left_out"].as_array().unwrap().len(), 6);
    assert_eq!(summary["sources"][0]["source"], "people");
}

#[test]
fn coverage_of_a_log_tells_what_was_asked_and_when_it_goes() {
    let bench = Bench::new(Settings {
        log_retention: LogRetention { pstn: Age::days(150), ..LogRetention::default() },
        ..empty()
    });
    bench.sync();
    let status = bench.run("status --format json").ends_with(0).json();
    let source =
        |name: &str| status["sources"].as_array().unwrap().iter().find(|s| s["source"] == name).unwrap().clone();
    let pstn = source("pstn");
    assert_eq!((pstn["gaps"].as_array().unwrap().len(), pstn["lost"].as_array().unwrap().len()), (0, 0), "{pstn}");
    let covered_from = Timestamp::parse(pstn["covered"][0][0].as_str().unwrap()).unwrap();
    let days = (bench.simulator.now() - covered_from).as_seconds_f64() / 86_400.0;
    assert!((149.0..151.0).contains(&days), "nothing is claimed beyond what is kept for certain: {days}");

    std::fs::write(bench.beside("config.toml"), "[retention]\ncountries = [\"GB\"]\n").unwrap();
    let status = bench.run("status --format json").json();
    let gaps = status["sources"][1]["gaps"].as_array().unwrap().len();
    assert!(gaps > 0, "where rows live 450 days, more can be had");
}

#[test]
fn an_outage_longer_than_a_log_is_kept_ends_with_7() {
    let bench = Bench::new(empty());
    bench.run("sync --source direct-routing").ends_with(0);
    bench.simulator.advance(Age::days(160));
    bench.run("sync --source direct-routing").ends_with(7);
    let status = bench.run("status --format json");
    assert_eq!(status.json()["sources"][2]["source"], "direct-routing");
}

#[test]
fn a_sync_of_one_source_does_not_hide_what_another_lost() {
    let bench = Bench::new(empty());
    bench.run("sync").ends_with(0);
    bench.simulator.advance(Age::days(33));
    bench.run("sync --source people").ends_with(0);
    bench.run("sync --source pstn").ends_with(0);
    bench.run("sync").ends_with(7);
    bench.run("sync").ends_with(0);
}
