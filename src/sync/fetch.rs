//! The to-do list into the archive, nearest deadline first, a bounded number at a time.

use std::{
    any::Any,
    collections::HashSet,
    future,
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{self, JoinSet},
    time,
};

use crate::{
    archive::{
        self, Archive,
        batch::{Kept, Prepared},
        frame::{Dictionary, FrameWriter},
        todo::{AT_ONCE, Place, Todo},
    },
    graph,
    model::{
        document::Document,
        event::Event,
        id::RecordKey,
        source::Source,
        time::{Age, Timestamp},
    },
    sync::{Context, Error, Reach, Result, SourceReport},
};

/// Rows of the to-do list read at a time.
const CHUNK: usize = 256;
/// Bodies that may be in memory between the network and the disk.
const IN_FLIGHT_KIB: u32 = 24 * 1024;
/// Bodies up to here are made ready on the task's own thread, which takes less than a millisecond: handing them to another costs a
/// tenth of it, and each thread that makes records ready keeps memory for the largest that it ever had.
const IN_PLACE_BYTES: usize = 128 << 10;
/// How long a record in hand may take to finish once a stop was asked for.
const FINISH: Duration = Duration::from_secs(5);
/// First and longest wait before a service tries a failed record again.
const RETRY_FIRST: Age = Age::minutes(1);
const RETRY_LONGEST: Age = Age::hours(6);
/// When a hinted record that brought nothing new is looked at once more: the replica asked may have lagged behind the notification.
const HINT_AGAIN: Age = Age::minutes(2);
/// How long a record is asked for that a notification alone announces and Graph does not have: if it is to be had at all, a list shows it.
const HINT_GIVEN_UP: Age = Age::days(3);
/// How often at least, whatever the start: an update of an old call is announced as well, and a single 404 may be a hiccup.
const HINT_TRIES_MIN: u32 = 4;

/// Refusals of single records after which the permission is taken for gone.
const FORBIDDEN_MAX: u32 = 20;

/// How fetching one record ended.
enum Outcome {
    Kept {
        kept: Kept,
        raw_bytes: usize,
        unfollowed: usize,
    },
    /// It may be had later.
    Failed(Failure),
    /// Graph no longer has it.
    Gone,
    /// Nothing can be had: credentials, the archive.
    Fatal(Error),
}

/// Why a record could not be had now.
struct Failure {
    error: graph::Error,
    /// Whether another try within this run may well succeed.
    soon: bool,
}

/// What a run remembers of the records it tried: bounded by its failures.
#[derive(Default)]
pub(super) struct Tried {
    /// Those that failed: they stay on the list and are not tried again for every window.
    failed: HashSet<RecordKey>,
    /// Those of them that are worth asking for again at the end of the run.
    again: Vec<Todo>,
    /// Records refused in a row.
    forbidden: u32,
}

/// Limits on what is in hand.
struct Bounds {
    records: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// What part of a to-do list is fetched, and how thoroughly.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    /// Only records that started at or after.
    pub(super) from: Timestamp,
    /// No record is begun after this time of Graph's.
    pub(super) until: Timestamp,
    /// Changes while more is put on the list, and ends when that ends: until then the pass goes on.
    pub(super) listed: Option<watch::Receiver<()>>,
    /// Whether records that Graph does not have *yet* are asked for a few times more.
    pub(super) to_the_end: bool,
}

/// Hands out at most so many records of the to-do list of which the predicate says that nobody has them; an empty list when there are no
/// more, and nothing when no more are to be begun.
type More<'a> = dyn FnMut(usize, &dyn Fn(&RecordKey) -> bool) -> archive::Result<Option<Vec<Todo>>> + 'a;

