//! `query --by` and pages (`--after`), as scripts use them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Bench, company};

fn bench() -> Bench {
    let bench = Bench::new(company(20, 8));
    bench.sync();
    bench
}

fn array(value: Value) -> Vec<Value> {
    let Value::Array(values) = value else { panic!("{value} is no array") };
    values
}

#[test]
fn groups_say_what_the_hits_say() {
    let bench = bench();
    for filter in ["", "--failed", "--type groupCall", "audio", "device:jabra --from 5d"] {
        let hits = array(bench.run(&format!("query {filter} --limit 0 --format json")).ends_with(0).json());
        let mut days: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for hit in &hits {
            let day = days.entry(hit["start"].as_str().unwrap()[..10].to_owned()).or_default();
            day.0 += 1;
            day.1 += u64::from(hit["failed"].as_bool().unwrap());
        }
        let groups = array(bench.run(&format!("query {filter} --by day --limit 0 --format json")).ends_with(0).json());
        let told: Vec<_> = groups
            .iter()
            .map(|group| {
                let (count, failures) = (group["count"].as_u64().unwrap(), group["failures"].as_u64().unwrap());
                (group["group"].as_str().unwrap().to_owned(), (count, failures))
            })
            .collect();
        assert!(told.iter().rev().cloned().eq(days), "newest first: {told:?}");
        let minutes: f64 = groups.iter().map(|group| group["minutes"].as_f64().unwrap()).sum();
        let seconds: f64 = hits.iter().filter_map(|hit| hit["duration_s"].as_f64()).sum();
        // Each is rounded to a hundredth.
        assert!((minutes - seconds / 60.0).abs() < 1.0, "{minutes} {seconds}");
        let count = bench.run(&format!("query {filter} --by day --count")).ends_with(0).line();
        assert_eq!(count, groups.len().to_string());
    }
}

#[test]
fn the_busiest_are_those_that_took_part_in_most() {
    let bench = bench();
    let people = array(bench.run("query --by participant --limit 5 --format json").ends_with(0).json());
    assert_eq!(people.len(), 5);
    for person in &people {
        let id = person["id"].as_str().unwrap();
        let count = bench.args(&["query", &format!("participant_id:{id}"), "--count"]).ends_with(0).line();
        assert_eq!(count, person["count"].to_string(), "{person}");
        assert!(person["group"].is_string() && person["upn"].is_string(), "{person}");
    }
    assert!(people.is_sorted_by_key(|person| std::cmp::Reverse(person["count"].as_u64())));
    let by_minutes = array(bench.run("query --by participant --sort minutes --format json").ends_with(0).json());
    assert!(by_minutes.is_sorted_by(|one, other| one["minutes"].as_f64() >= other["minutes"].as_f64()));
}

#[test]
fn every_way_to_group_has_every_format_and_adds_up_where_each_record_is_in_one_group() {
    let bench = bench();
    let all: u64 = bench.run("query --count").ends_with(0).line().parse().unwrap();
    let ways = "participant organizer kind type modality month week day hour weekday hour-of-day agent platform device stage reason";
    for by in ways.split(' ') {
        let groups = array(bench.run(&format!("query --by {by} --limit 0 --format json")).ends_with(0).json());
        assert!(!groups.is_empty(), "{by}");
        assert!(groups.iter().all(|group| group["by"] == by && group["count"].as_u64() > Some(0)), "{by}");
        let sum: u64 = groups.iter().map(|group| group["count"].as_u64().unwrap()).sum();
        if "organizer kind type month week day hour weekday hour-of-day".split(' ').any(|single| single == by) {
            assert_eq!(sum, all, "{by}");
        }
        let lines = bench.run(&format!("query --by {by} --limit 0 --format ndjson")).ends_with(0).text();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, groups, "{by}");
        let csv = bench.run(&format!("query --by {by} --limit 0 --format csv")).ends_with(0).text();
        assert_eq!(csv::Reader::from_reader(csv.as_bytes()).records().count(), groups.len(), "{by}");
        let table = bench.run(&format!("query --by {by} --limit 0")).ends_with(0).text();
        assert_eq!(table.lines().count(), groups.len() + 1, "{by}");
        assert!(!table.contains(['█', '\u{1b}']), "bars are for terminals: {table}");
    }
}

