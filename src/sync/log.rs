//! A log into the archive: window by window, the rows of each page stored in the page's own transaction.

use std::collections::HashSet;

use crate::{
    archive::{
        Archive,
        listing::Listing,
        page::{RowsOutcome, Taken},
    },
    graph,
    model::{
        document::Part,
        event::Event,
        id::Cursor,
        source::Source,
        time::{Span, Timestamp},
    },
    sync::{Context, Error, Lack, Result, SourceReport, list, plan::Ask},
};

/// Windows failing one after the other, other than by a refusal, after which the rest of a log waits for the next run.
const FAILURES_MAX: u32 = 3;

/// Pulls the windows of a log that are due, oldest first, one at a time: no figure is published for how fast logs may be asked.
pub(super) async fn pull(
    context: &Context,
    archive: &Archive,
    source: Source,
    ask: &Ask,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<()> {
    // A log that was had before and is not any more is missed; one that never was is not there.
    let was_had = archive.listings_since(source, Timestamp(i64::MIN))?.iter().any(|listing| listing.listed.is_some());
    let certain = context.settings.policy.retention.certain(source);
    let mut failures = 0;
    for window in super::windows(context, archive, source, ask, local_now)? {
        if context.is_stopping() {
            break;
        }
        if failures >= FAILURES_MAX {
            tracing::warn!(%source, "no window of this log can be had at present; the others are left for the next run");
            break;
        }
        let span = window.span();
        match read(context, source, span, local_now, report).await? {
            Ended::Whole | Ended::Stopped => failures = 0,
            Ended::Refused(error) if span.to < context.now(local_now) - certain && error.is_final() => {
                // Graph may have forgotten it, and refuses the time altogether. An outage says nothing of the time.
                tracing::info!(%source, window = %span, %error, "not available any more");
            }
            Ended::Refused(cause) if !was_had && report.windows == 0 && is_not_served(&cause) => {
                let why = Lack::NotServed { source_name: source, cause };
                return Err(Error::LeftOut { source_name: source, why });
            }
            Ended::Refused(error) => {
                // A refusal is of this window alone, perhaps because it is old; in an outage no window can be had.
                failures += u32::from(!error.is_final());
                list::fail(context, source, span, &error.to_string(), report);
            }
            Ended::Unreadable(count) => {
                list::fail(context, source, span, &format!("{count} of its rows are no objects"), report);
            }
        }
    }
    Ok(())
}

/// How reading a window ended.
enum Ended {
    Whole,
    Stopped,
    Refused(graph::Error),
    /// So many elements of its pages are no rows.
    Unreadable(usize),
}

/// Reads a window from its first page to its last.
async fn read(
    context: &Context,
    source: Source,
    span: Span,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<Ended> {
    let listing = list::begin(context, source, span, local_now).await?;
    let mut stop = context.stop.clone();
    let mut visited: HashSet<Cursor> = HashSet::new();
    let mut taken = Taken::new();
    let (mut cursor, mut unreadable) = (None, 0);
    let ended = loop {
        let page = tokio::select! {
            page = context.graph.log(source, span, cursor.as_ref()) => page,
            _ = stop.wait_for(|stop| *stop) => break Ended::Stopped,
        };
        let page = match page {
            Ok(page) => page,
            Err(error) if error.is_unauthorised() => return Err(error.into()),
            Err(error) => break Ended::Refused(error),
        };
        let in_a_circle = page.next.as_ref().is_some_and(|next| !visited.insert(next.clone()));
        let is_last = page.next.is_none() && unreadable == 0;
        let outcome = take_in(context, &listing, page.rows, &mut taken, is_last, local_now).await?;
        unreadable += outcome.unreadable;
        count(context, source, span, outcome, report);
        cursor = page.next;
        if in_a_circle {
            let link = "that stands there".into();
            break Ended::Refused(graph::Error::LinkRefused { link, reason: "it leads back to a page already read" });
        }
        if cursor.is_none() {
            break if unreadable == 0 { Ended::Whole } else { Ended::Unreadable(unreadable) };
        }
    };
    match ended {
        Ended::Whole => {
            report.windows += 1;
            context.observer.event(&Event::Covered { source, span });
        }
        // What its pages brought is stored. It begins anew: where its next link leads changes with every row that comes in.
        _ => list::abandon(context, &listing).await?,
    }
    Ok(ended)
}

async fn take_in(
    context: &Context,
    listing: &Listing,
    rows: Vec<Part>,
    taken: &mut Taken,
    is_last: bool,
    local_now: Timestamp,
) -> Result<RowsOutcome> {
    let now = context.now(local_now);
    let listing = listing.clone();
    let mut so_far = std::mem::take(taken);
    let (outcome, so_far) = context
        .scribe
        .with(move |writer| {
            let outcome = writer.keep_rows(&listing, rows, &mut so_far, is_last, now)?;
            Ok((outcome, so_far))
        })
        .await?;
    *taken = so_far;
    Ok(outcome)
}

pub(super) fn count(context: &Context, source: Source, span: Span, outcome: RowsOutcome, report: &mut SourceReport) {
    report.listed += outcome.rows as u64;
    report.fetched += outcome.stored.len() as u64;
    report.new_versions += outcome.stored.len() as u64;
    report.unchanged += outcome.unchanged as u64;
    context.observer.event(&Event::Listed { source, span, rows: outcome.rows, wanted: outcome.stored.len() });
    for (key, version, raw_bytes) in outcome.stored {
        context.observer.event(&Event::Kept { key, version, raw_bytes });
    }
}

/// Whether the answer says that there is no such function, rather than that something is wrong with this request.
fn is_not_served(error: &graph::Error) -> bool {
    match error {
        graph::Error::NotFound { .. } | graph::Error::Status { status: 405 | 501, .. } => true,
        graph::Error::Status { status: 400, refusal, .. } => refusal.message.contains("segment"),
        _ => false,
    }
}
