//! The one way in. Whoever has an [`ArchiveWriter`] holds the archive's lock; what a call returns is on disk.

use std::{ops::ControlFlow, time::Duration};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::{
    archive::{
        access::{Journal, JournalReader},
        batch::{Kept, Prepared},
        connection, delta,
        error::{Error, Result},
        folder::{Folder, Lock},
        frame::{Dictionary, FrameWriter},
        guid, keeping,
        ledger::{self, Entry},
        listing::{self, Listing, PageOutcome},
        page::{self, RowsOutcome, Taken},
        remake::{self, Rederived},
        rows::{RowWriter, kind_code},
        runs, schema, signing, tally,
        todo::{self, Hinted, Todo},
        training::{self, Trial},
        versions::{self, VersionReader},
    },
    model::{
        document::Part,
        id::{Cursor, RecordId, RecordKey, RunId, Seq},
        kind::Kind,
        listed::Listed,
        retention::Retention,
        source::Source,
        time::{Span, Timestamp},
    },
};

/// Records whose rows are made in one transaction.
const DERIVED_AT_ONCE: usize = 256;
const CHECKPOINT_WAIT: Duration = Duration::from_secs(1);

pub struct ArchiveWriter {
    pub(super) connection: Connection,
    rows: RowWriter,
    /// Made when first needed: a compressor takes megabytes.
    frames: Option<FrameWriter>,
    /// Who signs what is committed; without one it stays unsigned.
    pub(super) signer: Option<signing::Signer>,
    pub(super) folder: Folder,
    _lock: Lock,
}

/// What one step of making rows again did.
#[derive(Debug)]
pub struct DerivedMore {
    /// Where the next step goes on.
    pub last: RecordId,
    pub made: u64,
    pub damaged: Vec<Error>,
}

impl ArchiveWriter {
    /// Opens an archive for writing, making it when there is none.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process writes; [`Error::Newer`] when a later program made it.
    pub fn open_or_create(folder: &Folder, now: Timestamp) -> Result<Self> {
        folder.create()?;
        Self::open_locked(folder, now)
    }

    /// Opens an archive that exists for writing.
    ///
    /// # Errors
    /// As above, and [`Error::Missing`].
    pub fn open(folder: &Folder, now: Timestamp) -> Result<Self> {
        if !folder.exists() {
            return Err(Error::Missing(folder.path().to_path_buf()));
        }
        Self::open_locked(folder, now)
    }

    fn open_locked(folder: &Folder, now: Timestamp) -> Result<Self> {
        let lock = folder.lock()?;
        let mut connection = connection::open_writer(&folder.database())?;
        schema::migrate(&mut connection, now)?;
        Ok(Self {
            connection,
            rows: RowWriter::default(),
            frames: None,
            signer: None,
            folder: folder.clone(),
            _lock: lock,
        })
    }

    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The number of the last ledger entry.
    pub fn head(&self) -> Result<Seq> {
        ledger::head(&self.connection)
    }

    /// The dictionary that new frames are to use.
    pub fn dictionary(&self) -> Result<Option<Dictionary>> {
        versions::current_dictionary(&self.connection)
    }

    /// Tries a dictionary trained on what is stored, where it is time to; frames begun afterwards use it if it pays. Takes a
    /// second or two once in many thousand records.
    pub fn train_dictionary(&mut self, now: Timestamp) -> Result<Option<Trial>> {
        self.transaction(|transaction, _| training::train(transaction, now))
    }

    pub fn begin_run(&mut self, command: &str, now: Timestamp) -> Result<RunId> {
        runs::begin(&self.connection, command, now)
    }

    /// Notes how a run ended, and enters it where it did something or somebody should know; the checkpoint is kept then. With `retention`
    /// goes what can be vouched for.
    pub fn end_run(
        &mut self,
        run: RunId,
        (exit_code, report): (u8, &str),
        retention: Option<&Retention>,
        now: Timestamp,
    ) -> Result<()> {
        self.transaction_kept(Some(now), |transaction, _| {
            runs::end(transaction, run, exit_code, report, now)?;
            runs::enter(transaction, run, retention, now)
        })?;
        self.enter_journal(now)?;
        Ok(())
    }

