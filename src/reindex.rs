//! Makes every derived thing again from the raw records: rows and search index.

use crate::{
    archive::{self, Archive, ArchiveWriter},
    follow,
    model::id::RecordId,
};

/// Records whose rows are made in one transaction.
const CHUNK: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Follow(#[from] follow::Error),
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
pub fn reindex(writer: &mut ArchiveWriter, on: &mut dyn FnMut(u64)) -> Result<Report, Error> {
    writer.forget_rows()?;
    let records = derive_missing(writer, on)?;
    let archive = Archive::open(writer.folder())?;
    let indexed = follow::rebuild(&archive)?;
    Ok(Report { records, indexed })
}

/// Makes the rows that are missing: after a change of derivation, or a `reindex` that was interrupted.
///
/// # Errors
/// The first damaged record, after the rows of all others are made.
pub fn derive_missing(writer: &mut ArchiveWriter, on: &mut dyn FnMut(u64)) -> Result<u64, Error> {
    let mut records = 0;
    let mut after = RecordId(0);
    let mut first_damage = None;
    while let Some(more) = writer.derive_more(after, CHUNK)? {
        after = more.last;
        records += more.made;
        first_damage = first_damage.or(more.damaged.into_iter().next());
        on(records);
    }
    first_damage.map_or(Ok(records), |damage| Err(damage.into()))
}
