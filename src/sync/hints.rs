//! What notifications brought, from the inbox onto the to-do list.
//!
//! From there on an id is fetched as any other. It leaves the inbox after it is on the list: a stop in between does it twice.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    archive::inbox::Inbox,
    model::{id::RecordKey, kind::Kind, source::Source, time::Timestamp},
    sync::{Context, Reach, Result, SourceReport},
};

/// Ids put on the list in one transaction.
const CHUNK: usize = 500;
/// How often the inbox is looked into.
const LOOK: Duration = Duration::from_millis(500);

/// Takes over what waits, and tells `pages` of it; a run that is there for hints goes on until none has come for a while.
pub(super) async fn take(
    context: &Context,
    source: Source,
    local_now: Timestamp,
    report: &mut SourceReport,
    pages: &watch::Sender<()>,
) -> Result<()> {
    let is_meant = source == Source::Calls && matches!(context.settings.reach, Reach::Everything | Reach::Hints);
    let inbox = if is_meant { Inbox::open_existing(&context.folder) } else { Ok(None) };
    let mut inbox = match inbox {
        Ok(Some(inbox)) => inbox,
        Ok(None) => return Ok(()),
        // What is in it are hints: the lists find the same.
        Err(error) => {
            tracing::warn!(%error, "inbox.db cannot be read, so what notifications brought waits");
            return Ok(());
        }
    };
    let waits = context.settings.hints;
    let begun = Instant::now();
    let mut last = begun;
    let mut stop = context.stop.clone();
    while !context.is_stopping() {
        let taken = all(context, &mut inbox, local_now).await?;
        if taken > 0 {
            report.hinted += taken as u64;
            last = Instant::now();
            pages.send_replace(());
        }
        let is_over = last.elapsed() >= waits.idle || begun.elapsed() >= waits.longest;
        if context.settings.reach != Reach::Hints || is_over {
            break;
        }
        let _ = timeout(LOOK, stop.wait_for(|stop| *stop)).await;
    }
    Ok(())
}

/// Takes over what waits now; says how many ids that were.
async fn all(context: &Context, inbox: &mut Inbox, local_now: Timestamp) -> Result<usize> {
    let mut taken = 0;
    loop {
        let chunk = inbox.announced(CHUNK)?;
        if chunk.is_empty() || context.is_stopping() {
            return Ok(taken);
        }
        let now = context.now(local_now);
        // The receiver goes by this machine's clock, the list by Graph's.
        let ahead = now - Timestamp::now();
        let key = |id: &String| RecordKey { kind: Kind::Call, id: id.clone() };
        let hints: Vec<_> = chunk.iter().map(|announced| (key(&announced.id), announced.last + ahead)).collect();
        context.scribe.with(move |writer| writer.hint(&hints, now)).await?;
        inbox.taken(&chunk, Timestamp::now())?;
        taken += chunk.len();
        // One that is announced without end must not keep the others from being fetched.
        if chunk.len() < CHUNK {
            return Ok(taken);
        }
    }
}
