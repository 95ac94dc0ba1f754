//! Time passes: calls appear, corrections come, Graph forgets.

use callvault::{model::time::Age, simulate::Planted};

use crate::support::{Bench, ago, company, empty};

#[test]
fn later_syncs_bring_new_calls_and_corrections() {
    let bench = Bench::new(company(25, 6));
    bench.sync();
    for hours in [3, 9, 30] {
        bench.simulator.advance(Age::hours(hours));
        let began = bench.sync();
        bench.assert_holds_the_world(began);
    }
    bench.run("verify").ends_with(0);
}

#[test]
fn what_graph_has_forgotten_the_archive_still_has() {
    let bench = Bench::new(company(10, 28));
    bench.sync();
    bench.simulator.advance(Age::days(12));
    let began = bench.sync();
    let world = bench.simulator.world();
    let forgotten = world.expected(began).into_iter().filter(|call| world.visible_versions(&call.id, began).is_empty());
    assert!(forgotten.count() > 20);
    bench.assert_holds_the_world(began);
}

#[test]
fn a_time_that_passed_retention_uncovered_ends_with_7_and_is_told_once() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("kept", ago(Age::hours(30))));
    bench.sync();
    bench.simulator.advance(Age::days(33));
    let summary = bench.run("sync --format json").ends_with(7).json();
    assert_eq!(summary["newly_lost"].as_array().unwrap().len(), 1, "{summary}");
    bench.run("sync").ends_with(0);
    bench.run("show kept --raw").ends_with(0);
}
