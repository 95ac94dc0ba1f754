//! Reading versions back: which there are, their bodies, their documents.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{
        error::{Error, Result},
        folder::Folder,
        frame::{Dictionary, FrameReader},
        guid,
        ledger::Told,
        rows::{kind_code, kind_of},
        sealed::{
            VolumeName,
            reader::{Place, SealedReader},
            table,
        },
    },
    model::{
        document::{Document, Part, likely},
        envelope::{self, Piece},
        id::{RecordKey, Seq, Sha256, Version},
        time::Span,
    },
};

/// Room for a document that is kept from one to the next. Whoever reads on meets records of many megabytes now and then.
const JSON_BYTES_KEPT: usize = 1 << 20;

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

/// The document of a version alone, found to have the hash that the ledger names. The bodies that it is made of were not
/// looked at one by one: what of them is in the document is proven by its hash.
#[derive(Debug)]
pub struct Line<'r> {
    pub info: VersionInfo,
    /// The span of time that a row of a log was asked for with.
    pub asked: Option<Span>,
    /// How many bodies there are.
    pub bodies: usize,
    /// One line of JSON.
    pub json: &'r str,
}

/// How much of a version is compared with hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// The document.
    Document,
    /// Each body, the envelopes and the document.
    Everything,
}

/// What was read of a version beside its document.
struct Beside {
    info: VersionInfo,
    asked: Option<Span>,
    bodies: usize,
}

/// The bodies of a version, each found equal to its hash where its envelope has one.
pub(crate) struct Bodies {
    pub(crate) info: VersionInfo,
    pub(crate) parts: Vec<Part>,
    /// Over their envelopes.
    pub(crate) parts_sha256: Sha256,
}

/// Reads versions out of frames and sealed files.
pub struct VersionReader<'a> {
    connection: &'a Connection,
    places: Places,
    /// Of the document read last.
    json: Vec<u8>,
    /// Made when first needed.
    sql: Option<String>,
}

/// What reads the places in which bodies lie: a decompressor for each dictionary, and open sealed files.
struct Places {
    frames: HashMap<Option<i64>, FrameReader>,
    sealed: SealedReader,
}

/// A version as its row says, where its bodies lie, and its ledger entry.
struct Row {
    info: VersionInfo,
    frame: Option<Vec<u8>>,
    dictionary_id: Option<i64>,
    sealed: Option<Place>,
    entry: Option<Told>,
}

impl<'a> VersionReader<'a> {
    pub(crate) fn new(connection: &'a Connection, folder: &Folder) -> Self {
        let places = Places { frames: HashMap::new(), sealed: SealedReader::new(folder.clone()) };
        Self { connection, places, json: Vec::new(), sql: None }
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
        let row = self.row(seq)?;
        self.whole(row)
    }

    /// Reads the bodies of a version, out of its frame as long as there is one. They are not compared with the ledger.
    pub(crate) fn bodies(&mut self, seq: Seq) -> Result<Bodies> {
        let row = self.row(seq)?;
        let pieces = self.places.pieces(self.connection, &row)?;
        let (parts, parts_sha256) = envelope::whole(pieces).map_err(|what| row.damaged(what))?;
        Ok(Bodies { info: row.info, parts, parts_sha256 })
    }

    /// Reads the document of a version and compares it with its hash in the ledger. Costs half of [`Self::read`].
    ///
    /// # Errors
    /// As there.
    pub fn document(&mut self, seq: Seq) -> Result<Line<'_>> {
        self.line(seq, Care::Document)
    }

    /// As [`Self::document`], with all that [`Self::read`] checks.
    ///
    /// # Errors
    /// As there.
    pub fn examine(&mut self, seq: Seq) -> Result<Line<'_>> {
        self.line(seq, Care::Everything)
    }

    /// Appends the document of a version to `out`, compared with its hash in the ledger.
    ///
    /// # Errors
    /// As there; `out` may then have more than before.
    pub fn append_document(&mut self, seq: Seq, out: &mut Vec<u8>) -> Result<()> {
        self.append(seq, Care::Document, out).map(drop)
    }

    fn row(&mut self, seq: Seq) -> Result<Row> {
        let sql = match self.sql.take() {
            Some(sql) => sql,
            None => {
                let columns = "version.frame, version.dictionary_id, ledger.*";
                sql(self.connection, columns, "LEFT JOIN ledger ON ledger.seq = version.seq WHERE version.seq = ?1")?
            }
        };
        let found = self.connection.prepare_cached(&sql)?.query_row([seq.0], |row| {
            Ok(Row {
                info: info(row)?,
                frame: row.get(OTHER_COLUMNS)?,
                dictionary_id: row.get(OTHER_COLUMNS + 1)?,
                sealed: Place::of_row(row, PLACE_COLUMNS)?,
                entry: Told::of_row(row, OTHER_COLUMNS + 2)?,
            })
        });
        self.sql = Some(sql);
        found.optional()?.ok_or_else(|| Error::DamagedLedger { seq, what: "names a version that is missing".into() })
    }

    fn line(&mut self, seq: Seq, care: Care) -> Result<Line<'_>> {
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        json.shrink_to(JSON_BYTES_KEPT);
        let outcome = self.append(seq, care, &mut json);
        self.json = json;
        let Beside { info, asked, bodies } = outcome?;
        let json = utf8(&info, &self.json)?;
        Ok(Line { info, asked, bodies, json })
    }

    fn append(&mut self, seq: Seq, care: Care, out: &mut Vec<u8>) -> Result<Beside> {
        let row = self.row(seq)?;
        let (before, pieces) = (out.len(), self.places.pieces(self.connection, &row)?);
        let parts_sha256 = match care {
            Care::Document => None,
            Care::Everything => Some(envelope::check(&pieces).map_err(|what| row.damaged(what))?),
        };
        let is_likely = likely(pieces.iter().map(|piece| (piece.what, &*piece.body)), out);
        if is_likely && row.names(Sha256::of(&out[before..]), parts_sha256)? {
            let asked = pieces.first().map_or(Ok(None), Piece::asked).map_err(|what| row.damaged(what))?;
            return Ok(Beside { bodies: pieces.len(), asked, info: row.info });
        }
        out.truncate(before);
        let Stored { info, document, json } = self.whole(row)?;
        out.extend_from_slice(json.as_bytes());
        Ok(Beside { info, asked: document.asked_span(), bodies: document.parts.len() })
    }

    fn whole(&mut self, row: Row) -> Result<Stored> {
        let pieces = self.places.pieces(self.connection, &row)?;
        self.json.clear();
        self.json.shrink_to(JSON_BYTES_KEPT);
        let is_likely = likely(pieces.iter().map(|piece| (piece.what, &*piece.body)), &mut self.json);
        let (parts, parts_sha256) = envelope::whole(pieces).map_err(|what| row.damaged(what))?;
        let document = Document { key: row.info.key.clone(), version: row.info.version, parts };
        if is_likely && row.names(Sha256::of(&self.json), Some(parts_sha256))? {
            let json = utf8(&row.info, &self.json)?.to_owned();
            return Ok(Stored { info: row.info, document, json });
        }
        let json = document.assemble().map_err(|error| row.damaged(error.to_string()))?;
        if !row.names(Sha256::of(json.as_bytes()), Some(parts_sha256))? {
            return Err(row.damaged("its bodies are not those that its ledger entry names".into()));
        }
        Ok(Stored { info: row.info, document, json })
    }
}

