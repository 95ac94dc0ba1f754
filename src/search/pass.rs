//! One pass over what matches, as far as it need be gone: segments in which nothing can be meant are not looked into.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use tantivy::{
    DocId, DocSet, TERMINATED,
    columnar::Column,
    query::{EnableScoring, Weight},
};

use crate::{
    model::id::{RecordId, Seq},
    search::{
        Index, Query,
        error::{Doing, Result, guarded},
        fields::Held,
        matches::{Behind, Match, Order, Within},
        segment::Segment,
    },
};

/// The first `limit` places behind `after`.
#[derive(Clone)]
pub(crate) struct Pass {
    pub order: Order,
    pub after: Option<Rank>,
    pub limit: usize,
    pub gate: Gate,
}

impl Index {
    pub(crate) fn ranks(&self, query: &Query, pass: &Pass) -> Result<Vec<Rank>> {
        let is_newest = pass.order == Order::Newest && pass.limit < usize::MAX && self.is_newest_first();
        guarded(|| if is_newest { self.newest(query, pass) } else { self.all(query, pass) }.doing("search it"))
    }

    /// What [`Pass`] finds, in segments whose documents lie latest start first: each is left as soon as nothing better can come, so
    /// the newest matches of a word cost the same however many it has.
    fn newest(&self, query: &Query, pass: &Pass) -> tantivy::Result<Vec<Rank>> {
        let mut first = First::new(pass.limit);
        for segment in &self.segments {
            // The segments lie latest start first as well. Those that begin with an equal start may have a later record.
            if first.worst.is_some_and(|worst| worst.key < pass.key(segment.last_start())) {
                break;
            }
            let is_before = pass.after.is_some_and(|after| pass.key(segment.first_start()) < after.key);
            if is_before || !segment.may_be_within(pass.gate.within) {
                continue;
            }
            let mut walk = pass.over(segment, first)?;
            let mut docs = self.weight(query, segment.held()?)?.scorer(&segment.reader, 1.0)?;
            let begin = walk.begin(segment.reader.max_doc());
            let mut doc = if docs.doc() < begin { docs.seek(begin) } else { docs.doc() };
            while doc != TERMINATED && !walk.is_over(doc) {
                if segment.is_alive(doc) {
                    walk.take(doc, 0.0);
                }
                doc = docs.advance();
            }
            first = walk.first;
        }
        Ok(first.into_sorted())
    }

    /// What [`Pass`] finds, in whatever way documents lie.
    fn all(&self, query: &Query, pass: &Pass) -> tantivy::Result<Vec<Rank>> {
        let sought: Vec<&Segment> =
            self.segments.iter().filter(|segment| segment.may_be_within(pass.gate.within)).collect();
        let mut held = Held::default();
        for segment in &sought {
            held = held.or(segment.held()?);
        }
        let is_scored = pass.order == Order::Relevance;
        let weight = if is_scored {
            query.compiled(held).weight(EnableScoring::enabled_from_searcher(&self.searcher))?
        } else {
            self.weight(query, held)?
        };
        let mut first = First::new(pass.limit);
        for segment in sought {
            let mut walk = pass.over(segment, first)?;
            let mut take = |doc, score| {
                if segment.is_alive(doc) {
                    walk.take(doc, score);
                }
            };
            if is_scored {
                weight.for_each(&segment.reader, &mut take)?;
            } else {
                weight.for_each_no_score(&segment.reader, &mut |docs| docs.iter().for_each(|doc| take(*doc, 0.0)))?;
            }
            first = walk.first;
        }
        Ok(first.into_sorted())
    }

