//! Runs a query over the index on disk and the tail in memory, as one stream in order.
//!
//! No stage holds more than 24 bytes a hit. The first pages keep only so many hits as they hold; whoever reads on past them
//! wants everything, and then all the rest is collected at once, because each page is one pass over everything that matches.

use std::{ops::ControlFlow, sync::Arc, vec};

use crate::{
    model::{
        id::{RecordId, Seq},
        time::Timestamp,
    },
    search::{
        Index, Query,
        error::{Doing, Result, guarded},
        pass::{Gate, Pass, Rank},
    },
};

/// The order of matches, the database's own. Records that lack what it goes by come last; among equals the newer record is
/// first, with `Oldest` the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Latest start first.
    Newest,
    /// Earliest start first.
    Oldest,
    /// Longest duration first.
    Longest,
    /// Best match first.
    Relevance,
}

/// Limits of the start time, so that fewer matches need to be looked up: SQL asks again. Without limits, records of unknown
/// start match too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// Start at or after.
    pub from: Option<Timestamp>,
    /// Start before.
    pub to: Option<Timestamp>,
}

/// A document that matches. It may be stale: the record's `newest_seq` says whether it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    pub record_id: RecordId,
    pub seq: Seq,
    /// How well it matches, with [`Order::Relevance`]; comparable only within one answer. Otherwise 0.
    pub score: f32,
}

/// A place in an order, right behind a match; not in [`Order::Relevance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// What the match is sorted by, in nanoseconds.
    pub key_ns: Option<i64>,
    pub record_id: RecordId,
}

/// How many matches are kept on each pass; after the last, all. Passes for the newest end as soon as they have as many, so the first has
/// what a question asks for as a rule.
const NEWEST_PAGES: [usize; 3] = [64, 512, 4096];
/// Of passes over everything.
const PAGES: [usize; 2] = [256, 4096];

/// The matches of a query in order, each when it is asked for. Ends after the first error.
pub struct Matches<'a> {
    order: Order,
    sources: Vec<Source<'a>>,
}

struct Source<'a> {
    index: &'a Index,
    query: &'a Query,
    pass: Pass,
    pages: std::slice::Iter<'static, usize>,
    page: vec::IntoIter<Rank>,
    exhausted: bool,
}

impl<'a> Matches<'a> {
    /// Searches `disk`, where there is one, and `tail`; of records that are in both, only the tail's document is looked at.
    /// Begins `behind` a match, or with the first.
    #[must_use]
    pub fn new(
        disk: Option<&'a Index>,
        tail: Option<&'a Index>,
        query: &'a Query,
        order: Order,
        within: Within,
        behind: Option<Behind>,
    ) -> Self {
        let overtaken = tail.map(|tail| Arc::clone(&tail.members));
        let source = |index, overtaken| Source {
            index,
            query,
            pass: Pass {
                order,
                after: behind.map(|behind| Rank::behind(order, behind)),
                limit: 0,
                gate: Gate { within, overtaken },
            },
            pages: if order == Order::Newest { NEWEST_PAGES.iter() } else { PAGES.iter() },
            page: Vec::new().into_iter(),
            exhausted: false,
        };
        let disk = disk.map(|disk| source(disk, overtaken));
        let tail = tail.map(|tail| source(tail, None));
        Self { order, sources: disk.into_iter().chain(tail).collect() }
    }
}

impl Iterator for Matches<'_> {
    type Item = Result<Match>;

    fn next(&mut self) -> Option<Result<Match>> {
        let mut first: Option<(Rank, usize)> = None;
        for at in 0..self.sources.len() {
            match self.sources[at].head() {
                Ok(Some(rank)) if first.is_none_or(|(other, _)| rank < other) => first = Some((rank, at)),
                Ok(_) => {}
                Err(error) => {
                    self.sources.clear();
                    return Some(Err(error));
                }
            }
        }
        let (_, at) = first?;
        let rank = self.sources[at].page.next()?;
        Some(Ok(rank.into_match(self.order)))
    }
}

impl Source<'_> {
    /// The next match, not taken.
    fn head(&mut self) -> Result<Option<Rank>> {
        if self.page.as_slice().is_empty() && !self.exhausted {
            self.pass.limit = self.pages.next().copied().unwrap_or(usize::MAX);
            let ranks = self.index.ranks(self.query, &self.pass)?;
            self.exhausted = ranks.len() < self.pass.limit;
            self.pass.after = ranks.last().copied();
            self.page = ranks.into_iter();
        }
        Ok(self.page.as_slice().first().copied())
    }
}

impl Index {
    /// The matches in this index alone.
    #[must_use]
    pub fn matches<'a>(&'a self, query: &'a Query, order: Order, within: Within) -> Matches<'a> {
        Matches::new(Some(self), None, query, order, within, None)
    }
}

/// Runs over the documents that [`Matches`] over the same would give, in no order and holding none, until told to stop.
pub fn each(
    disk: Option<&Index>,
    tail: Option<&Index>,
    query: &Query,
    within: Within,
    on: &mut dyn FnMut(RecordId, Seq) -> ControlFlow<()>,
) -> Result<()> {
    let overtaken = tail.map(|tail| Arc::clone(&tail.members));
    let sources = disk.map(|disk| (disk, Gate { within, overtaken }));
    for (index, gate) in sources.into_iter().chain(tail.map(|tail| (tail, Gate { within, overtaken: None }))) {
        if guarded(|| index.walk(query, &gate, on).doing("search it"))?.is_break() {
            break;
        }
    }
    Ok(())
}
