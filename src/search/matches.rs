//! Runs a query over the index on disk and the tail in memory, as one stream in order.
//!
//! No stage holds more than 24 bytes a hit. The first pages keep only so many hits as they hold; whoever reads on past them
//! wants everything, and then all the rest is collected at once, because each page is one pass over everything that matches.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc, vec};

use tantivy::{
    DocId, DocSet, Score, SegmentOrdinal, SegmentReader, TERMINATED,
    collector::{Collector, SegmentCollector},
    columnar::Column,
    query::EnableScoring,
};

use crate::{
    model::{
        id::{RecordId, Seq},
        time::Timestamp,
    },
    search::{
        Index, Query,
        error::{Doing, Result, guarded},
        fields::{DURATION, Held, RECORD_ID, SEQ, START},
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

/// How many matches are kept on each pass; after the last, all.
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
            pages: PAGES.iter(),
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

    fn run<C: Collector>(&self, query: &Query, collector: &C) -> Result<C::Fruit> {
        let held = self.held.iter().fold(Held::default(), |all, held| all.or(*held));
        guarded(|| self.searcher.search(&*query.compiled(held), collector).doing("search it"))
    }
}

impl Index {
    fn ranks(&self, query: &Query, pass: &Pass) -> Result<Vec<Rank>> {
        if pass.order == Order::Newest && pass.limit < usize::MAX && self.is_newest_first() {
            return guarded(|| self.newest(query, pass).doing("search it"));
        }
        self.run(query, pass)
    }

    /// What [`Pass`] finds, in segments whose documents lie latest start first: each is left as soon as nothing better can come, so
    /// the newest matches of a word cost the same however many it has.
    fn newest(&self, query: &Query, pass: &Pass) -> tantivy::Result<Vec<Rank>> {
        let mut first = First::new(pass.limit);
        for (segment, held) in self.segments() {
            let weight = query.compiled(held).weight(EnableScoring::disabled_from_searcher(&self.searcher))?;
            let mut walk = SegmentPass { first, ..pass.for_segment(0, segment)? };
            let mut docs = weight.scorer(segment, 1.0)?;
            let begin = walk.begin(pass, segment.max_doc());
            let mut doc = if docs.doc() < begin { docs.seek(begin) } else { docs.doc() };
            while doc != TERMINATED && !walk.is_over(pass, doc) {
                if segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc)) {
                    walk.collect(doc, 0.0);
                }
                doc = docs.advance();
            }
            first = walk.first;
        }
        Ok(first.into_sorted())
    }
}