#[test]
fn wrong_ways_to_group_or_to_page_end_with_2() {
    let bench = bench();
    let cursor = array(bench.run("query --limit 2 --format json").ends_with(0).json())[1]["cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    let wrong: [(&[&str], &str); 10] = [
        (&["--by", "shoe-size"], "shoe-size"),
        (&["--by", "participant", "--sort", "newest"], "count, minutes, failures or name"),
        (&["--by", "day", "--sort", "relevance"], "newest, oldest, count"),
        (&["--sort", "minutes"], "--by"),
        (&["--by", "day", "--after", cursor], "--after"),
        (&["--count", "--after", cursor], "--after"),
        (&["--after", "nonsense"], "no cursor"),
        (&["--after", &cursor[1..]], "no cursor"),
        (&["--after", cursor, "--sort", "oldest"], "newest"),
        (&["audio", "--after", cursor, "--sort", "relevance"], "relevance"),
    ];
    for (args, part) in wrong {
        let ran = bench.args(&[&["query"], args].concat()).ends_with(2).telling(part);
        assert!(ran.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_script_turns_pages_by_the_cursor_of_the_last_hit() {
    let bench = bench();
    for question in ["query", "query --sort oldest", "query --sort longest", "query audio", "query --type peerToPeer"] {
        let all = array(bench.run(&format!("{question} --limit 0 --format json")).ends_with(0).json());
        let mut turned = Vec::new();
        let mut after = String::new();
        loop {
            let text = bench.run(&format!("{question} --limit 37 --format ndjson{after}")).ends_with(0).text();
            let hits: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let next = hits.last().and_then(|hit| hit.get("cursor")).cloned();
            turned.extend(hits.into_iter().map(|mut hit| {
                hit.as_object_mut().unwrap().remove("cursor");
                hit
            }));
            match next {
                Some(cursor) => after = format!(" --after {}", cursor.as_str().unwrap()),
                None => break,
            }
        }
        assert_eq!(turned, all, "{question}");
    }
    let told = bench.run("query --limit 5").ends_with(0).telling("5 records are shown; go on with --after ");
    let cursor = told.stderr.split("--after ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let next = array(bench.run(&format!("query --limit 1 --format json --after {cursor}")).ends_with(0).json());
    let sixth = array(bench.run("query --limit 6 --format json").ends_with(0).json())[5].clone();
    assert_eq!(next[0]["id"], sixth["id"]);
    let all = bench.run("query --count").ends_with(0).line();
    let whole = bench.run(&format!("query --limit {all}")).ends_with(0);
    assert!(!whole.stderr.contains("--after"), "there is no more: {}", whole.stderr);
}

#[test]
fn the_range_that_was_searched_is_told_on_stderr_unless_it_is_to_be_quiet() {
    let bench = bench();
    let all = bench.run("query --count").ends_with(0).line();
    let ran = bench.run("query --count").ends_with(0).telling(&format!("searched all {all} records, "));
    assert!(!ran.stderr.contains("may be missing"), "{}", ran.stderr);
    for line in ["query zofia", "query --by day", "query --format json", "query --format csv"] {
        bench.run(line).ends_with(0).telling("searched all ");
    }
    bench
        .run("query --from 2020-01-01 --to 2020-02-01")
        .ends_with(0)
        .telling("searched 2020-01-01 to 2020-02-01; the archive has ");
    bench.run("query --from 3d").ends_with(0).telling("searched from ");
    bench.run("query --to 2020-02-01").ends_with(0).telling("searched until 2020-02-01; ");
    assert_eq!(bench.run("-q query --count").ends_with(0).stderr, "");
}

#[test]
fn calls_that_are_known_to_be_missing_in_the_range_are_told() {
    let bench = Bench::new(company(20, 8));
    bench.run("sync --from 4d").ends_with(0);
    bench.run("query").ends_with(0);
    bench.run("query --from 7d").ends_with(0).telling("may be missing; callvault status tells why");
    let ran = bench.run("query --from 7d --kind sms").ends_with(0);
    assert!(!ran.stderr.contains("may be missing"), "of calls alone: {}", ran.stderr);
}