/// Fetches and stores what is on the to-do list of `source` and was not tried in this run; says whether all of it was
/// taken up, or the time was over before.
pub(super) async fn fetch(
    context: &Context,
    archive: &Archive,
    source: Source,
    local_now: Timestamp,
    report: &mut SourceReport,
    (tried, pass): (&mut Tried, Pass),
) -> Result<bool> {
    let frames = Arc::new(Frames::new(archive.dictionary()?));
    let mut place: Place = (pass.from, None);
    let mut is_over = false;
    let waits = |todo: &Todo, now: Timestamp| match context.settings.reach {
        Reach::AskedFor => todo.due > AT_ONCE,
        // What is behind must not keep today's calls waiting.
        Reach::Hints => !todo.hinted || todo.due > now,
        _ => context.settings.due_only && todo.due > now,
    };
    let mut more = |limit: usize, is_free: &dyn Fn(&RecordKey) -> bool| {
        loop {
            let now = context.now(local_now);
            is_over = now >= pass.until;
            if is_over {
                return Ok(None);
            }
            let chunk = archive.todo_after(source.kind(), &place, limit)?;
            // At the end of the list it begins again: what is listed meanwhile may be older.
            place = chunk.last().map_or((pass.from, None), |last| (last.start, Some(last.key.clone())));
            let is_end = chunk.is_empty();
            let wanted: Vec<Todo> = chunk.into_iter().filter(|todo| is_free(&todo.key) && !waits(todo, now)).collect();
            if is_end || !wanted.is_empty() {
                return Ok(Some(wanted));
            }
        }
    };
    let listed = pass.listed.clone();
    let again = work_off(context, source, &frames, local_now, report, (tried, listed), &mut more).await?;
    tried.again.extend(again);
    if is_over || !pass.to_the_end {
        return Ok(!is_over);
    }
    let mut again = std::mem::take(&mut tried.again);
    let mut stop = context.stop.clone();
    for wait in context.settings.look_again {
        if again.is_empty() || context.is_stopping() {
            break;
        }
        let _ = time::timeout(wait, stop.wait_for(|stop| *stop)).await;
        report.failed -= again.len() as u64;
        for todo in &mut again {
            // As it is on the list by now: it may have been announced while this waited.
            todo.due = archive.todo_due(&todo.key)?.unwrap_or(todo.due);
        }
        let mut left = again.into_iter();
        let mut more = |limit: usize, _: &dyn Fn(&RecordKey) -> bool| Ok(Some(left.by_ref().take(limit).collect()));
        again = work_off(context, source, &frames, local_now, report, (tried, None), &mut more).await?;
    }
    Ok(true)
}

/// Fetches what `more` hands out, as long as more is `listed`; returns the records worth asking for again soon.
async fn work_off(
    context: &Context,
    source: Source,
    frames: &Arc<Frames>,
    local_now: Timestamp,
    report: &mut SourceReport,
    (tried, mut listed): (&mut Tried, Option<watch::Receiver<()>>),
    more: &mut More<'_>,
) -> Result<Vec<Todo>> {
    let bounds = Bounds {
        records: Arc::new(Semaphore::new(context.settings.concurrency)),
        kib: Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize)),
    };
    let mut stop = context.stop.clone();
    let mut waiting = Vec::new().into_iter();
    let mut in_hand: JoinSet<(Todo, Outcome)> = JoinSet::new();
    let mut held: HashSet<RecordKey> = HashSet::new();
    let mut again = Vec::new();
    let mut drained = false;
    loop {
        if waiting.len() == 0 && !drained {
            let is_free = |key: &RecordKey| !(tried.failed.contains(key) || held.contains(key));
            let chunk = more(CHUNK, &is_free)?;
            if chunk.is_none() {
                listed = None;
            }
            waiting = chunk.unwrap_or_default().into_iter();
            drained = waiting.len() == 0;
        }
        if context.is_stopping() || (drained && in_hand.is_empty() && listed.is_none()) {
            break;
        }
        tokio::select! {
            biased;
            Some(finished) = in_hand.join_next() => {
                if let Ok((todo, _)) = &finished {
                    held.remove(&todo.key);
                }
                settle(context, source, finished, local_now, report, (tried, &mut again)).await?;
            }
            Ok(permit) = Arc::clone(&bounds.records).acquire_owned(), if waiting.len() > 0 => {
                if let Some(todo) = waiting.next() {
                    let (context, frames) = (context.clone(), Arc::clone(frames));
                    let kib = Arc::clone(&bounds.kib);
                    held.insert(todo.key.clone());
                    in_hand.spawn(async move {
                        let fetching = one(&context, source, &todo, &frames, local_now, permit, kib);
                        let outcome = AssertUnwindSafe(fetching).catch_unwind().await;
                        let outcome = outcome.unwrap_or_else(|panic| ended_unexpectedly(&todo, &*panic));
                        (todo, outcome)
                    });
                }
            }
            more_listed = changed(&mut listed), if drained => {
                drained = false;
                if !more_listed {
                    listed = None;
                }
            }
            Ok(()) = stop.changed() => {}
        }
    }
    finish_in_hand(context, source, in_hand, local_now, report, (tried, &mut again)).await?;
    Ok(again)
}

/// Waits for a change; `false` when there will be none any more. Where there never will be one, for ever.
async fn changed(listed: &mut Option<watch::Receiver<()>>) -> bool {
    match listed {
        Some(listed) => listed.changed().await.is_ok(),
        None => future::pending().await,
    }
}

/// Lets records in hand finish, but not for ever once a stop was asked for: a record dropped here stays on the list.
async fn finish_in_hand(
    context: &Context,
    source: Source,
    mut in_hand: JoinSet<(Todo, Outcome)>,
    local_now: Timestamp,
    report: &mut SourceReport,
    (tried, again): (&mut Tried, &mut Vec<Todo>),
) -> Result<()> {
    let deadline = time::Instant::now() + FINISH;
    while let Ok(Some(finished)) = time::timeout_at(deadline, in_hand.join_next()).await {
        settle(context, source, finished, local_now, report, (&mut *tried, &mut *again)).await?;
    }
    Ok(())
}

