//! The spine: entries that are appended and never rewritten.
//!
//! An entry is a line of JSON. That of a stored version, nearly all there are, lies in columns of a third of its size; its line is made
//! of them, letter for letter.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::{
    archive::{
        error::{Error, Result},
        guid,
        rows::{kind_code, kind_of},
    },
    model::{
        id::{RecordKey, Seq, Sha256, Version},
        kind::Kind,
        time::{Span, Timestamp},
    },
};

/// What an entry says. Its JSON is the contract of docs/format.md: members may be added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Entry {
    /// The archive began.
    Created { format: i64, time: Timestamp },
    /// A version was stored. `json` is the SHA-256 of the assembled document, `parts` that over the envelope lines.
    Version { kind: String, id: String, version: Version, json: String, parts: String },
    /// Graph listed a record and no longer gave it when asked.
    Lost { kind: String, id: String, version: Version, start: Timestamp, lost: Timestamp },
    /// Bodies moved into a file of their own. `sha256` is that of the file, `manifest` that of the manifest beside it.
    Sealed {
        file: String,
        versions: u64,
        raw_bytes: u64,
        bytes: u64,
        sha256: String,
        manifest: String,
        sealed: Timestamp,
    },
    /// From here on `key` signs the log called `origin`. One that `replaces` another is signed by both, unless the former is lost.
    Key {
        origin: String,
        key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        former_is_lost: bool,
        time: Timestamp,
    },
    /// Entries `from` to `to` were written without the key, and signed later by somebody's decision.
    SignedLate { from: Seq, to: Seq, reason: String, time: Timestamp },
    /// A command that writes has ended, and what was then covered.
    Run {
        command: String,
        begun: Timestamp,
        ended: Timestamp,
        exit_code: u8,
        /// Versions that it stored.
        versions: u64,
        /// What can be vouched for, of each source that the archive keeps.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        coverage: Vec<Covered>,
    },
}

/// What the archive could vouch for at one moment: spans of start times, half-open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    pub source: String,
    pub covered: Vec<Span>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Span>,
}

/// The format of archives that this program makes.
pub(crate) const FORMAT: i64 = 1;

/// The entry of a version as it lies in columns.
pub(crate) struct Columns {
    kind: Kind,
    id: [u8; 16],
    version: Version,
    json: Sha256,
    parts: Sha256,
}

impl Columns {
    /// `None` of what is no version, or one with another id than a GUID.
    fn of(entry: &Entry) -> Option<Self> {
        let Entry::Version { kind, id, version, json, parts } = entry else { return None };
        Some(Self {
            kind: Kind::of_name(kind)?,
            id: guid::parse(id)?,
            version: *version,
            json: Sha256::parse(json)?,
            parts: Sha256::parse(parts)?,
        })
    }

    /// The line of [`Entry::Version`]: none of its values has anything to escape.
    fn line(&self) -> String {
        let (kind, id) = (self.kind.name(), uuid::Uuid::from_bytes(self.id));
        let Self { version, json, parts, .. } = self;
        format!(
            "{{\"op\":\"version\",\"kind\":\"{kind}\",\"id\":\"{id}\",\"version\":{version},\"json\":\"{json}\",\"parts\":\"{parts}\"}}"
        )
    }
}

/// Appends an entry inside the caller's transaction.
pub(crate) fn append(connection: &Connection, entry: &Entry) -> Result<Seq> {
    if let Some(Columns { kind, id, version, json, parts }) = Columns::of(entry) {
        connection
            .prepare_cached(
                "INSERT INTO ledger (entry, kind, id, version, json, parts) VALUES ('', ?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![kind_code(kind), id, version.0, json.0, parts.0])?;
    } else {
        let line = serde_json::to_string(entry)
            .map_err(|error| Error::DamagedLedger { seq: Seq(0), what: error.to_string() })?;
        connection.prepare_cached("INSERT INTO ledger (entry) VALUES (?1)")?.execute([line])?;
    }
    Ok(Seq(connection.last_insert_rowid()))
}

/// An entry as it lies in the table.
pub(crate) enum Told {
    Columns(Columns),
    /// Empty where the columns make up no entry.
    Line(String),
}

impl Told {
    /// From all columns of `ledger` in their order, which begin at `first`; `None` where there is no entry. An archive that no
    /// writer of this program has opened yet has two columns alone.
    pub(crate) fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let Some(line) = row.get::<_, Option<String>>(first + 1)? else { return Ok(None) };
        if !line.is_empty() {
            return Ok(Some(Self::Line(line)));
        }
        let columns = || {
            Some(Columns {
                kind: kind_of(row.get(first + 2).ok()?)?,
                id: row.get(first + 3).ok()?,
                version: Version(row.get(first + 4).ok()?),
                json: Sha256(row.get(first + 5).ok()?),
                parts: Sha256(row.get(first + 6).ok()?),
            })
        };
        Ok(Some(columns().map_or(Self::Line(line), Self::Columns)))
    }

    fn into_line(self) -> String {
        match self {
            Self::Columns(columns) => columns.line(),
            Self::Line(line) => line,
        }
    }

    /// Whether it says that a version was stored: of this record, with a document of this hash, and, where it is given, with that hash
    /// over its envelopes.
    ///
    /// # Errors
    /// [`Error::DamagedLedger`] when it is unreadable.
    pub(crate) fn names(
        &self,
        seq: Seq,
        (key, version): (&RecordKey, Version),
        json: &Sha256,
        parts: Option<&Sha256>,
    ) -> Result<bool> {
        let read;
        let columns = match self {
            Self::Columns(columns) => columns,
            Self::Line(line) => {
                let entry = parse(seq, line)?;
                let Some(columns) = Columns::of(&entry) else {
                    let Entry::Version { kind, id, version: its, json: hash, parts: its_parts } = entry else {
                        return Ok(false);
                    };
                    return Ok((kind.as_str(), &id, its) == (key.kind.name(), &key.id, version)
                        && hash == json.to_string()
                        && parts.is_none_or(|parts| parts.to_string() == its_parts));
                };
                read = columns;
                &read
            }
        };
        Ok((columns.kind, Some(columns.id), columns.version) == (key.kind, guid::parse(&key.id), version)
            && columns.json == *json
            && parts.is_none_or(|parts| columns.parts == *parts))
    }
}

