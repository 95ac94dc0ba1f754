//! Looks up what `/metrics` and `/healthz` say, on the side of the program that may read the archive.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
};

use crate::{
    archive::runs::Run,
    cli::{Context, exit::Result},
    model::time::{Age, Span, Timestamp},
    status::{
        SourceStatus,
        health::{Measure, Trouble},
        standing::{self, Held, Standing, There},
    },
    web::{
        self, Page, Question, Told,
        metrics::{self, Facts, InboxFacts, RunFacts, SourceFacts},
    },
};

/// How long what was read is told again: two that ask at the same time are answered with one reading.
const FRESH: Duration = Duration::from_secs(2);
const JSON: &str = "application/json";

/// Answers questions until there are no more.
pub(super) fn answer(runtime: &Runtime, context: &Context, interval: Age, mut asked: mpsc::Receiver<Question>) {
    let measure = Measure { interval, up_since: Timestamp::now() };
    let mut reader = Reader { context: context.with(context.config.clone()), measure, read: None };
    runtime.spawn(async move {
        while let Some(Question { page, answer }) = asked.recv().await {
            // One after another: whoever asks again and again waits.
            let told = tokio::task::block_in_place(|| reader.look_up(page));
            let _ = answer.send(told);
        }
    });
}

/// Serves the pages to whoever reaches `listener`.
pub(super) fn serve(
    runtime: &Runtime,
    listener: TcpListener,
    questions: mpsc::Sender<Question>,
    stop: watch::Receiver<bool>,
) {
    runtime.spawn(web::serve_pages(listener, questions, stop));
}

struct Reader {
    context: Context,
    measure: Measure,
    read: Option<(Instant, Standing)>,
}

/// What `/healthz` says.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    wrong: Vec<Trouble>,
}

impl Reader {
    fn look_up(&mut self, page: Page) -> Told {
        let measure = self.measure;
        let standing = match self.standing() {
            Ok(standing) => standing,
            Err(failure) => {
                let (content_type, body) = ("text/plain; charset=utf-8", format!("{failure}\n"));
                return Told { status: 503, content_type, body };
            }
        };
        let wrong = standing.troubles(&measure);
        match page {
            Page::Metrics => {
                let body = metrics::text(&facts(standing, &wrong));
                Told { status: 200, content_type: metrics::CONTENT_TYPE, body }
            }
            Page::Health => {
                let (code, status) = match (wrong.is_empty(), standing.is_starting(&measure)) {
                    (false, _) => (503, "wrong"),
                    (true, true) => (200, "starting"),
                    (true, false) => (200, "ok"),
                };
                let body = serde_json::to_string(&Health { status, wrong }).unwrap_or_default() + "\n";
                Told { status: code, content_type: JSON, body }
            }
        }
    }

    fn standing(&mut self) -> Result<&Standing> {
        if self.read.as_ref().is_none_or(|(read, _)| read.elapsed() > FRESH) {
            let policy = self.context.config.policy()?;
            self.read = None;
            let standing = Standing::read(&self.context.folder(), Timestamp::now(), &policy);
            return Ok(&self.read.insert((Instant::now(), standing)).1);
        }
        let Some((_, standing)) = &self.read else { unreachable!("it was read") };
        Ok(standing)
    }
}

fn facts(standing: &Standing, wrong: &[Trouble]) -> Facts {
    let mut facts = Facts {
        version: env!("CARGO_PKG_VERSION"),
        wrong: wrong.iter().map(|trouble| (trouble.what.name(), trouble.source.clone())).collect(),
        sizes: vec![("inbox", standing.inbox_bytes)],
        inbox: inbox(standing),
        ..Facts::default()
    };
    if let Held::There(there) = &standing.archive {
        of_archive(there, standing.now, &mut facts);
    }
    facts
}

fn of_archive(there: &There, now: Timestamp, facts: &mut Facts) {
    let There { status, rounds, .. } = there;
    facts.sources = status.sources.iter().map(|source| of_source(source, there, now)).collect();
    facts.ledger_entries = status.head.0.unsigned_abs();
    facts.records_without_rows = status.records_without_rows;
    facts.runs_failed_in_a_row = rounds.failed_in_a_row;
    let run = |(command, (run, told)): (&String, &(Run, standing::Told))| {
        Some(RunFacts {
            command: command.clone(),
            ended_s: since_1970(run.ended?),
            exit_code: u64::from(run.exit_code?),
            elapsed_s: told.elapsed_s,
            throttled_s: told.throttled_s,
        })
    };
    facts.runs = rounds.last.iter().filter_map(run).collect();
    let sizes = &status.sizes;
    facts.sizes.extend([
        ("database", sizes.database_bytes),
        ("index", sizes.index_bytes),
        ("sealed", sizes.sealed_bytes),
    ]);
}

fn of_source(source: &SourceStatus, there: &There, now: Timestamp) -> SourceFacts {
    let seconds = |span: &Span| (span.to - span.from).as_seconds_f64();
    SourceFacts {
        name: source.source.clone(),
        covered_lag_s: source.covered.last().map(|span| (now - span.to).as_seconds_f64()),
        newest_age_s: there.newest.get(&source.source).map(|start| (now - *start).as_seconds_f64()),
        deadline_s: source.at_risk.iter().map(|gap| (gap.deadline - now).as_seconds_f64()).reduce(f64::min),
        gaps: source.gaps.len() as u64,
        gap_s: source.gaps.iter().map(seconds).sum(),
        spans_at_risk: source.at_risk.len() as u64,
        spans_lost: source.lost.len() as u64,
        records_lost: source.lost_records.len() as u64,
        queued: source.queued,
        records: source.counts.records,
        versions: source.counts.versions,
        succeeded_s: there.rounds.succeeded_by_source.get(&source.source).map(|ended| since_1970(*ended)),
    }
}

fn inbox(standing: &Standing) -> Option<InboxFacts> {
    let inbox = standing.inbox.as_ref().ok()?.as_ref()?;
    let waits = |since: Timestamp| (standing.local_now - since).as_seconds_f64();
    Some(InboxFacts {
        waiting: inbox.waiting,
        oldest_age_s: inbox.waiting_since.map_or(0.0, waits),
        missed_spans: inbox.missed,
        notified_s: inbox.notified.map(since_1970),
        taken_s: inbox.taken.map(since_1970),
        subscriptions: u64::from(inbox.expires.is_some()),
        expires_in_s: inbox.expires.map(|ends| (ends - standing.now).as_seconds_f64()),
        is_keeping_failed: inbox.keeping_failed.is_some(),
        tallies: inbox.tallies.iter().map(|(tally, times)| (*tally, *times)).collect(),
    })
}

fn since_1970(time: Timestamp) -> f64 {
    (time - Timestamp(0)).as_seconds_f64()
}
