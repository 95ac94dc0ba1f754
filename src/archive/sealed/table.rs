//! The tables of sealed files: which there are, what they hold, and where each version is.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::{
    archive::{
        error::Result,
        rows::{kind_code, kind_of},
        schema,
        sealed::VolumeName,
    },
    model::{
        id::{Seq, Sha256},
        kind::Kind,
        month::Month,
    },
};

/// A file of sealed bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub(crate) id: i64,
    pub name: VolumeName,
    /// Its entry in the ledger; `None` while it is being written.
    pub seq: Option<Seq>,
    pub bytes: u64,
    pub sha256: Sha256,
    pub manifest_sha256: Sha256,
    /// Whether no frame of what it holds is left in the database.
    pub emptied: bool,
    pub kinds: Vec<(Kind, Amount)>,
}

/// How much of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    pub records: u64,
    pub versions: u64,
    pub raw_bytes: u64,
}

impl Amount {
    #[must_use]
    pub fn with(self, other: Amount) -> Amount {
        Amount {
            records: self.records + other.records,
            versions: self.versions + other.versions,
            raw_bytes: self.raw_bytes + other.raw_bytes,
        }
    }
}

impl Volume {
    /// What it holds of all kinds.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.kinds.iter().fold(Amount::default(), |sum, (_, amount)| sum.with(*amount))
    }
}

/// A file of sealed bodies, as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sealed {
    pub month: Month,
    /// Inside the archive's folder.
    pub file: String,
    #[serde(flatten)]
    pub amount: Amount,
    /// Of the file.
    pub bytes: u64,
}

impl From<&Volume> for Sealed {
    fn from(volume: &Volume) -> Self {
        Self { month: volume.name.month, file: volume.name.inside(), amount: volume.amount(), bytes: volume.bytes }
    }
}

