//! Records grow: each version is fetched once, and all of them stay.

use callvault::{
    model::time::Age,
    simulate::{Fault, Planted, Weather},
};

use crate::support::{Bench, ago, company, empty, ids, mild};

#[test]
fn a_second_sync_fetches_no_record_again() {
    let bench = Bench::new(company(12, 6));
    bench.sync();
    let first = bench.simulator.requests();
    let began = bench.simulator.now();
    let summary = bench.run("sync --format json").ends_with(0).json();
    let second = bench.simulator.requests();
    let world = bench.simulator.world();
    let changed = |at| world.expected(at).into_iter().map(|call| (call.id, call.version)).collect::<Vec<_>>();
    if changed(began) == changed(bench.simulator.now()) {
        assert_eq!(second.of_records(), first.of_records());
        assert_eq!(summary["sources"][0]["fetched"], 0);
        assert_eq!(summary["sources"][0]["unchanged"], world.expected(began).len());
    }
    assert!(second.list > first.list, "it looked for what is new");
    bench.assert_holds_the_world(began);
}

#[test]
fn a_grown_version_is_fetched_and_both_stay_readable() {
    let bench = Bench::new(empty());
    let call = Planted::meeting("grows", ago(Age::hours(9)))
        .sessions(2)
        .version(4, ago(Age::hours(0)) + Age::hours(1))
        .sessions(70)
        .participants(5);
    bench.simulator.plant(call);
    bench.simulator.plant(Planted::meeting("stays", ago(Age::hours(8))));
    bench.sync();
    let first = bench.raw("grows");
    let asked = bench.simulator.requests_for("stays");

    bench.simulator.advance(Age::hours(2));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    assert_eq!(ids(&bench.raw_value("grows")["sessions"]).len(), 70);
    assert_eq!(bench.run("show grows --version 1 --raw").ends_with(0).line(), first, "the old version is what it was");
    assert_eq!(bench.simulator.requests_for("stays"), asked, "what did not grow is not fetched");
    let versions = bench.run("show grows --versions --format json").ends_with(0).json();
    let numbers: Vec<_> = versions.as_array().unwrap().iter().map(|line| line["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 4]);
    assert_eq!(bench.run("export --format ndjson --versions all").ends_with(0).text().lines().count(), 3);
    assert_eq!(bench.run("export --format ndjson").ends_with(0).text().lines().count(), 2);
    bench.run("verify").ends_with(0);
}

#[test]
fn an_older_version_from_a_lagging_replica_is_asked_for_again() {
    let bench = Bench::new(empty());
    let call = Planted::meeting("lags", ago(Age::hours(30))).sessions(1).version(2, ago(Age::hours(20))).sessions(5);
    bench.simulator.plant(call.meeting_fault(Fault::LaggingReplica, 2));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    assert_eq!(bench.run("query --format json").json()[0]["sessions"], 5);
}

#[test]
fn lagging_replicas_never_replace_a_newer_version() {
    let bench = Bench::new(company(15, 8));
    bench.simulator.set_weather(mild(Weather::only(&[Fault::LaggingReplica], 0.5, 3)));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    bench.run("verify").ends_with(0);
}
