//! How things stand with a service: read from the archive, its runs and its inbox, for whoever judges or tells of it.
//!
//! Read from what is stored and never from what is configured: a service that does nothing leaves nothing to read.

use std::{collections::BTreeMap, ops::ControlFlow, time::SystemTime};

use serde::Deserialize;

use crate::{
    archive::{self, Archive, Folder, inbox, runs::Run},
    model::{
        relisting::Policy,
        source::Source,
        time::{Age, Span, Timestamp, subtract},
    },
    status::{Status, View, status},
};

/// What was lost within this age is news.
const NEWS: Age = Age::days(1);
/// Runs that are looked through for the last that went well.
const RUNS_MAX: usize = 1_000;

/// Archive and inbox at a moment.
#[derive(Debug)]
pub struct Standing {
    /// Graph's time, as far as it is known; times in the archive and of subscriptions' ends go by it.
    pub now: Timestamp,
    /// This machine's time; the inbox goes by it.
    pub local_now: Timestamp,
    pub archive: Held,
    /// `None` where there was never a receiver; or why it cannot be read.
    pub inbox: Result<Option<inbox::Facts>, String>,
    pub inbox_bytes: u64,
    /// Whether a receiver of notifications runs.
    pub has_receiver: bool,
}

/// What is known of an archive.
#[derive(Debug)]
pub enum Held {
    /// None was made yet.
    Missing,
    /// There is one, and why it cannot be read.
    Unreadable(String),
    There(Box<There>),
}

/// An archive that can be read.
#[derive(Debug, Default)]
pub struct There {
    pub status: Status,
    /// The start of the newest record of each source that has any, by name.
    pub newest: BTreeMap<String, Timestamp>,
    /// Of each source what passed Graph's retention uncovered within the last day, by name.
    pub newly_lost: BTreeMap<String, Vec<Span>>,
    pub rounds: Rounds,
    /// Whether a run is at work: it has not ended, and somebody writes.
    pub is_at_work: bool,
    /// When something was last written, by this machine's clock.
    pub written: Option<Timestamp>,
}

/// What the runs of services say.
#[derive(Debug, Default)]
pub struct Rounds {
    /// The end of the last `sync` that listed all that it set out to list.
    pub succeeded: Option<Timestamp>,
    /// The same of each source, by name.
    pub succeeded_by_source: BTreeMap<String, Timestamp>,
    /// Runs of `sync` since that one, those that died included.
    pub failed_in_a_row: u64,
    /// The last run of each command that has ended, and what it said of itself.
    pub last: BTreeMap<String, (Run, Told)>,
    /// Whether the newest run has not ended.
    pub is_open: bool,
}

/// What a run's report says that is looked at here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    pub throttled_s: f64,
    pub elapsed_s: f64,
    sources: Vec<ToldOfSource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ToldOfSource {
    source: String,
    windows_failed: u64,
    stopped: bool,
}

impl Standing {
    /// Reads how things stand in `folder`.
    #[must_use]
    pub fn read(folder: &Folder, local_now: Timestamp, policy: &Policy) -> Self {
        let (now, archive) = match Archive::open(folder) {
            Err(archive::Error::Missing(_)) => (local_now, Held::Missing),
            Err(error) => (local_now, Held::Unreadable(error.to_string())),
            Ok(archive) => {
                let now = archive.graph_now(local_now).unwrap_or(local_now);
                let read = There::read(&archive, now, policy);
                (now, read.map_or_else(|error| Held::Unreadable(error.to_string()), |there| Held::There(there.into())))
            }
        };
        Self {
            now,
            local_now,
            archive,
            inbox: inbox::facts(folder).map_err(|error| error.to_string()),
            inbox_bytes: inbox::bytes(folder),
            has_receiver: folder.has_receiver().unwrap_or(false),
        }
    }
}

impl There {
    fn read(archive: &Archive, now: Timestamp, policy: &Policy) -> archive::Result<Self> {
        archive.at_one_moment(|| {
            let status = status(archive, now, policy, &View::default())?;
            let rounds = Rounds::read(archive)?;
            let (mut newest, mut newly_lost) = (BTreeMap::new(), BTreeMap::new());
            for source in Source::ALL {
                newest.extend(archive.newest_start(source)?.map(|start| (source.name().to_owned(), start)));
            }
            for one in &status.sources {
                let of_source = Source::ALL.into_iter().find(|source| source.name() == one.source);
                let retained = of_source.map_or(Age::default(), |source| policy.retention.certain(source));
                // Records lost one by one are told of by themselves.
                let hours: Vec<_> = one.lost_records.iter().map(|lost| hour_of(lost.start)).collect();
                let mut spans = subtract(&one.lost, &hours);
                spans.retain(|span| span.to + retained > now - NEWS && span.to + retained <= now);
                if !spans.is_empty() {
                    newly_lost.insert(one.source.clone(), spans);
                }
            }
            let is_at_work = rounds.is_open && archive.folder().is_in_use().unwrap_or(false);
            Ok(Self { status, newest, newly_lost, rounds, is_at_work, written: archive.written().map(time_of) })
        })
    }
}

