//! What is archived, what is missing and until when it can be had: told by `status`, `failures` and `sync`, mended by `retry`.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use callvault::{
    archive::{Archive, ArchiveWriter, Folder},
    graph::{Client, Cloud, Credential, Settings as GraphSettings, budget::Allowance, cloud::parse_host},
    model::{
        event::{Event, Observer},
        source::Source,
        time::{Age, Span, Timestamp, union},
    },
    simulate::{Fault, PageSizes, Planted, PlantedFaults, Settings},
    sync::{self, SourceReport, plan::Ask, scribe::Scribe},
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{runtime::Runtime, sync::watch};

use crate::support::{Bench, ago, company, empty};

fn time(value: &Value) -> Timestamp {
    Timestamp::parse(value.as_str().unwrap()).unwrap()
}

fn pairs(spans: &Value) -> Vec<Span> {
    spans.as_array().unwrap().iter().map(|span| Span::new(time(&span[0]), time(&span[1]))).collect()
}

/// The spans of `states` that are in one of these.
fn in_state(source: &Value, states: &[&str]) -> Vec<Span> {
    let stretches = source["states"].as_array().unwrap().iter();
    let meant = stretches.filter(|stretch| states.contains(&stretch["state"].as_str().unwrap()));
    union(meant.map(|stretch| Span::new(time(&stretch["from"]), time(&stretch["to"]))).collect())
}

fn for_ever() -> PlantedFaults {
    PlantedFaults { forever: true, fault: Some(Fault::Unavailable), ..PlantedFaults::default() }
}

#[test]
fn status_divides_coverage_into_states_and_draws_the_days() {
    let bench = Bench::new(company(6, 28));
    bench.sync();
    let calls = bench.run("status --format json").ends_with(0).json()["sources"][0].clone();
    assert_eq!(in_state(&calls, &["final", "complete", "settling"]), pairs(&calls["covered"]));
    assert_eq!(in_state(&calls, &["settling"]), pairs(&calls["settling"]));
    assert_eq!(in_state(&calls, &["lost"]), []);
    let is_final = in_state(&calls, &["final"]);
    assert_eq!(is_final.len(), 1, "the oldest day and a half is past its sweep");
    assert!(is_final[0].to - is_final[0].from >= Age::hours(35));

    let text = bench.run("status").ends_with(0).text();
    let drawn = text.lines().find(|line| line.starts_with("calls  ") && !line.contains(':')).unwrap();
    let days = drawn.split_whitespace().nth(1).unwrap();
    assert_eq!(days.len(), 32);
    assert!(days.contains("fcccccc") && days.ends_with("ss"), "{days}");
    assert!(days.trim_matches('.').trim_matches(['f', 's']).trim_matches('c').is_empty(), "{days}");
    assert!(text.contains("f final, c complete, s settling") && !text.contains('\u{1b}'));

    let week = bench.run("status --source calls --days 7").ends_with(0).text();
    assert!(!week.contains("pstn") && week.contains("\ncalls  cccc"), "{week}");
    bench.run("status --source gossip").ends_with(2).telling("gossip");
    bench.run("status --days 0").ends_with(2).telling("--days");
}

#[test]
fn each_hour_tells_when_it_was_listed_what_it_has_and_when_it_is_due() {
    let bench = Bench::new(empty());
    let hour = ago(Age::hours(100)).floor_to(Age::hours(1));
    for (id, minutes) in [("one", 5), ("two", 50), ("failing", 20)] {
        bench.simulator.plant(Planted::meeting(id, hour + Age::minutes(minutes)));
    }
    bench.simulator.trouble("failing", for_ever());
    let began = bench.simulator.now();
    bench.run("sync").ends_with(3);
    let calls =
        bench.run("status --source calls --days 6 --buckets --format json").ends_with(3).json()["sources"][0].clone();
    let buckets = calls["buckets"].as_array().unwrap();
    let bucket = buckets.iter().find(|bucket| time(&bucket["from"]) == hour).unwrap();
    assert_eq!(bucket["state"], "partial");
    assert_eq!((&bucket["records"], &bucket["queued"], &bucket["lost"]), (&2.into(), &1.into(), &0.into()));
    assert_eq!(bucket["is_whole"], true);
    let slack = Age::seconds(2);
    for key in ["first_listed", "last_listed", "changed"] {
        assert!(time(&bucket[key]) >= began - slack, "{key}: {bucket}");
    }
    assert_eq!(time(&bucket["deadline"]), hour + Age::days(30));
    let listed_at_age = time(&bucket["last_listed"]) - (hour + Age::hours(1));
    assert!(time(&bucket["due"]) - (hour + Age::hours(1) + listed_at_age + listed_at_age) < Age::seconds(1));
    let quiet = buckets.iter().find(|bucket| time(&bucket["from"]) == hour + Age::hours(1)).unwrap();
    assert_eq!((&quiet["state"], &quiet["records"], &quiet["changed"]), (&"complete".into(), &0.into(), &Value::Null));

    let partial = in_state(&calls, &["partial"]);
    assert_eq!(partial, [Span::new(hour, hour + Age::hours(1))]);
    let text = bench.run("status --source calls --days 6 --buckets").ends_with(3).text();
    assert!(text.contains("(listed, 1 still to fetch)") && text.contains("LAST CHANGED"), "{text}");
}

