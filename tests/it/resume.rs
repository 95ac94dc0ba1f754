//! What stops in the middle goes on from there, and what failed is not forgotten.

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{Fault, Planted, PlantedFaults, Settings, Weather},
};
use serde_json::Value;

use crate::support::{Bench, ago, empty, mild};

/// A thousand calls within one hour: one window of many pages.
fn crowded_hour(bench: &Bench, calls: usize) {
    let hour = ago(Age::hours(50)).floor_to(Age::hours(1));
    for number in 0..calls {
        let start = hour + Age::seconds(i64::try_from(number).unwrap());
        bench.simulator.plant(Planted::meeting(format!("call-{number}"), start).sessions(1).participants(2));
    }
}

fn unavailable_for_ever() -> PlantedFaults {
    PlantedFaults { forever: true, fault: Some(Fault::Unavailable), ..PlantedFaults::default() }
}

/// Whether a moment lies in a gap that can still be had.
fn is_a_gap(bench: &Bench, moment: Timestamp) -> bool {
    let calls = bench.calls_status();
    let time = |value: &Value| Timestamp::parse(value.as_str().unwrap()).unwrap();
    calls["gaps"].as_array().unwrap().iter().any(|gap| time(&gap[0]) <= moment && moment < time(&gap[1]))
}

#[test]
fn a_listing_that_stopped_on_page_7_of_12_goes_on_with_page_8() {
    let bench = Bench::new(empty());
    crowded_hour(&bench, 700);
    let hour = ago(Age::hours(50)).floor_to(Age::hours(1));
    let span = format!("--from {hour} --to {}", hour + Age::hours(1));
    bench.simulator.set_weather(Weather { list_pages_max: Some(7), ..mild(Weather::calm()) });
    let stopped = bench.run(&format!("sync {span} --format json")).ends_with(3).json();
    assert_eq!(stopped["sources"][0]["listed"], 7 * 60);
    assert_eq!(stopped["sources"][0]["fetched"], 7 * 60, "what was listed is fetched though the list goes on");
    assert_eq!(stopped["sources"][0]["windows"], 0);
    assert!(is_a_gap(&bench, hour));

    bench.simulator.set_weather(mild(Weather::calm()));
    let asked = bench.simulator.requests().list;
    let resumed = bench.run(&format!("sync {span} --format json")).ends_with(0).json();
    assert_eq!(bench.simulator.requests().list - asked, 5, "pages 8 to 12 and no other");
    assert_eq!(resumed["sources"][0]["fetched"], 700 - 7 * 60);
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}

#[test]
fn five_failing_records_in_a_thousand_stop_no_other_and_are_not_forgotten() {
    let bench = Bench::new(empty());
    crowded_hour(&bench, 1000);
    let failing = ["call-3", "call-250", "call-251", "call-700", "call-999"];
    for id in failing {
        bench.simulator.trouble(id, unavailable_for_ever());
    }
    let summary = bench.run("sync --format json").ends_with(3).json();
    assert_eq!((&summary["sources"][0]["fetched"], &summary["sources"][0]["failed"]), (&995.into(), &5.into()));
    assert_eq!(bench.run("query --count").ends_with(0).line(), "995");

    bench.run("status").ends_with(3);
    assert_eq!(bench.calls_status()["queued"], 5);
    assert!(
        is_a_gap(&bench, ago(Age::hours(50)).floor_to(Age::hours(1))),
        "an hour that lacks a record is not covered"
    );

    for id in failing {
        bench.simulator.trouble(id, PlantedFaults::default());
    }
    let asked = bench.simulator.requests().of_records();
    let began = bench.sync();
    assert_eq!(bench.simulator.requests().of_records() - asked, 10, "only the five are fetched");
    bench.assert_holds_the_world(began);
    assert_eq!(bench.calls_status()["queued"], 0);
    assert!(!is_a_gap(&bench, ago(Age::hours(50)).floor_to(Age::hours(1))));
}

#[test]
fn a_next_link_that_has_expired_costs_a_window_and_no_record() {
    let bench = Bench::new(Settings { skip_token_life: Some(Age::minutes(30)), ..empty() });
    crowded_hour(&bench, 200);
    let hour = ago(Age::hours(50)).floor_to(Age::hours(1));
    let span = format!("--from {hour} --to {}", hour + Age::hours(1));
    bench.simulator.set_weather(Weather { list_pages_max: Some(2), ..mild(Weather::calm()) });
    bench.run(&format!("sync {span}")).ends_with(3);
    bench.simulator.set_weather(mild(Weather::calm()));
    bench.simulator.advance(Age::hours(1));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}