/// Counts the documents that [`Matches`] over the same would give; stale ones are among them.
pub fn count(disk: Option<&Index>, tail: Option<&Index>, query: &Query, within: Within) -> Result<usize> {
    let overtaken = tail.map(|tail| Arc::clone(&tail.members));
    let on_disk = disk.map_or(Ok(0), |disk| disk.run(query, &Counting(Gate { within, overtaken })))?;
    let in_tail = tail.map_or(Ok(0), |tail| tail.run(query, &Counting(Gate { within, overtaken: None })))?;
    Ok(on_disk + in_tail)
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

impl Index {
    fn walk(
        &self,
        query: &Query,
        gate: &Gate,
        on: &mut dyn FnMut(RecordId, Seq) -> ControlFlow<()>,
    ) -> tantivy::Result<ControlFlow<()>> {
        for (segment, held) in self.segments() {
            let weight = query.compiled(held).weight(EnableScoring::disabled_from_searcher(&self.searcher))?;
            let (gate, columns) = (gate.open(segment)?, segment.fast_fields());
            let (ids, seqs) = (columns.i64(RECORD_ID)?, columns.i64(SEQ)?);
            let mut docs = weight.scorer(segment, 1.0)?;
            let mut doc = docs.doc();
            while doc != TERMINATED {
                let is_alive = segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc));
                if is_alive
                    && gate.passes(doc)
                    && let Some((id, seq)) = ids.first(doc).zip(seqs.first(doc))
                    && on(RecordId(id), Seq(seq)).is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
                doc = docs.advance();
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The place of a match: the less, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    key: i64,
    /// Of its record's number.
    tie: i64,
    seq: i64,
}

impl Rank {
    fn new(order: Order, value: Option<i64>, record_id: i64, seq: i64) -> Self {
        // Not `-value`: the least number has no counterpart.
        let value = |turn: bool| value.map_or(i64::MAX, |value| if turn { !value } else { value });
        match order {
            Order::Oldest => Self { key: value(false), tie: record_id, seq },
            Order::Newest | Order::Longest | Order::Relevance => Self { key: value(true), tie: !record_id, seq },
        }
    }

    /// The last rank that a match there can have, whichever version it is of.
    fn behind(order: Order, behind: Behind) -> Self {
        Self::new(order, behind.key_ns, behind.record_id.0, i64::MAX)
    }

    fn into_match(self, order: Order) -> Match {
        let record_id = if order == Order::Oldest { self.tie } else { !self.tie };
        let score = match order {
            Order::Relevance => u32::try_from(!self.key).map_or(0.0, f32::from_bits),
            _ => 0.0,
        };
        Match { record_id: RecordId(record_id), seq: Seq(self.seq), score }
    }
}

/// One walk over everything that matches: the first `limit` ranks behind `after`.
#[derive(Clone)]
struct Pass {
    order: Order,
    after: Option<Rank>,
    limit: usize,
    gate: Gate,
}

/// What a match must pass besides the query.
#[derive(Clone)]
struct Gate {
    within: Within,
    /// Records that the tail has.
    overtaken: Option<Arc<HashSet<i64>>>,
}

impl Gate {
    fn open(&self, segment: &SegmentReader) -> tantivy::Result<SegmentGate> {
        let columns = segment.fast_fields();
        let timed = self.within != Within::default();
        Ok(SegmentGate {
            within: self.within,
            start: if timed { Some(columns.i64(START)?) } else { None },
            overtaken: match &self.overtaken {
                Some(overtaken) if !overtaken.is_empty() => Some((columns.i64(RECORD_ID)?, Arc::clone(overtaken))),
                _ => None,
            },
        })
    }
}

struct SegmentGate {
    within: Within,
    start: Option<Column<i64>>,
    overtaken: Option<(Column<i64>, Arc<HashSet<i64>>)>,
}

impl SegmentGate {
    fn passes(&self, doc: DocId) -> bool {
        if let Some(start) = &self.start {
            let Some(start) = start.first(doc) else { return false };
            if self.within.from.is_some_and(|from| start < from.0) || self.within.to.is_some_and(|to| start >= to.0) {
                return false;
            }
        }
        let is_overtaken = |(ids, overtaken): &(Column<i64>, Arc<HashSet<i64>>)| {
            ids.first(doc).is_some_and(|id| overtaken.contains(&id))
        };
        !self.overtaken.as_ref().is_some_and(is_overtaken)
    }
}

impl Collector for Pass {
    type Fruit = Vec<Rank>;
    type Child = SegmentPass;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<SegmentPass> {
        let columns = segment.fast_fields();
        Ok(SegmentPass {
            gate: self.gate.open(segment)?,
            key: match self.order {
                Order::Newest | Order::Oldest => Some(columns.i64(START)?),
                Order::Longest => Some(columns.i64(DURATION)?),
                Order::Relevance => None,
            },
            record_id: columns.i64(RECORD_ID)?,
            seq: columns.i64(SEQ)?,
            order: self.order,
            after: self.after,
            first: First::new(self.limit),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.order == Order::Relevance
    }

    fn merge_fruits(&self, fruits: Vec<Vec<Rank>>) -> tantivy::Result<Vec<Rank>> {
        let mut first = First::new(self.limit);
        for ranks in fruits {
            if first.ranks.is_empty() {
                first.ranks = ranks;
            } else {
                for rank in ranks {
                    first.push(rank);
                }
            }
        }
        Ok(first.into_sorted())
    }
}

struct SegmentPass {
    gate: SegmentGate,
    key: Option<Column<i64>>,
    record_id: Column<i64>,
    seq: Column<i64>,
    order: Order,
    after: Option<Rank>,
    first: First,
}

/// Of a segment whose documents lie latest start first, those without one at its end.
impl SegmentPass {
    fn key(&self, doc: DocId) -> i64 {
        Rank::new(self.order, self.key.as_ref().and_then(|key| key.first(doc)), 0, 0).key
    }

    /// The first document that can be behind the place and before the limit of time.
    fn begin(&self, pass: &Pass, documents: DocId) -> DocId {
        let latest = pass.gate.within.to.map(|to| Rank::new(self.order, Some(to.0.saturating_sub(1)), 0, 0).key);
        let Some(least) = self.after.map(|after| after.key).max(latest) else { return 0 };
        let (mut before, mut behind) = (0, documents);
        while before < behind {
            let middle = before + (behind - before) / 2;
            if self.key(middle) < least {
                before = middle + 1;
            } else {
                behind = middle;
            }
        }
        before
    }

    /// Whether neither this document nor a later one can be among the first, or within the limits of time.
    fn is_over(&self, pass: &Pass, doc: DocId) -> bool {
        let from = pass.gate.within.from.map(|from| Rank::new(self.order, Some(from.0), 0, 0).key);
        let last = self.first.worst.map(|worst| worst.key);
        let most = from.into_iter().chain(last).min();
        most.is_some_and(|most| self.key(doc) > most)
    }
}

impl SegmentCollector for SegmentPass {
    type Fruit = Vec<Rank>;

    fn collect(&mut self, doc: DocId, score: Score) {
        if !self.gate.passes(doc) {
            return;
        }
        let Some((record_id, seq)) = self.record_id.first(doc).zip(self.seq.first(doc)) else { return };
        let value = match &self.key {
            Some(key) => key.first(doc),
            // Scores are not negative, and so their bits rise as they do.
            None => Some(i64::from(score.max(0.0).to_bits())),
        };
        let rank = Rank::new(self.order, value, record_id, seq);
        if self.after.is_none_or(|after| after < rank) {
            self.first.push(rank);
        }
    }

    fn harvest(self) -> Vec<Rank> {
        self.first.ranks
    }
}

/// Keeps the first `limit` of what is pushed, and up to as many again that are not sorted out yet.
struct First {
    limit: usize,
    ranks: Vec<Rank>,
    worst: Option<Rank>,
}

impl First {
    fn new(limit: usize) -> Self {
        Self { limit, ranks: Vec::new(), worst: None }
    }

    fn push(&mut self, rank: Rank) {
        if self.worst.is_some_and(|worst| worst <= rank) {
            return;
        }
        self.ranks.push(rank);
        let is_first_full = self.worst.is_none() && self.ranks.len() == self.limit;
        if is_first_full || self.ranks.len() >= self.limit.saturating_mul(2) {
            let (_, worst, _) = self.ranks.select_nth_unstable(self.limit - 1);
            self.worst = Some(*worst);
            self.ranks.truncate(self.limit);
        }
    }

    fn into_sorted(mut self) -> Vec<Rank> {
        self.ranks.sort_unstable();
        self.ranks.truncate(self.limit);
        self.ranks
    }
}

struct Counting(Gate);

impl Collector for Counting {
    type Fruit = usize;
    type Child = SegmentCount;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<SegmentCount> {
        Ok(SegmentCount { gate: self.0.open(segment)?, count: 0 })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, counts: Vec<usize>) -> tantivy::Result<usize> {
        Ok(counts.into_iter().sum())
    }
}

struct SegmentCount {
    gate: SegmentGate,
    count: usize,
}

impl SegmentCollector for SegmentCount {
    type Fruit = usize;

    fn collect(&mut self, doc: DocId, _: Score) {
        self.count += usize::from(self.gate.passes(doc));
    }

    fn harvest(self) -> usize {
        self.count
    }
}
