//! What only an examination asks of an archive: its tables as they stand, compared with nothing yet.

use std::{collections::HashSet, fs::File};

use rusqlite::{OptionalExtension, Row, params};

use crate::{
    archive::{
        Archive,
        error::Result,
        guid, ledger,
        page::{self, Taken},
        people::{self, PersonRow},
        policy, purge,
        rows::{self, kind_code, kind_of},
        rows_read::RowReader,
        schema,
        sealed::{
            seekable,
            table::{self, Volume},
        },
        stats, versions,
    },
    model::{
        document::Part,
        id::{RecordId, RecordKey, Seq, Version},
        kind::Kind,
        rows::DERIVE_VERSION,
        source::Source,
        time::{Span, Timestamp},
    },
};

/// A stretch of the ledger and what stands beside it, each in the order of its numbers.
#[derive(Debug, Default)]
pub struct Slice {
    /// Number and line of each entry.
    pub entries: Vec<(Seq, String)>,
    pub versions: Vec<VersionRow>,
    pub lost: Vec<LostRow>,
    /// Entries of sealed files.
    pub volumes: Vec<Seq>,
    /// Versions that were disposed of.
    pub purged: Vec<Seq>,
}

/// A row of `version`, its frame aside.
#[derive(Debug)]
pub struct VersionRow {
    pub seq: Seq,
    pub record_id: RecordId,
    /// `None`: the record that it belongs to is missing.
    pub key: Option<RecordKey>,
    pub version: Version,
    /// Whether the record calls it its newest.
    pub newest: bool,
    /// Which derivation made its rows, by its record; `None`: they are still to be made.
    pub derived: Option<i64>,
}

/// A row of `lost`.
#[derive(Debug)]
pub struct LostRow {
    pub seq: Seq,
    pub key: Option<RecordKey>,
    pub version: Version,
    pub start: Timestamp,
    pub lost: Timestamp,
}

/// A record whose `newest_seq` does not name its highest version.
#[derive(Debug)]
pub struct NewestFault {
    pub key: Option<RecordKey>,
    pub claimed: Option<Seq>,
    pub highest: Option<Seq>,
}

impl Archive {
    /// Rows that refer to rows which are not there, as text; at most `limit`.
    pub fn foreign_key_faults(&self, limit: usize) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare("PRAGMA foreign_key_check")?;
        let faults = statement.query_map([], |row| {
            let (table, rowid, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(match rowid {
                Some(rowid) => format!("row {rowid} of table {table} refers to a row of {parent} that is missing"),
                None => format!("a row of table {table} refers to a row of {parent} that is missing"),
            })
        })?;
        Ok(faults.take(limit).collect::<rusqlite::Result<_>>()?)
    }

    /// The highest number that the ledger ever gave out; more than its head only when entries were taken off its end.
    pub fn last_seq_given(&self) -> Result<Seq> {
        let found: Option<i64> = self
            .connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'ledger'", [], |row| row.get(0))
            .optional()?;
        Ok(Seq(found.unwrap_or(0)))
    }

    /// The number of the `n`th entry after `after`; `head` when there are fewer up to there.
    pub fn stretch_end(&self, after: Seq, n: usize, head: Seq) -> Result<Seq> {
        let skip = i64::try_from(n.saturating_sub(1)).unwrap_or(i64::MAX);
        let sql = "SELECT seq FROM ledger WHERE seq > ?1 AND seq <= ?3 ORDER BY seq LIMIT 1 OFFSET ?2";
        let found =
            self.connection.prepare_cached(sql)?.query_row([after.0, skip, head.0], |row| row.get(0)).optional()?;
        Ok(found.map_or(head, Seq))
    }

    /// The ledger after `after` and up to `to`, and the versions and losses under those numbers.
    pub fn slice(&self, after: Seq, to: Seq) -> Result<Slice> {
        let range = params![after.0, to.0];
        let mut versions = self.connection.prepare_cached(
            "SELECT version.seq, version.record_id, version.version, record.newest_seq, record.derived, record.kind, record.id
             FROM version LEFT JOIN record USING (record_id) WHERE version.seq > ?1 AND version.seq <= ?2 ORDER BY version.seq",
        )?;
        let mut lost = self.connection.prepare_cached(
            "SELECT seq, version, start_ns, lost_ns, kind, id FROM lost WHERE seq > ?1 AND seq <= ?2 ORDER BY seq",
        )?;
        Ok(Slice {
            entries: ledger::entries_between(&self.connection, after, to, usize::MAX)?,
            versions: versions.query_map(range, version_row)?.collect::<rusqlite::Result<_>>()?,
            lost: lost.query_map(range, lost_row)?.collect::<rusqlite::Result<_>>()?,
            volumes: table::entries(&self.connection, after, to)?,
            purged: purge::purged_between(&self.connection, after, to)?,
        })
    }

