//! Counts and sizes.

use std::{fs, path::Path};

use rusqlite::Connection;
use serde::Serialize;

use crate::{
    archive::{error::Result, folder::Folder, rows::kind_code},
    model::kind::Kind,
};

/// How much a kind has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub records: u64,
    pub versions: u64,
    /// Bodies as received.
    pub raw_bytes: u64,
    /// The same bodies as stored.
    pub frame_bytes: u64,
}

/// What lies on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    pub database_bytes: u64,
    pub index_bytes: u64,
}

pub(crate) fn counts(connection: &Connection, kind: Kind) -> Result<Counts> {
    let counts = connection.query_row(
        "SELECT count(DISTINCT record_id), count(*), coalesce(sum(raw_bytes), 0), coalesce(sum(length(frame)), 0)
         FROM version JOIN record USING (record_id) WHERE kind = ?1",
        [kind_code(kind)],
        |row| {
            let number = |n: usize| row.get::<_, i64>(n).map(i64::unsigned_abs);
            Ok(Counts { records: number(0)?, versions: number(1)?, raw_bytes: number(2)?, frame_bytes: number(3)? })
        },
    )?;
    Ok(counts)
}

pub(crate) fn sizes(folder: &Folder) -> Sizes {
    let mut wal = folder.database().into_os_string();
    wal.push("-wal");
    Sizes {
        database_bytes: file_bytes(&folder.database()) + file_bytes(Path::new(&wal)),
        index_bytes: fs::read_dir(folder.index())
            .map_or(0, |entries| entries.flatten().map(|entry| file_bytes(&entry.path())).sum()),
    }
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