/// Fetches one record, makes it ready off the async threads, and stores it.
async fn one(
    context: &Context,
    source: Source,
    todo: &Todo,
    frames: &Arc<Frames>,
    local_now: Timestamp,
    permit: OwnedSemaphorePermit,
    kib: Arc<Semaphore>,
) -> Outcome {
    let whole = match context.graph.whole(&todo.key.id, Some(todo.want_version)).await {
        Ok(whole) => whole,
        Err(error) => {
            let asked_for = if todo.hinted { HINT_GIVEN_UP } else { context.settings.policy.retention.certain(source) };
            let forgotten = context.now(local_now) - asked_for;
            return failure(error, todo, |start| start < forgotten);
        }
    };
    let unfollowed = whole.unfollowed;
    let raw_bytes = whole.document.raw_bytes();
    let needed = u32::try_from(raw_bytes / 1024 + 1).unwrap_or(IN_FLIGHT_KIB).min(IN_FLIGHT_KIB);
    // The semaphore is never closed.
    let _memory = kib.acquire_many_owned(needed).await.ok();
    // The network may take up the next record; from here on only memory is held.
    drop(permit);
    let prepared = match prepare(whole.document, Arc::clone(frames), context.settings.in_place).await {
        Ok(prepared) => prepared,
        Err(archive::Error::Unfit { source, .. }) => return unusable(todo, source.to_string()),
        // A defect of ours that this record brings out: it must not keep the others from being fetched.
        Err(archive::Error::Prepare { what, .. }) => return unusable(todo, what),
        Err(error) => return Outcome::Fatal(error.into()),
    };
    match context.scribe.keep(Prepared { due: Some(todo.due), ..prepared }).await {
        Ok(kept) => Outcome::Kept { kept, raw_bytes, unfollowed },
        Err(error) => Outcome::Fatal(error.into()),
    }
}

/// Makes documents ready, no more at a time than there are cores: a compressor with its dictionary takes megabytes, so there are
/// few, and they go from hand to hand.
struct Frames {
    dictionary: Option<Dictionary>,
    idle: Mutex<Vec<FrameWriter>>,
    turns: Semaphore,
}

impl Frames {
    fn new(dictionary: Option<Dictionary>) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { dictionary, idle: Mutex::default(), turns: Semaphore::new(cores) }
    }

    fn prepare(&self, document: &Document) -> archive::Result<Prepared> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut frames = idle.map_or_else(|| FrameWriter::new(self.dictionary.as_ref()), Ok)?;
        let prepared = Prepared::new(document, &mut frames);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(frames);
        prepared
    }
}

async fn prepare(document: Document, frames: Arc<Frames>, in_place: bool) -> archive::Result<Prepared> {
    if in_place || document.raw_bytes() <= IN_PLACE_BYTES {
        return frames.prepare(&document);
    }
    let key = document.key.clone();
    // Never closed: without a turn it would only be made ready beside more others.
    let _turn = frames.turns.acquire().await.ok();
    let ready = Arc::clone(&frames);
    task::spawn_blocking(move || ready.prepare(&document))
        .await
        .unwrap_or_else(|panic| Err(archive::Error::Prepare { key, what: panic.to_string() }))
}

/// What came cannot be stored: that is of this record alone.
fn unusable(todo: &Todo, reason: String) -> Outcome {
    let error = graph::Error::Malformed { url: todo.key.id.clone(), request_id: None, reason };
    Outcome::Failed(Failure { error, soon: false })
}

/// A panic is a defect of ours. The record stays on the list, and stops no other.
fn ended_unexpectedly(todo: &Todo, panic: &(dyn Any + Send)) -> Outcome {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    let what = said.unwrap_or("a panic that says nothing");
    tracing::error!(record = %todo.key, what, "fetching a record ended unexpectedly");
    unusable(todo, format!("fetching it ended unexpectedly: {what}"))
}

fn failure(error: graph::Error, todo: &Todo, is_past: impl Fn(Timestamp) -> bool) -> Outcome {
    match error {
        // One record that may not be read says nothing of the others; many in a row do.
        graph::Error::Forbidden { .. } => Outcome::Failed(Failure { error, soon: false }),
        error if error.is_unauthorised() => Outcome::Fatal(Error::Withdrawn(error)),
        graph::Error::NotFound { .. } if is_past(todo.start) && (!todo.hinted || todo.attempts >= HINT_TRIES_MIN) => {
            Outcome::Gone
        }
        error => {
            let soon = matches!(error, graph::Error::NotFound { .. } | graph::Error::Stale { .. });
            Outcome::Failed(Failure { error, soon })
        }
    }
}

