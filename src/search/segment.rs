//! A segment as a question sees it: when its records started, which says whether it need be looked into at all, and what is opened
//! of it once somebody does. That stays open, because opening columns takes longer than reading a page of matches from them.

use std::{cmp::Reverse, sync::OnceLock};

use tantivy::{
    DocId, SegmentReader,
    columnar::{Cardinality, Column, ColumnIndex},
};

use crate::search::{
    fields::{DURATION, Held, RECORD_ID, SEQ, START},
    matches::Within,
};

pub(crate) struct Segment {
    pub reader: SegmentReader,
    pub start: Column<i64>,
    /// The first and the last start of its documents, in nanoseconds, those taken out included; `None` where none has one.
    starts: Option<(i64, i64)>,
    /// Whether some document has no start.
    has_unstarted: bool,
    held: OnceLock<Held>,
    record_id: OnceLock<Column<i64>>,
    seq: OnceLock<Column<i64>>,
    duration: OnceLock<Column<i64>>,
}

impl Segment {
    /// The segments of an index, those with the latest starts first and those without any last.
    pub(crate) fn all(readers: &[SegmentReader]) -> tantivy::Result<Vec<Self>> {
        let mut segments = Vec::with_capacity(readers.len());
        for reader in readers {
            let start: Column<i64> = reader.fast_fields().i64(START)?;
            let is_empty = matches!(start.index, ColumnIndex::Empty { .. });
            segments.push(Self {
                reader: reader.clone(),
                starts: (!is_empty).then(|| (start.min_value(), start.max_value())),
                has_unstarted: start.get_cardinality() != Cardinality::Full,
                start,
                held: OnceLock::new(),
                record_id: OnceLock::new(),
                seq: OnceLock::new(),
                duration: OnceLock::new(),
            });
        }
        segments.sort_by_key(|segment| Reverse(segment.last_start()));
        Ok(segments)
    }

    /// The last start of its documents, in nanoseconds.
    pub(crate) fn last_start(&self) -> Option<i64> {
        self.starts.map(|(_, last)| last)
    }

    /// The start of the document that is last where the latest are first: `None`, too, where one has none.
    pub(crate) fn first_start(&self) -> Option<i64> {
        self.starts.filter(|_| !self.has_unstarted).map(|(first, _)| first)
    }

    /// Whether some document may be within these limits.
    pub(crate) fn may_be_within(&self, within: Within) -> bool {
        if within == Within::default() {
            return true;
        }
        self.starts.is_some_and(|(first, last)| {
            within.from.is_none_or(|from| from.0 <= last) && within.to.is_none_or(|to| first < to.0)
        })
    }

    pub(crate) fn is_alive(&self, doc: DocId) -> bool {
        self.reader.alive_bitset().is_none_or(|alive| alive.is_alive(doc))
    }

    /// The text fields of which it has anything.
    pub(crate) fn held(&self) -> tantivy::Result<Held> {
        once(&self.held, || Held::of(&self.reader)).copied()
    }

    pub(crate) fn record_id(&self) -> tantivy::Result<&Column<i64>> {
        once(&self.record_id, || self.reader.fast_fields().i64(RECORD_ID))
    }

    pub(crate) fn seq(&self) -> tantivy::Result<&Column<i64>> {
        once(&self.seq, || self.reader.fast_fields().i64(SEQ))
    }

    pub(crate) fn duration(&self) -> tantivy::Result<&Column<i64>> {
        once(&self.duration, || self.reader.fast_fields().i64(DURATION))
    }
}

fn once<T>(cell: &OnceLock<T>, open: impl FnOnce() -> tantivy::Result<T>) -> tantivy::Result<&T> {
    if let Some(opened) = cell.get() {
        return Ok(opened);
    }
    let opened = open()?;
    Ok(cell.get_or_init(|| opened))
}
