//! A page of rows that are whole records: which of them the archive holds already, which have changed, which are new.

use std::collections::HashSet;

use rusqlite::{Connection, Transaction};

use crate::{
    archive::{
        batch::{Kept, Prepared},
        error::{Error, Result},
        folder::Folder,
        frame::FrameWriter,
        keeping,
        ledger::{self, Entry},
        purge,
        rows::RowWriter,
        versions::{self, VersionReader},
    },
    model::{
        document::{Document, Part},
        id::{RecordKey, Seq, Sha256, Version},
        kind::Kind,
        row_key::RowKeys,
        time::Timestamp,
        view::{self, log::Row},
    },
};

/// What became of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsOutcome {
    pub rows: usize,
    /// Versions stored, with the lengths of their bodies.
    pub stored: Vec<(RecordKey, Version, usize)>,
    /// When what is stored began.
    pub starts: Vec<Timestamp>,
    pub unchanged: usize,
    /// Elements that are no objects: nothing is known of them but that they were there.
    pub unreadable: usize,
}

/// Keys of rows that a listing has brought so far: where rows have no id of Graph's, two of one key in one listing are two.
pub type Taken = HashSet<String>;

/// Stores the rows of a page that are new or changed, in the caller's transaction.
pub(crate) fn keep(
    transaction: &Transaction<'_>,
    folder: &Folder,
    rows: &mut RowWriter,
    frames: &mut FrameWriter,
    kind: Kind,
    page: Vec<Part>,
    taken: &mut Taken,
) -> Result<RowsOutcome> {
    let mut outcome = RowsOutcome { rows: page.len(), ..RowsOutcome::default() };
    for part in page {
        let raw_bytes = part.body.len();
        let Some(row) = Incoming::read(kind, part) else {
            outcome.unreadable += 1;
            continue;
        };
        match row.place(transaction, folder, taken)? {
            Place::Held(id) => {
                taken.insert(id);
                outcome.unchanged += 1;
            }
            Place::Version(key, version) => {
                taken.insert(key.id.clone());
                let document = Document { key: key.clone(), version, parts: vec![row.part] };
                let prepared = Prepared::new(&document, frames)?;
                if let Kept::Stored { .. } = keeping::keep(transaction, rows, &prepared)? {
                    outcome.stored.push((key, version, raw_bytes));
                    outcome.starts.extend(prepared.derived.record.start);
                }
            }
        }
    }
    Ok(outcome)
}

/// Where a row belongs that Graph gave again, and whether it is held as it is; `None` of what is no row.
pub(crate) fn held(
    connection: &Connection,
    folder: &Folder,
    kind: Kind,
    part: Part,
    taken: &mut Taken,
) -> Result<Option<(RecordKey, bool)>> {
    let Some(row) = Incoming::read(kind, part) else { return Ok(None) };
    let (key, is_held) = match row.place(connection, folder, taken)? {
        Place::Held(id) => (RecordKey { kind, id }, true),
        Place::Version(key, _) => (key, false),
    };
    taken.insert(key.id.clone());
    Ok(Some((key, is_held)))
}

/// A row just read.
struct Incoming {
    kind: Kind,
    keys: RowKeys,
    part: Part,
    json: String,
    sha256: String,
}

/// Where a row belongs.
enum Place {
    /// It is there already, under this id.
    Held(String),
    /// It is this version of this record.
    Version(RecordKey, Version),
}

impl Incoming {
    fn read(kind: Kind, part: Part) -> Option<Self> {
        let key = RecordKey { kind, id: String::new() };
        let document = Document { key, version: Version(1), parts: vec![part] };
        let json = document.assemble().ok()?;
        let part = document.parts.into_iter().next()?;
        let keys = RowKeys::of(kind, &json, part.asked)?;
        let sha256 = Sha256::of(json.as_bytes()).to_string();
        Some(Self { kind, keys, part, json, sha256 })
    }

    fn place(&self, transaction: &Connection, folder: &Folder, taken: &Taken) -> Result<Place> {
        let keys = [&self.keys.first, &self.keys.twin].map(|id| RecordKey { kind: self.kind, id: id.clone() });
        let newest = [newest(transaction, &keys[0])?, newest(transaction, &keys[1])?];
        // What was disposed of and is read again is not stored again; what is another by now goes on from its last version.
        let mut buried = [Version(0), Version(0)];
        let keys_to_ask = if purge::any(transaction)? { &keys[..] } else { &[] };
        for (key, highest) in keys_to_ask.iter().zip(&mut buried) {
            for tombstone in purge::tombstones(transaction, key)? {
                *highest = (*highest).max(tombstone.version);
                let entry = ledger::entry(transaction, tombstone.seq)?;
                if matches!(entry, Entry::Version { json, .. } if json == self.sha256) {
                    return Ok(Place::Held(key.id.clone()));
                }
            }
        }
        // The very same bytes under either key: nothing has happened.
        for (key, newest) in keys.iter().zip(&newest) {
            if newest.as_ref().is_some_and(|newest| newest.sha256 == self.sha256) {
                return Ok(Place::Held(key.id.clone()));
            }
        }
        let mut reader = VersionReader::new(transaction, folder);
        for ((key, newest), buried) in keys.iter().zip(newest).zip(buried) {
            let Some(newest) = newest else { return Ok(Place::Version(key.clone(), Version(buried.0 + 1))) };
            let stored = reader.read(newest.seq)?;
            let of_stored = RowKeys::of(self.kind, &stored.json, stored.document.asked_span());
            let is_other = of_stored.is_some_and(|of_stored| of_stored.contradict(&self.keys));
            if is_other && key.id == self.keys.first {
                continue;
            }
            if says_the_same(&stored.json, &self.json) {
                return Ok(Place::Held(key.id.clone()));
            }
            if !self.keys.has_id && key.id == self.keys.first && keys[0] != keys[1] && taken.contains(&key.id) {
                continue;
            }
            return Ok(Place::Version(key.clone(), Version(newest.version.0 + 1)));
        }
        Err(Error::Prepare { key: keys[1].clone(), what: "both of its keys are other rows'".into() })
    }
}

/// A record's newest version.
struct Newest {
    seq: Seq,
    version: Version,
    /// Over its document.
    sha256: String,
}

fn newest(transaction: &Connection, key: &RecordKey) -> Result<Option<Newest>> {
    let Some((seq, version)) = versions::newest(transaction, key)? else { return Ok(None) };
    match ledger::entry(transaction, seq)? {
        Entry::Version { json, .. } => Ok(Some(Newest { seq, version, sha256: json })),
        _ => Err(Error::DamagedLedger { seq, what: "is not the version that its record names".into() }),
    }
}

/// Whether two rows differ in nothing but the order of their members.
fn says_the_same(one: &str, other: &str) -> bool {
    let [Some(one), Some(other)] = [one, other].map(|json| view::read::<Row<'_>>(json).0) else { return false };
    one.canonical() == other.canonical()
}
