//! Brings the archive up to date with Graph.

mod due;
pub mod fetch;
mod hints;
pub mod keeper;
pub mod list;
mod log;
pub mod outlook;
mod people;
pub mod plan;
pub mod round;
pub mod scribe;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use crate::{
    archive::{self, Archive, Folder},
    follow,
    graph::{self, Cloud},
    model::{
        event::{Event, Observer},
        source::{Protocol, Source},
        time::{Age, Timestamp},
    },
    sync::{
        fetch::{Pass, Tried},
        plan::{Ask, Known, NEWEST, Policy, Window, plan},
        scribe::Scribe,
    },
};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// Credentials or permission were good when the list was read and are not any more.
    #[error(transparent)]
    Withdrawn(graph::Error),
    #[error("{source_name} is left out: {why}")]
    LeftOut { source_name: Source, why: Lack },
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Writer(#[from] scribe::Gone),
    #[error(transparent)]
    Index(#[from] follow::Error),
    /// A stop was asked for before anything was begun.
    #[error("stopped before it began")]
    Stopped,
}

/// Why a source is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Lack {
    #[error("the cloud {0} does not have it")]
    Cloud(Cloud),
    #[error("the app lacks the permission {0}")]
    Permission(&'static str),
    /// The token has the permission, and Graph refuses all the same.
    #[error("Graph refuses it, though the app has the permission {permission}: {refusal}")]
    Refused { permission: &'static str, refusal: graph::Refusal },
    /// This cloud, or this Graph of today, does not have it.
    #[error("Graph does not have {source_name}: {cause}")]
    NotServed { source_name: Source, cause: graph::Error },
}

impl From<scribe::Error> for Error {
    fn from(error: scribe::Error) -> Self {
        match error {
            scribe::Error::Archive(error) => Error::Archive(error),
            scribe::Error::Gone(gone) => Error::Writer(gone),
        }
    }
}

/// What a source brought: the contract's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    pub source: String,
    /// Graph has it in its beta version only.
    pub beta: bool,
    /// Windows listed to their end.
    pub windows: u64,
    /// Rows of the lists.
    pub listed: u64,
    /// Records fetched whole.
    pub fetched: u64,
    /// Versions stored.
    pub new_versions: u64,
    /// Rows whose version the archive had already.
    pub unchanged: u64,
    /// Records that could not be fetched and stay on the list.
    pub failed: u64,
    /// Records that Graph listed and has no more.
    pub lost: u64,
    /// Ids taken over from notifications.
    #[serde(skip_serializing_if = "is_zero")]
    pub hinted: u64,
    /// Of ids that notifications brought: those that Graph had not got for as long as it keeps a record.
    #[serde(skip_serializing_if = "is_zero")]
    pub unfounded: u64,
    /// Windows that could not be listed to their end.
    pub windows_failed: u64,
    /// Whether a stop was asked for before all was done.
    pub stopped: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the parts of a sync share.
#[derive(Clone)]
pub struct Context {
    pub folder: Folder,
    pub graph: graph::Client,
    pub scribe: Scribe,
    pub observer: Arc<dyn Observer>,
    /// Turns true when no new work is to begin.
    pub stop: watch::Receiver<bool>,
    pub settings: Settings,
}

/// How a sync goes about its work.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub policy: Policy,
    /// Records fetched at a time.
    pub concurrency: usize,
    /// Waits before a record that Graph does not have yet is asked for again, within one run.
    pub look_again: [std::time::Duration; 3],
    /// Whether records that failed lately wait for their time, as in a service, or are tried at once.
    pub due_only: bool,
    /// Whether the search index is kept up meanwhile; else it is made up for later.
    pub follows: bool,
    /// Whether one step comes after another on the caller's thread: slower, and each time the same. Else blocking work and the
    /// writer have threads of their own.
    pub in_place: bool,
    pub reach: Reach,
    /// How long a run works on old time before it looks at today.
    pub keep_up: Age,
    /// How long a run that fetches what notifications bring goes on after the last of them, and in all.
    pub hints: HintWaits,
}

/// Such a run ends, so that others may write, and so that what failed in it has its next turn.
#[derive(Clone, Copy, Debug)]
pub struct HintWaits {
    pub idle: std::time::Duration,
    pub longest: std::time::Duration,
}

/// What a sync does of its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Lists what is due, and fetches the to-do list.
    #[default]
    Everything,
    /// Fetches the to-do list as it stands.
    Queue,
    /// Fetches what somebody asked for by name.
    AskedFor,
    /// Fetches what notifications bring, for as long as they do.
    Hints,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = std::time::Duration::from_secs;
        Self {
            policy: Policy::default(),
            // 75 requests a second, answered within 0.4 s each, are 30 on the way.
            concurrency: 32,
            look_again: [seconds(1), seconds(2), seconds(4)],
            due_only: false,
            follows: true,
            in_place: false,
            reach: Reach::default(),
            keep_up: Age::hours(1),
            hints: HintWaits { idle: seconds(10), longest: seconds(120) },
        }
    }
}

impl Context {
    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Graph's time where it is known, else `local`.
    fn now(&self, local: Timestamp) -> Timestamp {
        self.graph.server_time().unwrap_or(local)
    }
}

