//! `/metrics`: facts as OpenMetrics text. Pure; whoever may read the archive gathers the facts.
//!
//! Ages and times left are reckoned when the facts were gathered, so that an alert compares no clocks.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// What is told; `None` and what is not in a list is left out, since no number would be true.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub version: &'static str,
    pub sources: Vec<SourceFacts>,
    /// What is wrong by the judgement of `/healthz`, and the source that it is about.
    pub wrong: Vec<(&'static str, Option<String>)>,
    pub ledger_entries: u64,
    pub records_without_rows: u64,
    pub runs: Vec<RunFacts>,
    pub runs_failed_in_a_row: u64,
    pub inbox: Option<InboxFacts>,
    /// Bytes on disk of each part.
    pub sizes: Vec<(&'static str, u64)>,
}

/// One source.
#[derive(Clone, Debug, Default)]
pub struct SourceFacts {
    pub name: String,
    /// From the end of what is covered until now.
    pub covered_lag_s: Option<f64>,
    /// From the start of the newest record until now.
    pub newest_age_s: Option<f64>,
    /// Until Graph forgets the first record of a gap at risk.
    pub deadline_s: Option<f64>,
    pub gaps: u64,
    pub gap_s: f64,
    pub spans_at_risk: u64,
    pub spans_lost: u64,
    pub records_lost: u64,
    pub queued: u64,
    pub records: u64,
    pub versions: u64,
    /// Since 1970: the end of the last run that listed all that was due of it.
    pub succeeded_s: Option<f64>,
}

/// The last run of a command that has ended.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    pub command: String,
    /// Since 1970.
    pub ended_s: f64,
    pub exit_code: u64,
    pub elapsed_s: f64,
    pub throttled_s: f64,
}

/// The inbox of a receiver.
#[derive(Clone, Debug, Default)]
pub struct InboxFacts {
    pub waiting: u64,
    /// How long the oldest has waited; 0 where none does.
    pub oldest_age_s: f64,
    pub missed_spans: u64,
    /// Since 1970: the last notification of a record, and the last time that ids were taken over.
    pub notified_s: Option<f64>,
    pub taken_s: Option<f64>,
    pub subscriptions: u64,
    /// Until the last of them ends; less than 0 when it has.
    pub expires_in_s: Option<f64>,
    pub is_keeping_failed: bool,
    /// How often what happened, by name.
    pub tallies: BTreeMap<&'static str, u64>,
}

/// What [`text`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page.
#[must_use]
pub fn text(facts: &Facts) -> String {
    let mut page = Page(Registry::with_prefix("callvault"));
    page.numbers("build_info", "Version of the program", [(vec![("version", facts.version.to_owned())], 1)]);
    page.numbers("healthy", "1 when /healthz has nothing to say", [(vec![], u64::from(facts.wrong.is_empty()))]);
    let wrong = facts
        .wrong
        .iter()
        .map(|(what, source)| (vec![("what", (*what).to_owned()), ("source", source.clone().unwrap_or_default())], 1));
    page.numbers("trouble", "What is wrong by the judgement of /healthz", wrong);
    sources(&facts.sources, &mut page);
    page.numbers("ledger_entries", "Entries of the ledger", [(vec![], facts.ledger_entries)]);
    page.numbers("records_without_rows", "Records whose rows are being made", [(vec![], facts.records_without_rows)]);
    runs(facts, &mut page);
    if let Some(inbox) = &facts.inbox {
        of_inbox(inbox, &mut page);
    }
    let sizes = facts.sizes.iter().map(|(part, bytes)| (vec![("part", (*part).to_owned())], *bytes));
    page.bytes("size", "Size on disk", sizes);
    let mut text = String::new();
    // A string takes whatever is written to it.
    let _ = encode(&mut text, &page.0);
    text
}

