//! Pages of a window onto the to-do list, the cursor behind them.

use std::collections::HashSet;

use tokio::sync::watch;

use crate::{
    archive::listing::Listing,
    graph,
    model::{
        event::Event,
        id::Cursor,
        listed::Listed,
        source::Source,
        time::{Span, Timestamp},
    },
    sync::{Context, Result, SourceReport, plan::Window},
};

/// Lists a window from where it stands to its end, and tells `pages` of each page that is on the to-do list. A page that fails ends
/// this window for now and no other.
pub(super) async fn list(
    context: &Context,
    source: Source,
    window: Window,
    local_now: Timestamp,
    report: &mut SourceReport,
    pages: &watch::Sender<()>,
) -> Result<()> {
    let mut listing = match window {
        Window::Resume(listing) => listing,
        Window::Fresh(span) => begin(context, source, span, local_now).await?,
    };
    let mut begun_anew = false;
    let mut unnamed = 0;
    let mut visited = HashSet::new();
    let mut stop = context.stop.clone();
    while !context.is_stopping() {
        let page = tokio::select! {
            page = context.graph.list(listing.span, listing.cursor.as_ref()) => page,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let page = match page {
            Ok(page) => page,
            Err(error) if error.is_unauthorised() => return Err(error.into()),
            // A next link lives for some time only. What it brought so far is on the to-do list; the window starts again.
            Err(error) if !begun_anew && listing.cursor.is_some() && is_stale_link(&error) => {
                tracing::info!(window = %listing.span, %error, "listing this window again from its beginning");
                begun_anew = true;
                abandon(context, &listing).await?;
                listing = begin(context, source, listing.span, local_now).await?;
                visited.clear();
                unnamed = 0;
                continue;
            }
            Err(error) => {
                fail(context, source, listing.span, &error.to_string(), report);
                break;
            }
        };
        // What a page names is fetched, and what follows it read, whatever is wrong with it; but its window is then not covered.
        unnamed += page.unnamed;
        let in_a_circle = page.next.as_ref().is_some_and(|next| !visited.insert(next.clone()));
        let fault = match unnamed {
            _ if in_a_circle => Some("a next link leads back to a page already read".to_owned()),
            1.. if page.next.is_none() => Some(format!("{unnamed} of its rows have no id")),
            _ => None,
        };
        let next = page.next.clone().filter(|_| !in_a_circle).or_else(|| fault.as_ref().map(|_| Cursor(String::new())));
        take_in(context, &listing, page.rows, next, local_now, report).await?;
        pages.send_replace(());
        if in_a_circle && !begun_anew {
            // It may have been a slip; its ids are on the to-do list.
            begun_anew = true;
            abandon(context, &listing).await?;
            listing = begin(context, source, listing.span, local_now).await?;
            visited.clear();
            unnamed = 0;
            continue;
        }
        if let Some(fault) = fault {
            abandon(context, &listing).await?;
            fail(context, source, listing.span, &fault, report);
            break;
        }
        listing.cursor = page.next;
        if listing.cursor.is_none() {
            report.windows += 1;
            context.observer.event(&Event::Covered { source, span: listing.span });
            break;
        }
    }
    if unnamed > 0 {
        // Whoever resumed it would not know of these rows and take the window for covered.
        abandon(context, &listing).await?;
    }
    Ok(())
}

/// Puts a page's rows on the to-do list and the cursor past them.
async fn take_in(
    context: &Context,
    listing: &Listing,
    rows: Vec<Listed>,
    next: Option<Cursor>,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<()> {
    let now = context.now(local_now);
    let at = listing.clone();
    let outcome = context.scribe.with(move |writer| writer.list_page(&at, &rows, next.as_ref(), now)).await?;
    report.listed += outcome.rows as u64;
    report.unchanged += (outcome.rows - outcome.wanted) as u64;
    let (source, span) = (listing.source, listing.span);
    context.observer.event(&Event::Listed { source, span, rows: outcome.rows, wanted: outcome.wanted });
    Ok(())
}

pub(super) async fn begin(context: &Context, source: Source, span: Span, local_now: Timestamp) -> Result<Listing> {
    let now = context.now(local_now);
    Ok(context.scribe.with(move |writer| writer.begin_listing(source, span, now)).await?)
}

pub(super) async fn abandon(context: &Context, listing: &Listing) -> Result<()> {
    let listing = listing.clone();
    Ok(context.scribe.with(move |writer| writer.abandon_listing(&listing)).await?)
}

fn is_stale_link(error: &graph::Error) -> bool {
    matches!(
        error,
        graph::Error::LinkExpired { .. }
            | graph::Error::LinkRefused { .. }
            | graph::Error::NotFound { .. }
            | graph::Error::Status { status: 400 | 410, .. }
    )
}

/// Counts and tells of a window that could not be read to its end.
pub(super) fn fail(context: &Context, source: Source, span: Span, cause: &str, report: &mut SourceReport) {
    tracing::warn!(%source, window = %span, cause, "this window could not be listed to its end");
    context.observer.event(&Event::WindowFailed { source, span, cause: cause.to_owned() });
    report.windows_failed += 1;
}
