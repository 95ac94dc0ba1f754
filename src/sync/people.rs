//! The directory into the archive: everybody once, then what changed, each change a version of the person.

use std::collections::HashSet;

use crate::{
    archive::Archive,
    graph,
    model::{
        event::Event,
        id::Cursor,
        source::Source,
        time::{Span, Timestamp},
        view,
    },
    sync::{Context, Result, SourceReport, list, log},
};

/// Asks where the last query ended, or for everybody where there was none or its link has expired.
pub(super) async fn pull(
    context: &Context,
    archive: &Archive,
    local_now: Timestamp,
    report: &mut SourceReport,
) -> Result<()> {
    let begun = context.now(local_now);
    let known = archive.delta(Source::People)?;
    if known.as_ref().is_some_and(|delta| delta.asked + context.settings.policy.look > begun) {
        return Ok(());
    }
    context.observer.event(&Event::Planned { source: Source::People, windows: 1 });
    // What it is about is the directory as it was from the last query until now.
    let span = Span::new(known.as_ref().map_or(Timestamp(0), |delta| delta.asked), begun);
    let from = known.map(|delta| delta.link);
    match read(context, from.clone(), span, begun, report, None).await? {
        Some(graph::Error::LinkExpired { .. } | graph::Error::LinkRefused { .. }) if from.is_some() => {
            tracing::info!("Graph has forgotten the last query of the directory; asking for everybody again");
            context.scribe.with(|writer| writer.forget_delta(Source::People)).await?;
            let before = archive.people_there()?;
            let mut listed = HashSet::new();
            match read(context, None, span, begun, report, Some(&mut listed)).await? {
                Some(error) => list::fail(context, Source::People, span, &error.to_string(), report),
                // A directory read anew does not tell who left it, nor when: nothing of it can be archived but that it was so.
                None => {
                    let gone = before.iter().filter(|id| !listed.contains(&id.to_ascii_lowercase())).count();
                    if gone > 0 && !context.is_stopping() {
                        tracing::warn!(
                            people = gone,
                            "some of the archive's people are not in the directory any more; Graph does not say since when"
                        );
                    }
                }
            }
        }
        Some(error) => list::fail(context, Source::People, span, &error.to_string(), report),
        None => {}
    }
    Ok(())
}

/// Reads to the end from `cursor`; gives back what stopped it.
async fn read(
    context: &Context,
    mut cursor: Option<Cursor>,
    span: Span,
    begun: Timestamp,
    report: &mut SourceReport,
    mut listed: Option<&mut HashSet<String>>,
) -> Result<Option<graph::Error>> {
    let mut stop = context.stop.clone();
    let mut visited = HashSet::new();
    loop {
        let page = tokio::select! {
            page = context.graph.people(cursor.as_ref()) => page,
            _ = stop.wait_for(|stop| *stop) => return Ok(None),
        };
        let page = match page {
            Ok(page) => page,
            Err(error) if error.is_unauthorised() => return Err(error.into()),
            Err(error) => return Ok(Some(error)),
        };
        if let Some(listed) = &mut listed {
            listed.extend(page.rows.iter().filter_map(|row| person_id(&row.body)));
        }
        let (rows, link) = (page.rows, page.delta.filter(|_| page.next.is_none()));
        let is_last = link.is_some();
        let outcome =
            context.scribe.with(move |writer| writer.keep_delta(Source::People, rows, link.as_ref(), begun)).await?;
        report.failed += outcome.unreadable as u64;
        log::count(context, Source::People, span, outcome, report);
        if is_last {
            report.windows += 1;
            context.observer.event(&Event::Covered { source: Source::People, span });
            return Ok(None);
        }
        let refused = |reason| Ok(Some(graph::Error::LinkRefused { link: "that stands there".into(), reason }));
        match page.next {
            None => return refused("the last page names no link for the changes to come"),
            Some(next) if !visited.insert(next.clone()) => return refused("it leads back to a page already read"),
            next => cursor = next,
        }
    }
}

/// The object id of a person as a page has it, in lower case.
fn person_id(body: &[u8]) -> Option<String> {
    let (user, _) = view::read::<view::person::User<'_>>(std::str::from_utf8(body).ok()?);
    user?.id.owned().map(|id| id.to_ascii_lowercase())
}
