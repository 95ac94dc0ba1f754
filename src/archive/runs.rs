//! What each writing command did, and how it ended.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::{
    archive::{
        coverage::{self, Coverage, coverage},
        error::Result,
        ledger::{self, Covered, Entry},
        schema,
    },
    model::{
        id::{RunId, Seq},
        retention::Retention,
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
        .prepare_cached("INSERT INTO run (command, begun_ns, head) VALUES (?1, ?2, ?3)")?
        .insert(params![command, now.0, ledger::head(connection)?.0])?;
    Ok(RunId(run_id))
}

pub(crate) fn end(connection: &Connection, run: RunId, exit_code: u8, report: &str, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE run SET ended_ns = ?2, exit_code = ?3, report = ?4 WHERE run_id = ?1")?
        .execute(params![run.0, now.0, exit_code, report])?;
    Ok(())
}

/// A run that did nothing and ended well is entered no more often than this: a service has one every few minutes.
const ENTERED_EVERY: Age = Age::hours(6);

/// Enters a run that has ended into the ledger, in the caller's transaction: one that stored something, one that did not end well, and of
/// others one every few hours.
pub(crate) fn enter(connection: &Connection, run: RunId, retention: Option<&Retention>, now: Timestamp) -> Result<()> {
    let sql = "SELECT command, begun_ns, ended_ns, exit_code, head FROM run WHERE run_id = ?1";
    let (command, begun, ended, exit_code, head): (String, i64, i64, u8, i64) =
        connection
            .query_row(sql, [run.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
    let versions: i64 =
        connection.query_row("SELECT count(*) FROM version WHERE seq > ?1", [head], |row| row.get(0))?;
    let is_quiet = exit_code == 0 && ledger::head(connection)? == Seq(head);
    let before = schema::setting(connection, "run_entered_ns")?.map(Timestamp);
    if is_quiet && before.is_some_and(|before| before <= now && now < before + ENTERED_EVERY) {
        return Ok(());
    }
    let coverage = retention.map_or(Ok(Vec::new()), |retention| covered(connection, retention, now))?;
    let (begun, ended, versions) = (Timestamp(begun), Timestamp(ended), versions.unsigned_abs());
    ledger::append(connection, &Entry::Run { command, begun, ended, exit_code, versions, coverage })?;
    schema::set(connection, "run_entered_ns", now.0)
}

/// What can be vouched for, of each source of which there is anything.
fn covered(connection: &Connection, retention: &Retention, now: Timestamp) -> Result<Vec<Covered>> {
    let mut statements = Vec::new();
    for source in Source::ALL {
        let Coverage { covered, lost, .. } = coverage(source, &coverage::facts(connection, source)?, now, retention);
        if !covered.is_empty() || !lost.is_empty() {
            statements.push(Covered { source: source.name().to_owned(), covered, lost });
        }
    }
    Ok(statements)
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

/// Graph's time when this machine's clock says `local_now`, by how far they were apart when Graph was last asked. If Graph's time had gone
/// back since then, it is the local clock that was set, and nothing is known of it.
pub(crate) fn graph_now(connection: &Connection, local_now: Timestamp) -> Result<Timestamp> {
    let sql = "SELECT report ->> '$.clock_off_s', ended_ns FROM run
               WHERE command IN ('sync', 'retry') AND exit_code IN (0, 3, 7) AND json_valid(report)
               ORDER BY run_id DESC LIMIT 1";
    let last = connection.query_row(sql, [], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get(1)?))).optional()?;
    let Some((Some(off_s), ended)) = last else { return Ok(local_now) };
    let now = local_now + Age::seconds(off_s);
    Ok(if now < Timestamp(ended) - Age::seconds(2) { local_now } else { now })
}

/// Runs over all runs with their reports, newest first, until told to stop.
pub(crate) fn each(connection: &Connection, on: &mut dyn FnMut(Run, &str) -> ControlFlow<()>) -> Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT command, begun_ns, ended_ns, exit_code, report FROM run ORDER BY run_id DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let report = row.get_ref(4)?.as_str_or_null().ok().flatten().unwrap_or_default();
        if on(run(row)?, report).is_break() {
            break;
        }
    }
    Ok(())
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        command: row.get(0)?,
        begun: Timestamp(row.get(1)?),
        ended: row.get::<_, Option<i64>>(2)?.map(Timestamp),
        exit_code: row.get(3)?,
    })
}

/// The latest runs, newest first.
pub(crate) fn latest(connection: &Connection, limit: usize) -> Result<Vec<Run>> {
    let mut statement = connection
        .prepare_cached("SELECT command, begun_ns, ended_ns, exit_code FROM run ORDER BY run_id DESC LIMIT ?1")?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], run)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_time_is_known_until_the_local_clock_is_set() {
        let connection = Connection::open_in_memory().unwrap();
        for step in [include_str!("../../schema/0001_kept.sql"), include_str!("../../schema/0007_checkpoints.sql")] {
            connection.execute_batch(step).unwrap();
        }
        let local = |seconds| Timestamp(0) + Age::days(20_000) + Age::seconds(seconds);
        assert_eq!(graph_now(&connection, local(0)).unwrap(), local(0), "nobody has asked Graph yet");
        let day = 86_400;
        for (off_s, later_s, graph_s) in [
            (0, 100, 100),
            // Behind Graph by ten days, and ahead of it.
            (10 * day, 100, 100 + 10 * day),
            (-10 * day, 100, 100 - 10 * day),
            // Ahead by ten days, and meanwhile set right.
            (-10 * day, -10 * day + 100, -10 * day + 100),
        ] {
            let ended = local(off_s);
            let run = begin(&connection, "sync", ended).unwrap();
            let report = if off_s == 0 { "{}".to_owned() } else { format!(r#"{{"clock_off_s":{off_s}}}"#) };
            end(&connection, run, 0, &report, ended).unwrap();
            let refused = begin(&connection, "sync", ended).unwrap();
            end(&connection, refused, 4, "the secret has run out", ended).unwrap();
            assert_eq!(graph_now(&connection, local(later_s)).unwrap(), local(graph_s), "{off_s}, {later_s}");
        }
    }
}
