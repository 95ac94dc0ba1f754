//! What is known of versions that were disposed of: their tombstones, and the certificates of disposals.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{Archive, error::Result, guid, rows::kind_code, schema},
    model::{
        id::{RecordId, RecordKey, Seq, Version},
        kind::Kind,
    },
};

/// A version that was disposed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub seq: Seq,
    pub version: Version,
    /// The entry of the disposal.
    pub purge: Seq,
}

impl Archive {
    /// The versions of a record that were disposed of, oldest first.
    pub fn tombstones(&self, key: &RecordKey) -> Result<Vec<Tombstone>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(Vec::new());
        }
        tombstones(&self.connection, key)
    }

    /// Ledger numbers of the versions that a disposal took, ascending.
    pub fn purged_by(&self, purge: Seq) -> Result<Vec<Seq>> {
        let mut statement = self.connection.prepare("SELECT seq FROM purged WHERE purge_seq = ?1 ORDER BY seq")?;
        let rows = statement.query_map([purge.0], |row| row.get(0).map(Seq))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Entries of disposals of which there are tombstones.
    pub fn purges(&self) -> Result<Vec<Seq>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(Vec::new());
        }
        let mut statement = self.connection.prepare("SELECT DISTINCT purge_seq FROM purged ORDER BY purge_seq")?;
        let rows = statement.query_map([], |row| row.get(0).map(Seq))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Records whose disposal is not finished: something of them may be in files still.
    pub fn unfinished_purges(&self) -> Result<Vec<RecordId>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(Vec::new());
        }
        let sql = "SELECT DISTINCT purged.record_id FROM purge JOIN purged ON purged.purge_seq = purge.seq WHERE NOT purge.finished";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0).map(RecordId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The certificate of a disposal, and whether nothing of it is left in any file.
    pub fn certificate(&self, purge: Seq) -> Result<Option<(String, bool)>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(None);
        }
        let sql = "SELECT certificate, finished FROM purge WHERE seq = ?1 AND certificate IS NOT NULL";
        Ok(self.connection.query_row(sql, [purge.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }
}

pub(crate) fn tombstones(connection: &Connection, key: &RecordKey) -> Result<Vec<Tombstone>> {
    let sql = "SELECT purged.seq, purged.version, purge_seq FROM record JOIN purged USING (record_id)
               WHERE record.kind = ?1 AND record.id = ?2 ORDER BY purged.version";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| {
        Ok(Tombstone { seq: Seq(row.get(0)?), version: Version(row.get(1)?), purge: Seq(row.get(2)?) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Versions that were disposed of, by their entries.
pub(crate) fn purged_between(connection: &Connection, after: Seq, to: Seq) -> Result<Vec<Seq>> {
    if !schema::has_retention(connection)? {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare_cached("SELECT seq FROM purged WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
    let rows = statement.query_map([after.0, to.0], |row| row.get(0).map(Seq))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether anything was ever disposed of.
pub(crate) fn any(connection: &Connection) -> Result<bool> {
    if !schema::has_retention(connection)? {
        return Ok(false);
    }
    Ok(connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM purge)")?.query_row([], |row| row.get(0))?)
}

/// Whether a record that is known and has no version was disposed of.
pub(crate) fn is_purged(connection: &Connection, kind: Kind, id: &str) -> Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM record JOIN purged USING (record_id) WHERE record.kind = ?1 AND record.id = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row(params![kind_code(kind), guid::to_sql(id)], |row| row.get(0))?)
}
