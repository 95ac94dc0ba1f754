//! Makes every derived thing again from the raw records: rows and search index.

use std::ops::ControlFlow;

use crate::{
    archive::{self, Archive, ArchiveWriter},
    follow,
};

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
    let records = writer.derive_missing(&mut |records| {
        on(records);
        ControlFlow::Continue(())
    })?;
    let archive = Archive::open(writer.folder())?;
    let indexed = follow::rebuild(&archive)?;
    Ok(Report { records, indexed })
}
