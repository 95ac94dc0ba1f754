//! The archive against Graph itself: what Graph still lists is listed again, and each row looked for.
//!
//! Only spans that the archive says are covered and settled: what else is missing, coverage says.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::{
    archive::{Archive, page::Taken},
    graph::{self, Client},
    model::{
        id::{Cursor, RecordKey, Version},
        retention::Retention,
        source::{Protocol, Source},
        time::{Age, Span, Timestamp, intersect, subtract},
    },
    verify::{Error, Finding, Note, Result, Summary, What},
};

/// Graph forgets meanwhile: what is nearly gone is not asked for.
const HORIZON_SLACK: Age = Age::hours(1);
/// Windows of calls; those of logs are as long as Graph takes them.
const WINDOW: Age = Age::days(1);

/// What was compared with one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    pub source: &'static str,
    /// Spans of start times that Graph was asked for.
    pub spans: Vec<Span>,
    /// Rows that Graph listed.
    pub listed: u64,
    /// Of them, those that the archive holds in the version listed or a later one.
    pub held: u64,
    /// Those that have changed since the archive last looked, or wait to be fetched: the next sync gets them.
    pub due: u64,
    /// Records of those spans that the archive holds and Graph lists no more.
    pub not_listed: u64,
    /// Why it was not compared, or not to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// Lists what Graph still has of the archive's sources and looks for each row. `now` is Graph's time.
///
/// # Errors
/// Only of the archive; a source that Graph does not give is left out, and says so.
pub async fn against_source(
    archive: &Archive,
    client: &Client,
    now: Timestamp,
    retention: &Retention,
    summary: &mut Summary,
) -> Result<()> {
    for source in Source::ALL.into_iter().filter(|source| source.is_of_events()) {
        let coverage = archive.coverage(source, now, retention)?;
        let settled = subtract(&coverage.covered, &coverage.settling);
        let there = [Span::new(now - retention.certain(source) + HORIZON_SLACK, now)];
        let spans = intersect(&settled, &there);
        if spans.is_empty() {
            continue;
        }
        let mut compared = Compared { source: source.name(), spans: spans.clone(), ..Compared::default() };
        let longest = match source.protocol() {
            Protocol::Log(range) => range.longest,
            _ => WINDOW,
        };
        for span in spans.iter().flat_map(|span| windows(*span, longest)) {
            let outcome = match source {
                Source::Calls => calls(archive, client, span, &mut compared, summary).await,
                _ => rows(archive, client, source, span, &mut compared, summary).await,
            };
            match outcome {
                Ok(()) => {}
                Err(Failure::Archive(error)) => return Err(error.into()),
                Err(Failure::Graph(error)) => {
                    compared.left_out = Some(error.to_string());
                    summary.notes.push(Note::SourceLeftOut { source: source.name(), why: error.to_string() });
                    break;
                }
            }
        }
        if compared.not_listed > 0 {
            summary.notes.push(Note::NotListed { source: source.name(), records: compared.not_listed });
        }
        summary.sources.push(compared);
    }
    Ok(())
}

enum Failure {
    Archive(crate::archive::Error),
    Graph(graph::Error),
}

impl From<crate::archive::Error> for Failure {
    fn from(error: crate::archive::Error) -> Self {
        Failure::Archive(error)
    }
}

impl From<graph::Error> for Failure {
    fn from(error: graph::Error) -> Self {
        Failure::Graph(error)
    }
}

fn windows(span: Span, longest: Age) -> impl Iterator<Item = Span> {
    let next = move |from: &Timestamp| Some(*from + longest).filter(|from| *from < span.to);
    std::iter::successors(Some(span.from), next).map(move |from| Span::new(from, span.to.min(from + longest)))
}

async fn calls(
    archive: &Archive,
    client: &Client,
    span: Span,
    compared: &mut Compared,
    summary: &mut Summary,
) -> std::result::Result<(), Failure> {
    let mut here: HashMap<String, Version> = archive.calls_within(span)?.into_iter().collect();
    let (mut cursor, mut visited): (Option<Cursor>, HashSet<Cursor>) = (None, HashSet::new());
    loop {
        let page = client.list(span, cursor.as_ref()).await?;
        if page.unnamed > 0 {
            let message = format!(
                "calls: Graph lists {} rows without an id, of which nobody can say whether they are here",
                page.unnamed
            );
            summary.add(Finding::new(What::Source, message));
        }
        for row in page.rows {
            compared.listed += 1;
            let key = RecordKey::call(row.id.clone());
            let held = match here.remove(&row.id) {
                Some(held) => Some(held),
                // The filter is of whole seconds, and a correction may move a start.
                None => archive.versions(&key)?.iter().map(|version| version.version).max(),
            };
            match held {
                Some(held) if held >= row.version => compared.held += 1,
                Some(_) => compared.due += 1,
                None if archive.is_to_fetch(&key)? => compared.due += 1,
                // Disposed of, and so not to be here.
                None if !archive.tombstones(&key)?.is_empty() => compared.held += 1,
                None => {
                    let message = "Graph lists it, and the archive neither holds it nor knows that it is missing";
                    summary.add(Finding::new(What::Source, message).record(Some(&key)).version(row.version));
                }
            }
        }
        cursor = following(page.next, &mut visited)?;
        if cursor.is_none() {
            break;
        }
    }
    compared.not_listed += here.len() as u64;
    Ok(())
}

/// Where the pages go on, unless that was a page already.
fn following(next: Option<Cursor>, visited: &mut HashSet<Cursor>) -> std::result::Result<Option<Cursor>, graph::Error> {
    match next {
        Some(next) if !visited.insert(next.clone()) => Err(graph::Error::LinkRefused {
            link: "that stands there".into(),
            reason: "it leads back to a page already read",
        }),
        next => Ok(next),
    }
}

async fn rows(
    archive: &Archive,
    client: &Client,
    source: Source,
    span: Span,
    compared: &mut Compared,
    summary: &mut Summary,
) -> std::result::Result<(), Failure> {
    let mut taken = Taken::new();
    let (mut cursor, mut visited): (Option<Cursor>, HashSet<Cursor>) = (None, HashSet::new());
    loop {
        let page = client.log(source, span, cursor.as_ref()).await?;
        for part in page.rows {
            compared.listed += 1;
            match archive.held_row(source.kind(), part, &mut taken)? {
                Some((_, true)) => compared.held += 1,
                Some((key, false)) if archive.versions(&key)?.is_empty() && archive.tombstones(&key)?.is_empty() => {
                    let message = "Graph lists it, and the archive does not hold it";
                    summary.add(Finding::new(What::Source, message).record(Some(&key)));
                }
                Some((_, false)) => compared.due += 1,
                None => {
                    let message = format!("{source}: Graph lists an element that is no row");
                    summary.add(Finding::new(What::Source, message));
                }
            }
        }
        cursor = following(page.next, &mut visited)?;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

impl From<graph::Error> for Error {
    fn from(error: graph::Error) -> Self {
        Error::Graph(error)
    }
}
