//! Writing the index: replaces documents and commits them together with the ledger position they reach to.
//!
//! The position stands in the commit's payload and nowhere else, so index and position cannot disagree. There is one indexer
//! an archive; whoever holds the archive's writer lock has it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tantivy::{
    IndexWriter, ReloadPolicy, Searcher, Term,
    directory::MmapDirectory,
    index::SegmentId,
    indexer::{IndexWriterOptions, LogMergePolicy, NoMergePolicy, UserOperation},
};

use crate::{
    model::id::{RecordId, Seq},
    search::{
        document::{Entry, document},
        error::{Doing, Error, Result, guarded},
        fields::{FIELDS, fingerprint, settings, tokenizers},
        folder::{State, look},
        segment::Segment,
        terms::Analysis,
    },
};

/// What is buffered before tantivy writes a segment, besides each commit.
const BUFFER_BYTES: usize = 20 << 20;

/// Segments of about the same size that become one: few, because each costs every query a look into each field.
const SEGMENTS_PER_MERGE: usize = 4;

/// Documents of a segment from which on it is not joined with others, some 30 MB: a few such as are smaller may still become one. Joining takes memory
/// and time by the size of what is joined, which would grow with the archive (docs/decisions/0023-flat.md).
const DOCUMENTS_MAX: u32 = 1 << 17;

/// Stands in each commit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// The ledger entry up to which the index knows everything.
    pub position: Seq,
    pub fingerprint: String,
}

pub struct Indexer {
    writer: IndexWriter,
    analysis: Analysis,
}

impl Indexer {
    /// Opens the index in `dir` for writing and says up to where it knows the ledger; makes an empty one where there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] also for an index of another schema: set the folder aside and use [`Indexer::create_fresh`].
    pub fn open_or_create(dir: &Path) -> Result<(Self, Seq)> {
        match look(dir)? {
            State::Ready((index, payload)) => {
                let indexer = guarded(|| Self::over(index))?;
                // A commit that was cut off may have left files under the very names that the next one takes.
                indexer.writer.garbage_collect_files().wait().doing("remove what a commit that was cut off left")?;
                Ok((indexer, payload.position))
            }
            State::Missing => Ok((Self::create_fresh(dir)?, Seq(0))),
            State::OtherSchema => Err(Error::Damaged("it was made by another version of this program".to_owned())),
            State::Damaged(why) => Err(Error::Damaged(why)),
        }
    }

    /// Makes an empty index in `dir`, which is made where missing and may hold nothing else.
    pub fn create_fresh(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).doing("make its folder")?;
        let directory = MmapDirectory::open(dir).doing("open its folder")?;
        let index = tantivy::Index::create(directory, FIELDS.schema.clone(), settings()).doing("create it")?;
        let mut indexer = Self::over(index)?;
        indexer.commit(Seq(0))?;
        Ok(indexer)
    }

    fn over(mut index: tantivy::Index) -> Result<Self> {
        index.set_tokenizers(tokenizers());
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(BUFFER_BYTES)
            .build();
        let writer: IndexWriter = index.writer_with_options(options).doing("open it for writing")?;
        writer.set_merge_policy(Box::new(merge_policy()));
        Ok(Self { writer, analysis: Analysis::default() })
    }

    /// Puts entries in, in their order, each in the place of what the index has of its record, unless it is said to be the first. Seen by readers
    /// after [`Indexer::commit`].
    pub fn put<'e>(&mut self, entries: impl IntoIterator<Item = (&'e Entry, bool)>) -> Result<()> {
        let mut operations = Vec::new();
        for (entry, first) in entries {
            // What is to be taken away is looked for in every segment, more of them the larger the archive.
            if !first {
                operations.push(UserOperation::Delete(of(entry.record_id)));
            }
            operations.push(UserOperation::Add(document(entry, &mut self.analysis)));
        }
        // All at once: tantivy wakes its thread each time that it is handed anything.
        self.writer.run(operations).doing("add documents").map(drop)
    }

    /// Merges no segments until [`Self::compact`] does it.
    pub fn merge_nothing(&mut self) {
        self.writer.set_merge_policy(Box::new(NoMergePolicy));
    }

    /// Takes a record out.
    pub fn remove(&mut self, record_id: RecordId) {
        self.writer.delete_term(of(record_id));
    }

    /// Puts everything since the last commit on disk, together with the ledger position that is reached by it.
    pub fn commit(&mut self, position: Seq) -> Result<()> {
        let payload = Payload { position, fingerprint: fingerprint() };
        let text = serde_json::to_string(&payload).map_err(std::io::Error::from).doing("write its position")?;
        let mut commit = self.writer.prepare_commit().doing("prepare a commit")?;
        commit.set_payload(&text);
        commit.commit().doing("commit").map(drop)
    }

    /// Joins segments into few without what was removed or replaced: after a rebuild for speed, after a purge because the
    /// words of what was purged must leave the disk. What is not committed is given up.
    pub fn compact(&mut self) -> Result<()> {
        // A segment that is being merged already cannot be merged otherwise; rolling back gives such merges up.
        self.writer.rollback().doing("give up its merges")?;
        self.writer.set_merge_policy(Box::new(NoMergePolicy));
        for segments in self.to_join(DOCUMENTS_MAX).doing("list its segments")? {
            self.writer.merge(&segments).wait().doing("merge its segments")?;
        }
        self.writer.garbage_collect_files().wait().doing("remove old files")?;
        self.writer.set_merge_policy(Box::new(merge_policy()));
        Ok(())
    }

    /// Segments that become one, by when their records started: so many together that each result has at most so many documents, and those
    /// alone of which something was removed.
    fn to_join(&self, documents_max: u32) -> tantivy::Result<Vec<Vec<SegmentId>>> {
        let reader = self.writer.index().reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let searcher: Searcher = reader.searcher();
        let mut groups: Vec<(Vec<SegmentId>, u32, bool)> = Vec::new();
        for Segment { reader, .. } in &Segment::all(searcher.segment_readers())? {
            let (documents, is_thinned) = (reader.num_docs(), reader.has_deletes());
            match groups.last_mut().filter(|(_, all, _)| all + documents <= documents_max) {
                Some((ids, all, any_thinned)) => {
                    ids.push(reader.segment_id());
                    *all += documents;
                    *any_thinned |= is_thinned;
                }
                None => groups.push((vec![reader.segment_id()], documents, is_thinned)),
            }
        }
        let has_to_do = |(ids, _, is_thinned): &(Vec<_>, u32, bool)| ids.len() > 1 || *is_thinned;
        Ok(groups.into_iter().filter(has_to_do).map(|(ids, ..)| ids).collect())
    }

    /// Waits for merges under way. Dropping the indexer instead gives them up, which costs nothing but their work.
    pub fn finish(self) -> Result<()> {
        self.writer.wait_merging_threads().doing("finish merging")
    }
}