fn sources(all: &[SourceFacts], page: &mut Page) {
    let of = |source: &SourceFacts| vec![("source", source.name.clone())];
    let mut seconds = |name: &str, help: &str, value: fn(&SourceFacts) -> Option<f64>| {
        page.seconds(name, help, all.iter().filter_map(|source| Some((of(source), value(source)?))));
    };
    seconds("covered_lag", "From the end of what is covered until now", |source| source.covered_lag_s);
    seconds("newest_record_age", "From the start of the newest record until now", |source| source.newest_age_s);
    seconds("deadline", "Until Graph forgets the first record of a gap at risk", |source| source.deadline_s);
    seconds("gap", "How much time is not covered and can still be had", |source| Some(source.gap_s));
    seconds("last_success_timestamp", "When a run that listed all that was due of it ended", |source| {
        source.succeeded_s
    });
    let mut numbers = |name: &str, help: &str, value: fn(&SourceFacts) -> u64| {
        page.numbers(name, help, all.iter().map(|source| (of(source), value(source))));
    };
    numbers("gaps", "Spans not covered that can still be had", |source| source.gaps);
    numbers("spans_at_risk", "Parts of gaps that Graph soon forgets", |source| source.spans_at_risk);
    numbers("spans_lost", "Spans that Graph forgot before they were covered", |source| source.spans_lost);
    numbers("records_lost", "Records that Graph listed and no longer gave", |source| source.records_lost);
    numbers("records_queued", "Records still to fetch", |source| source.queued);
    numbers("records", "Records held", |source| source.records);
    numbers("versions", "Versions held", |source| source.versions);
}

fn runs(facts: &Facts, page: &mut Page) {
    let of = |run: &RunFacts| vec![("command", run.command.clone())];
    let mut seconds = |name: &str, help: &str, value: fn(&RunFacts) -> f64| {
        page.seconds(name, help, facts.runs.iter().map(|run| (of(run), value(run))));
    };
    seconds("last_run_timestamp", "When the last run ended", |run| run.ended_s);
    seconds("last_run_elapsed", "How long the last run took", |run| run.elapsed_s);
    seconds("last_run_throttled", "How long Graph stopped the last run", |run| run.throttled_s);
    let codes = facts.runs.iter().map(|run| (of(run), run.exit_code));
    page.numbers("last_run_exit_code", "Exit code of the last run", codes);
    let failed = [(vec![], facts.runs_failed_in_a_row)];
    page.numbers("runs_failed_in_a_row", "Runs of sync since the last that listed all that it set out to list", failed);
}

fn of_inbox(inbox: &InboxFacts, page: &mut Page) {
    page.numbers(
        "inbox_waiting",
        "Ids that notifications brought and no sync has taken over",
        [(vec![], inbox.waiting)],
    );
    page.seconds("inbox_oldest_age", "How long the oldest of them has waited", [(vec![], inbox.oldest_age_s)]);
    page.numbers(
        "missed_spans",
        "Spans to be listed since notifications may have been missed",
        [(vec![], inbox.missed_spans)],
    );
    page.numbers("subscriptions", "Subscriptions of this receiver", [(vec![], inbox.subscriptions)]);
    let failed = u64::from(inbox.is_keeping_failed);
    page.numbers("subscription_keeping_failed", "1 when the last attempt to keep it failed", [(vec![], failed)]);
    let mut moment = |name: &str, help: &str, value: Option<f64>| {
        page.seconds(name, help, value.map(|value| (vec![], value)));
    };
    moment("subscription_expires_in", "Until the subscription ends", inbox.expires_in_s);
    moment("last_notified_timestamp", "When the last notification of a record came", inbox.notified_s);
    moment("last_taken_timestamp", "When a sync last took ids over", inbox.taken_s);
    let tallies = inbox.tallies.iter().map(|(outcome, times)| (vec![("outcome", (*outcome).to_owned())], *times));
    page.totals("notifications", "Notifications and requests, by what became of them", tallies);
}