    /// Where the `n` newest versions begin; the first of all when there are fewer.
    pub fn newest_versions_begin(&self, n: usize) -> Result<Seq> {
        let skip = i64::try_from(n.saturating_sub(1)).unwrap_or(i64::MAX);
        let sql = "SELECT seq FROM version ORDER BY seq DESC LIMIT 1 OFFSET ?1";
        let found: Option<i64> = self.connection.query_row(sql, [skip], |row| row.get(0)).optional()?;
        Ok(Seq(found.unwrap_or(0)))
    }

    /// Records whose `newest_seq` does not name their highest version.
    pub fn newest_faults(&self, on: &mut dyn FnMut(NewestFault)) -> Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT kind, id, newest_seq, highest FROM (SELECT kind, id, newest_seq,
                 (SELECT seq FROM version WHERE version.record_id = record.record_id ORDER BY version DESC LIMIT 1) AS highest
             FROM record) WHERE newest_seq IS NOT highest",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq = |n| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(n)?.map(Seq));
            on(NewestFault { key: key(row, 0)?, claimed: seq(2)?, highest: seq(3)? });
        }
        Ok(())
    }

    /// What the database defines in another way than this program does; nothing where another version made it.
    pub fn schema_faults(&self) -> Result<Vec<String>> {
        if !schema::is_current(&self.connection)? || !self.rows_are_current()? {
            return Ok(Vec::new());
        }
        schema::faults(&self.connection)
    }

    /// Listings that say what cannot be: coverage is computed from them.
    pub fn listing_faults(&self) -> Result<Vec<String>> {
        let mut statement =
            self.connection.prepare("SELECT listing_id, source, from_ns, to_ns, listed_ns, cursor FROM listing")?;
        let mut rows = statement.query([])?;
        let mut faults = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let source: String = row.get(1)?;
            if !Source::ALL.iter().any(|known| known.name() == source) {
                faults.push(format!("listing {id} is of a source that is not known"));
            }
            if row.get::<_, i64>(2)? >= row.get::<_, i64>(3)? {
                faults.push(format!("listing {id} ends before it begins"));
            }
            if row.get::<_, Option<i64>>(4)?.is_some() && row.get::<_, Option<String>>(5)?.is_some() {
                faults.push(format!("listing {id} is finished and has a page to go"));
            }
        }
        Ok(faults)
    }

    /// Calls that started in `span`, with the version that answers are given by.
    pub fn calls_within(&self, span: Span) -> Result<Vec<(String, Version)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT record.id, version.version FROM hit JOIN record USING (record_id) JOIN version ON version.seq = newest_seq
             WHERE record.kind = ?1 AND hit.start_ns >= ?2 AND hit.start_ns < ?3",
        )?;
        let rows = statement.query_map(params![kind_code(Kind::Call), span.from.0, span.to.0], |row| {
            Ok((guid::from_sql(row.get_ref(0)?).unwrap_or_default(), Version(row.get(1)?)))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether a record is on the to-do list.
    pub fn is_to_fetch(&self, key: &RecordKey) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM todo WHERE kind = ?1 AND id = ?2)";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| row.get(0))?;
        Ok(found)
    }

    /// Where a row of a log that Graph gave belongs, and whether it is there as it is; `None` of what is no row.
    pub fn held_row(&self, kind: Kind, part: Part, taken: &mut Taken) -> Result<Option<(RecordKey, bool)>> {
        page::held(&self.connection, &self.folder, kind, part, taken)
    }

    /// Dictionaries that do not match their SHA-256 or cannot be used.
    pub fn dictionary_faults(&self) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare("SELECT dictionary_id FROM dictionary")?;
        let ids: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut faults = Vec::new();
        for id in ids {
            if let Err(what) = versions::dictionary(&self.connection, id)? {
                faults.push(what.trim_start_matches("its ").to_owned());
            }
        }
        Ok(faults)
    }

    /// Sealed files that are gone, each with the entry of the disposal that says so.
    pub fn gone_files(&self) -> Result<Vec<(String, Seq)>> {
        Ok(table::gone_entries(&self.connection)?.into_iter().map(|(name, seq)| (name.inside(), seq)).collect())
    }

    /// Numbers of the entries of holds that the table has.
    pub fn hold_seqs(&self) -> Result<HashSet<Seq>> {
        policy::hold_seqs(&self.connection)
    }

    /// Holds that are not what their entries say of them.
    pub fn hold_faults(&self) -> Result<Vec<(Seq, String)>> {
        policy::faults(&self.connection)
    }

    /// How many versions are said to be in a sealed file.
    pub fn versions_in(&self, volume: &Volume) -> Result<u64> {
        table::count_in(&self.connection, volume.id)
    }

    /// How many versions table sealed places in a frame that the table at the file's own end does not have; none where the file cannot be
    /// read.
    pub fn misplaced_in(&self, volume: &Volume) -> Result<u64> {
        let path = volume.name.path(&self.folder);
        let Some(frames) = File::open(path).ok().and_then(|file| seekable::read_table(&file).ok()) else {
            return Ok(0);
        };
        let frames: HashSet<(u64, u32)> = frames.iter().map(|entry| (entry.from, entry.bytes)).collect();
        let mut statement = self
            .connection
            .prepare("SELECT frame_from, frame_bytes, count(*) FROM sealed WHERE volume_id = ?1 GROUP BY 1, 2")?;
        let mut rows = statement.query([volume.id])?;
        let mut misplaced = 0;
        while let Some(row) = rows.next()? {
            let place = (row.get::<_, i64>(0)?.unsigned_abs(), u32::try_from(row.get::<_, i64>(1)?).unwrap_or(0));
            misplaced += if frames.contains(&place) { 0 } else { row.get::<_, i64>(2)?.unsigned_abs() };
        }
        Ok(misplaced)
    }

    /// Kinds of which there is more or less than was counted while it was stored; an older archive has no counts.
    pub fn count_faults(&self) -> Result<Vec<String>> {
        if !schema::has_kept_counts(&self.connection)? {
            return Ok(Vec::new());
        }
        let (mut counted, mut faults) = (stats::counted(&self.connection)?, Vec::new());
        for kind in Kind::ALL {
            let (kept, counted) = (stats::counts(&self.connection, kind)?, counted.remove(&kind).unwrap_or_default());
            if kept != counted {
                faults.push(format!("table kept says {kept:?} of kind {}, and there are {counted:?}", kind.name()));
            }
        }
        Ok(faults)
    }

    /// Identities whose search columns (fingerprint, digits, words of the name) are not those of their name and number.
    pub fn identity_faults(&self) -> Result<Vec<i64>> {
        rows::identity_faults(&self.connection)
    }

    /// Whether the derived tables are those of this program's derivation.
    pub fn rows_are_current(&self) -> Result<bool> {
        Ok(schema::setting(&self.connection, "derive_version")? == Some(DERIVE_VERSION))
    }

    /// A reader of stored rows.
    #[must_use]
    pub fn row_reader(&self) -> RowReader<'_> {
        RowReader::new(&self.connection)
    }

    /// Keeps so few pages of the database in memory: for one of several connections that read on and on; and for a question that is
    /// soon answered, to which memory that it has not used before costs more than to read a page again.
    pub fn keep_few_pages(&self, kib: u16) -> Result<()> {
        Ok(self.connection.pragma_update(None, "cache_size", -i64::from(kib))?)
    }

    /// The rows of a person, oldest version first.
    pub fn person_rows(&self, record_id: RecordId) -> Result<Vec<PersonRow>> {
        people::rows(&self.connection, record_id)
    }

    /// The key of a record by its row number, and its newest version.
    pub fn record(&self, record_id: RecordId) -> Result<Option<(Option<RecordKey>, Option<Seq>)>> {
        Ok(self
            .connection
            .prepare_cached("SELECT kind, id, newest_seq FROM record WHERE record_id = ?1")?
            .query_row([record_id.0], |row| Ok((key(row, 0)?, row.get::<_, Option<i64>>(2)?.map(Seq))))
            .optional()?)
    }

    /// Every record that questions are answered with, by row number, with its newest version.
    pub fn each_newest(&self, on: &mut dyn FnMut(RecordId, Seq)) -> Result<()> {
        let sql =
            "SELECT record_id, newest_seq FROM record WHERE newest_seq IS NOT NULL AND kind <> ?1 ORDER BY record_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([kind_code(Kind::Person)])?;
        while let Some(row) = rows.next()? {
            on(RecordId(row.get(0)?), Seq(row.get(1)?));
        }
        Ok(())
    }

    /// How many records have a version at or before `to`.
    pub fn records_up_to(&self, to: Seq) -> Result<u64> {
        let sql = "SELECT count(DISTINCT record_id) FROM version WHERE seq <= ?1";
        Ok(self.connection.query_row(sql, [to.0], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let seq = Seq(row.get(0)?);
    Ok(VersionRow {
        seq,
        record_id: RecordId(row.get(1)?),
        version: Version(row.get(2)?),
        newest: row.get::<_, Option<i64>>(3)? == Some(seq.0),
        derived: row.get(4)?,
        key: key(row, 5)?,
    })
}

fn lost_row(row: &Row<'_>) -> rusqlite::Result<LostRow> {
    Ok(LostRow {
        seq: Seq(row.get(0)?),
        version: Version(row.get(1)?),
        start: Timestamp(row.get(2)?),
        lost: Timestamp(row.get(3)?),
        key: key(row, 4)?,
    })
}

/// The columns kind and id, from `first` on; `None` where they name nothing.
fn key(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<RecordKey>> {
    let kind = row.get::<_, Option<i64>>(first)?.and_then(kind_of);
    let id = guid::from_sql(row.get_ref(first + 1)?);
    Ok(kind.zip(id).map(|(kind, id)| RecordKey { kind, id }))
}
