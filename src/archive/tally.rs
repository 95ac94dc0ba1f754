//! How many records each bucket has, and when it last changed: counted where records are, and never kept beside them.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::{
    archive::{bucket::Tally, error::Result, guid, rows::kind_code, schema},
    model::{
        id::{Seq, Version},
        source::Source,
        time::{Span, Timestamp},
    },
};

/// The step of the schema that has `changed`: an archive that no later program has written to yet is read without.
const CHANGED_SINCE: i64 = 3;

/// A record that Graph listed and no longer gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostRecord {
    pub id: String,
    /// As listed.
    pub version: Version,
    /// As listed.
    pub start: Timestamp,
    /// When it was found to be gone.
    pub lost: Timestamp,
    /// The ledger's entry about it.
    #[serde(skip)]
    pub seq: Seq,
}

/// Counts the records of each bucket that begins in `within`.
pub(crate) fn tally(connection: &Connection, source: Source, within: Span) -> Result<Tally> {
    let count = |table: &str| -> Result<BTreeMap<Timestamp, u64>> {
        let sql = format!(
            "SELECT start_ns - start_ns % ?2, count(*) FROM {table} WHERE kind = ?1 AND start_ns >= ?3 AND start_ns < ?4 GROUP BY 1"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let bound = params![kind_code(source.kind()), source.bucket().0, within.from.0, within.to.0];
        let rows =
            statement.query_map(bound, |row| Ok((Timestamp(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs())))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    Ok(Tally {
        records: count("hit")?,
        queued: count("todo")?,
        lost: count("lost")?,
        changed: changed(connection, source, within)?,
    })
}

fn changed(connection: &Connection, source: Source, within: Span) -> Result<BTreeMap<Timestamp, Timestamp>> {
    if schema::format(connection)? < CHANGED_SINCE {
        return Ok(BTreeMap::new());
    }
    let mut statement = connection.prepare_cached(
        "SELECT from_ns, changed_ns FROM changed WHERE source = ?1 AND from_ns >= ?2 AND from_ns < ?3",
    )?;
    let rows = statement.query_map(params![source.name(), within.from.0, within.to.0], |row| {
        Ok((Timestamp(row.get(0)?), Timestamp(row.get(1)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Buckets that are looked into for the newest record: a bucket may have none any more, or only some still to fetch.
const NEWEST_OF: i64 = 48;

/// The start of the newest record; `None` where there is none, or none in the latest buckets of which anything was seen.
pub(crate) fn newest_start(connection: &Connection, source: Source) -> Result<Option<Timestamp>> {
    if schema::format(connection)? < CHANGED_SINCE {
        return Ok(None);
    }
    let mut buckets =
        connection.prepare_cached("SELECT from_ns FROM changed WHERE source = ?1 ORDER BY from_ns DESC LIMIT ?2")?;
    // Records of other kinds may be newer by the million: only the bucket's own are looked at.
    let mut newest = connection
        .prepare_cached("SELECT max(start_ns) FROM hit WHERE kind = ?1 AND start_ns >= ?2 AND start_ns < ?3")?;
    let mut rows = buckets.query(params![source.name(), NEWEST_OF])?;
    while let Some(row) = rows.next()? {
        let from: i64 = row.get(0)?;
        let bound = params![kind_code(source.kind()), from, from + source.bucket().0];
        if let Some(start) = newest.query_row(bound, |row| row.get::<_, Option<i64>>(0))? {
            return Ok(Some(Timestamp(start)));
        }
    }
    Ok(None)
}

/// Notes that something new of a bucket was seen at `now`.
pub(crate) fn note_change(connection: &Connection, source: Source, start: Timestamp, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO changed (source, from_ns, changed_ns) VALUES (?1, ?2, ?3)
             ON CONFLICT (source, from_ns) DO UPDATE SET changed_ns = max(changed_ns, excluded.changed_ns)",
        )?
        .execute(params![source.name(), start.floor_to(source.bucket()).0, now.0])?;
    Ok(())
}

/// The records of a source that are lost one by one, by start.
pub(crate) fn lost(connection: &Connection, source: Source) -> Result<Vec<LostRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, version, start_ns, lost_ns, seq FROM lost WHERE kind = ?1 ORDER BY start_ns, seq",
    )?;
    let rows = statement.query_map([kind_code(source.kind())], |row| {
        Ok(LostRecord {
            id: guid::from_sql(row.get_ref(0)?).unwrap_or_default(),
            version: Version(row.get(1)?),
            start: Timestamp(row.get(2)?),
            lost: Timestamp(row.get(3)?),
            seq: Seq(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