fn numbered_line(row: &Row<'_>) -> rusqlite::Result<(Seq, String)> {
    Ok((Seq(row.get(0)?), Told::of_row(row, 0)?.map(Told::into_line).unwrap_or_default()))
}

/// The number of the last entry; 0 in an archive without any.
pub(crate) fn head(connection: &Connection) -> Result<Seq> {
    Ok(Seq(connection.query_row("SELECT coalesce(max(seq), 0) FROM ledger", [], |row| row.get(0))?))
}

/// Reads one entry.
pub(crate) fn entry(connection: &Connection, seq: Seq) -> Result<Entry> {
    let found = connection
        .prepare_cached("SELECT * FROM ledger WHERE seq = ?1")?
        .query_row([seq.0], numbered_line)
        .optional()?;
    let (_, line) = found.ok_or_else(|| Error::DamagedLedger { seq, what: "is missing".into() })?;
    parse(seq, &line)
}

/// Entries after `after` up to `to`, in their order, at most `limit`: number and line.
pub(crate) fn entries_between(
    connection: &Connection,
    after: Seq,
    to: Seq,
    limit: usize,
) -> Result<Vec<(Seq, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM ledger WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after.0, to.0, limit], numbered_line)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Reads the line of an entry.
pub fn parse(seq: Seq, line: &str) -> Result<Entry> {
    serde_json::from_str(line).map_err(|error| Error::DamagedLedger { seq, what: format!("is unreadable: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, version: i64, hash: &str) -> Entry {
        let (kind, id, version) = ("direct-routing".into(), id.into(), Version(version));
        Entry::Version { kind, id, version, json: hash.into(), parts: Sha256::of(b"parts").to_string() }
    }

    #[test]
    fn an_entry_has_the_same_line_however_it_lies_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = crate::archive::connection::open_writer(&dir.path().join("archive.db")).unwrap();
        crate::archive::schema::migrate(&mut connection, Timestamp(0)).unwrap();
        let hash = Sha256::of(b"json").to_string();
        let guid = "47c20123-cf34-4b96-af5c-ee4b9b4d1943";
        let entries = [
            version(guid, 1, &hash),
            version(guid, i64::MAX, &hash),
            version(&guid.to_uppercase(), 2, &hash),
            version("a\"b\\\u{1}é", 3, &hash),
            version(guid, 4, &hash.to_uppercase()),
            version(guid, 5, ""),
            Entry::Lost {
                kind: "call".into(),
                id: guid.into(),
                version: Version(1),
                start: Timestamp(1),
                lost: Timestamp(2),
            },
        ];
        for (entry, in_columns) in entries.iter().zip([true, true, false, false, false, false, false]) {
            let seq = append(&connection, entry).unwrap();
            let lines = entries_between(&connection, Seq(seq.0 - 1), seq, 2).unwrap();
            assert_eq!(lines, [(seq, serde_json::to_string(entry).unwrap())]);
            assert_eq!(super::entry(&connection, seq).unwrap(), *entry);
            let sql = "SELECT ledger.entry = '', line FROM ledger JOIN entries USING (seq) WHERE seq = ?1";
            let told: (bool, String) =
                connection.query_row(sql, [seq.0], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(told, (in_columns, lines[0].1.clone()), "the view says the same");
        }
    }
}
