//! The truth: one folder with an SQLite database that holds every version of every record, and what is known about them.
//!
//! SQL and zstd are spoken here and nowhere else. [`Archive`] reads, beside a writer or without one; [`ArchiveWriter`] holds
//! the lock and writes. Kept tables are appended to and never rewritten; derived rows can be made again at any time.

pub mod access;
pub mod batch;
pub mod bucket;
pub mod checkpoints;
mod connection;
pub mod coverage;
pub mod delta;
pub mod error;
pub mod evidence;
pub mod folder;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod group;
mod guid;
mod hits;
pub mod inbox;
pub mod inspect;
mod keeping;
pub mod ledger;
pub mod links;
pub mod listing;
mod log;
mod memory;
mod older;
pub mod page;
pub mod people;
pub mod policy;
pub mod purge;
pub mod remake;
mod rows;
pub mod rows_read;
pub mod runs;
mod schema;
pub mod sealed;
pub mod select;
pub mod signing;
pub mod site;
pub mod sql;
pub mod stats;
pub mod tally;
pub mod todo;
pub mod training;
pub mod versions;
mod who;
mod writer;

use std::{cell::RefCell, ops::ControlFlow, time::SystemTime};

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{
        bucket::Tally,
        checkpoints::LedgerKey,
        coverage::{Coverage, Facts},
        delta::Delta,
        evidence::{Evidence, Prover, Vouched},
        frame::Dictionary,
        group::Groups,
        hits::Known,
        ledger::Entry,
        links::Linked,
        listing::Listing,
        people::PersonVersion,
        runs::Run,
        sealed::table::{self, Amount, Volume},
        select::Wanted,
        stats::{Counts, Sizes},
        tally::LostRecord,
        todo::{Place, Todo},
        versions::{VersionInfo, VersionReader},
    },
    model::{
        filter::{Filter, Selection},
        group::By,
        hit::Hit,
        id::{RecordId, RecordKey, Seq},
        kind::Kind,
        month::Month,
        retention::Retention,
        source::Source,
        time::{Span, Timestamp},
    },
    proof::{
        Hash,
        tree::{self, Node},
    },
};
pub use {
    error::{Error, Result},
    folder::Folder,
    site::Site,
    writer::ArchiveWriter,
};

/// An archive opened for reading.
pub struct Archive {
    connection: Connection,
    folder: Folder,
    /// Taken out while hits are read.
    known: RefCell<Known>,
}

impl Archive {
    /// Opens an archive that exists.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Newer`] when a later program made it.
    pub fn open(folder: &Folder) -> Result<Self> {
        if !folder.exists() {
            return Err(Error::Missing(folder.path().to_path_buf()));
        }
        let connection = connection::open_reader(&folder.database())?;
        schema::check(&connection)?;
        if schema::is_empty(&connection)? {
            return Err(Error::Missing(folder.path().to_path_buf()));
        }
        Ok(Self::over(connection, folder))
    }

    fn over(connection: Connection, folder: &Folder) -> Self {
        Self { connection, folder: folder.clone(), known: RefCell::default() }
    }

    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The number of its format, which is at most this program's.
    pub fn format(&self) -> Result<i64> {
        schema::format(&self.connection)
    }

    /// Refuses an archive whose rows another version of this program made: it has other tables.
    ///
    /// # Errors
    /// [`Error::OtherRows`]; the next writer makes them anew.
    pub fn require_rows(&self) -> Result<()> {
        if self.rows_are_current()? {
            return Ok(());
        }
        Err(Error::OtherRows(self.folder.path().to_path_buf()))
    }

    /// Makes everything read until the end of `work` come from one moment, whatever a writer does meanwhile; within such work, from
    /// the moment of the outermost.
    pub fn at_one_moment<T, E: From<Error>>(
        &self,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        if !self.connection.is_autocommit() {
            return work();
        }
        let transaction = self.connection.unchecked_transaction().map_err(Error::from)?;
        let outcome = work();
        transaction.finish().map_err(Error::from)?;
        outcome
    }

    /// The number of the last ledger entry.
    pub fn head(&self) -> Result<Seq> {
        ledger::head(&self.connection)
    }

    /// One ledger entry.
    pub fn entry(&self, seq: Seq) -> Result<Entry> {
        ledger::entry(&self.connection, seq)
    }