/// What all documents of a record have, and no others.
fn of(record_id: RecordId) -> Term {
    Term::from_field_i64(FIELDS.record_id, record_id.0)
}

fn merge_policy() -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(SEGMENTS_PER_MERGE);
    policy.set_max_docs_before_merge(DOCUMENTS_MAX as usize);
    // Overtaken documents leave the disk with the next merge, those of a large segment with the next `reindex` or purge.
    policy.set_del_docs_ratio_before_merge(0.2);
    policy
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::{id::Version, rows::Derived, time::Timestamp};

    fn entry(n: i64) -> Entry {
        let id = format!("00000000-0000-4000-8000-{n:012}");
        Entry { record_id: RecordId(n), seq: Seq(n), start: None, id, version: Version(1), derived: Derived::default() }
    }

    fn taken_out(dir: &Path, n: i64) {
        let (mut indexer, position) = Indexer::open_or_create(dir).unwrap();
        indexer.merge_nothing();
        indexer.remove(RecordId(n));
        indexer.commit(Seq(position.0 + 1)).unwrap();
        indexer.finish().unwrap();
    }

    #[test]
    fn segments_are_joined_up_to_a_size_by_their_time_and_none_keeps_what_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut indexer, _) = Indexer::open_or_create(dir.path()).unwrap();
        indexer.merge_nothing();
        for n in [3, 1, 5, 2, 4] {
            indexer.put([(&Entry { start: Some(Timestamp(n)), ..entry(n) }, true)]).unwrap();
            indexer.commit(Seq(n)).unwrap();
        }
        let sizes =
            |indexer: &Indexer, max| -> Vec<usize> { indexer.to_join(max).unwrap().iter().map(Vec::len).collect() };
        assert_eq!(sizes(&indexer, 2), [2, 2]);
        assert_eq!(sizes(&indexer, 1), [0; 0]);
        // The latest two are 5 and 4, and 1 is alone.
        indexer.remove(RecordId(1));
        indexer.commit(Seq(6)).unwrap();
        assert_eq!(sizes(&indexer, 2), [2, 2]);
        indexer.compact().unwrap();
        let ids = indexer.writer.index().searchable_segment_metas().unwrap();
        assert_eq!(ids.iter().map(|meta| (meta.num_docs(), meta.num_deleted_docs())).collect::<Vec<_>>(), [(4, 0)]);
        indexer.remove(RecordId(2));
        indexer.commit(Seq(7)).unwrap();
        assert_eq!(sizes(&indexer, 1), [1], "one that is large enough alone, without what was removed");
        indexer.finish().unwrap();
    }

    #[test]
    fn what_a_commit_that_was_cut_off_left_is_not_in_the_way_of_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (mut indexer, _) = Indexer::open_or_create(dir.path()).unwrap();
        (1..=3).for_each(|n| indexer.put([(&entry(n), true)]).unwrap());
        indexer.commit(Seq(3)).unwrap();
        indexer.finish().unwrap();
        let meta = dir.path().join("meta.json");
        let before = fs::read(&meta).unwrap();
        taken_out(dir.path(), 2);
        // As if it had died with its files written, and the one that names them not.
        fs::File::create(&meta).and_then(|mut file| std::io::Write::write_all(&mut file, &before)).unwrap();
        taken_out(dir.path(), 2);
        let (indexer, position) = Indexer::open_or_create(dir.path()).unwrap();
        assert_eq!((position, indexer.writer.index().reader().unwrap().searcher().num_docs()), (Seq(4), 2));
    }
}
