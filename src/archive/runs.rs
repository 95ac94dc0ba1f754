//! What each writing command did, and how it ended.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::{
    archive::error::Result,
    model::{
        id::RunId,
        source::Source,
        time::{Age, Timestamp},
    },
};

/// A run of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    pub command: String,
    pub begun: Timestamp,
    /// `None`: still at it, or it died.
    pub ended: Option<Timestamp>,
    pub exit_code: Option<u8>,
}

pub(crate) fn begin(connection: &Connection, command: &str, now: Timestamp) -> Result<RunId> {
    let run_id = connection
        .prepare_cached("INSERT INTO run (command, begun_ns) VALUES (?1, ?2)")?
        .insert(params![command, now.0])?;
    Ok(RunId(run_id))
}

pub(crate) fn end(connection: &Connection, run: RunId, exit_code: u8, report: &str, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE run SET ended_ns = ?2, exit_code = ?3, report = ?4 WHERE run_id = ?1")?
        .execute(params![run.0, now.0, exit_code, report])?;
    Ok(())
}

/// When the last sync ended that could tell what was lost of `source`: not one that was refused, or died, or was about other
/// sources.
pub(crate) fn last_reporting_sync(connection: &Connection, source: Source) -> Result<Option<Timestamp>> {
    // A run that failed has no report but its error.
    let sql = "SELECT max(ended_ns) FROM run, json_each(iif(json_valid(report), report, '{}')) AS list, json_each(list.value) AS one
               WHERE command = 'sync' AND exit_code IN (0, 3, 7) AND list.key IN ('sources', 'left_out')
                   AND one.value ->> '$.source' = ?1";
    let ended = connection.query_row(sql, [source.name()], |row| row.get::<_, Option<i64>>(0))?;
    Ok(ended.map(Timestamp))
}

/// How far Graph's clock was ahead of this machine's, as the last run saw it that asked Graph.
pub(crate) fn last_clock_off(connection: &Connection) -> Result<Age> {
    let sql = "SELECT report ->> '$.clock_off_s' FROM run
               WHERE command IN ('sync', 'retry') AND exit_code IN (0, 3, 7) AND json_valid(report)
               ORDER BY run_id DESC LIMIT 1";
    let seconds = connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(Age::seconds(seconds.flatten().unwrap_or(0)))
}

/// The latest runs, newest first.
pub(crate) fn latest(connection: &Connection, limit: usize) -> Result<Vec<Run>> {
    let mut statement = connection
        .prepare_cached("SELECT command, begun_ns, ended_ns, exit_code FROM run ORDER BY run_id DESC LIMIT ?1")?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Run {
            command: row.get(0)?,
            begun: Timestamp(row.get(1)?),
            ended: row.get::<_, Option<i64>>(2)?.map(Timestamp),
            exit_code: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
