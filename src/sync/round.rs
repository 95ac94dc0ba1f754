//! One round: what `callvault sync` does once and a service again and again.
//!
//! It signs in, takes the writer's lock, syncs each source in turn, lets the search index catch up, and sums up. What the outcome
//! means as an exit code is the caller's to say: [`Closing`] notes it in the archive.

use std::{
    ops::ControlFlow::{Break, Continue},
    sync::Arc,
};

use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use crate::{
    archive::{
        self, Archive, ArchiveWriter, Folder,
        coverage::{Facts, coverage},
        sealed::table::Sealed,
        signing::Signing,
    },
    follow::{self, Follower},
    graph::{self, Cloud},
    model::{
        event::Observer,
        id::{RecordKey, RunId},
        retention::Retention,
        source::Source,
        time::{Age, Span, Timestamp, subtract},
    },
    sync::{
        self, Error, Lack, Reach, Result, Settings, SourceReport, due, outlook::Outlook, plan::Ask, scribe::Scribe,
    },
};

/// What one round is to do.
#[derive(Clone, Debug, Default)]
pub struct Round {
    pub ask: Ask,
    /// Sources asked for by name; none means all that the permissions allow.
    pub named: Vec<Source>,
    pub reach: Reach,
    /// Records on the to-do list that are made due first.
    pub asked_for: Vec<RecordKey>,
}

/// Has a writer sign the ledger, or says why it does not.
pub type Sign = Box<dyn FnOnce(&mut ArchiveWriter, Timestamp) -> archive::Result<Signing> + Send>;

/// Where a round works and with what.
pub struct Setup {
    pub folder: Folder,
    pub cloud: Cloud,
    pub graph: graph::Settings,
    pub settings: Settings,
    /// Has the writer sign the ledger.
    pub sign: Sign,
    /// This machine's time, which stands in until a server has told its own.
    pub local_now: Timestamp,
    /// Turns true when no new work is to begin.
    pub stop: watch::Receiver<bool>,
    pub observer: Arc<dyn Observer>,
}

/// The contract's summary of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub sources: Vec<SourceReport>,
    pub left_out: Vec<LeftOut>,
    pub requests: u64,
    pub retries: u64,
    pub throttled_s: f64,
    pub elapsed_s: f64,
    /// Spans that passed Graph's retention uncovered since the run before.
    pub newly_lost: Vec<Span>,
    /// Of sources that are still far behind: what will and what will not be had in time at the rate of this run.
    pub outlook: Vec<Outlook>,
    /// Months that were sealed at its end; whoever has the writer does that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sealed: Vec<Sealed>,
    /// Whether the ledger's checkpoint could not be put where it is to be kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub checkpoint_kept_back: bool,
    /// The ledger's checkpoint, where it is to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// How far Graph's clock is ahead of this machine's, where that is worth telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_off_s: Option<i64>,
    /// Of a service: when something is due again, by Graph's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Timestamp>,
    /// How long that is from the end of the round on: what the local clock says does not matter.
    #[serde(skip)]
    pub wait: Age,
}

/// A source that was not pulled, because it cannot be.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    pub source: &'static str,
    pub why: String,
    /// Whether it was asked for by name.
    #[serde(skip)]
    pub asked_for: bool,
    #[serde(skip)]
    pub error: Error,
}

/// A round that is over, but for the note in the archive of how it ended.
pub struct Closing {
    writer: ArchiveWriter,
    run: RunId,
    now: Timestamp,
    rows_made: archive::Result<u64>,
    indexed: follow::Result<u64>,
    signing: Signing,
    retention: Option<Retention>,
}

impl Closing {
    /// The archive's one writer, and Graph's time: for what is to be done before the round is over.
    pub fn writer(&mut self) -> (&mut ArchiveWriter, Timestamp) {
        (&mut self.writer, self.now)
    }

