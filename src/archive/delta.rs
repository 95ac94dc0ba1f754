//! Where delta queries go on.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::error::Result,
    model::{id::Cursor, source::Source, time::Timestamp},
};

/// The first format that has the table.
pub(crate) const FORMAT: i64 = 2;

/// The end of a delta query, which is the beginning of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    pub link: Cursor,
    /// Graph's time when that query was begun: what it is about is known up to then.
    pub asked: Timestamp,
}

pub(crate) fn get(connection: &Connection, source: Source) -> Result<Option<Delta>> {
    let found = connection
        .prepare_cached("SELECT link, asked_ns FROM delta WHERE source = ?1")?
        .query_row([source.name()], |row| Ok(Delta { link: Cursor(row.get(0)?), asked: Timestamp(row.get(1)?) }));
    Ok(found.optional()?)
}

pub(crate) fn set(connection: &Connection, source: Source, link: &Cursor, asked: Timestamp) -> Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO delta (source, link, asked_ns) VALUES (?1, ?2, ?3)")?
        .execute(params![source.name(), link.0, asked.0])?;
    Ok(())
}

pub(crate) fn forget(connection: &Connection, source: Source) -> Result<()> {
    connection.prepare_cached("DELETE FROM delta WHERE source = ?1")?.execute([source.name()])?;
    Ok(())
}
