//! Reading versions back: which there are, their bodies, their documents.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{
        error::{Error, Result},
        frame::{Dictionary, FrameReader},
        guid,
        ledger::{self, Entry},
        rows::{kind_code, kind_of},
    },
    model::{
        document::Document,
        id::{RecordKey, Seq, Sha256, Version},
    },
};

/// One version that the archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    pub key: RecordKey,
    pub version: Version,
    pub seq: Seq,
    /// Whether it is the newest of its record.
    pub newest: bool,
    pub raw_bytes: u64,
    /// Compressed.
    pub frame_bytes: u64,
}

/// A version as read back and found equal to what the ledger says of it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub info: VersionInfo,
    pub document: Document,
    /// The assembled document: one line of JSON.
    pub json: String,
}

/// Reads frames, keeping a decompressor for each dictionary.
pub struct VersionReader<'a> {
    connection: &'a Connection,
    readers: HashMap<Option<i64>, FrameReader>,
}

impl<'a> VersionReader<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self { connection, readers: HashMap::new() }
    }

    /// Reads a version and checks it: each body against its SHA-256, envelopes and document against the ledger.
    ///
    /// # Errors
    /// [`Error::Damaged`] when anything differs; [`Error::DamagedLedger`] when there is no such entry or version.
    pub fn read(&mut self, seq: Seq) -> Result<Stored> {
        let (info, frame, dictionary_id) = self.row(seq)?;
        let damaged = |what: String| Error::Damaged { key: info.key.clone(), version: info.version, seq, what };
        let frame = frame.ok_or_else(|| damaged("its frame is missing".into()))?;
        let (parts, parts_sha256) = self.frame_reader(dictionary_id, &damaged)?.read(&frame).map_err(&damaged)?;
        let document = Document { key: info.key.clone(), version: info.version, parts };
        let json = document.assemble().map_err(|error| damaged(error.to_string()))?;
        let expected = Entry::Version {
            kind: info.key.kind.name().into(),
            id: info.key.id.clone(),
            version: info.version,
            json: Sha256::of(json.as_bytes()).to_string(),
            parts: parts_sha256.to_string(),
        };
        if document.raw_bytes() as u64 != info.raw_bytes {
            return Err(damaged(format!(
                "its row says {} bytes, its bodies have {}",
                info.raw_bytes,
                document.raw_bytes()
            )));
        }
        if ledger::entry(self.connection, seq)? != expected {
            return Err(damaged("its bodies are not those that its ledger entry names".into()));
        }
        Ok(Stored { info, document, json })
    }

    fn row(&self, seq: Seq) -> Result<(VersionInfo, Option<Vec<u8>>, Option<i64>)> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT record.kind, record.id, version.version, record.newest_seq = version.seq, version.raw_bytes,
                        length(version.frame), version.frame, version.dictionary_id
                 FROM version JOIN record USING (record_id) WHERE version.seq = ?1",
            )?
            .query_row([seq.0], |row| {
                let info = info(seq, row)?;
                Ok((info, row.get(6)?, row.get(7)?))
            })
            .optional()?;
        found.ok_or_else(|| Error::DamagedLedger { seq, what: "names a version that is missing".into() })
    }

    fn frame_reader(&mut self, id: Option<i64>, damaged: &dyn Fn(String) -> Error) -> Result<&mut FrameReader> {
        if let std::collections::hash_map::Entry::Vacant(place) = self.readers.entry(id) {
            let dictionary = match id {
                Some(id) => Some(dictionary(self.connection, id)?.map_err(damaged)?),
                None => None,
            };
            place.insert(FrameReader::new(dictionary.as_ref())?);
        }
        self.readers.get_mut(&id).ok_or_else(|| damaged("its dictionary is missing".into()))
    }
}

/// A stored dictionary, compared with its hash; the inner error says what is wrong with it.
pub(crate) fn dictionary(connection: &Connection, id: i64) -> Result<std::result::Result<Dictionary, String>> {
    let found: Option<(Vec<u8>, Vec<u8>)> = connection
        .query_row("SELECT bytes, sha256 FROM dictionary WHERE dictionary_id = ?1", [id], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match found {
        None => Err(format!("its dictionary {id} is missing")),
        Some((bytes, sha256)) if Some(Sha256::of(&bytes)) != Sha256::from_slice(&sha256) => {
            Err(format!("its dictionary {id} does not match its SHA-256"))
        }
        Some((bytes, _)) => Dictionary::new(bytes).ok_or_else(|| format!("its dictionary {id} is unreadable")),
    })
}

/// Whether there is a dictionary of this id.
pub(crate) fn has_dictionary(connection: &Connection, id: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM dictionary WHERE dictionary_id = ?1)";
    Ok(connection.query_row(sql, [id], |row| row.get(0))?)
}

/// The dictionary that new frames use: the newest one.
pub(crate) fn current_dictionary(connection: &Connection) -> Result<Option<Dictionary>> {
    let id: Option<i64> = connection
        .query_row("SELECT dictionary_id FROM dictionary ORDER BY added_ns DESC, rowid DESC LIMIT 1", [], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    dictionary(connection, id)?.map(Some).map_err(|what| Error::DamagedLedger { seq: Seq(1), what })
}

/// All versions of a record, oldest first; empty when there is no such record.
pub(crate) fn versions(connection: &Connection, key: &RecordKey) -> Result<Vec<VersionInfo>> {
    let mut statement = connection.prepare_cached(
        "SELECT record.kind, record.id, version.version, record.newest_seq = version.seq, version.raw_bytes,
                length(version.frame), version.seq
         FROM version JOIN record USING (record_id) WHERE record.kind = ?1 AND record.id = ?2 ORDER BY version.version",
    )?;
    let rows =
        statement.query_map(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| info(Seq(row.get(6)?), row))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The highest version of a record and its ledger number; `None` when there is no such record.
pub(crate) fn newest(connection: &Connection, key: &RecordKey) -> Result<Option<(Seq, Version)>> {
    let sql = "SELECT version.seq, version.version FROM record JOIN version ON version.seq = record.newest_seq
               WHERE record.kind = ?1 AND record.id = ?2";
    let found = connection.prepare_cached(sql)?.query_row(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| {
        Ok((Seq(row.get(0)?), Version(row.get(1)?)))
    });
    Ok(found.optional()?)
}

/// Ledger numbers of all versions, in their order, from the one after `after` on; at most `limit`.
pub(crate) fn seqs_after(connection: &Connection, after: Seq, limit: usize) -> Result<Vec<Seq>> {
    let mut statement = connection.prepare_cached("SELECT seq FROM version WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after.0, limit], |row| row.get(0).map(Seq))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn info(seq: Seq, row: &rusqlite::Row<'_>) -> rusqlite::Result<VersionInfo> {
    let kind = kind_of(row.get(0)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, row.get(0)?))?;
    let id = guid::from_sql(row.get_ref(1)?).unwrap_or_default();
    Ok(VersionInfo {
        key: RecordKey { kind, id },
        version: Version(row.get(2)?),
        seq,
        newest: row.get::<_, Option<bool>>(3)?.unwrap_or(false),
        raw_bytes: row.get::<_, i64>(4)?.unsigned_abs(),
        frame_bytes: row.get::<_, Option<i64>>(5)?.unwrap_or(0).unsigned_abs(),
    })
}