/// The hash of a document is right, so it was never stored where it is no text.
fn utf8<'j>(info: &VersionInfo, json: &'j [u8]) -> Result<&'j str> {
    std::str::from_utf8(json).map_err(|_| damaged(info, "its document is not UTF-8".into()))
}

fn damaged(info: &VersionInfo, what: String) -> Error {
    Error::Damaged { key: info.key.clone(), version: info.version, seq: info.seq, what }
}

impl Row {
    fn damaged(&self, what: String) -> Error {
        damaged(&self.info, what)
    }

    /// Whether the ledger entry is this version's, with a document of this hash, and with envelopes of that one where it is given.
    fn names(&self, json: Sha256, parts: Option<Sha256>) -> Result<bool> {
        let VersionInfo { key, version, seq, .. } = &self.info;
        let missing = || Error::DamagedLedger { seq: *seq, what: "is missing".into() };
        self.entry.as_ref().ok_or_else(missing)?.names(*seq, (key, *version), &json, parts.as_ref())
    }
}

impl Places {
    fn pieces(&mut self, connection: &Connection, row: &Row) -> Result<Vec<Piece<'_>>> {
        let pieces = match (&row.frame, &row.sealed) {
            (Some(frame), _) => {
                let reader = frame_reader(connection, &mut self.frames, row.dictionary_id, &|what| row.damaged(what))?;
                reader.pieces(frame).map_err(|what| row.damaged(what))?
            }
            (None, Some(place)) => {
                let lines = self.sealed.lines(place)?.map_err(|what| row.damaged(what))?;
                if (lines.seq, &lines.key, lines.version) != (row.info.seq, &row.info.key, row.info.version) {
                    return Err(row.damaged(format!("in {}: another version is in its place", place.volume.inside())));
                }
                lines.parts
            }
            (None, None) => return Err(row.damaged("its frame is missing".into())),
        };
        let (said, bytes) = (row.info.raw_bytes, pieces.iter().map(|piece| piece.body.len() as u64).sum::<u64>());
        if said != bytes {
            return Err(row.damaged(format!("its row says {said} bytes, its bodies have {bytes}")));
        }
        Ok(pieces)
    }
}

fn frame_reader<'r>(
    connection: &Connection,
    readers: &'r mut HashMap<Option<i64>, FrameReader>,
    id: Option<i64>,
    damaged: &dyn Fn(String) -> Error,
) -> Result<&'r mut FrameReader> {
    if let std::collections::hash_map::Entry::Vacant(place) = readers.entry(id) {
        let dictionary = match id {
            Some(id) => Some(dictionary(connection, id)?.map_err(damaged)?),
            None => None,
        };
        place.insert(FrameReader::new(dictionary.as_ref())?);
    }
    readers.get_mut(&id).ok_or_else(|| damaged("its dictionary is missing".into()))
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
    let sql = sql(connection, "NULL", "WHERE record.kind = ?1 AND record.id = ?2 ORDER BY version.version")?;
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

/// Columns of [`sql`]: after what a version is its place, then those that the caller asked for.
const PLACE_COLUMNS: usize = 7;
const OTHER_COLUMNS: usize = 13;

fn sql(connection: &Connection, columns: &str, rest: &str) -> Result<String> {
    let (place, joins) = table::place_sql(connection)?;
    Ok(format!(
        "SELECT record.kind, record.id, version.version, record.newest_seq = version.seq, version.raw_bytes,
             length(version.frame), version.seq, {place}, {columns}
         FROM version JOIN record USING (record_id) {joins} {rest}"
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
        sealed: table::name(row, PLACE_COLUMNS)?,
    })
}
