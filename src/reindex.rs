//! Makes every derived thing again from the raw records: rows and search index.
//!
//! Each record is read and derived once, on a thread of its own; what comes of it goes into the rows here and from here into the
//! index, which tantivy writes on a third.

use std::{
    sync::mpsc::{self, SyncSender},
    thread,
};

use crate::{
    archive::{
        self, Archive, ArchiveWriter,
        remake::{Chunk, Rederived},
    },
    follow::{self, News, Rebuild},
    model::{id::RecordId, kind::Kind},
};

/// Records whose rows are stored in one transaction.
const AT_ONCE: usize = 128;
/// Chunks that may wait for the writer: enough that neither waits for the other, few enough for memory.
const WAITING_MAX: usize = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Follow(#[from] follow::Error),
    #[error("the thread that reads the archive has ended unexpectedly")]
    Gone,
}

/// What was made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records whose rows were made.
    pub records: u64,
    /// Records put into the index.
    pub indexed: u64,
}

/// Throws rows and index away and makes them again. Readers meanwhile say what they do not see yet. Stopped anywhere, the next
/// writing command goes on.
///
/// # Errors
/// The first damaged record, after the rows of all others are made; the index stays as it was then.
pub fn reindex(writer: &mut ArchiveWriter, on: &mut dyn FnMut(u64)) -> Result<Report, Error> {
    writer.forget_rows()?;
    let mut rebuild = Rebuild::begin(writer.folder())?;
    let archive = Archive::open(writer.folder())?;
    let (chunks, derived) = mpsc::sync_channel(WAITING_MAX);
    let mut report = Report::default();
    let mut first_damage = None;
    thread::scope(|scope| {
        let deriving = scope.spawn(move || derive(&archive, &chunks));
        // Taken, so that the other thread ends where this one fails.
        for Chunk { records, damaged, .. } in derived {
            let (made, also_damaged) = writer.store_rows(&records)?;
            first_damage = first_damage.take().or(damaged.into_iter().chain(also_damaged).next());
            report.records += made;
            on(report.records);
            rebuild.put(records.into_iter().filter_map(news))?;
        }
        deriving.join().unwrap_or(Err(Error::Gone))
    })?;
    if let Some(error) = first_damage {
        return Err(error.into());
    }
    report.indexed = rebuild.finish(writer.head()?)?;
    Ok(report)
}

fn derive(archive: &Archive, chunks: &SyncSender<Chunk>) -> Result<(), Error> {
    let mut reader = archive.version_reader();
    let mut after = RecordId(0);
    while let Some(chunk) = archive.rederive(&mut reader, after, AT_ONCE)? {
        after = chunk.last;
        if chunks.send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

/// People are no hits, so the index does not have them.
fn news(rederived: Rederived) -> Option<News> {
    match rederived {
        Rederived::Record { record_id, seq, key, version, derived } if key.kind != Kind::Person => {
            Some(News { record_id, seq, id: key.id, version, first: true, derived })
        }
        _ => None,
    }
}
