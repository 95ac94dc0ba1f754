//! Rows made again from the newest versions: which records lack theirs, what their documents derive to, and storing that.
//!
//! Deriving needs nothing but a reader, so it may go on beside the writer that stores.

use rusqlite::{Connection, params};

use crate::{
    archive::{
        Archive,
        error::{Error, Result},
        people,
        rows::{self, RowWriter, kind_of},
        versions::VersionReader,
    },
    model::{
        derive,
        id::{RecordId, RecordKey, Seq, Version},
        kind::Kind,
        rows::Derived,
    },
};

/// A record whose rows are to be made again.
pub(crate) struct Underived {
    pub(crate) record_id: RecordId,
    /// Its newest version.
    seq: Seq,
    is_person: bool,
}

/// What a record's rows are to be made of.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the first")]
pub enum Rederived {
    /// Its newest version, and what that derives to.
    Record { record_id: RecordId, seq: Seq, key: RecordKey, version: Version, derived: Derived },
    /// Somebody of the directory, whose rows are of all versions.
    Person(RecordId),
}

/// Some of the records whose rows are missing.
#[derive(Debug)]
pub struct Chunk {
    /// Where the next chunk goes on.
    pub last: RecordId,
    pub records: Vec<Rederived>,
    /// Records that are damaged; they stop no other.
    pub damaged: Vec<Error>,
}

impl Archive {
    /// Derives up to `limit` of the records after `after` whose rows are missing. `None` at the end.
    pub fn rederive(&self, reader: &mut VersionReader<'_>, after: RecordId, limit: usize) -> Result<Option<Chunk>> {
        chunk(&self.connection, reader, after, limit)
    }
}

pub(crate) fn chunk(
    connection: &Connection,
    reader: &mut VersionReader<'_>,
    after: RecordId,
    limit: usize,
) -> Result<Option<Chunk>> {
    let mut underived = underived(connection, after, limit)?;
    let Some(last) = underived.last().map(|underived| underived.record_id) else { return Ok(None) };
    reader.sort(&mut underived, |underived| underived.seq)?;
    let mut chunk = Chunk { last, records: Vec::with_capacity(underived.len()), damaged: Vec::new() };
    for underived in underived {
        match rederive(reader, &underived) {
            Ok(rederived) => chunk.records.push(rederived),
            Err(error) if error.is_damage() => chunk.damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(chunk))
}

fn rederive(reader: &mut VersionReader<'_>, &Underived { record_id, seq, is_person }: &Underived) -> Result<Rederived> {
    if is_person {
        return Ok(Rederived::Person(record_id));
    }
    let line = reader.document(seq)?;
    let derived = derive::record(&line.info.key, line.asked, line.json);
    Ok(Rederived::Record { record_id, seq, key: line.info.key, version: line.info.version, derived })
}

/// Stores the rows of a record. Of a person all versions are read here.
pub(crate) fn store(
    connection: &Connection,
    rows: &mut RowWriter,
    reader: &mut VersionReader<'_>,
    rederived: &Rederived,
) -> Result<()> {
    match rederived {
        Rederived::Record { record_id, seq, key, version, derived } => {
            rows.replace(connection, *record_id, key, (*seq, *version), derived)?;
            rows::mark(connection, *record_id)
        }
        Rederived::Person(record_id) => {
            people::remake(connection, reader, *record_id)?;
            rows::mark(connection, *record_id)
        }
    }
}

fn underived(connection: &Connection, after: RecordId, limit: usize) -> Result<Vec<Underived>> {
    let mut statement = connection.prepare_cached(
        "SELECT record_id, newest_seq, kind FROM record WHERE derived IS NULL AND newest_seq IS NOT NULL AND record_id > ?1
         ORDER BY record_id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after.0, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        let is_person = kind_of(row.get(2)?) == Some(Kind::Person);
        Ok(Underived { record_id: RecordId(row.get(0)?), seq: Seq(row.get(1)?), is_person })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
