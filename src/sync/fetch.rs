//! The to-do list into the archive, nearest deadline first, a bounded number at a time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{self, JoinSet},
    time,
};

use crate::{
    archive::{
        self, Archive,
        batch::{Kept, Prepared},
        frame::{Dictionary, FrameWriter},
        todo::{Place, Todo},
    },
    graph,
    model::{
        document::Document,
        event::Event,
        id::RecordKey,
        source::Source,
        time::{Age, Timestamp},
    },
    sync::{Context, Error, Result, SourceReport},
};

/// Rows of the to-do list read at a time.
const CHUNK: usize = 256;
/// Bodies that may be in memory between the network and the disk.
const IN_FLIGHT_KIB: u32 = 64 * 1024;
/// How long a record in hand may take to finish once a stop was asked for.
const FINISH: Duration = Duration::from_secs(10);
/// First and longest wait before a service tries a failed record again.
const RETRY_FIRST: Age = Age::minutes(1);
const RETRY_LONGEST: Age = Age::hours(6);

/// How fetching one record ended.
enum Outcome {
    Kept(Kept, usize),
    /// It may be had later.
    Failed {
        error: String,
        soon: bool,
    },
    /// Graph no longer has it.
    Gone,
    /// Nothing can be had: credentials, permission, the archive.
    Fatal(Error),
}

/// Limits on what is in hand.
struct Bounds {
    records: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// Fetches and stores what is on the to-do list of `source`, each record once, and those that Graph does not have *yet* a few
/// times more.
pub(super) async fn fetch(
    context: &Context,
    archive: &Archive,
    source: Source,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<()> {
    let dictionary = Arc::new(archive.dictionary()?);
    let mut again = pass(context, archive, source, &dictionary, local_now, report).await?;
    for wait in context.settings.look_again {
        if again.is_empty() || context.is_stopping() {
            break;
        }
        report.failed -= again.len() as u64;
        time::sleep(wait).await;
        let mut source_of_todo = again.into_iter();
        let mut more = |_: usize| Ok(source_of_todo.by_ref().take(CHUNK).collect());
        again = work_off(context, source, &dictionary, local_now, report, &mut more).await?;
    }
    Ok(())
}

/// Goes once over the whole to-do list.
async fn pass(
    context: &Context,
    archive: &Archive,
    source: Source,
    dictionary: &Arc<Option<Dictionary>>,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<Vec<Todo>> {
    let mut place: Place = (Timestamp(i64::MIN), None);
    let mut more = |limit: usize| {
        let chunk = archive.todo_after(source.kind(), &place, limit)?;
        if let Some(last) = chunk.last() {
            place = (last.start, Some(last.key.clone()));
        }
        Ok(chunk)
    };
    work_off(context, source, dictionary, local_now, report, &mut more).await
}

/// Fetches what `more` hands out; returns the records worth asking for again soon.
async fn work_off(
    context: &Context,
    source: Source,
    dictionary: &Arc<Option<Dictionary>>,
    local_now: Timestamp,
    report: &mut SourceReport,
    more: &mut dyn FnMut(usize) -> archive::Result<Vec<Todo>>,
) -> Result<Vec<Todo>> {
    let bounds = Bounds {
        records: Arc::new(Semaphore::new(context.settings.concurrency)),
        kib: Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize)),
    };
    let mut stop = context.stop.clone();
    let mut waiting = Vec::new().into_iter();
    let mut in_hand: JoinSet<(Todo, Outcome)> = JoinSet::new();
    let mut again = Vec::new();
    let mut drained = false;
    loop {
        if waiting.len() == 0 && !drained {
            waiting = more(CHUNK)?.into_iter();
            drained = waiting.len() == 0;
        }
        if context.is_stopping() || (drained && in_hand.is_empty()) {
            break;
        }
        tokio::select! {
            biased;
            Some(finished) = in_hand.join_next() => {
                settle(context, source, finished, local_now, report, &mut again).await?;
            }
            Ok(permit) = Arc::clone(&bounds.records).acquire_owned(), if waiting.len() > 0 => {
                if let Some(todo) = waiting.next() {
                    let (context, dictionary) = (context.clone(), Arc::clone(dictionary));
                    let kib = Arc::clone(&bounds.kib);
                    in_hand.spawn(async move {
                        let outcome = one(&context, source, &todo, &dictionary, local_now, permit, kib).await;
                        (todo, outcome)
                    });
                }
            }
            Ok(()) = stop.changed() => {}
        }
    }
    finish_in_hand(context, source, in_hand, local_now, report, &mut again).await?;
    Ok(again)
}

/// Lets records in hand finish, but not for ever once a stop was asked for: a record dropped here stays on the list.
async fn finish_in_hand(
    context: &Context,
    source: Source,
    mut in_hand: JoinSet<(Todo, Outcome)>,
    local_now: Timestamp,
    report: &mut SourceReport,
    again: &mut Vec<Todo>,
) -> Result<()> {
    let deadline = time::Instant::now() + FINISH;
    while let Ok(Some(finished)) = time::timeout_at(deadline, in_hand.join_next()).await {
        settle(context, source, finished, local_now, report, again).await?;
    }
    Ok(())
}

/// Fetches one record, makes it ready off the async threads, and stores it.
async fn one(
    context: &Context,
    source: Source,
    todo: &Todo,
    dictionary: &Arc<Option<Dictionary>>,
    local_now: Timestamp,
    permit: OwnedSemaphorePermit,
    kib: Arc<Semaphore>,
) -> Outcome {
    let whole = match context.graph.whole(&todo.key.id, Some(todo.want_version)).await {
        Ok(whole) => whole,
        Err(error) => return failure(error, todo, source, context.now(local_now)),
    };
    let raw_bytes = whole.document.raw_bytes();
    let needed = u32::try_from(raw_bytes / 1024 + 1).unwrap_or(IN_FLIGHT_KIB).min(IN_FLIGHT_KIB);
    let Ok(_memory) = kib.acquire_many_owned(needed).await else { return soon("stopped") };
    // The network may take up the next record; from here on only memory is held.
    drop(permit);
    let prepared = match prepare(whole.document, Arc::clone(dictionary)).await {
        Ok(prepared) => prepared,
        Err(error) => return Outcome::Failed { error: error.to_string(), soon: false },
    };
    match context.scribe.keep(prepared).await {
        Ok(kept) => Outcome::Kept(kept, raw_bytes),
        Err(error) => Outcome::Fatal(error.into()),
    }
}

async fn prepare(document: Document, dictionary: Arc<Option<Dictionary>>) -> archive::Result<Prepared> {
    let key = document.key.clone();
    let work = move || {
        FRAMES.with_borrow_mut(|frames| {
            let wanted = dictionary.as_ref().as_ref();
            let frames = match frames {
                Some(frames) if frames.dictionary_id() == wanted.map(|dictionary| dictionary.id) => frames,
                frames => frames.insert(FrameWriter::new(wanted)?),
            };
            Prepared::new(&document, frames)
        })
    };
    task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(archive::Error::Prepare { key, what: panic.to_string() }))
}