    /// Ledger entries after `after`, in their order, at most `limit`: number and line.
    pub fn entries_after(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, String)>> {
        ledger::entries_between(&self.connection, after, Seq(i64::MAX), limit)
    }

    /// The newest checkpoint; `None` where none was ever signed.
    pub fn evidence(&self) -> Result<Option<Evidence>> {
        evidence::evidence(&self.connection)
    }

    /// Proves entries to be among the first `size`, of which there must be as many.
    #[must_use]
    pub fn prover(&self, size: u64) -> Prover<'_> {
        Prover::new(&self.connection, size)
    }

    /// What could be vouched for by the last of the first `size` entries that says it; `None` where no run has said it yet.
    pub fn vouched(&self, size: u64) -> Result<Option<Vouched>> {
        evidence::vouched(&self.connection, size)
    }

    /// When the last of the first `size` entries was made that says it.
    pub fn time_of(&self, size: u64) -> Result<Timestamp> {
        evidence::time_of(&self.connection, size)
    }

    /// Ledger numbers of versions after `after`, in their order, at most `limit`.
    pub fn version_seqs_after(&self, after: Seq, limit: usize) -> Result<Vec<Seq>> {
        versions::seqs_after(&self.connection, after, limit)
    }

    /// How many versions stand in the ledger after `after`.
    pub fn versions_after(&self, after: Seq) -> Result<u64> {
        let sql = "SELECT count(*) FROM version WHERE seq > ?1";
        Ok(self.connection.query_row(sql, [after.0], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Who signs the ledger by its own account; `None` where nobody does.
    pub fn ledger_key(&self) -> Result<Option<LedgerKey>> {
        checkpoints::ledger_key(&self.connection)
    }

    /// The checkpoint over the most entries; `None` where nobody signs.
    pub fn checkpoint(&self) -> Result<Option<checkpoints::Stored>> {
        checkpoints::newest(&self.connection)
    }

    /// All checkpoints that are kept, and the newest, smallest first.
    pub fn checkpoints(&self) -> Result<Vec<checkpoints::Stored>> {
        checkpoints::all(&self.connection)
    }

    /// The nodes of the ledger's tree that are kept, in no order.
    pub fn each_node(&self, on: &mut dyn FnMut(Node, Vec<u8>)) -> Result<()> {
        checkpoints::each_node(&self.connection, on)
    }

    /// Proves that the first `old` entries are the beginning of the first `size` (RFC 6962, section 2.1.2).
    pub fn consistency_path(&self, old: u64, size: u64) -> Result<Vec<Hash>> {
        let mut nodes = checkpoints::Nodes::new(&self.connection);
        tree::consistency_path(old, size, &mut |place| nodes.whole(place))
    }

    /// A reader of bodies and documents.
    #[must_use]
    pub fn version_reader(&self) -> VersionReader<'_> {
        VersionReader::new(&self.connection, &self.folder)
    }

    /// All versions of a record, oldest first; empty when there is no such record.
    pub fn versions(&self, key: &RecordKey) -> Result<Vec<VersionInfo>> {
        versions::versions(&self.connection, key)
    }

    /// The key of a record by its id alone, whatever its kind.
    pub fn find(&self, id: &str) -> Result<Option<RecordKey>> {
        let lower = id.to_lowercase();
        let sql =
            "SELECT kind FROM record WHERE kind IN (1, 2, 3, 4, 5, 6, 7) AND id IN (?1, ?2) ORDER BY kind LIMIT 1";
        let ids = params![guid::to_sql(id), guid::to_sql(&lower)];
        let code: Option<i64> = self.connection.prepare_cached(sql)?.query_row(ids, |row| row.get(0)).optional()?;
        let Some(kind) = code.and_then(rows::kind_of) else { return Ok(None) };
        let exact = RecordKey { kind, id: id.to_owned() };
        Ok(Some(if self.versions(&exact)?.is_empty() { RecordKey { kind, id: lower } } else { exact }))
    }

    /// The row number of the record whose version stands at `seq`, and whether questions are answered with that version: it is
    /// its record's newest, and no person.
    pub fn record_of(&self, seq: Seq) -> Result<Option<(RecordId, bool)>> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT record_id, newest_seq = seq AND kind <> ?2 FROM version JOIN record USING (record_id) WHERE version.seq = ?1",
            )?
            .query_row(params![seq.0, rows::kind_code(Kind::Person)], |row| Ok((RecordId(row.get(0)?), row.get::<_, Option<bool>>(1)?.unwrap_or(false))))
            .optional()?)
    }

    /// Who somebody was in each version that the archive holds, oldest first.
    pub fn person(&self, key: &RecordKey) -> Result<Vec<PersonVersion>> {
        let record_id = self
            .connection
            .prepare_cached("SELECT record_id FROM record WHERE kind = ?1 AND id = ?2")?
            .query_row(params![rows::kind_code(key.kind), guid::to_sql(&key.id)], |row| row.get(0).map(RecordId))
            .optional()?;
        record_id.map_or(Ok(Vec::new()), |record_id| {
            people::history(&self.connection, &mut self.version_reader(), record_id)
        })
    }

    /// The records of the directory that are somebody's whom `asked` may mean: an id, UPN, mail address, name or number.
    pub fn people_named(&self, asked: &str) -> Result<Vec<RecordKey>> {
        who::people_named(&self.connection, asked)
    }

    /// Makes a filter ready, for any number of questions.
    pub fn wanted(&self, filter: &Filter) -> Result<Wanted> {
        select::wanted(&self.connection, filter)
    }

    /// Runs over the records that the filter of `selection` means, in its order and from its place on, until its limit or until told
    /// to stop. Its text is not looked at.
    pub fn for_each(&self, selection: &Selection, on: &mut dyn FnMut(Hit) -> ControlFlow<()>) -> Result<()> {
        self.with_known(|known| select::for_each(&self.connection, known, selection, on))
    }

    /// Runs over the ledger numbers of the newest versions of the records that the filter of `selection` means, as
    /// [`Self::for_each`] does over the records.
    pub fn for_each_seq(&self, selection: &Selection, on: &mut dyn FnMut(Seq) -> ControlFlow<()>) -> Result<()> {
        select::for_each_seq(&self.connection, selection, on)
    }

    /// How many records are wanted; of the versions `found` (at most [`select::FOUND_MAX`]), where they are given, how many newest ones.
    pub fn count(&self, wanted: &Wanted, found: Option<&[(RecordId, Seq)]>) -> Result<u64> {
        select::count(&self.connection, wanted, found)
    }

    /// The first and the last start of a record; `None` where no record has one.
    pub fn extent(&self) -> Result<Option<Span>> {
        select::extent(&self.connection)
    }

    /// Groups of records, still empty.
    #[must_use]
    pub fn groups(&self, by: By) -> Groups<'_> {
        Groups::new(&self.connection, by)
    }

    /// Of the records and versions named (at most [`select::FOUND_MAX`]), the newest versions that are wanted, in no order.
    pub fn among(&self, wanted: &Wanted, found: &[(RecordId, Seq)]) -> Result<Vec<Hit>> {
        self.with_known(|known| select::among(&self.connection, known, wanted, found))
    }

    /// Reads hits with what is known from those before.
    fn with_known<T>(&self, read: impl FnOnce(&mut Known) -> Result<T>) -> Result<T> {
        let mut known = self.known.take();
        let outcome = self.at_one_moment(|| read(&mut known));
        self.known.replace(known);
        outcome
    }

    /// How many records have no rows yet; more than none only while rows are made again.
    pub fn underived(&self) -> Result<u64> {
        let sql =
            "SELECT count(*) FROM record INDEXED BY record_underived WHERE derived IS NULL AND newest_seq IS NOT NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Calls that belong to a row of a log, rows that belong to a call, rows that a transfer ties: the surest first, at most
    /// [`links::LINKS_MAX`]. Of the newest versions, as all rows are.
    pub fn links(&self, key: &RecordKey) -> Result<Vec<Linked>> {
        self.at_one_moment(|| links::of(&self.connection, key))
    }

    /// Listings of a source that reach past `from`, in the order in which they began.
    pub fn listings_since(&self, source: Source, from: Timestamp) -> Result<Vec<Listing>> {
        listing::since(&self.connection, source, from)
    }

    /// Object ids of the people of whom the directory did not say that they were removed.
    pub fn people_there(&self) -> Result<Vec<String>> {
        people::there(&self.connection)
    }

    /// Where a delta query goes on; `None` when none has come to its end.
    pub fn delta(&self, source: Source) -> Result<Option<Delta>> {
        if self.format()? < delta::FORMAT {
            return Ok(None);
        }
        delta::get(&self.connection, source)
    }

    /// The next rows of a pass over the to-do list, nearest deadline first.
    pub fn todo_after(&self, kind: Kind, place: &Place, limit: usize) -> Result<Vec<Todo>> {
        todo::after(&self.connection, kind, place, limit)
    }

    /// When a record is to be tried; `None` when it is not on the to-do list.
    pub fn todo_due(&self, key: &RecordKey) -> Result<Option<Timestamp>> {
        todo::due(&self.connection, key)
    }

    /// How many records of a kind are to be fetched.
    pub fn queued(&self, kind: Kind) -> Result<u64> {
        todo::count(&self.connection, kind)
    }

    /// When the first of them is to be tried.
    pub fn next_try(&self, kind: Kind) -> Result<Option<Timestamp>> {
        todo::next_due(&self.connection, kind)
    }

    /// How many of them started in a span.
    pub fn queued_within(&self, kind: Kind, span: Span) -> Result<u64> {
        todo::count_within(&self.connection, kind, span)
    }

    /// What coverage is computed from.
    pub fn facts(&self, source: Source) -> Result<Facts> {
        coverage::facts(&self.connection, source)
    }

    /// What the archive can vouch for at `now`, which is Graph's time.
    pub fn coverage(&self, source: Source, now: Timestamp, retention: &Retention) -> Result<Coverage> {
        Ok(coverage::coverage(source, &self.facts(source)?, now, retention))
    }

    /// How many records each bucket of `within` has.
    pub fn tally(&self, source: Source, within: Span) -> Result<Tally> {
        tally::tally(&self.connection, source, within)
    }

    /// The records of a source that Graph listed and no longer gave, by start.
    pub fn lost_records(&self, source: Source) -> Result<Vec<LostRecord>> {
        tally::lost(&self.connection, source)
    }

    /// The files of sealed months, by month.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        table::volumes(&self.connection)
    }

    /// The months before `end` in which records began.
    pub fn months(&self, end: Month) -> Result<Vec<Month>> {
        table::months(&self.connection, end)
    }

    /// How much of each kind a month has that is in no sealed file; people have no month.
    pub fn open_amounts(&self, month: Month) -> Result<Vec<(Kind, Amount)>> {
        table::open_amounts(&self.connection, month)
    }

    pub fn counts(&self, kind: Kind) -> Result<Counts> {
        stats::counts(&self.connection, kind)
    }

    #[must_use]
    pub fn sizes(&self) -> Sizes {
        stats::sizes(&self.folder)
    }

    /// The latest runs of writing commands, newest first.
    pub fn latest_runs(&self, limit: usize) -> Result<Vec<Run>> {
        runs::latest(&self.connection, limit)
    }

    /// Runs over the runs of writing commands with their reports, newest first, until told to stop.
    pub fn each_run(&self, on: &mut dyn FnMut(Run, &str) -> ControlFlow<()>) -> Result<()> {
        runs::each(&self.connection, on)
    }

    /// The start of the newest record of a source; `None` where none is known.
    pub fn newest_start(&self, source: Source) -> Result<Option<Timestamp>> {
        tally::newest_start(&self.connection, source)
    }

    /// When something was last written to the database, by the file system.
    #[must_use]
    pub fn written(&self) -> Option<SystemTime> {
        stats::written(&self.folder)
    }

    /// When the last sync ended that could tell what was lost.
    pub fn last_reporting_sync(&self, source: Source) -> Result<Option<Timestamp>> {
        runs::last_reporting_sync(&self.connection, source)
    }

    /// Graph's time when this machine's clock says `local_now`, as far as it is known without asking Graph.
    pub fn graph_now(&self, local_now: Timestamp) -> Result<Timestamp> {
        runs::graph_now(&self.connection, local_now)
    }

    /// The dictionary that new frames use.
    pub fn dictionary(&self) -> Result<Option<Dictionary>> {
        versions::current_dictionary(&self.connection)
    }

    /// What SQLite itself finds wrong with the file; empty when nothing.
    pub fn database_faults(&self, quick: bool) -> Result<Vec<String>> {
        let pragma = if quick { "PRAGMA quick_check(20)" } else { "PRAGMA integrity_check(20)" };
        let mut statement = self.connection.prepare(pragma)?;
        let faults = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        Ok(faults.into_iter().filter(|fault| fault != "ok").collect())
    }
}
