//! Graph on a bad day: whatever goes wrong in passing, the archive ends up as on a good one.

use callvault::{
    model::time::Age,
    simulate::{Fault, Planted, Settings, Weather},
};

use crate::support::{Bench, ago, company, empty, mild};

/// Syncs until nothing is missing, but not for ever.
fn sync_through(bench: &Bench) {
    for _ in 0..4 {
        let began = bench.simulator.now();
        let ran = bench.run("sync");
        match ran.status.code() {
            Some(0) => return bench.assert_holds_the_world(began),
            Some(3) => {}
            _ => drop(ran.ends_with(0)),
        }
    }
    panic!("four syncs did not get through");
}

#[test]
fn bad_weather_of_every_kind_loses_nothing() {
    for seed in [1, 2] {
        let bench = Bench::new(Settings { weather: mild(Weather::faults(0.15, seed)), ..company(12, 6) });
        sync_through(&bench);
        assert!(bench.simulator.requests().faults > 10);
        bench.run("verify").ends_with(0);
    }
}

fn a_world_under(faults: &[Fault], rate: f64) {
    let bench = Bench::new(Settings { weather: mild(Weather::only(faults, rate, 7)), ..company(12, 4) });
    sync_through(&bench);
    assert!(bench.simulator.requests().faults > 0);
}

#[test]
fn an_empty_page_with_a_next_link_is_not_the_end() {
    a_world_under(&[Fault::EmptyPage], 0.5);
}

#[test]
fn a_record_on_two_pages_is_kept_once() {
    a_world_under(&[Fault::Duplicate], 0.8);
}

#[test]
fn bodies_cut_in_the_middle_are_asked_for_again() {
    a_world_under(&[Fault::CutBody, Fault::Reset, Fault::SlowBody], 0.1);
}

#[test]
fn a_200_that_holds_an_error_is_not_taken_for_a_record() {
    a_world_under(&[Fault::ErrorWith200, Fault::BadGateway], 0.1);
}

#[test]
fn tokens_revoked_in_mid_run_are_renewed() {
    a_world_under(&[Fault::TokenRevoked], 0.05);
}

#[test]
fn throttling_is_waited_for() {
    a_world_under(&[Fault::ThrottledSeconds, Fault::ThrottledDate], 0.1);
}

#[test]
fn tokens_that_live_shorter_than_a_sync_are_renewed() {
    let bench = Bench::new(Settings { token_life: std::time::Duration::from_secs(2), ..company(20, 10) });
    sync_through(&bench);
}

#[test]
fn a_404_that_becomes_200_is_waited_for() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("late", ago(Age::hours(30))).failing(404, 2));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    assert_eq!(bench.run("query --count").ends_with(0).line(), "1");
}

#[test]
fn a_record_that_stays_404_within_its_retention_is_failed_and_not_lost() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("absent", ago(Age::hours(30))).failing_forever(404));
    bench.simulator.plant(Planted::meeting("present", ago(Age::hours(30))));
    bench.run("sync").ends_with(3);
    let calls = bench.calls_status();
    assert_eq!((&calls["queued"], calls["lost"].as_array().unwrap().len()), (&1.into(), 0));
    bench.run("show present --raw").ends_with(0);
}

#[test]
fn a_list_whose_next_links_lead_nowhere_brings_all_the_same_what_it_shows() {
    let weather = Weather { in_a_row_max: u32::MAX, ..mild(Weather::only(&[Fault::LinkLoop], 1.0, 7)) };
    let bench = Bench::new(Settings { weather, ..company(6, 4) });
    let began = bench.simulator.now();
    // Nobody can tell whether that was all.
    bench.run("sync --source calls").ends_with(3);
    bench.assert_holds_the_world(began);
}

#[test]
fn a_nested_link_that_leads_in_a_circle_ends() {
    let bench = Bench::new(empty());
    let call = Planted::meeting("circle", ago(Age::hours(30))).sessions(200).meeting_fault(Fault::LinkLoop, 1_000_000);
    bench.simulator.plant(call);
    bench.simulator.plant(Planted::meeting("straight", ago(Age::hours(30))));
    bench.run("sync").ends_with(3);
    bench.run("show straight --raw").ends_with(0);
    bench.run("show circle --raw").ends_with(2);
}
