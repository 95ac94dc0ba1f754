//! Calls that are longer than the time in which they are listed, and calls that a later version says to have begun at another time.

use callvault::{
    model::time::{Age, Timestamp},
    simulate::Planted,
};
use serde_json::Value;

use crate::support::{Bench, ago, empty};

const HOUR: Age = Age::hours(1);

/// How many calls `query` finds that began in the hour of `start`.
fn found_in(bench: &Bench, start: Timestamp) -> String {
    let from = start.floor_to(HOUR);
    let to = from + HOUR;
    bench.run(&format!("query --from {from} --to {to} --count")).ends_with(0).line()
}

/// How many records `status` knows in the hour of `start`.
fn counted_in(bench: &Bench, start: Timestamp) -> u64 {
    let line = "status --source calls --days 34 --buckets --format json";
    let buckets: Value = bench.run(line).json()["sources"][0]["buckets"].clone();
    let from = start.floor_to(HOUR).to_seconds_text();
    let mut of_hour = buckets.as_array().unwrap().iter().filter(|bucket| bucket["from"] == from.as_str());
    of_hour.next().unwrap_or_else(|| panic!("no bucket of {from}"))["records"].as_u64().unwrap()
}

#[test]
fn a_call_longer_than_a_day_and_one_of_a_week_are_kept_whole_once_and_are_found_where_they_began() {
    let bench = Bench::new(empty());
    let calls = [("a-day-and-more", Age::hours(31)), ("a-week", Age::days(7)), ("nearly-a-month", Age::days(29))]
        .map(|(id, length)| (id, length, ago(length + Age::hours(3))));
    for (id, length, start) in calls {
        // Both versions come after its end.
        let end = start + length;
        let grown = end + Age::hours(4);
        let call = Planted::meeting(id, start).ending(end).sessions(2).visible_at(end + Age::minutes(20));
        bench.simulator.plant(call.version(2, grown).sessions(65).participants(140));
    }
    bench.simulator.advance(Age::hours(-4));
    bench.sync();
    assert_eq!(bench.run("query --count").line(), "0", "Graph tells of a call only when it is over");
    bench.simulator.advance(Age::hours(4));
    bench.sync();
    assert_eq!(bench.run("query --count").line(), "3");
    bench.simulator.advance(Age::hours(2));
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    for (id, _, start) in calls {
        let record = bench.raw_value(id);
        assert_eq!((record["version"].as_i64(), record["sessions"].as_array().unwrap().len()), (Some(2), 65));
        assert_eq!((found_in(&bench, start), counted_in(&bench, start)), ("1".to_owned(), 1), "{id}");
    }
    assert_eq!(bench.run("query --min-duration 1d --count").line(), "3");
    assert_eq!(bench.run("query --min-duration 6d --count").line(), "2");
    assert_eq!(bench.run("query --format json").json().as_array().unwrap().len(), 3, "each once");
    bench.run("verify").ends_with(0);
    bench.run("status").ends_with(0);
}

#[test]
fn a_call_whose_start_moves_to_another_hour_or_day_stays_one_and_is_counted_where_it_is_now() {
    let bench = Bench::new(empty());
    // Hours of age before and after; the last two cross the edge of a listing of a first run.
    let moves = [(50, 47), (60, 63), (100, 75), (130, 160), (30 * 24 - 3, 29 * 24), (28 * 24, 30 * 24 - 2)];
    let this_hour = ago(Age::default()).floor_to(HOUR);
    let call = |n: usize, age_h: i64| {
        let start = this_hour - Age::hours(age_h) + Age::minutes(7);
        Planted::meeting(format!("moves-{n}"), start)
    };
    for (n, (before, _)) in moves.into_iter().enumerate() {
        bench.simulator.plant(call(n, before).visible_at(ago(Age::hours(20))));
    }
    bench.sync();
    for (n, (before, after)) in moves.into_iter().enumerate() {
        assert_eq!(counted_in(&bench, call(n, before).start), 1);
        let moved = call(n, after).visible_at(ago(Age::hours(20)));
        bench.simulator.plant(moved.version(2, ago(Age::minutes(1))).sessions(4));
    }
    let began = bench.sync();
    bench.assert_holds_the_world(began);
    assert_eq!(bench.run("query --count").line(), moves.len().to_string());
    for (n, (before, after)) in moves.into_iter().enumerate() {
        let [before, after] = [before, after].map(|age_h| call(n, age_h).start);
        assert_eq!((found_in(&bench, before), counted_in(&bench, before)), ("0".to_owned(), 0), "{n} was there");
        assert_eq!((found_in(&bench, after), counted_in(&bench, after)), ("1".to_owned(), 1), "{n} is there");
        let versions = bench.run(&format!("show moves-{n} --versions --format json")).ends_with(0).json();
        assert_eq!(versions.as_array().unwrap().len(), 2);
    }
    bench.run("status").ends_with(0);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_call_that_moves_out_of_graphs_memory_keeps_what_was_had_and_one_that_moves_into_it_is_had() {
    let bench = Bench::new(empty());
    let visible = ago(Age::hours(20));
    let [old, young] = [Age::days(31), Age::days(29)].map(ago);
    bench.simulator.plant(Planted::meeting("leaves", young).visible_at(visible));
    bench.simulator.plant(Planted::meeting("comes", old).visible_at(visible));
    bench.sync();
    assert_eq!(bench.run("query --count").line(), "1");
    let grown = ago(Age::minutes(1));
    bench.simulator.plant(Planted::meeting("leaves", old).visible_at(visible).version(2, grown));
    bench.simulator.plant(Planted::meeting("comes", young).visible_at(visible).version(2, grown));
    bench.sync();
    assert_eq!(bench.raw_value("leaves")["version"], 1, "its second version was never to be seen");
    assert_eq!(bench.raw_value("comes")["version"], 2);
    assert_eq!((found_in(&bench, young), counted_in(&bench, young)), ("2".to_owned(), 2));
    bench.run("status").ends_with(0);
    bench.run("verify").ends_with(0);
}

#[test]
fn a_call_that_was_listed_and_moves_before_it_is_fetched_is_had_where_it_is_now() {
    let bench = Bench::new(empty());
    let [before, after] = [Age::hours(60), Age::hours(90)].map(ago);
    bench.simulator.plant(Planted::meeting("moves", before).failing_forever(500));
    bench.run("sync").ends_with(3);
    bench.simulator.plant(Planted::meeting("moves", after).version(2, ago(Age::minutes(1))));
    // By its old place on the to-do list alone.
    bench.run("retry").ends_with(0);
    assert_eq!((found_in(&bench, before), found_in(&bench, after)), ("0".to_owned(), "1".to_owned()));
    bench.sync();
    assert_eq!((counted_in(&bench, before), counted_in(&bench, after)), (0, 1));
    bench.run("status").ends_with(0);
    bench.run("verify").ends_with(0);
}