/// Enters how a record ended into archive and report.
async fn settle(
    context: &Context,
    source: Source,
    finished: std::result::Result<(Todo, Outcome), task::JoinError>,
    local_now: Timestamp,
    report: &mut SourceReport,
    (tried, again): (&mut Tried, &mut Vec<Todo>),
) -> Result<()> {
    let (todo, outcome) = match finished {
        Ok(finished) => finished,
        Err(error) => {
            // Only where the runtime ends under it; the record stays on the list.
            tracing::error!(%error, "fetching a record was broken off");
            report.failed += 1;
            return Ok(());
        }
    };
    let now = context.now(local_now);
    let key: RecordKey = todo.key.clone();
    match outcome {
        Outcome::Kept { kept, raw_bytes, unfollowed } => {
            tried.forbidden = 0;
            report.fetched += 1;
            note_kept(context, &key, kept, raw_bytes, report);
            if todo.hinted && todo.attempts == 0 && matches!(kept, Kept::Known { .. }) {
                let todo = todo.clone();
                context.scribe.with(move |writer| writer.hint_again(&todo, now + HINT_AGAIN)).await?;
            }
            if unfollowed > 0 {
                let error = format!(
                    "{unfollowed} next links inside its sessions are not followed: stored, but perhaps not whole"
                );
                report.failed += 1;
                tried.failed.insert(key.clone());
                context.observer.event(&Event::Failed { key, cause: error.clone() });
                context.scribe.with(move |writer| writer.keep_on_list(&todo, &error, now)).await?;
            }
        }
        Outcome::Failed(Failure { error, soon }) => {
            if matches!(error, graph::Error::Forbidden { .. }) {
                tried.forbidden += 1;
                if tried.forbidden >= FORBIDDEN_MAX {
                    return Err(Error::Withdrawn(error));
                }
            }
            report.failed += 1;
            tried.failed.insert(key.clone());
            let cause = error.to_string();
            tracing::debug!(record = %key, error = cause, "not fetched");
            context.observer.event(&Event::Failed { key: key.clone(), cause: cause.clone() });
            let due = now + retry_wait(todo.attempts);
            context.scribe.with(move |writer| writer.note_failure(&key, &cause, due, now)).await?;
            if soon {
                again.push(todo);
            }
        }
        Outcome::Gone if todo.hinted => {
            report.unfounded += 1;
            tracing::warn!(record = %key, "a notification announced this record, no list did, and Graph never had it");
            context.scribe.with(move |writer| writer.lose(&key, todo.due, now)).await?;
        }
        Outcome::Gone => {
            let lost = key.clone();
            if context.scribe.with(move |writer| writer.lose(&lost, todo.due, now)).await?.is_some() {
                report.lost += 1;
                tracing::warn!(record = %key, source = %source, "Graph listed this record and no longer has it");
                context.observer.event(&Event::Lost { key });
            }
        }
        Outcome::Fatal(error) => return Err(error),
    }
    Ok(())
}

fn note_kept(context: &Context, key: &RecordKey, kept: Kept, raw_bytes: usize, report: &mut SourceReport) {
    match kept {
        Kept::Stored { version, .. } => {
            report.new_versions += 1;
            context.observer.event(&Event::Kept { key: key.clone(), version, raw_bytes });
        }
        Kept::Known { same_bytes } => {
            if !same_bytes {
                tracing::info!(record = %key, "Graph sent another document for a version already stored; the first is kept");
            }
            context.observer.event(&Event::Unchanged { key: key.clone() });
        }
    }
}

fn retry_wait(attempts: u32) -> Age {
    Age(RETRY_FIRST.0.saturating_mul(1_i64 << attempts.min(20))).min(RETRY_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{id::Version, kind::Kind};

    #[test]
    fn a_single_404_does_not_end_the_hint_of_an_old_call() {
        let not_found = || graph::Error::NotFound { url: String::new(), refusal: graph::Refusal::default() };
        let todo = |hinted, attempts| Todo {
            key: RecordKey { kind: Kind::Call, id: "a".into() },
            want_version: Version(0),
            start: Timestamp(0),
            due: Timestamp(0),
            attempts,
            last_error: None,
            hinted,
        };
        let is_gone = |todo: &Todo, is_past| matches!(failure(not_found(), todo, |_| is_past), Outcome::Gone);
        assert!(!is_gone(&todo(true, 0), true));
        assert!(is_gone(&todo(true, HINT_TRIES_MIN), true));
        assert!(!is_gone(&todo(true, HINT_TRIES_MIN), false));
        assert!(is_gone(&todo(false, 0), true));
    }
}
