//! Versions before the newest, looked at as if they were the newest: rows and questions are about that alone, but who is in an older version
//! only is in the archive as well.

use rusqlite::{Connection, params};

use crate::{
    archive::{
        Archive, connection,
        error::Result,
        rows::{RowWriter, kind_code},
        schema,
    },
    model::{
        derive,
        id::{RecordId, Seq},
        kind::Kind,
    },
};

/// Versions whose rows are made at a time, in memory.
const ROUND: usize = 1024;

/// The records that are looked at, as `record` is: each with the older version as its newest. The directory stays as it is.
const RECORDS: &str = "CREATE TABLE main.record (
    record_id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, id ANY NOT NULL, newest_seq INTEGER, derived INTEGER, modified_ns INTEGER,
    UNIQUE (kind, id)
) STRICT";

impl Archive {
    /// Versions before the newest of `records`, or of all; people aside, of whom all versions have rows. In rounds, of which each has a
    /// record once at the most.
    pub fn older_versions(&self, records: Option<&[RecordId]>) -> Result<Vec<Vec<(RecordId, Seq)>>> {
        let older = match records {
            Some(records) => older_of(&self.connection, records)?,
            None => older(&self.connection)?,
        };
        let mut by_age: Vec<Vec<(RecordId, Seq)>> = Vec::new();
        let (mut last, mut age) = (None, 0);
        for (record_id, seq) in older {
            age = if last == Some(record_id) { age + 1 } else { 0 };
            last = Some(record_id);
            if by_age.len() == age {
                by_age.push(Vec::new());
            }
            by_age[age].push((record_id, seq));
        }
        Ok(by_age.iter().flat_map(|versions| versions.chunks(ROUND)).map(<[_]>::to_vec).collect())
    }

    /// The archive as it would be if there were no records but these (people aside), each with this version as its newest. It is read
    /// out of this one, and its rows are in memory.
    ///
    /// # Errors
    /// Where a version is damaged, among others.
    pub fn with_newest(&self, versions: &[(RecordId, Seq)]) -> Result<Self> {
        let connection = connection::open_over(&self.folder.database())?;
        schema::make_rows_over(&connection)?;
        connection.execute_batch(RECORDS)?;
        let past = Self::over(connection, &self.folder);
        fill(&past, versions)?;
        Ok(past)
    }
}

fn fill(past: &Archive, versions: &[(RecordId, Seq)]) -> Result<()> {
    let connection = &past.connection;
    let transaction = connection.unchecked_transaction()?;
    connection.execute("INSERT INTO main.record SELECT * FROM archive.record WHERE kind = ?1", [person()])?;
    let mut record = connection.prepare(
        "INSERT INTO main.record SELECT record_id, kind, id, ?2, derived, modified_ns FROM archive.record WHERE record_id = ?1",
    )?;
    let (mut reader, mut rows) = (past.version_reader(), RowWriter::default());
    for (record_id, seq) in versions {
        record.execute(params![record_id.0, seq.0])?;
        let line = reader.document(*seq)?;
        let derived = derive::record(&line.info.key, line.asked, line.json);
        rows.insert(connection, *record_id, &line.info.key, (*seq, line.info.version), &derived)?;
    }
    drop((record, reader));
    Ok(transaction.commit()?)
}

fn person() -> i64 {
    kind_code(Kind::Person)
}

/// By record, its newest versions last.
fn older(connection: &Connection) -> Result<Vec<(RecordId, Seq)>> {
    let mut statement = connection.prepare(
        "SELECT version.record_id, version.seq FROM version JOIN record USING (record_id)
         WHERE version.seq <> record.newest_seq AND record.kind <> ?1 ORDER BY version.record_id, version.version",
    )?;
    let rows = statement.query_map([person()], |row| Ok((RecordId(row.get(0)?), Seq(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The same of some records.
fn older_of(connection: &Connection, records: &[RecordId]) -> Result<Vec<(RecordId, Seq)>> {
    let mut statement = connection.prepare(
        "SELECT version.seq FROM version JOIN record USING (record_id)
         WHERE version.record_id = ?1 AND version.seq <> record.newest_seq AND record.kind <> ?2 ORDER BY version.version",
    )?;
    let mut older = Vec::new();
    for record_id in records {
        let rows = statement.query_map(params![record_id.0, person()], |row| row.get(0).map(Seq))?;
        for seq in rows {
            older.push((*record_id, seq?));
        }
    }
    Ok(older)
}