    /// Enters how far the journal of accesses goes, where it has grown: it cannot be cut off or changed then unseen.
    pub fn enter_journal(&mut self, now: Timestamp) -> Result<()> {
        // Damage of the journal keeps no record out; verify tells it.
        let head = match JournalReader::open(&self.folder).and_then(|journal| journal.map(|it| it.head()).transpose()) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the journal of accesses cannot be read");
                return Ok(());
            }
        };
        if schema::setting(&self.connection, "journal_rows")?.unwrap_or(0) >= head.rows {
            return Ok(());
        }
        self.transaction(|transaction, _| {
            schema::set(transaction, "journal_rows", head.rows)?;
            let entry = Entry::Journal { rows: head.rows, hash: head.hash.to_string(), time: now };
            ledger::append(transaction, &entry).map(drop)
        })
    }

    /// Enters that accesses are noted from here on, or are not, where that has changed.
    pub fn keep_journal(&mut self, kept: bool, now: Timestamp) -> Result<()> {
        if (schema::setting(&self.connection, "journal_off")?.unwrap_or(0) == 0) == kept {
            return Ok(());
        }
        self.transaction(|transaction, _| {
            schema::set(transaction, "journal_off", i64::from(!kept))?;
            ledger::append(transaction, &Entry::JournalKept { kept, time: now }).map(drop)
        })
    }

    /// Begins to list a span.
    pub fn begin_listing(&mut self, source: Source, span: Span, now: Timestamp) -> Result<Listing> {
        listing::begin(&self.connection, source, span, now)
    }

    /// Takes in a page of a listing: its ids onto the to-do list, and the cursor past them, in one transaction.
    pub fn list_page(
        &mut self,
        listing: &Listing,
        rows: &[Listed],
        next: Option<&Cursor>,
        now: Timestamp,
    ) -> Result<PageOutcome> {
        self.transaction(|transaction, _| listing::page(transaction, listing, rows, next, now))
    }

    /// Takes in a page of rows that are whole records: those that are new or changed are stored, and the page noted, in one
    /// transaction. `is_last` ends the listing, unless something on the page was unreadable.
    pub fn keep_rows(
        &mut self,
        listing: &Listing,
        page: Vec<Part>,
        taken: &mut Taken,
        is_last: bool,
        now: Timestamp,
    ) -> Result<RowsOutcome> {
        let kind = listing.source.kind();
        self.keep_page(kind, page, taken, |transaction, outcome| {
            for start in &outcome.starts {
                tally::note_change(transaction, listing.source, *start, now)?;
            }
            let listed = (is_last && outcome.unreadable == 0).then_some(now);
            listing::count_page(transaction, listing, outcome.rows, listed)
        })
    }

    /// Takes in a page of a delta query; with `link`, where the query goes on one day, it is at its end.
    pub fn keep_delta(
        &mut self,
        source: Source,
        page: Vec<Part>,
        link: Option<&Cursor>,
        asked: Timestamp,
    ) -> Result<RowsOutcome> {
        self.keep_page(source.kind(), page, &mut Taken::default(), |transaction, outcome| match link {
            // With the link what could not be read would be passed for good.
            Some(link) if outcome.unreadable == 0 => delta::set(transaction, source, link, asked),
            _ => Ok(()),
        })
    }

    /// Forgets where a delta query was to go on: the next one begins anew.
    pub fn forget_delta(&mut self, source: Source) -> Result<()> {
        delta::forget(&self.connection, source)
    }

    fn keep_page(
        &mut self,
        kind: Kind,
        page: Vec<Part>,
        taken: &mut Taken,
        note: impl FnOnce(&Transaction<'_>, &RowsOutcome) -> Result<()>,
    ) -> Result<RowsOutcome> {
        let mut frames = match self.frames.take() {
            Some(frames) => frames,
            None => FrameWriter::new(self.dictionary()?.as_ref())?,
        };
        let folder = self.folder.clone();
        let outcome = self.transaction(|transaction, rows| {
            let outcome = page::keep(transaction, &folder, rows, &mut frames, kind, page, taken)?;
            note(transaction, &outcome)?;
            Ok(outcome)
        });
        self.frames = Some(frames);
        outcome
    }

    /// Gives up an unfinished listing: what it was to list is listed anew one day.
    pub fn abandon_listing(&mut self, listing: &Listing) -> Result<()> {
        listing::abandon(&self.connection, listing)
    }

    /// Stores versions: ledger entries, frames, rows, and their leaving the to-do list, in one transaction.
    pub fn keep(&mut self, batch: &[Prepared]) -> Result<Vec<Kept>> {
        self.transaction(|transaction, rows| {
            batch.iter().map(|prepared| keeping::keep(transaction, rows, prepared)).collect()
        })
    }

    /// Notes a failed attempt to fetch.
    pub fn note_failure(&mut self, key: &RecordKey, error: &str, due: Timestamp, now: Timestamp) -> Result<()> {
        todo::failed(&self.connection, key, error, due, now)
    }

    /// Puts ids on the to-do list that notifications brought, each with its arrival by Graph's clock; says how many.
    pub fn hint(&mut self, hints: &[(RecordKey, Timestamp)], now: Timestamp) -> Result<usize> {
        self.transaction(|transaction, _| {
            let mut queued = 0;
            for (key, arrived) in hints {
                queued += usize::from(todo::hint(transaction, key, *arrived, now)? == Hinted::Queued);
            }
            Ok(queued)
        })
    }

    /// Puts a hinted record back that brought nothing new.
    pub fn hint_again(&mut self, todo: &Todo, due: Timestamp) -> Result<()> {
        todo::hint_again(&self.connection, todo, due)
    }

    /// Makes records due at once.
    pub fn ask_for(&mut self, keys: &[RecordKey]) -> Result<()> {
        self.transaction(|transaction, _| keys.iter().try_for_each(|key| todo::ask_for(transaction, key).map(|_| ())))
    }

    /// Puts a record back on the list although a version of it is stored: it may not be whole.
    pub fn keep_on_list(&mut self, todo: &Todo, error: &str, now: Timestamp) -> Result<()> {
        self.transaction(|transaction, _| {
            todo::put_back(transaction, todo, now)?;
            todo::failed(transaction, &todo.key, error, now, now)
        })
    }

    /// Enters a record as lost and takes it off the list, unless it was `due` at another time when Graph was asked: then it was announced since. A record of which an older version is stored is lost in the newer one.
    pub fn lose(&mut self, key: &RecordKey, due: Timestamp, now: Timestamp) -> Result<Option<Seq>> {
        self.transaction(|transaction, _| {
            let Some((version, start)) = todo::take(transaction, key, due)? else { return Ok(None) };
            let entry = Entry::Lost { kind: key.kind.name().into(), id: key.id.clone(), version, start, lost: now };
            let seq = ledger::append(transaction, &entry)?;
            transaction
                .prepare_cached(
                    "INSERT INTO lost (seq, kind, id, version, start_ns, lost_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![seq.0, kind_code(key.kind), guid::to_sql(&key.id), version.0, start.0, now.0])?;
            Ok(Some(seq))
        })
    }

    /// Throws all rows away; [`Self::derive_more`] makes them again.
    pub fn forget_rows(&mut self) -> Result<()> {
        self.transaction(|transaction, rows| {
            // What it remembers are numbers of rows that go now.
            rows.forget();
            schema::remake_derived_tables(transaction)
        })
    }

    /// Makes the rows of up to `limit` records after `after` whose rows are missing, in one transaction. A damaged record is told
    /// and stops no other. `None` at the end.
    pub fn derive_more(&mut self, after: RecordId, limit: usize) -> Result<Option<DerivedMore>> {
        let folder = self.folder.clone();
        self.transaction(|transaction, rows| {
            let mut reader = VersionReader::new(transaction, &folder);
            let Some(chunk) = remake::chunk(transaction, &mut reader, after, limit)? else { return Ok(None) };
            let mut more = DerivedMore { last: chunk.last, made: 0, damaged: chunk.damaged };
            more.made = store(transaction, rows, &mut reader, &chunk.records, &mut more.damaged)?;
            Ok(Some(more))
        })
    }

    /// Stores rows that were derived beside, in one transaction. Returns of how many records, and which were damaged after all.
    pub fn store_rows(&mut self, records: &[Rederived]) -> Result<(u64, Vec<Error>)> {
        let folder = self.folder.clone();
        self.transaction(|transaction, rows| {
            let (mut reader, mut damaged) = (VersionReader::new(transaction, &folder), Vec::new());
            Ok((store(transaction, rows, &mut reader, records, &mut damaged)?, damaged))
        })
    }

    /// Makes the rows that are missing: after a change of derivation, or a `reindex` that was interrupted. `on` is told how many were
    /// made so far and may stop it.
    ///
    /// # Errors
    /// The first damaged record, after the rows of all others are made.
    pub fn derive_missing(&mut self, on: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64> {
        let mut records = 0;
        let mut after = RecordId(0);
        let mut first_damage = None;
        while let Some(more) = self.derive_more(after, DERIVED_AT_ONCE)? {
            after = more.last;
            records += more.made;
            first_damage = first_damage.or(more.damaged.into_iter().next());
            if on(records).is_break() {
                break;
            }
        }
        first_damage.map_or(Ok(records), Err)
    }

    /// Moves the write-ahead log into the database, so that the folder is one file when nobody writes.
    pub fn checkpoint(&self) -> Result<()> {
        // A reader at work, such as a long export, keeps the log in use: then it stays for now.
        self.connection.busy_timeout(CHECKPOINT_WAIT)?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.busy_timeout(connection::BUSY)?;
        if let Err(error) = Journal::close(&self.folder) {
            tracing::debug!(%error, "the journal of accesses keeps its log");
        }
        Ok(())
    }

    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut RowWriter) -> Result<T>,
    ) -> Result<T> {
        self.transaction_kept(None, work)
    }

    /// The same; where it appends to the ledger, the checkpoint over it is `kept` for good.
    fn transaction_kept<T>(
        &mut self,
        kept: Option<Timestamp>,
        work: impl FnOnce(&Transaction<'_>, &mut RowWriter) -> Result<T>,
    ) -> Result<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = work(&transaction, &mut self.rows).and_then(|value| {
            let edge = self.signer.as_ref().map(|signer| signer.advance(&transaction, kept)).transpose()?;
            transaction.commit()?;
            if let Some((signer, edge)) = self.signer.as_mut().zip(edge) {
                signer.committed(edge);
            }
            Ok(value)
        });
        if outcome.is_err() {
            self.rows.forget();
        }
        outcome
    }
}

fn store(
    transaction: &Transaction<'_>,
    rows: &mut RowWriter,
    reader: &mut VersionReader<'_>,
    records: &[Rederived],
    damaged: &mut Vec<Error>,
) -> Result<u64> {
    let mut made = 0;
    for rederived in records {
        match remake::store(transaction, rows, reader, rederived) {
            Ok(()) => made += 1,
            Err(error) if error.is_damage() => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}
