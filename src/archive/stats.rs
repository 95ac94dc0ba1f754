//! Counts and sizes.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::{
    archive::{
        error::Result,
        folder::Folder,
        rows::{kind_code, kind_of},
        schema,
    },
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
    pub sealed_bytes: u64,
}

/// How much there is of a kind, as it was counted while it was stored.
pub(crate) fn counts(connection: &Connection, kind: Kind) -> Result<Counts> {
    if !schema::has_kept_counts(connection)? {
        return Ok(counted(connection)?.remove(&kind).unwrap_or_default());
    }
    let sql = "SELECT kind, records, versions, raw_bytes, frame_bytes FROM kept WHERE kind = ?1";
    let found = connection.prepare_cached(sql)?.query_row([kind_code(kind)], counts_of).optional()?;
    Ok(found.unwrap_or_default())
}

/// How much there is of each kind, counted now: a look at each version.
pub(crate) fn counted(connection: &Connection) -> Result<HashMap<Kind, Counts>> {
    let mut statement = connection.prepare(
        "SELECT kind, count(DISTINCT record_id), count(*), sum(raw_bytes), coalesce(sum(length(frame)), 0)
         FROM version JOIN record USING (record_id) GROUP BY kind",
    )?;
    let mut rows = statement.query([])?;
    let mut counted = HashMap::new();
    while let Some(row) = rows.next()? {
        if let Some(kind) = kind_of(row.get(0)?) {
            counted.insert(kind, counts_of(row)?);
        }
    }
    Ok(counted)
}

fn counts_of(row: &Row<'_>) -> rusqlite::Result<Counts> {
    let number = |n: usize| row.get::<_, i64>(n).map(i64::unsigned_abs);
    Ok(Counts { records: number(1)?, versions: number(2)?, raw_bytes: number(3)?, frame_bytes: number(4)? })
}

pub(crate) fn sizes(folder: &Folder) -> Sizes {
    Sizes {
        database_bytes: database_bytes(&folder.database()),
        index_bytes: files_bytes(&folder.index()),
        sealed_bytes: fs::read_dir(folder.sealed())
            .map_or(0, |months| months.flatten().map(|month| files_bytes(&month.path())).sum()),
    }
}

/// The bytes of a database with its write-ahead log.
pub(crate) fn database_bytes(path: &Path) -> u64 {
    file_bytes(path) + file_bytes(&log_of(path))
}

/// When the database or its write-ahead log was last written.
pub(crate) fn written(folder: &Folder) -> Option<SystemTime> {
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    modified(&folder.database()).max(modified(&log_of(&folder.database())))
}

fn log_of(database: &Path) -> PathBuf {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}

fn files_bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).map_or(0, |entries| entries.flatten().map(|entry| file_bytes(&entry.path())).sum())
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