/// Pulls whatever of `source` is due and not yet covered.
///
/// Stopping anywhere loses nothing: the next run goes on from there. A record or window that fails is counted and stops no
/// other.
///
/// # Errors
/// What stops everything: credentials, a missing permission, an archive that cannot be written. [`Error::LeftOut`] where this
/// cloud does not have the source.
pub async fn sync(
    context: &Context,
    archive: &Archive,
    source: Source,
    ask: &Ask,
    local_now: Timestamp,
) -> Result<SourceReport> {
    let mut report = SourceReport { source: source.name().into(), beta: source.is_beta(), ..SourceReport::default() };
    match source.protocol() {
        Protocol::Records => records(context, archive, source, ask, local_now, &mut report).await?,
        Protocol::Log(_) => log::pull(context, archive, source, ask, local_now, &mut report).await?,
        Protocol::Delta => people::pull(context, archive, local_now, &mut report).await?,
    }
    report.stopped = context.is_stopping();
    Ok(report)
}

/// Plans what is due, nearest deadline first; lists it, whereby ids go on the to-do list; and fetches the to-do list meanwhile, since
/// a list is read page after page and leaves most of the budget unused. While old time takes long, today is looked at in
/// between.
async fn records(
    context: &Context,
    archive: &Archive,
    source: Source,
    ask: &Ask,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<()> {
    let windows = match context.settings.reach {
        Reach::Everything => windows(context, archive, source, ask, local_now)?,
        Reach::Queue | Reach::AskedFor | Reach::Hints => Vec::new(),
    };
    let is_whole = context.settings.reach == Reach::Everything && *ask == Ask::default();
    let mut today = Today::new(context, is_whole, local_now);
    let mut tried = Tried::default();
    let mut lists = SourceReport::default();
    let (pages, listed) = watch::channel(());
    let listing = async {
        hints::take(context, source, local_now, &mut lists, &pages).await?;
        list_all(context, source, windows, local_now, &mut lists, pages).await
    };
    let fetching = work_off(context, archive, source, local_now, report, (&mut tried, &mut today, Some(listed)));
    let outcome = tokio::try_join!(listing, fetching);
    report.windows += lists.windows;
    report.listed += lists.listed;
    report.unchanged += lists.unchanged;
    report.windows_failed += lists.windows_failed;
    report.hinted += lists.hinted;
    outcome?;
    work_off(context, archive, source, local_now, report, (&mut tried, &mut today, None)).await
}

/// Lists windows one after the other; `pages` ends with the last.
async fn list_all(
    context: &Context,
    source: Source,
    windows: Vec<Window>,
    local_now: Timestamp,
    report: &mut SourceReport,
    pages: watch::Sender<()>,
) -> Result<()> {
    for window in windows {
        if context.is_stopping() {
            break;
        }
        list::list(context, source, window, local_now, report, &pages).await?;
    }
    Ok(())
}

/// The to-do list, oldest first, with looks at today in between: as long as more is listed, else to the end.
async fn work_off(
    context: &Context,
    archive: &Archive,
    source: Source,
    local_now: Timestamp,
    report: &mut SourceReport,
    (tried, today, listed): (&mut Tried, &mut Today, Option<watch::Receiver<()>>),
) -> Result<()> {
    loop {
        let pass =
            Pass { from: Timestamp(i64::MIN), until: today.due, listed: listed.clone(), to_the_end: listed.is_none() };
        let is_done = fetch::fetch(context, archive, source, local_now, report, (tried, pass)).await?;
        if is_done || context.is_stopping() {
            return Ok(());
        }
        let Some(from) = today.look(context, local_now) else { return Ok(()) };
        hints::take(context, source, local_now, report, &watch::Sender::new(())).await?;
        for window in windows(context, archive, source, &Ask { from: Some(from), to: None }, local_now)? {
            if context.is_stopping() {
                return Ok(());
            }
            list::list(context, source, window, local_now, report, &watch::Sender::new(())).await?;
        }
        // What is old has its deadline: it gets four fifths of the time.
        let until = context.now(local_now) + Age(context.settings.keep_up.0 / 4);
        let pass = Pass { from, until, listed: None, to_the_end: false };
        fetch::fetch(context, archive, source, local_now, report, (tried, pass)).await?;
        today.looked(context, local_now);
    }
}

/// When a run that goes on for hours looks at today again.
///
/// After an outage of weeks the oldest days come first, since Graph forgets them first; catching up a large tenant takes a day, and new
/// calls would be seen a day late. So each hour the time since the last look is listed and what is new of it fetched, with the three
/// hours before it, in which calls may still have appeared.
struct Today {
    /// Up to when today is known.
    seen: Timestamp,
    due: Timestamp,
    is_kept_up: bool,
}

impl Today {
    fn new(context: &Context, is_kept_up: bool, local_now: Timestamp) -> Self {
        let now = context.now(local_now);
        let due = if is_kept_up { now + context.settings.keep_up } else { Timestamp(i64::MAX) };
        Self { seen: now, due, is_kept_up }
    }

    /// Begins a look; returns from when on time is to be listed.
    fn look(&mut self, context: &Context, local_now: Timestamp) -> Option<Timestamp> {
        let from = (self.seen - NEWEST).floor_to(Age::hours(1));
        self.seen = context.now(local_now);
        self.is_kept_up.then_some(from)
    }

    fn looked(&mut self, context: &Context, local_now: Timestamp) {
        self.due = context.now(local_now) + context.settings.keep_up;
    }
}

/// What is due of a source that is listed by time.
fn windows(
    context: &Context,
    archive: &Archive,
    source: Source,
    ask: &Ask,
    local_now: Timestamp,
) -> Result<Vec<Window>> {
    let now = context.now(local_now);
    let policy = &context.settings.policy;
    let horizon = now - policy.retention.reach(source);
    let known_rows = due::known_rows(archive, source, horizon)?;
    let listings = archive.listings_since(source, ask.from.map_or(horizon, |from| from.min(horizon)))?;
    let windows = plan(source, now, Known { listings: &listings, rows: known_rows }, ask, policy);
    context.observer.event(&Event::Planned { source, windows: windows.len() });
    Ok(windows)
}
