//! The spine: entries that are appended and never rewritten.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::{
    archive::error::{Error, Result},
    model::{
        id::{Seq, Version},
        time::Timestamp,
    },
};

/// What an entry says. Its JSON is the contract of docs/format.md: members may be added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Entry {
    /// The archive began.
    Created { format: i64, time: Timestamp },
    /// A version was stored. `json` is the SHA-256 of the assembled document, `parts` that over the envelope lines.
    Version { kind: String, id: String, version: Version, json: String, parts: String },
    /// Graph listed a record and no longer gave it when asked.
    Lost { kind: String, id: String, version: Version, start: Timestamp, lost: Timestamp },
    /// Bodies moved into a file of their own. `sha256` is that of the file, `manifest` that of the manifest beside it.
    Sealed {
        file: String,
        versions: u64,
        raw_bytes: u64,
        bytes: u64,
        sha256: String,
        manifest: String,
        sealed: Timestamp,
    },
}

/// The format of archives that this program makes.
pub(crate) const FORMAT: i64 = 1;

/// Appends an entry inside the caller's transaction.
pub(crate) fn append(connection: &Connection, entry: &Entry) -> Result<Seq> {
    let line =
        serde_json::to_string(entry).map_err(|error| Error::DamagedLedger { seq: Seq(0), what: error.to_string() })?;
    connection.prepare_cached("INSERT INTO ledger (entry) VALUES (?1)")?.execute([line])?;
    Ok(Seq(connection.last_insert_rowid()))
}

/// The number of the last entry; 0 in an archive without any.
pub(crate) fn head(connection: &Connection) -> Result<Seq> {
    Ok(Seq(connection.query_row("SELECT coalesce(max(seq), 0) FROM ledger", [], |row| row.get(0))?))
}

/// Reads one entry.
pub(crate) fn entry(connection: &Connection, seq: Seq) -> Result<Entry> {
    let line: String = connection
        .prepare_cached("SELECT entry FROM ledger WHERE seq = ?1")?
        .query_row([seq.0], |row| row.get(0))
        .map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Error::DamagedLedger { seq, what: "is missing".into() },
            other => other.into(),
        })?;
    parse(seq, &line)
}

/// Entries after `after`, in their order, at most `limit`: number and line.
pub(crate) fn entries_after(connection: &Connection, after: Seq, limit: usize) -> Result<Vec<(Seq, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT seq, entry FROM ledger WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after.0, limit], |row| Ok((Seq(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Reads the line of an entry.
pub fn parse(seq: Seq, line: &str) -> Result<Entry> {
    serde_json::from_str(line).map_err(|error| Error::DamagedLedger { seq, what: format!("is unreadable: {error}") })
}