#[test]
fn failures_are_listed_with_their_deadline_and_retried_by_name_or_all() {
    let bench = Bench::new(empty());
    for (id, hours) in [("old", 700), ("young", 30), ("well", 40)] {
        bench.simulator.plant(Planted::meeting(id, ago(Age::hours(hours))));
    }
    for id in ["old", "young"] {
        bench.simulator.trouble(id, for_ever());
    }
    bench.run("sync").ends_with(3);

    let failures = bench.run("failures --format json").ends_with(3).json();
    let ids: Vec<_> = failures.as_array().unwrap().iter().map(|failure| failure["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["old", "young"], "the earliest deadline first");
    assert_eq!((&failures[0]["attempts"], &failures[0]["source"]), (&1.into(), &"calls".into()));
    assert!(failures[0]["last_error"].as_str().unwrap().contains("503"), "{failures}");
    assert!(time(&failures[0]["next_try"]) > bench.simulator.now() - Age::minutes(1));
    assert!(time(&failures[0]["deadline"]) - time(&failures[0]["start"]) == Age::days(30));
    let hours_left = failures[0]["hours_left"].as_f64().unwrap();
    assert!((hours_left - 20.0).abs() < 0.3, "{hours_left}");
    let table = bench.run("failures").ends_with(3).text();
    assert!(table.contains("HOURS LEFT") && table.contains("young") && table.contains("503"), "{table}");
    assert_eq!(bench.run("status").ends_with(3).text().matches("at risk  ").count(), 1, "the old one's hour");

    bench.simulator.trouble("old", PlantedFaults::default());
    let (lists, of_young) = (bench.simulator.requests().list, bench.simulator.requests_for("young"));
    let summary = bench.run("retry old --format json").ends_with(0).json();
    assert_eq!((&summary["sources"][0]["fetched"], &summary["sources"][0]["windows"]), (&1.into(), &0.into()));
    assert_eq!(bench.simulator.requests_for("young"), of_young, "what was not named is left alone");
    bench.run("retry").ends_with(3);
    assert!(bench.simulator.requests_for("young") > of_young);
    assert_eq!(bench.run("failures --format json").ends_with(3).json()[0]["attempts"], 2);

    bench.simulator.trouble("young", PlantedFaults::default());
    bench.run("retry --source calls").ends_with(0);
    assert_eq!(bench.simulator.requests().list, lists, "nothing was listed");
    assert_eq!(bench.run("failures").ends_with(0).line(), "nothing is still to fetch");
    bench.run("retry young").ends_with(2).telling("young").telling("callvault failures");
    bench.run("retry --source pstn").ends_with(2).telling("pstn");
    let began = bench.sync();
    bench.assert_holds_the_world(began);
}

#[test]
fn how_often_time_is_listed_again_is_set_in_the_config_file_and_told_by_a_dry_run() {
    let bench = Bench::new(empty());
    let set = |lines: &str| fs::write(bench.beside("config.toml"), format!("[sync]\n{lines}\n")).unwrap();
    for (lines, name) in [
        ("relist_factor = 1", "relist_factor: 1 is not above 1"),
        ("relist_factor = 7.5", "relist_factor"),
        ("sweep_margin = '30d'", "sweep_margin"),
        ("sweep_margin = 'soon'", "[sync] sweep_margin: 'soon' is not an age"),
        ("age_min = '0s'", "age_min"),
        ("relist = 2", "line 2"),
    ] {
        set(lines);
        let ran = bench.run("sync --dry-run").ends_with(2).telling(name);
        assert_eq!(ran.stderr.lines().count(), 1, "one clear line: {}", ran.stderr);
    }
    set("relist_factor = 1.5\nsweep_margin = '2d'\nage_min = '30m'\nlist_all_rows = 7");
    let dry_run = bench.run("sync --dry-run --source calls --format json").ends_with(0).json();
    let policy = &dry_run["policy"];
    assert_eq!((&policy["relist_factor"], &policy["sweep_margin_s"]), (&1.5.into(), &172_800.0.into()));
    assert_eq!((&policy["age_min_s"], &policy["list_all_rows"]), (&1800.0.into(), &7.into()));
    // Of an empty archive the least is known: a page of each window of a day.
    let calls = &dry_run["sources"][0];
    assert_eq!((&calls["requests"], &calls["is_estimate"]), (&dry_run["requests"], &false.into()));
    assert_eq!(calls["requests"], calls["windows"].as_array().unwrap().len());
    assert_eq!(calls["at_risk"].as_array().unwrap().len(), 1);
    let text = bench.run("sync --dry-run").ends_with(0).text();
    assert!(
        text.contains("1.5 times the age") && text.contains("swept 2.0 d before") && text.contains("hours left"),
        "{text}"
    );
}

/// Lets time pass at Graph, and the archive learn that, though no calls were listed.
fn later(bench: &Bench, age: Age) {
    bench.simulator.advance(age);
    bench.run("sync --source people").ends_with(0).telling("this machine's clock is");
}

#[test]
fn a_dry_run_says_how_many_requests_a_sync_takes_about() {
    let bench = Bench::new(company(40, 28));
    bench.run("sync --source calls").ends_with(0);
    later(&bench, Age::days(10));
    let dry_run = bench.run("sync --dry-run --source calls --format json").ends_with(0).json();
    let expected = dry_run["requests"].as_f64().unwrap();
    let summary = bench.run("sync --source calls --format json").ends_with(0).json();
    let took = summary["requests"].as_f64().unwrap();
    assert!(dry_run["sources"][0]["is_estimate"].as_bool().unwrap());
    assert!((0.6..1.6).contains(&(expected / took)), "{expected} expected, {took} it took");
}

#[test]
fn after_twenty_days_without_a_sync_it_says_what_is_before_it_and_loses_nothing() {
    let bench = Bench::new(company(12, 28));
    bench.sync();
    later(&bench, Age::days(20));
    let calls = bench.run("status --source calls --format json").ends_with(0).json()["sources"][0].clone();
    let gaps = pairs(&calls["gaps"]);
    assert_eq!(in_state(&calls, &["gap"]), gaps);
    assert!(gaps.len() == 1 && gaps[0].to - gaps[0].from > Age::days(19), "{gaps:?}");
    let dry_run = bench.run("sync --dry-run --source calls --format json").ends_with(0).json();
    assert_eq!(pairs(&dry_run["sources"][0]["too_late"]), []);
    assert_eq!(pairs(&dry_run["sources"][0]["in_time"])[0].from, gaps[0].from);

    let began = bench.simulator.now();
    let sync =
        bench.run("sync --format json").ends_with(0).telling("calls is behind: about").telling("the oldest first");
    assert_eq!(sync.json()["outlook"], Value::Array(Vec::new()), "nothing is before it any more");
    bench.assert_holds_the_world(began);
    assert_eq!(pairs(&bench.calls_status()["gaps"]), []);
}

#[test]
fn after_forty_days_without_a_sync_what_is_lost_is_named_and_drawn() {
    let bench = Bench::new(Settings { start_clock: Some(Timestamp::now() - Age::days(40)), ..company(3, 20) });
    bench.sync();
    bench.simulator.advance(Age::days(40));
    bench.run("sync").ends_with(7);
    let calls = bench.run("status --source calls --format json").ends_with(7).json()["sources"][0].clone();
    let lost = in_state(&calls, &["lost"]);
    assert_eq!(lost, pairs(&calls["lost"]));
    // From 36 hours before the last sync, whose calls were still appearing, until Graph's memory.
    assert!(lost.len() == 1 && (lost[0].to - lost[0].from) > Age::days(11), "{lost:?}");
    let text = bench.run("status --source calls --days 50").ends_with(7).text();
    assert!(text.contains("cXXXXXXXXXXX") && text.contains("LOST       "), "{text}");
}

#[test]
fn a_lost_record_is_named_with_what_is_known_of_it() {
    let bench = Bench::new(Settings { start_clock: Some(Timestamp::now() - Age::days(29)), ..empty() });
    let start = ago(Age::days(31));
    bench.simulator.plant(Planted::meeting("vanished", start).version(3, start + Age::hours(2)));
    bench.simulator.trouble("vanished", for_ever());
    bench.run("sync").ends_with(3);
    bench.simulator.trouble("vanished", PlantedFaults::default());
    bench.simulator.advance(Age::days(29));
    bench.run("retry vanished").ends_with(7).telling("no longer has it");
    let calls = bench.run("status --source calls --format json").ends_with(7).json()["sources"][0].clone();
    let lost = &calls["lost_records"][0];
    assert_eq!((&lost["id"], &lost["version"]), (&"vanished".into(), &3.into()));
    assert_eq!(time(&lost["start"]), start);
    let hour = start.floor_to(Age::hours(1));
    let stretches = calls["states"].as_array().unwrap();
    let stretch =
        stretches.iter().find(|stretch| time(&stretch["from"]) <= hour && hour < time(&stretch["to"])).unwrap();
    assert_eq!((&stretch["state"], &stretch["lost_records"]), (&"lost".into(), &1.into()));
    let text = bench.run("status --source calls").ends_with(7).text();
    assert!(text.contains("vanished, version 3") && text.contains("1 records that Graph listed"), "{text}");
}

/// Notes which calls are stored in which order; each takes ten minutes of the simulated time.
struct Slow {
    simulator: Arc<Bench>,
    kept: Mutex<Vec<String>>,
}

impl Observer for Slow {
    fn event(&self, event: &Event) {
        if let Event::Kept { key, .. } = event {
            self.kept.lock().unwrap().push(key.id.clone());
            self.simulator.simulator.advance(Age::minutes(10));
        }
    }
}

/// Pulls all calls without a pace, observed.
fn pull(bench: &Bench, observer: Arc<dyn Observer>) -> SourceReport {
    let secret = Credential::Secret(SecretString::from(bench.simulator.client_secret().to_owned()));
    let mut settings = GraphSettings::new(Cloud::Global, secret).unwrap();
    settings.tenant_id = Some(bench.simulator.tenant_id().to_owned());
    settings.client_id = Some(bench.simulator.client_id().to_owned());
    settings.login_host = parse_host(&bench.simulator.url()).unwrap();
    settings.graph_host = parse_host(&bench.simulator.url()).unwrap();
    settings.rates.app = Allowance { requests: 100_000, window: Duration::from_secs(20) };
    let client = Client::new(settings, observer.clone()).unwrap();
    let folder = Folder::new(&bench.archive());
    let (scribe, thread) = Scribe::start(ArchiveWriter::open_or_create(&folder, Timestamp::now()).unwrap(), None);
    let archive = Archive::open(&folder).unwrap();
    let (_stop, stop) = watch::channel(false);
    let settings = sync::Settings::default();
    let context = sync::Context { folder, graph: client, scribe, observer, stop, settings };
    let runtime = Runtime::new().unwrap();
    let report = runtime.block_on(async {
        context.graph.sign_in().await.unwrap();
        sync::sync(&context, &archive, Source::Calls, &Ask::default(), Timestamp::now()).await.unwrap()
    });
    drop(context);
    thread.finish().unwrap();
    report
}

#[test]
fn while_weeks_are_caught_up_the_calls_of_today_do_not_wait_for_the_end() {
    let bench = Arc::new(Bench::new(empty()));
    let old = ago(Age::days(20)).floor_to(Age::hours(1));
    for number in 0..600 {
        let start = old + Age::seconds(number);
        bench.simulator.plant(Planted::meeting(format!("old-{number}"), start).sessions(1).participants(2));
    }
    // It takes place while the old ones are fetched.
    bench.simulator.plant(Planted::meeting("today", bench.simulator.now() + Age::hours(2)));

    let observer = Arc::new(Slow { simulator: Arc::clone(&bench), kept: Mutex::default() });
    let report = pull(&bench, observer.clone());
    assert_eq!((report.fetched, report.failed), (601, 0));
    let kept = observer.kept.lock().unwrap();
    let today = kept.iter().position(|id| id == "today").unwrap();
    // Two hours are twelve records, and what is in hand.
    assert!((12..500).contains(&today), "it was the {today}th of {}", kept.len());
    let first_old = kept.iter().position(|id| id.starts_with("old")).unwrap();
    assert_eq!(first_old, 0, "the oldest come first");
}

/// Notes when pages of lists came and when versions were stored.
#[derive(Default)]
struct Order(Mutex<Vec<&'static str>>);

impl Observer for Order {
    fn event(&self, event: &Event) {
        match event {
            Event::Listed { .. } => self.0.lock().unwrap().push("page"),
            Event::Kept { .. } => self.0.lock().unwrap().push("version"),
            _ => {}
        }
    }
}

#[test]
fn records_are_fetched_while_lists_are_still_read() {
    let page_sizes = PageSizes { list: 2, ..PageSizes::default() };
    let bench = Bench::new(Settings { page_sizes, ..empty() });
    for number in 0..400 {
        bench.simulator.plant(Planted::meeting(format!("call-{number}"), ago(Age::days(3) + Age::seconds(number))));
    }
    let observer = Arc::new(Order::default());
    let report = pull(&bench, observer.clone());
    assert_eq!((report.listed, report.fetched, report.failed), (400, 400, 0));
    assert_eq!(bench.simulator.requests().of_records(), 800, "each once, however often the list is looked at");
    let order = observer.0.lock().unwrap();
    let first_version = order.iter().position(|what| *what == "version").unwrap();
    assert!(order[first_version..].contains(&"page"), "the first version came after all {first_version} pages");
}
