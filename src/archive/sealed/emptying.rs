//! Takes bodies out of the database that a sealed file has, and gives the room back. No frame goes before the file was found on the disk as it was
//! sealed.

use std::{fs, fs::File, ops::ControlFlow};

use rusqlite::Connection;

use crate::archive::{
    ArchiveWriter,
    error::{Error, Result},
    folder::Folder,
    sealed::{
        check, reader,
        table::{self, Volume},
        writing::{OnProgress, Progress, Step, disk, sync_folder},
    },
};

/// Versions whose frames are emptied in one transaction.
const EMPTIED_AT_ONCE: usize = 256;
/// Pages of the database that are given back in one transaction.
const PAGES_AT_ONCE: i64 = 2000;

impl ArchiveWriter {
    /// Does what sealings that were cut off left to do: empties the frames of all that is sealed, and forgets what is not.
    ///
    /// # Errors
    /// The first [`Error::Volume`], where a file is not the one that was sealed: its frames stay, and it stops no other.
    pub fn finish_sealing(&mut self, on: &mut OnProgress<'_>) -> Result<()> {
        self.forget_unentered()?;
        let to_do =
            table::volumes(&self.connection)?.into_iter().filter(|volume| volume.seq.is_some() && !volume.emptied);
        let mut outcome = Ok(());
        for volume in to_do.collect::<Vec<_>>() {
            match self.finish(&volume, on) {
                Ok(flow) if flow.is_break() => break,
                Ok(_) => {}
                Err(error @ Error::Volume { .. }) => outcome = outcome.and(Err(error)),
                Err(error) => return Err(error),
            }
        }
        outcome
    }

    /// Empties the frames of one file's versions, once it was read again.
    pub(super) fn finish(&mut self, volume: &Volume, on: &mut OnProgress<'_>) -> Result<ControlFlow<()>> {
        require(&self.folder, volume)?;
        self.empty(volume, on)
    }

    /// Gives room that the database does not need any more back to the disk.
    ///
    /// # Errors
    /// None that matter: the room is used again by what is stored next.
    pub fn give_back(&mut self) -> Result<()> {
        let number = |pragma: &str| self.connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
        if number("PRAGMA auto_vacuum")? != 2 {
            // A database of an older program: once made anew it gives back page by page. That takes as much room again, twice.
            let bytes = fs::metadata(self.folder.database()).map_or(0, |file| file.len());
            if self.folder.free_bytes()? > 3 * bytes {
                self.connection.execute_batch("PRAGMA auto_vacuum = incremental; VACUUM")?;
            }
            return self.checkpoint();
        }
        let mut free = number("PRAGMA freelist_count")?;
        while free > 0 {
            let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
            let mut pages = vacuum.query([])?;
            while pages.next()?.is_some() {}
            let left = number("PRAGMA freelist_count")?;
            if left >= free {
                break;
            }
            free = left;
        }
        self.checkpoint()
    }

    /// Empties the frames of what a file holds, and notes when that is done.
    fn empty(&mut self, volume: &Volume, on: &mut OnProgress<'_>) -> Result<ControlFlow<()>> {
        let seqs: Vec<i64> = self
            .connection
            .prepare_cached(
                "SELECT sealed.seq FROM sealed CROSS JOIN version ON version.seq = sealed.seq
                 WHERE sealed.volume_id = ?1 AND version.frame IS NOT NULL ORDER BY sealed.seq",
            )?
            .query_map([volume.id], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let total = seqs.len() as u64;
        let mut done = 0;
        for chunk in seqs.chunks(EMPTIED_AT_ONCE) {
            let progress = Progress { month: volume.name.month, step: Step::Empty, done, total };
            if on(progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.transaction(|transaction, _| empty_frames(transaction, chunk))?;
            done += chunk.len() as u64;
        }
        self.connection.execute("UPDATE volume SET emptied = 1 WHERE volume_id = ?1", [volume.id])?;
        Ok(ControlFlow::Continue(()))
    }
}

/// Rows that only become shorter would leave their pages half empty, so they are taken out and put in again.
fn empty_frames(connection: &Connection, seqs: &[i64]) -> Result<()> {
    connection.pragma_update(None, "defer_foreign_keys", true)?;
    let mut take =
        connection.prepare_cached("DELETE FROM version WHERE seq = ?1 RETURNING record_id, version, raw_bytes")?;
    let mut put = connection
        .prepare_cached("INSERT INTO version (seq, record_id, version, raw_bytes) VALUES (?1, ?2, ?3, ?4)")?;
    let mut rows: Vec<[i64; 4]> = Vec::with_capacity(seqs.len());
    for seq in seqs {
        rows.push(take.query_row([seq], |row| Ok([*seq, row.get(0)?, row.get(1)?, row.get(2)?]))?);
    }
    for row in rows {
        put.execute(row)?;
    }
    Ok(())
}

/// That a file is there, on the disk and not in memory alone, and is the one that was sealed.
fn require(folder: &Folder, volume: &Volume) -> Result<()> {
    let path = volume.name.path(folder);
    let file = File::open(&path).map_err(|error| reader::unopened(&path, error))?;
    // Whoever made it may have died before its name was on the disk.
    let names = [volume.name.folder(folder), folder.sealed(), folder.path().to_path_buf()];
    names.iter().try_for_each(|names| sync_folder(names)).map_err(|error| disk(&path, error))?;
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    let found = check::hash(&file).map_err(|source| Error::Io { path: path.clone(), source })?;
    if found == (volume.bytes, volume.sha256) {
        return Ok(());
    }
    Err(Error::Volume { path, what: "is not the file that was sealed".into() })
}
