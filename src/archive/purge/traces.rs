//! What is left of disposals in files and unused pages, taken out after their transaction.

use std::{fs, io::ErrorKind};

use crate::{
    archive::{
        ArchiveWriter,
        access::Journal,
        error::{Error, Result},
        sealed::table,
    },
    model::{id::Seq, time::Timestamp},
};

impl ArchiveWriter {
    /// Takes what is left of disposals out of files and unused pages. The index is somebody else's, and comes before this.
    ///
    /// # Errors
    /// [`Error::NoRoom`] where the disk has no room to write the database anew; everything else is done.
    pub fn take_traces(&mut self) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT 1 FROM purge WHERE NOT finished)";
        if !self.connection.query_row(sql, [], |row| row.get::<_, bool>(0))? {
            return Ok(());
        }
        self.empty_journal()?;
        for volume in table::gone(&self.connection)? {
            let folder = volume.folder(&self.folder);
            for name in [volume.file(), volume.manifest()] {
                let path = folder.join(name);
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != ErrorKind::NotFound => return Err(Error::Io { path, source }),
                    _ => {}
                }
            }
            // Only where nothing else is in it.
            let _ = fs::remove_dir(&folder);
        }
        // Deleted cells are overwritten, but copies of them may lie in gaps that moving cells about has left.
        let bytes = fs::metadata(self.folder.database()).map_or(0, |file| file.len());
        if self.folder.free_bytes()? < 3 * bytes {
            return Err(Error::NoRoom { bytes: 3 * bytes });
        }
        self.connection.execute_batch("VACUUM")?;
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Err(Error::StillRead);
        }
        self.connection.execute("UPDATE purge SET finished = 1 WHERE NOT finished", [])?;
        self.checkpoint()
    }

    /// Takes what names somebody who was erased out of the journal of accesses.
    fn empty_journal(&mut self) -> Result<()> {
        let mut statement = self.connection.prepare("SELECT seq, words FROM purge WHERE words IS NOT NULL")?;
        let rows = statement.query_map([], |row| Ok((Seq(row.get(0)?), row.get::<_, String>(1)?)))?;
        for (seq, words) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
            let words: Vec<String> = serde_json::from_str(&words).unwrap_or_default();
            if self.folder.access().is_file() {
                Journal::open(&self.folder)?.empty(&words, seq, Timestamp::now())?;
            }
            self.connection.execute("UPDATE purge SET words = NULL WHERE seq = ?1", [seq.0])?;
        }
        Ok(())
    }
}