/// The columns month and n, from `first` on; `None` where they are null or name no month.
pub(crate) fn name(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<VolumeName>> {
    let month = row.get::<_, Option<String>>(first)?.and_then(|text| text.parse::<Month>().ok());
    Ok(month.zip(row.get::<_, Option<i64>>(first + 1)?).map(|(month, n)| VolumeName { month, n }))
}

/// Joins and columns of a version's place, to stand in a query that has `version`: six columns, null where it is not sealed. An
/// archive of an older program has no such tables.
pub(crate) fn place_sql(connection: &Connection) -> Result<(&'static str, &'static str)> {
    Ok(if schema::has_sealed(connection)? {
        (
            "volume.month, volume.n, sealed.frame_from, sealed.frame_bytes, sealed.lines_from, sealed.lines_bytes",
            "LEFT JOIN sealed ON sealed.seq = version.seq LEFT JOIN volume ON volume.volume_id = sealed.volume_id",
        )
    } else {
        ("NULL, NULL, NULL, NULL, NULL, NULL", "")
    })
}

/// Files in whose place a disposal has put others, or none.
pub(crate) fn gone(connection: &Connection) -> Result<Vec<VolumeName>> {
    if !schema::has_retention(connection)? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached("SELECT month, n FROM volume WHERE gone_seq IS NOT NULL")?;
    let names = statement.query_map([], |row| name(row, 0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(names.into_iter().flatten().collect())
}

/// Entries of files that are gone, each with the disposal that says so.
pub(crate) fn gone_entries(connection: &Connection) -> Result<Vec<(VolumeName, Seq)>> {
    if !schema::has_retention(connection)? {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare_cached("SELECT month, n, gone_seq FROM volume WHERE gone_seq IS NOT NULL")?;
    let rows = statement.query_map([], |row| Ok((name(row, 0)?, Seq(row.get(2)?))))?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rows.into_iter().filter_map(|(name, seq)| Some((name?, seq))).collect())
}

/// All files in use, by month.
pub(crate) fn volumes(connection: &Connection) -> Result<Vec<Volume>> {
    if !schema::has_sealed(connection)? {
        return Ok(Vec::new());
    }
    let in_use = if schema::has_retention(connection)? { "WHERE gone_seq IS NULL" } else { "" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT volume_id, month, n, seq, bytes, sha256, manifest_sha256, emptied FROM volume {in_use} ORDER BY month, n",
    ))?;
    let mut rows = statement.query([])?;
    let mut volumes = Vec::new();
    while let Some(row) = rows.next()? {
        let hash =
            |n| Ok::<_, rusqlite::Error>(Sha256::from_slice(&row.get::<_, Vec<u8>>(n)?).unwrap_or(Sha256([0; 32])));
        let Some(name) = name(row, 1)? else { continue };
        let id = row.get(0)?;
        volumes.push(Volume {
            id,
            name,
            seq: row.get::<_, Option<i64>>(3)?.map(Seq),
            bytes: row.get::<_, i64>(4)?.unsigned_abs(),
            sha256: hash(5)?,
            manifest_sha256: hash(6)?,
            emptied: row.get(7)?,
            kinds: kinds(connection, id)?,
        });
    }
    Ok(volumes)
}

fn kinds(connection: &Connection, volume_id: i64) -> Result<Vec<(Kind, Amount)>> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, records, versions, raw_bytes FROM volume_kind WHERE volume_id = ?1 ORDER BY kind",
    )?;
    let rows = statement.query_map([volume_id], |row| {
        let number = |n: usize| row.get::<_, i64>(n).map(i64::unsigned_abs);
        Ok((row.get(0)?, Amount { records: number(1)?, versions: number(2)?, raw_bytes: number(3)? }))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<(i64, Amount)>>>()?;
    Ok(rows.into_iter().filter_map(|(kind, amount)| Some((kind_of(kind)?, amount))).collect())
}

/// How many versions the table `sealed` has in a file.
pub(crate) fn count_in(connection: &Connection, volume_id: i64) -> Result<u64> {
    let sql = "SELECT count(*) FROM sealed WHERE volume_id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([volume_id], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Ledger entries of files, of those after `after` and up to `to`.
pub(crate) fn entries(connection: &Connection, after: Seq, to: Seq) -> Result<Vec<Seq>> {
    if !schema::has_sealed(connection)? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached("SELECT seq FROM volume WHERE seq > ?1 AND seq <= ?2")?;
    let rows = statement.query_map([after.0, to.0], |row| row.get(0).map(Seq))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether anything is sealed.
pub(crate) fn any(connection: &Connection) -> Result<bool> {
    if !schema::has_sealed(connection)? {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM volume WHERE seq IS NOT NULL)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// File and places within, to sort by; `None` where a version is not sealed. The tables are there.
pub(crate) fn position(connection: &Connection, seq: Seq) -> Result<Option<(i64, i64, i64)>> {
    Ok(connection
        .prepare_cached("SELECT volume_id, frame_from, lines_from FROM sealed WHERE seq = ?1")?
        .query_row([seq.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?)
}

/// How much of each kind a month has that is in no file, by the starts of records.
pub(crate) fn open_amounts(connection: &Connection, month: Month) -> Result<Vec<(Kind, Amount)>> {
    let span = month.span();
    let is_open = if schema::has_sealed(connection)? {
        "AND NOT EXISTS (SELECT 1 FROM sealed WHERE sealed.seq = version.seq)"
    } else {
        ""
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT hit.kind, count(DISTINCT hit.record_id), count(*), sum(version.raw_bytes)
         FROM hit CROSS JOIN version ON version.record_id = hit.record_id
         WHERE hit.start_ns >= ?1 AND hit.start_ns < ?2 {is_open} GROUP BY hit.kind"
    ))?;
    let rows = statement.query_map(params![span.from.0, span.to.0], |row| {
        let number = |n: usize| row.get::<_, i64>(n).map(i64::unsigned_abs);
        Ok((row.get(0)?, Amount { records: number(1)?, versions: number(2)?, raw_bytes: number(3)? }))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<(i64, Amount)>>>()?;
    Ok(rows.into_iter().filter_map(|(kind, amount)| Some((kind_of(kind)?, amount))).collect())
}

/// The months before `end` in which records of any kind began.
pub(crate) fn months(connection: &Connection, end: Month) -> Result<Vec<Month>> {
    let mut statement =
        connection.prepare_cached("SELECT start_ns FROM hit WHERE start_ns >= ?1 ORDER BY start_ns LIMIT 1")?;
    let (mut months, mut from) = (Vec::new(), i64::MIN);
    while let Some(start) = statement.query_row([from], |row| row.get(0)).optional()? {
        let month = Month::of(crate::model::time::Timestamp(start));
        if month >= end {
            break;
        }
        months.push(month);
        from = month.span().to.0;
    }
    Ok(months)
}

/// A version that is to be sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) seq: Seq,
    pub(crate) raw_bytes: usize,
}

/// What of a month and of these kinds is in no file yet, by start: all versions of a record together.
pub(crate) fn choose(connection: &Connection, month: Month, kinds: &[Kind]) -> Result<Vec<Choice>> {
    let span = month.span();
    let mut statement = connection.prepare_cached(
        "SELECT version.seq, version.raw_bytes, hit.kind FROM hit CROSS JOIN version ON version.record_id = hit.record_id
         WHERE hit.start_ns >= ?1 AND hit.start_ns < ?2 AND NOT EXISTS (SELECT 1 FROM sealed WHERE sealed.seq = version.seq)
         ORDER BY hit.start_ns, hit.record_id, version.version",
    )?;
    let wanted: Vec<i64> = kinds.iter().map(|kind| kind_code(*kind)).collect();
    let mut rows = statement.query(params![span.from.0, span.to.0])?;
    let mut choices = Vec::new();
    while let Some(row) = rows.next()? {
        if wanted.contains(&row.get(2)?) {
            let raw_bytes = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            choices.push(Choice { seq: Seq(row.get(0)?), raw_bytes });
        }
    }
    Ok(choices)
}
