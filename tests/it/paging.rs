//! Nothing is cut off: lists, sessions and participants are read to their last page.

use callvault::{
    model::time::Age,
    simulate::{PageSizes, Planted, Settings},
};

use crate::support::{Bench, ago, company, empty, told};

fn a_meeting_is_kept_whole(sessions: usize, participants: usize) {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting("large", ago(Age::hours(30))).sessions(sessions).participants(participants));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    let held = told(&bench.raw_value("large"));
    assert_eq!((held.session_ids.len(), held.participant_ids.len()), (sessions, participants));
    let hit = &bench.run("query --format json").json()[0];
    assert_eq!(hit["sessions"], sessions);
    assert!(hit["participants"].as_array().unwrap().len() >= participants, "callers of sessions are in it too");
    bench.run("verify").ends_with(0);
}

#[test]
fn a_meeting_of_61_sessions_is_kept_whole() {
    a_meeting_is_kept_whole(61, 3);
}

#[test]
fn a_meeting_of_60_sessions_and_130_participants_fits_its_pages_and_is_kept_whole() {
    a_meeting_is_kept_whole(60, 130);
}

#[test]
fn a_meeting_of_131_participants_is_kept_whole() {
    a_meeting_is_kept_whole(1, 131);
}

#[test]
fn a_meeting_of_3061_sessions_and_1000_participants_is_kept_whole() {
    a_meeting_is_kept_whole(3061, 1000);
}

#[test]
fn a_meeting_without_sessions_and_participants_is_kept() {
    a_meeting_is_kept_whole(0, 0);
}

#[test]
fn a_month_of_a_company_is_kept_whole() {
    let bench = Bench::new(company(20, 28));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    bench.run("verify").ends_with(0);
}

#[test]
fn small_pages_bring_the_same_as_large_ones() {
    let page_sizes = PageSizes { list: 3, sessions: 2, participants: 2, ..PageSizes::default() };
    let bench = Bench::new(Settings { page_sizes, ..company(12, 5) });
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}