type Labels = Vec<(&'static str, String)>;

/// A page of which each metric is made once.
struct Page(Registry);

impl Page {
    fn seconds(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.0.register_with_unit(name, help, Unit::Seconds, family);
    }

    fn numbers(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        self.0.register(name, help, gauges(values));
    }

    fn bytes(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        self.0.register_with_unit(name, help, Unit::Bytes, gauges(values));
    }

    fn totals(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }
}

fn gauges(values: impl IntoIterator<Item = (Labels, u64)>) -> Family<Labels, Gauge<u64, AtomicU64>> {
    let family = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(facts: &Facts) -> Vec<String> {
        text(facts).lines().map(str::to_owned).collect()
    }

    #[test]
    fn facts_become_samples_with_their_labels_and_units() {
        let calls = SourceFacts {
            name: "calls".into(),
            covered_lag_s: Some(93.5),
            deadline_s: None,
            queued: 3,
            records: 1_000_000,
            ..SourceFacts::default()
        };
        let sms = SourceFacts { name: "sms".into(), deadline_s: Some(7200.0), ..SourceFacts::default() };
        let inbox = InboxFacts {
            expires_in_s: Some(-5.0),
            tallies: BTreeMap::from([("accepted", 12), ("wrong_secret", 1)]),
            ..InboxFacts::default()
        };
        let facts = Facts {
            version: "1.2.3",
            sources: vec![calls, sms],
            wrong: vec![("coverage_at_risk", Some("sms".into())), ("no_round", None)],
            runs: vec![RunFacts { command: "sync".into(), exit_code: 3, throttled_s: 1.5, ..RunFacts::default() }],
            inbox: Some(inbox),
            sizes: vec![("database", 4096)],
            ..Facts::default()
        };
        let lines = lines(&facts);
        for expected in [
            "callvault_build_info{version=\"1.2.3\"} 1",
            "callvault_healthy{} 0",
            "callvault_trouble{what=\"coverage_at_risk\",source=\"sms\"} 1",
            "callvault_trouble{what=\"no_round\",source=\"\"} 1",
            "callvault_covered_lag_seconds{source=\"calls\"} 93.5",
            "# UNIT callvault_covered_lag_seconds seconds",
            "callvault_deadline_seconds{source=\"sms\"} 7200.0",
            "callvault_records_queued{source=\"calls\"} 3",
            "callvault_records{source=\"calls\"} 1000000",
            "callvault_last_run_exit_code{command=\"sync\"} 3",
            "callvault_last_run_throttled_seconds{command=\"sync\"} 1.5",
            "callvault_subscription_expires_in_seconds{} -5.0",
            "# TYPE callvault_notifications counter",
            "callvault_notifications_total{outcome=\"accepted\"} 12",
            "callvault_size_bytes{part=\"database\"} 4096",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} is not in\n{}", lines.join("\n"));
        }
        assert_eq!(lines.last().unwrap(), "# EOF");
        // What is not known is not told as 0.
        let untold = ["callvault_deadline_seconds{source=\"calls\"}", "callvault_covered_lag_seconds{source=\"sms\"}"];
        assert!(!lines.iter().any(|line| untold.iter().any(|start| line.starts_with(start))));
    }

    #[test]
    fn without_a_receiver_there_is_no_word_of_an_inbox() {
        let lines = lines(&Facts::default());
        assert!(!lines.iter().any(|line| line.contains("inbox") || line.contains("subscription")));
        assert!(lines.contains(&"callvault_healthy{} 1".to_owned()));
    }

    #[test]
    fn rules_and_dashboard_ask_for_metrics_that_there_are() {
        let all = SourceFacts {
            covered_lag_s: Some(1.0),
            newest_age_s: Some(1.0),
            deadline_s: Some(1.0),
            succeeded_s: Some(1.0),
            ..SourceFacts::default()
        };
        let inbox = InboxFacts {
            notified_s: Some(1.0),
            taken_s: Some(1.0),
            expires_in_s: Some(1.0),
            tallies: BTreeMap::from([("accepted", 1)]),
            ..InboxFacts::default()
        };
        let text = text(&Facts {
            sources: vec![all],
            wrong: vec![("no_round", None)],
            runs: vec![RunFacts::default()],
            inbox: Some(inbox),
            sizes: vec![("index", 1)],
            ..Facts::default()
        });
        let told: Vec<&str> = text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
        let documents = [
            include_str!("../../docs/deploy/prometheus-alerts.yml"),
            include_str!("../../docs/deploy/grafana-dashboard.json"),
        ];
        for document in documents {
            let asked: Vec<&str> = document
                .split(|letter: char| !letter.is_ascii_lowercase() && letter != '_')
                .filter(|word| word.starts_with("callvault_"))
                .collect();
            assert!(asked.len() > 10);
            for name in asked {
                assert!(told.contains(&name), "{name} is not in\n{text}");
            }
        }
        serde_json::from_str::<serde_json::Value>(documents[1]).unwrap();
    }
}