    /// Runs over everything that matches and passes the gate, in no order.
    pub(crate) fn walk(
        &self,
        query: &Query,
        gate: &Gate,
        on: &mut dyn FnMut(RecordId, Seq) -> ControlFlow<()>,
    ) -> tantivy::Result<ControlFlow<()>> {
        for segment in self.segments.iter().filter(|segment| segment.may_be_within(gate.within)) {
            let (gate, ids, seqs) = (gate.over(segment)?, segment.record_id()?, segment.seq()?);
            let mut docs = self.weight(query, segment.held()?)?.scorer(&segment.reader, 1.0)?;
            let mut doc = docs.doc();
            while doc != TERMINATED {
                if segment.is_alive(doc)
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

    fn weight(&self, query: &Query, held: Held) -> tantivy::Result<Box<dyn Weight>> {
        query.compiled(held).weight(EnableScoring::disabled_from_searcher(&self.searcher))
    }
}

impl Pass {
    /// What decides the place of a match before its record's number does.
    fn key(&self, value: Option<i64>) -> i64 {
        Rank::new(self.order, value, 0, 0).key
    }

    fn over<'a>(&'a self, segment: &'a Segment, first: First) -> tantivy::Result<SegmentPass<'a>> {
        Ok(SegmentPass {
            pass: self,
            gate: self.gate.over(segment)?,
            key: match self.order {
                Order::Newest | Order::Oldest => Some(&segment.start),
                Order::Longest => Some(segment.duration()?),
                Order::Relevance => None,
            },
            record_id: segment.record_id()?,
            seq: segment.seq()?,
            first,
        })
    }
}

/// A pass over one segment, with the first of those before it.
struct SegmentPass<'a> {
    pass: &'a Pass,
    gate: SegmentGate<'a>,
    key: Option<&'a Column<i64>>,
    record_id: &'a Column<i64>,
    seq: &'a Column<i64>,
    first: First,
}

impl SegmentPass<'_> {
    /// Takes what matches, if it is among the first.
    fn take(&mut self, doc: DocId, score: f32) {
        if !self.gate.passes(doc) {
            return;
        }
        let Some((record_id, seq)) = self.record_id.first(doc).zip(self.seq.first(doc)) else { return };
        let value = match self.key {
            Some(key) => key.first(doc),
            // Scores are not negative, and so their bits rise as they do.
            None => Some(i64::from(score.max(0.0).to_bits())),
        };
        let rank = Rank::new(self.pass.order, value, record_id, seq);
        if self.pass.after.is_none_or(|after| after < rank) {
            self.first.push(rank);
        }
    }
}

/// Of a segment whose documents lie latest start first, those without one at its end.
impl SegmentPass<'_> {
    fn key(&self, doc: DocId) -> i64 {
        self.pass.key(self.key.and_then(|key| key.first(doc)))
    }

    /// The first document that can be behind the place and before the limit of time.
    fn begin(&self, documents: DocId) -> DocId {
        let latest = self.pass.gate.within.to.map(|to| self.pass.key(Some(to.0.saturating_sub(1))));
        let Some(least) = self.pass.after.map(|after| after.key).max(latest) else { return 0 };
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
    fn is_over(&self, doc: DocId) -> bool {
        let from = self.pass.gate.within.from.map(|from| self.pass.key(Some(from.0)));
        let last = self.first.worst.map(|worst| worst.key);
        let most = from.into_iter().chain(last).min();
        most.is_some_and(|most| self.key(doc) > most)
    }
}

/// What a match must pass besides the query.
#[derive(Clone)]
pub(crate) struct Gate {
    pub within: Within,
    /// Records that the tail has.
    pub overtaken: Option<Arc<HashSet<i64>>>,
}

impl Gate {
    fn over<'a>(&'a self, segment: &'a Segment) -> tantivy::Result<SegmentGate<'a>> {
        let overtaken = match self.overtaken.as_deref() {
            Some(overtaken) if !overtaken.is_empty() => Some((segment.record_id()?, overtaken)),
            _ => None,
        };
        Ok(SegmentGate {
            within: self.within,
            start: (self.within != Within::default()).then_some(&segment.start),
            overtaken,
        })
    }
}

struct SegmentGate<'a> {
    within: Within,
    start: Option<&'a Column<i64>>,
    overtaken: Option<(&'a Column<i64>, &'a HashSet<i64>)>,
}

impl SegmentGate<'_> {
    fn passes(&self, doc: DocId) -> bool {
        if let Some(start) = self.start {
            let Some(start) = start.first(doc) else { return false };
            if self.within.from.is_some_and(|from| start < from.0) || self.within.to.is_some_and(|to| start >= to.0) {
                return false;
            }
        }
        let is_overtaken =
            |(ids, overtaken): &(&Column<i64>, &HashSet<i64>)| ids.first(doc).is_some_and(|id| overtaken.contains(&id));
        !self.overtaken.as_ref().is_some_and(is_overtaken)
    }
}

/// The place of a match: the less, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
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
    pub(crate) fn behind(order: Order, behind: Behind) -> Self {
        Self::new(order, behind.key_ns, behind.record_id.0, i64::MAX)
    }

    pub(crate) fn into_match(self, order: Order) -> Match {
        let record_id = if order == Order::Oldest { self.tie } else { !self.tie };
        let score = match order {
            Order::Relevance => u32::try_from(!self.key).map_or(0.0, f32::from_bits),
            _ => 0.0,
        };
        Match { record_id: RecordId(record_id), seq: Seq(self.seq), score }
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
