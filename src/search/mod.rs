//! The text index: which records match this text. SQL answers everything else.
//!
//! A document stands for the newest version of one record and answers with that version's place in the ledger. The index
//! follows the ledger and keeps its position inside its own commits; what it has not reached yet is indexed in memory for the
//! query that asks. A document may be stale (a newer version came, the record was purged): whoever looks its `seq` up among
//! the records' newest drops it. Everything here can be lost and made again; nothing outside this folder speaks tantivy.

mod checksums;
mod compile;
mod document;
mod error;
mod excluded;
mod fields;
mod folder;
mod guids;
mod indexer;
mod language;
mod matches;
mod numbers;
mod pass;
mod reading;
mod segment;
mod terms;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use tantivy::{ReloadPolicy, Searcher, SingleSegmentIndexWriter, TantivyDocument, directory::RamDirectory};

pub use self::{
    document::Entry,
    error::{Error, Result, SyntaxError},
    folder::State,
    indexer::Indexer,
    matches::{Behind, Match, Matches, Order, Within, each},
};
use crate::{
    model::id::{RecordId, Seq},
    search::{
        error::{Doing, guarded},
        fields::{FIELDS, Held, settings, tokenizers},
        folder::Stamp,
        segment::Segment,
        terms::Analysis,
    },
};

/// An index as it was when it was opened; commits that come later are not seen. Many threads may read it.
pub struct Index {
    searcher: Searcher,
    /// Those with the latest starts first.
    segments: Vec<Segment>,
    position: Seq,
    /// The records of an index in memory, which overtake what is on disk; empty for an index on disk.
    members: Arc<HashSet<i64>>,
    /// Of the list of segments that it was opened by; none in memory.
    stamp: Option<Stamp>,
}

impl Index {
    /// Opens the index in `dir` for reading, without threads and without waiting for a writer.
    ///
    /// # Errors
    /// Only what a rebuild would not mend: no permission, too many open files.
    pub fn open(dir: &Path) -> Result<State> {
        // Before it is read: should it be replaced meanwhile, the index counts as outdated.
        let stamp = Stamp::of(dir);
        folder::look_only(dir)?.and_then(|(index, payload)| match guarded(|| Self::over(&index)) {
            Ok(open) => Ok(State::Ready(Self { position: payload.position, stamp, ..open })),
            Err(error) => folder::refused(error),
        })
    }

    fn over(index: &tantivy::Index) -> Result<Self> {
        let searcher = searcher(index)?;
        let segments = Segment::all(searcher.segment_readers()).doing("read when its records started")?;
        Ok(Self { searcher, segments, position: Seq(0), members: Arc::default(), stamp: None })
    }

    /// Whether what lies in `dir`, where it was opened, is still this: no commit and no merge came since.
    #[must_use]
    pub fn is_current(&self, dir: &Path) -> bool {
        self.stamp.is_some() && self.stamp == Stamp::of(dir)
    }

    /// Whether its documents lie latest start first; those of indexes that an early program made do not.
    fn is_newest_first(&self) -> bool {
        self.searcher.index().settings().sort_by_field == settings().sort_by_field
    }

    /// Indexes `entries` in memory: the tail that the index on disk has not reached. Of a record that occurs twice, the
    /// entry with the higher position counts. Its position is the highest of all.
    pub fn in_memory(entries: impl IntoIterator<Item = Entry>) -> Result<Self> {
        let mut newest: HashMap<RecordId, Entry> = HashMap::new();
        for entry in entries {
            match newest.get(&entry.record_id) {
                Some(other) if other.seq > entry.seq => {}
                _ => drop(newest.insert(entry.record_id, entry)),
            }
        }
        let position = newest.values().map(|entry| entry.seq).max().unwrap_or_default();
        let members = Arc::new(newest.keys().map(|id| id.0).collect());
        let builder =
            tantivy::Index::builder().schema(FIELDS.schema.clone()).settings(settings()).tokenizers(tokenizers());
        if newest.is_empty() {
            // tantivy cannot read a segment without documents.
            let index = builder.create_in_ram().doing("make it in memory")?;
            return Ok(Self { position, members, ..Self::over(&index)? });
        }
        let mut writer: SingleSegmentIndexWriter<TantivyDocument> = builder
            .single_segment_index_writer(RamDirectory::create(), TAIL_BUFFER_BYTES)
            .doing("make it in memory")?;
        let mut analysis = Analysis::default();
        for entry in newest.values() {
            writer.add_document(document::document(entry, &mut analysis)).doing("add a document")?;
        }
        let index = writer.finalize().doing("make it in memory")?;
        Ok(Self { position, members, ..Self::over(&index)? })
    }

    /// The ledger entry up to which the index knows everything.
    pub fn position(&self) -> Seq {
        self.position
    }

    /// How many records it holds, stale ones included.
    pub fn record_count(&self) -> u64 {
        self.searcher.num_docs()
    }

    /// Every document: its record, and the version's place in the ledger; in no order.
    pub fn documents(&self) -> Result<impl Iterator<Item = (RecordId, Seq)>> {
        let mut segments = Vec::new();
        for segment in &self.segments {
            let ids = segment.record_id().doing("read its records")?;
            let seqs = segment.seq().doing("read its positions")?;
            segments.push((segment, ids, seqs));
        }
        Ok(segments.into_iter().flat_map(|(segment, ids, seqs)| {
            let documents = segment.reader.doc_ids_alive();
            documents.filter_map(move |doc| Some((RecordId(ids.first(doc)?), Seq(seqs.first(doc)?))))
        }))
    }

    /// Reads every file in `dir`, where the index was opened, against its checksum; gives the names of those that fail.
    pub fn verify(&self, dir: &Path) -> Result<Vec<String>> {
        guarded(|| checksums::damaged(self.searcher.index(), dir))
    }
}

/// tantivy's least.
const TAIL_BUFFER_BYTES: usize = 15 << 20;

fn searcher(index: &tantivy::Index) -> Result<Searcher> {
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(1);
    let reader: tantivy::IndexReader = reader.try_into().doing("open its segments")?;
    Ok(reader.searcher())
}

/// A text in the query language, understood.
pub struct Query {
    node: language::Node,
}

impl Query {
    /// Understands `text`; an empty one asks for everything.
    ///
    /// # Errors
    /// What is wrong with it, and in which column.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(Self { node: language::parse(text)? })
    }

    fn compiled(&self, held: Held) -> Box<dyn tantivy::query::Query> {
        compile::compile(&self.node, held)
    }
}
