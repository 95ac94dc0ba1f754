//! Reading versions back: which there are, their bodies, their documents.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{
        error::{Error, Result},
        folder::Folder,
        frame::{Dictionary, FrameReader},
        guid,
        ledger::{self, Entry},
        rows::{kind_code, kind_of},
        sealed::{
            VolumeName,
            reader::{Place, SealedReader},
            table,
        },
    },
    model::{
        document::{Document, Part},
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
    /// Compressed; 0 once its bodies are sealed and its frame is emptied.
    pub frame_bytes: u64,
    /// The file that has its bodies.
    pub sealed: Option<VolumeName>,
}

/// A version as read back and found equal to what the ledger says of it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub info: VersionInfo,
    pub document: Document,
    /// The assembled document: one line of JSON.
    pub json: String,
}

/// The bodies of a version, each found equal to its hash.
pub(crate) struct Bodies {
    pub(crate) info: VersionInfo,
    pub(crate) parts: Vec<Part>,
    /// Over their envelopes.
    pub(crate) parts_sha256: Sha256,
}

/// Where a version's bodies are.
struct Whereabouts {
    frame: Option<Vec<u8>>,
    dictionary_id: Option<i64>,
    sealed: Option<Place>,
}

/// Reads versions out of frames and sealed files, keeping a decompressor for each dictionary.
pub struct VersionReader<'a> {
    connection: &'a Connection,
    readers: HashMap<Option<i64>, FrameReader>,
    sealed: SealedReader,
    /// Made when first needed.
    sql: Option<String>,
}

impl<'a> VersionReader<'a> {
    pub(crate) fn new(connection: &'a Connection, folder: &Folder) -> Self {
        Self { connection, readers: HashMap::new(), sealed: SealedReader::new(folder.clone()), sql: None }
    }

    /// Puts versions into the order in which reading them costs least: those of one sealed frame together.
    pub fn sort<T>(&self, items: &mut Vec<T>, seq: impl Fn(&T) -> Seq) -> Result<()> {
        if !table::any(self.connection)? {
            return Ok(());
        }
        let mut placed = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            placed.push((table::position(self.connection, seq(&item))?, item));
        }
        placed.sort_by_key(|(position, item)| (*position, seq(item)));
        items.extend(placed.into_iter().map(|(_, item)| item));
        Ok(())
    }

    /// Reads a version and checks it: each body against its SHA-256, envelopes and document against the ledger.
    ///
    /// # Errors
    /// [`Error::Damaged`] when anything differs; [`Error::DamagedLedger`] when there is no such entry or version;
    /// [`Error::Volume`] when the sealed file that has it is missing.
    pub fn read(&mut self, seq: Seq) -> Result<Stored> {
        let Bodies { info, parts, parts_sha256 } = self.bodies(seq)?;
        let damaged = |what: String| Error::Damaged { key: info.key.clone(), version: info.version, seq, what };
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

    /// Reads the bodies of a version, out of its frame as long as there is one. They are not compared with the ledger.
    pub(crate) fn bodies(&mut self, seq: Seq) -> Result<Bodies> {
        let (info, Whereabouts { frame, dictionary_id, sealed }) = self.row(seq)?;
        let damaged = |what: String| Error::Damaged { key: info.key.clone(), version: info.version, seq, what };
        let (parts, parts_sha256) = match (frame, sealed) {
            (Some(frame), _) => self.frame_reader(dictionary_id, &damaged)?.read(&frame).map_err(&damaged)?,
            (None, Some(place)) => {
                let lines = self.sealed.lines(&place)?.map_err(&damaged)?;
                if (lines.seq, &lines.key, lines.version) != (seq, &info.key, info.version) {
                    return Err(damaged(format!("in {}: another version is in its place", place.volume.inside())));
                }
                (lines.parts, lines.parts_sha256)
            }
            (None, None) => return Err(damaged("its frame is missing".into())),
        };
        Ok(Bodies { info, parts, parts_sha256 })
    }

    fn row(&mut self, seq: Seq) -> Result<(VersionInfo, Whereabouts)> {
        let sql = match self.sql.take() {
            Some(sql) => sql,
            None => sql(self.connection, "version.frame, version.dictionary_id", "version.seq = ?1")?,
        };
        let found = self.connection.prepare_cached(&sql)?.query_row([seq.0], |row| {
            let (frame, dictionary_id) = (row.get(INFO_COLUMNS)?, row.get(INFO_COLUMNS + 1)?);
            Ok((info(row)?, Whereabouts { frame, dictionary_id, sealed: Place::of_row(row, PLACE_COLUMN)? }))
        });
        self.sql = Some(sql);
        found.optional()?.ok_or_else(|| Error::DamagedLedger { seq, what: "names a version that is missing".into() })
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
    let sql = sql(connection, "NULL, NULL", "record.kind = ?1 AND record.id = ?2 ORDER BY version.version")?;
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![kind_code(key.kind), guid::to_sql(&key.id)], info)?;
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

/// Columns of [`sql`] that say what a version is; two more follow, then its place.
const INFO_COLUMNS: usize = 7;
const PLACE_COLUMN: usize = INFO_COLUMNS + 2;

fn sql(connection: &Connection, two_columns: &str, condition: &str) -> Result<String> {
    let (place, joins) = table::place_sql(connection)?;
    Ok(format!(
        "SELECT record.kind, record.id, version.version, record.newest_seq = version.seq, version.raw_bytes,
             length(version.frame), version.seq, {two_columns}, {place}
         FROM version JOIN record USING (record_id) {joins} WHERE {condition}"
    ))
}

fn info(row: &rusqlite::Row<'_>) -> rusqlite::Result<VersionInfo> {
    let kind = kind_of(row.get(0)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, row.get(0)?))?;
    let id = guid::from_sql(row.get_ref(1)?).unwrap_or_default();
    Ok(VersionInfo {
        key: RecordKey { kind, id },
        version: Version(row.get(2)?),
        seq: Seq(row.get(6)?),
        newest: row.get::<_, Option<bool>>(3)?.unwrap_or(false),
        raw_bytes: row.get::<_, i64>(4)?.unsigned_abs(),
        frame_bytes: row.get::<_, Option<i64>>(5)?.unwrap_or(0).unsigned_abs(),
        sealed: table::name(row, PLACE_COLUMN)?,
    })
}
