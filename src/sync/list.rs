//! Pages of a window onto the to-do list, the cursor behind them.

use std::collections::HashSet;

use crate::{
    archive::listing::Listing,
    graph,
    model::{event::Event, source::Source, time::Timestamp},
    sync::{Context, Result, SourceReport, plan::Window},
};

/// Lists a window from where it stands to its end. A page that fails ends this window for now and no other.
pub(super) async fn list(
    context: &Context,
    source: Source,
    window: Window,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<()> {
    let mut listing = match window {
        Window::Resume(listing) => listing,
        Window::Fresh(span) => begin(context, source, span, local_now).await?,
    };
    let mut begun_anew = listing.cursor.is_none();
    let mut visited = HashSet::new();
    while !context.is_stopping() {
        let page = match context.graph.list(listing.span, listing.cursor.as_ref()).await {
            Ok(page) => page,
            Err(error) if error.is_unauthorised() => return Err(error.into()),
            // A next link lives for some time only. What it brought so far is on the to-do list; the window starts again.
            Err(error) if !begun_anew && is_stale_link(&error) => {
                tracing::info!(window = %listing.span, %error, "listing this window again from its beginning");
                begun_anew = true;
                listing = begin_anew(context, listing, local_now).await?;
                visited.clear();
                continue;
            }
            Err(error) => return fail(context, &listing, &error.to_string(), report),
        };
        if page.unnamed > 0 {
            return fail(context, &listing, &format!("{} rows of a page have no id", page.unnamed), report);
        }
        if page.next.as_ref().is_some_and(|next| !visited.insert(next.0.clone())) {
            return fail(context, &listing, "a next link leads back to a page already read", report);
        }
        let (rows, next, at) = (page.rows, page.next.clone(), listing.clone());
        let now = context.now(local_now);
        let outcome = context.scribe.with(move |writer| writer.list_page(&at, &rows, next.as_ref(), now)).await?;
        report.listed += outcome.rows as u64;
        report.unchanged += (outcome.rows - outcome.wanted) as u64;
        context.observer.event(&Event::Listed {
            source,
            span: listing.span,
            rows: outcome.rows,
            wanted: outcome.wanted,
        });
        listing.cursor = page.next;
        if listing.cursor.is_none() {
            report.windows += 1;
            context.observer.event(&Event::Covered { source, span: listing.span });
            break;
        }
    }
    Ok(())
}

async fn begin(
    context: &Context,
    source: Source,
    span: crate::model::time::Span,
    local_now: Timestamp,
) -> Result<Listing> {
    let now = context.now(local_now);
    Ok(context.scribe.with(move |writer| writer.begin_listing(source, span, now)).await?)
}

async fn begin_anew(context: &Context, listing: Listing, local_now: Timestamp) -> Result<Listing> {
    let (source, span) = (listing.source, listing.span);
    context.scribe.with(move |writer| writer.abandon_listing(&listing)).await?;
    begin(context, source, span, local_now).await
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

fn fail(context: &Context, listing: &Listing, cause: &str, report: &mut SourceReport) -> Result<()> {
    tracing::warn!(window = %listing.span, cause, "this window could not be listed to its end");
    context.observer.event(&Event::WindowFailed {
        source: listing.source,
        span: listing.span,
        cause: cause.to_owned(),
    });
    report.windows_failed += 1;
    Ok(())
}