    /// Notes how the round ended and leaves the archive as one file. `after` gets the writer when all is entered.
    ///
    /// # Errors
    /// Also what was wrong with older records or the index all along: new records are safe all the same.
    pub fn end(mut self, exit_code: u8, report: &str, after: &mut dyn FnMut(&mut ArchiveWriter)) -> Result<()> {
        self.writer.end_run(self.run, (exit_code, report), self.retention.as_ref(), self.now)?;
        match self.writer.train_dictionary(self.now) {
            Ok(Some(trial)) => tracing::debug!(?trial, "a dictionary was tried"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no dictionary could be trained; frames go on with the one in use"),
        }
        after(&mut self.writer);
        self.writer.checkpoint()?;
        self.rows_made?;
        self.indexed?;
        Ok(self.signing.trouble()?)
    }
}

/// Runs a round to its end.
///
/// # Errors
/// What keeps it from beginning: a host, a credential, another writer. What stops it later is in the outcome.
pub async fn round(setup: Setup, round: &Round) -> Result<(Result<Summary>, Closing)> {
    let Setup { folder, cloud, graph, settings, sign, local_now, stop, observer } = setup;
    let settings = Settings { reach: round.reach, ..settings };
    let begun = Instant::now();
    let client = graph::Client::new(graph, observer.clone())?;
    // A wrong secret must not leave a folder behind, and a second writer must not bother the login host.
    let mut writer = folder.exists().then(|| ArchiveWriter::open(&folder, local_now)).transpose()?;
    let roles = tokio::select! {
        roles = client.sign_in() => roles?,
        () = stopped(stop.clone()) => return Err(Error::Stopped),
    };
    let now = client.server_time().unwrap_or(local_now);
    let clock_off = now - (local_now + Age::from(begun.elapsed()));
    let mut writer = match writer.take() {
        Some(writer) => writer,
        None => ArchiveWriter::open_or_create(&folder, now)?,
    };
    let signing = sign(&mut writer, now)?;
    // Damage in what is stored must not keep new records out; it is told at the end.
    let rows_made = writer.derive_missing(&mut |_| if *stop.borrow() { Break(()) } else { Continue(()) });
    writer.ask_for(&round.asked_for)?;
    let command = match round.reach {
        Reach::Everything => "sync",
        Reach::Queue | Reach::AskedFor => "retry",
        Reach::Hints => "listen",
    };
    let run = writer.begin_run(command, now)?;
    let archive = Archive::open(&folder)?;
    let follower = settings.follows.then(|| Follower::start(&folder));
    let (scribe, desk) =
        if settings.in_place { Scribe::in_place(writer, follower) } else { Scribe::start(writer, follower) };
    let work_stop = stop.clone();
    let work = sync::Context { folder, graph: client.clone(), scribe, observer, stop, settings };

    let outcome = sources(&work, &archive, &roles, cloud, round, local_now).await;
    drop(work);
    let (writer, follower) = desk.finish()?;
    let is_stopping = *work_stop.borrow();
    let indexed = follower.map_or(Ok(0), if is_stopping { Follower::leave } else { Follower::finish });

    let now = client.server_time().unwrap_or(local_now);
    let outcome = outcome.and_then(|(sources, left_out)| {
        let names = |source: &Source| sources.iter().any(|report| report.source == source.name());
        let pulled = Source::ALL.into_iter().filter(names);
        let next_due = settings.due_only.then(|| due::next(&archive, pulled, now, &settings.policy)).transpose()?;
        let graph::Totals { requests, retries, throttled_s } = client.requests();
        let newly_lost = newly_lost(&archive, &round.named, now, &settings.policy.retention)?;
        let elapsed_s = begun.elapsed().as_secs_f64();
        let wait = next_due.map_or(Age::default(), |due| due.max(now) - now);
        Ok(Summary {
            sources,
            left_out,
            requests,
            retries,
            throttled_s,
            elapsed_s,
            newly_lost,
            outlook: Vec::new(),
            sealed: Vec::new(),
            checkpoint_kept_back: false,
            checkpoint: None,
            clock_off_s: (Age(clock_off.0.abs()) > graph::CLOCK_TOLERANCE).then(|| clock_off.whole_seconds()),
            next_due,
            wait,
        })
    });
    // What notifications brought says nothing of what is covered.
    let retention = (round.reach != Reach::Hints).then_some(settings.policy.retention);
    Ok((outcome, Closing { writer, run, now, rows_made, indexed, signing, retention }))
}

/// Returns when a stop is asked for, and else never.
async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Whoever could ask is gone.
        std::future::pending::<()>().await;
    }
}

/// Syncs each source. One that cannot be had is left out and stops no other.
async fn sources(
    work: &sync::Context,
    archive: &Archive,
    roles: &[String],
    cloud: Cloud,
    Round { named, ask, .. }: &Round,
    local_now: Timestamp,
) -> Result<(Vec<SourceReport>, Vec<LeftOut>)> {
    let (mut reports, mut left_out) = (Vec::new(), Vec::new());
    for source in Source::ALL.into_iter().filter(|source| named.is_empty() || named.contains(source)) {
        let permission = source.permission();
        let lack = if !cloud.has(source) {
            Lack::Cloud(cloud)
        } else if !roles.is_empty() && !source.is_permitted(roles) {
            // A token whose roles can be read tells before the first request; else the first refusal does.
            Lack::Permission(permission)
        } else {
            match sync::sync(work, archive, source, ask, local_now).await {
                Ok(report) => {
                    reports.push(report);
                    continue;
                }
                Err(Error::Graph(graph::Error::Forbidden { refusal, .. })) if !roles.is_empty() => {
                    Lack::Refused { permission, refusal }
                }
                Err(Error::Graph(graph::Error::Forbidden { .. })) => Lack::Permission(permission),
                Err(Error::LeftOut { why, .. }) => why,
                Err(error) => return Err(error),
            }
        };
        let error = Error::LeftOut { source_name: source, why: lack };
        let (source, why) = (source.name(), error.to_string());
        left_out.push(LeftOut { source, why, asked_for: !named.is_empty(), error });
    }
    Ok((reports, left_out))
}

/// What passed Graph's retention uncovered since the last run that could say so. Records lost one by one are in the report of
/// their own run.
fn newly_lost(archive: &Archive, named: &[Source], now: Timestamp, retention: &Retention) -> Result<Vec<Span>> {
    let mut lost = Vec::new();
    let meant = |source: &Source| source.is_of_events() && (named.is_empty() || named.contains(source));
    for source in Source::ALL.into_iter().filter(meant) {
        let facts = Facts { lost: Vec::new(), ..archive.facts(source)? };
        let spans = coverage(source, &facts, now, retention).lost;
        // Microsoft's clock comes in whole seconds and may seem to go back by one.
        let before = archive.last_reporting_sync(source)?.map(|ended| ended + Age::seconds(2));
        let known = before
            .map_or_else(Vec::new, |ended| vec![Span::new(Timestamp(i64::MIN), ended - retention.certain(source))]);
        lost.extend(subtract(&spans, &known));
    }
    Ok(lost)
}
