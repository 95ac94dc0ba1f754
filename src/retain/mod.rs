//! Keeping by rule and disposing by rule: what is due, what is held, and carrying it out. A hold always wins.
//!
//! 1. [`plan`](plan::by_rules) says what would go and what is held; it changes nothing.
//! 2. Somebody looks at it, where the config asks for it a second person.
//! 3. [`carry_out`] asks the holds again inside the disposal's own transaction, then takes the traces out of index, files and unused pages.
//!
//! Whoever disposes holds the writer's lock from the plan on, so no hold and no record comes between.

pub mod plan;
pub mod rule;
pub mod seen;

use std::collections::HashSet;

use crate::{
    archive::{
        self, Archive, ArchiveWriter,
        policy::Hold,
        purge::{Disposal, Purged},
    },
    follow,
    model::{id::RecordId, time::Timestamp},
    query,
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Follow(#[from] follow::Error),
    #[error(transparent)]
    Query(#[from] query::Error),
    #[error("{0}")]
    Usage(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// The holds in force.
pub fn in_force(archive: &Archive) -> Result<Vec<Hold>> {
    Ok(archive.holds()?.into_iter().filter(|hold| hold.released.is_none()).collect())
}

/// Of `records`, those that each hold in force covers; holds that cover none of them are left out.
pub fn held(archive: &Archive, records: &[RecordId]) -> Result<Vec<(Hold, HashSet<RecordId>)>> {
    let holds = in_force(archive)?;
    let seen = seen::look(archive, &holds, records)?;
    let mut held = Vec::new();
    for hold in holds {
        let covered = archive.held_by(&hold, seen.texts.get(&hold.id))?;
        let older = seen.older.get(&hold.id);
        let is_covered =
            |record: &RecordId| covered.contains(record) || older.is_some_and(|older| older.contains(record));
        let covered: HashSet<RecordId> = records.iter().copied().filter(is_covered).collect();
        if !covered.is_empty() {
            held.push((hold, covered));
        }
    }
    Ok(held)
}

/// Disposes of what `disposal` names, and takes the traces out.
///
/// # Errors
/// [`archive::Error::Held`], and nothing has changed. What fails after that is in the second place: the records are gone by then.
pub fn carry_out(
    writer: &mut ArchiveWriter,
    disposal: &Disposal,
    (level, now): (i32, Timestamp),
) -> Result<(Purged, Result<()>)> {
    let seen = {
        let archive = Archive::open(writer.folder())?;
        seen::look(&archive, &in_force(&archive)?, &disposal.records)?
    };
    let purged = writer.purge(disposal, &seen, (level, now))?;
    Ok((purged, finish(writer)))
}

/// Goes on with disposals that were cut off, or could not be finished.
pub fn finish(writer: &mut ArchiveWriter) -> Result<()> {
    let records = Archive::open(writer.folder())?.unfinished_purges()?;
    if records.is_empty() {
        return Ok(());
    }
    {
        // No connection may be left that still reads an older state of the database.
        let archive = Archive::open(writer.folder())?;
        follow::forget(&archive, &records)?;
    }
    Ok(writer.take_traces()?)
}