thread_local! {
    /// A compressor with its dictionary takes megabytes and milliseconds to make: each thread keeps one.
    static FRAMES: std::cell::RefCell<Option<FrameWriter>> = const { std::cell::RefCell::new(None) };
}

fn failure(error: graph::Error, todo: &Todo, source: Source, now: Timestamp) -> Outcome {
    match error {
        error if error.is_unauthorised() => Outcome::Fatal(error.into()),
        graph::Error::NotFound { .. } if todo.start + source.retention() < now => Outcome::Gone,
        error @ (graph::Error::NotFound { .. } | graph::Error::Stale { .. }) => soon(&error.to_string()),
        error => Outcome::Failed { error: error.to_string(), soon: false },
    }
}

fn soon(error: &str) -> Outcome {
    Outcome::Failed { error: error.to_owned(), soon: true }
}

/// Enters how a record ended into archive and report.
async fn settle(
    context: &Context,
    source: Source,
    finished: std::result::Result<(Todo, Outcome), task::JoinError>,
    local_now: Timestamp,
    report: &mut SourceReport,
    again: &mut Vec<Todo>,
) -> Result<()> {
    let Ok((todo, outcome)) = finished else {
        report.failed += 1;
        return Ok(());
    };
    let now = context.now(local_now);
    let key: RecordKey = todo.key.clone();
    match outcome {
        Outcome::Kept(kept, raw_bytes) => {
            report.fetched += 1;
            match kept {
                Kept::Stored { version, .. } => {
                    report.new_versions += 1;
                    context.observer.event(&Event::Kept { key, version, raw_bytes });
                }
                Kept::Known { same_bytes } => {
                    if !same_bytes {
                        tracing::info!(record = %key, "Graph sent other bytes for a version already stored; the first are kept");
                    }
                    context.observer.event(&Event::Unchanged { key });
                }
            }
        }
        Outcome::Failed { error, soon } => {
            report.failed += 1;
            tracing::debug!(record = %key, error, "not fetched");
            context.observer.event(&Event::Failed { key: key.clone(), cause: error.clone() });
            let due = now + retry_wait(todo.attempts);
            context.scribe.with(move |writer| writer.note_failure(&key, &error, due, now)).await?;
            if soon {
                again.push(todo);
            }
        }
        Outcome::Gone => {
            report.lost += 1;
            tracing::warn!(record = %key, source = %source, "Graph listed this record and no longer has it");
            context.observer.event(&Event::Lost { key: key.clone() });
            context.scribe.with(move |writer| writer.lose(&key, now)).await?;
        }
        Outcome::Fatal(error) => return Err(error),
    }
    Ok(())
}

fn retry_wait(attempts: u32) -> Age {
    Age(RETRY_FIRST.0.saturating_mul(1_i64 << attempts.min(20))).min(RETRY_LONGEST)
}