fn hour_of(start: Timestamp) -> Span {
    let from = start.floor_to(Age::hours(1));
    Span::new(from, from + Age::hours(1))
}

fn time_of(time: SystemTime) -> Timestamp {
    Timestamp(0) + Age::from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

impl Rounds {
    fn read(archive: &Archive) -> archive::Result<Self> {
        let mut rounds = Self::default();
        let mut seen = 0;
        archive.each_run(&mut |run, report| {
            rounds.take(run, report, seen == 0);
            seen += 1;
            // What no run of late had, as logs without permission, is not looked for down to the first run.
            if seen < RUNS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(rounds)
    }

    /// Takes a run into account; they come newest first.
    fn take(&mut self, run: Run, report: &str, is_newest: bool) {
        let Some(ended) = run.ended else {
            // One that is at work may still go well; one that died has not.
            self.is_open |= is_newest;
            self.failed_in_a_row += u64::from(run.command == "sync" && !is_newest && self.succeeded.is_none());
            return;
        };
        let (is_sync, is_last) = (run.command == "sync", !self.last.contains_key(&run.command));
        if !is_sync && !is_last {
            return;
        }
        // One that failed has no report but its error.
        let may_tell = matches!(run.exit_code, Some(0 | 3 | 7));
        let told: Told = if may_tell { serde_json::from_str(report).unwrap_or_default() } else { Told::default() };
        if is_sync {
            let is_whole = |one: &ToldOfSource| one.windows_failed == 0 && !one.stopped;
            for one in told.sources.iter().filter(|one| is_whole(one)) {
                self.succeeded_by_source.entry(one.source.clone()).or_insert(ended);
            }
            if !told.sources.is_empty() && told.sources.iter().all(is_whole) {
                self.succeeded.get_or_insert(ended);
            }
            self.failed_in_a_row += u64::from(self.succeeded.is_none());
        }
        if is_last {
            self.last.insert(run.command.clone(), (run, told));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, ended_s: Option<i64>, exit_code: Option<u8>) -> Run {
        let ended = ended_s.map(Timestamp::from_second);
        Run { command: command.into(), begun: Timestamp::from_second(ended_s.unwrap_or(0)), ended, exit_code }
    }

    fn taken(runs: &[(Run, &str)]) -> Rounds {
        let mut rounds = Rounds::default();
        for (place, (run, report)) in runs.iter().enumerate() {
            rounds.take(run.clone(), report, place == 0);
        }
        rounds
    }

    #[test]
    fn a_round_went_well_when_it_listed_all_that_it_set_out_to_list() {
        let whole = r#"{"sources":[{"source":"calls","windows_failed":0},{"source":"sms","windows_failed":0}],"throttled_s":2.5}"#;
        let half = r#"{"sources":[{"source":"calls","windows_failed":0},{"source":"sms","windows_failed":1}]}"#;
        let stopped = r#"{"sources":[{"source":"calls","stopped":true}]}"#;
        let rounds = taken(&[
            (run("listen", Some(60), Some(0)), whole),
            (run("sync", Some(50), Some(3)), stopped),
            (run("sync", Some(40), Some(4)), "the secret has run out"),
            (run("sync", None, None), ""),
            (run("sync", Some(30), Some(3)), half),
            (run("sync", Some(20), Some(0)), whole),
            (run("sync", Some(10), Some(1)), "out of memory"),
        ]);
        let at = Timestamp::from_second;
        assert_eq!(rounds.succeeded, Some(at(20)), "what notifications brought proves nothing");
        let by_source: Vec<_> =
            rounds.succeeded_by_source.iter().map(|(name, ended)| (name.as_str(), *ended)).collect();
        assert_eq!(by_source, [("calls", at(30)), ("sms", at(20))]);
        assert_eq!(rounds.failed_in_a_row, 4);
        assert_eq!((rounds.last["sync"].0.exit_code, rounds.last["listen"].1.throttled_s), (Some(3), 2.5));
        assert!(!rounds.is_open);
    }

    #[test]
    fn a_run_that_has_not_ended_is_at_work_only_if_it_is_the_newest() {
        assert!(taken(&[(run("sync", None, None), ""), (run("sync", Some(1), Some(0)), "{}")]).is_open);
        let whole = r#"{"sources":[{"source":"calls"}]}"#;
        let died = taken(&[(run("sync", Some(9), Some(0)), whole), (run("sync", None, None), "")]);
        assert_eq!((died.is_open, died.failed_in_a_row), (false, 0));
    }
}
