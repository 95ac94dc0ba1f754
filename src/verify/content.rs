//! Every ledger entry with the version that it names: bodies against hashes, hashes against the ledger, rows against raw.
//!
//! The ledger is cut into stretches that as many threads as there are cores take one after the other, each with a connection
//! of its own. A stretch is read in one transaction; one version is in memory at a time for each thread.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
};

use crate::{
    archive::{self, Archive, Folder, inspect::VersionRow, rows_read::RowReader, versions::VersionReader},
    model::{id::Seq, kind::Kind, rows::DERIVE_VERSION},
    proof::{Hash, tree::leaf_hash},
    verify::{
        Ask, Error, Finding, Note, PAGES_KIB, Progress, QUICK_VERSIONS, Result, Stage, Summary, What, coverage,
        journal, ledger, people, purges, rows,
        tree::{Said, Tree},
    },
};

/// Ledger entries that are read in one transaction.
const STRETCH: usize = 256;
/// More threads than this only wait for the disk.
const THREADS_MAX: usize = 8;

/// What a stretch brought.
#[derive(Debug, Default)]
struct Tally {
    entries: u64,
    versions: u64,
    bodies: u64,
    bytes: u64,
    rows: u64,
    rows_to_make: u64,
    /// The number before the first entry, and the leaf of each.
    after: Seq,
    leaves: Vec<Hash>,
    said: Said,
    findings: Vec<Finding>,
}

/// What all threads know.
struct Plan<'a> {
    folder: &'a Folder,
    head: Seq,
    /// Versions before this one are not read.
    read_from: Seq,
    ask: &'a Ask,
    /// The last number of the stretch that was taken last.
    taken: Mutex<Seq>,
    stop: AtomicBool,
}

pub(super) fn check(
    archive: &Archive,
    ask: &Ask,
    mut tree: Tree,
    summary: &mut Summary,
    on: &mut dyn FnMut(Progress),
) -> Result<()> {
    let head = summary.head;
    cut_end(archive, summary)?;
    let read_from =
        if ask.quick { or_found(archive.newest_versions_begin(QUICK_VERSIONS), summary)? } else { Some(Seq(0)) };
    summary.records = or_found(archive.records_up_to(head), summary)?.unwrap_or(0);
    let are_current = or_found(archive.rows_are_current(), summary)?;
    if are_current == Some(false) {
        summary.notes.push(Note::RowsOfOtherDerivation);
    }
    let plan = Plan {
        folder: archive.folder(),
        head,
        read_from: read_from.unwrap_or_default(),
        ask,
        taken: Mutex::new(Seq(0)),
        stop: AtomicBool::new(false),
    };
    let mut rows_to_make = 0;
    run(&plan, &mut |tally| {
        summary.entries += tally.entries;
        summary.versions += tally.versions;
        summary.bodies += tally.bodies;
        summary.bytes += tally.bytes;
        summary.rows += tally.rows;
        rows_to_make += tally.rows_to_make;
        tree.take(tally.after, tally.leaves, tally.said);
        tally.findings.into_iter().for_each(|finding| summary.add(finding));
        on(Progress { stage: Stage::Ledger, done: summary.entries, total: head.0.unsigned_abs() });
    })?;
    let entered = tree.others();
    if let Some((seq, entry)) = tree.finish(ask, summary) {
        coverage::check(archive, seq, &entry, summary)?;
    }
    journal::check(archive, &entered, summary);
    purges::check(archive, &entered, summary)?;
    if rows_to_make > 0 && are_current == Some(true) {
        summary.notes.push(Note::RowsToMake { records: rows_to_make });
    }
    Ok(())
}

/// Entries taken off the end leave no gap, but SQLite remembers the highest number that it gave out.
fn cut_end(archive: &Archive, summary: &mut Summary) -> Result<()> {
    let given = or_found(
        archive.at_one_moment(|| Ok::<_, archive::Error>((archive.last_seq_given()?, archive.head()?))),
        summary,
    )?;
    if let Some((given, head)) = given
        && given > head
    {
        summary.add(
            Finding::new(What::Ledger, format!("the ledger went up to {given} once, its end is cut off")).seq(head),
        );
    }
    Ok(())
}

fn or_found<T>(outcome: archive::Result<T>, summary: &mut Summary) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            summary.add(Finding::of_error(error, What::Database)?);
            Ok(None)
        }
    }
}

fn run(plan: &Plan<'_>, take: &mut dyn FnMut(Tally)) -> Result<()> {
    let threads = thread::available_parallelism().map_or(2, usize::from).min(THREADS_MAX);
    let (sender, tallies) = mpsc::sync_channel(threads);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(move || work(plan, &sender))
            })
            .collect();
        drop(sender);
        tallies.iter().for_each(take);
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| Error::Gone)?)
    })
}

/// Takes stretch after stretch until the head is reached or something keeps a thread from going on.
fn work(plan: &Plan<'_>, tallies: &SyncSender<Tally>) -> Result<()> {
    let outcome = Archive::open(plan.folder).map_err(Error::from).and_then(|archive| {
        archive.keep_few_pages(PAGES_KIB)?;
        let mut readers = (archive.version_reader(), archive.row_reader());
        while !plan.stop.load(Ordering::Relaxed) {
            let Some(stretch) = plan.take(&archive) else { break };
            let tally = examine(&archive, plan, stretch, &mut readers)?;
            if tallies.send(tally).is_err() {
                break;
            }
        }
        Ok(())
    });
    if outcome.is_err() {
        plan.stop.store(true, Ordering::Relaxed);
    }
    outcome
}

impl Plan<'_> {
    /// The next stretch: after the first number, up to the second.
    fn take(&self, archive: &Archive) -> Option<(Seq, Seq)> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let after = *taken;
        if after >= self.head {
            return None;
        }
        // Where the ledger itself cannot be read, one stretch of all the rest says so.
        let to = archive.stretch_end(after, STRETCH, self.head).ok().filter(|to| *to > after).unwrap_or(self.head);
        *taken = to;
        Some((after, to))
    }
}

fn examine(
    archive: &Archive,
    plan: &Plan<'_>,
    (after, to): (Seq, Seq),
    (reader, row_reader): &mut (VersionReader<'_>, RowReader<'_>),
) -> Result<Tally> {
    archive.at_one_moment(|| {
        let mut tally = Tally { after, ..Tally::default() };
        let slice = match archive.slice(after, to) {
            Ok(slice) => slice,
            Err(error) => {
                let finding = Finding::of_error(error, What::Ledger)?;
                let message = format!("entries {} to {to} cannot be read: {}", after.0 + 1, finding.message);
                tally.findings.push(Finding { message, ..finding });
                return Ok(tally);
            }
        };
        tally.entries = slice.entries.len() as u64;
        let contiguous = slice.entries.iter().zip(after.0 + 1..).take_while(|((seq, _), expected)| seq.0 == *expected);
        tally.leaves = contiguous.map(|((_, line), _)| leaf_hash(line.as_bytes())).collect();
        let readable = ledger::check(&slice, (after, to), &mut tally.said, &mut tally.findings);
        let compare_rows = matches!(archive.rows_are_current(), Ok(true));
        if let Err(error) = row_reader.begin() {
            tally.findings.push(Finding::of_error(error, What::Database)?);
        }
        // What has no entry or no record was named already.
        let mut to_read: Vec<&VersionRow> = slice
            .versions
            .iter()
            .filter(|row| {
                row.seq >= plan.read_from
                    && plan.ask.reads(row.seq.0)
                    && row.key.is_some()
                    && readable.contains(&row.seq)
            })
            .collect();
        if let Err(error) = reader.sort(&mut to_read, |row| row.seq) {
            tally.findings.push(Finding::of_error(error, What::Database)?);
        }
        for row in to_read {
            version(archive, row, reader, compare_rows.then_some(&mut *row_reader), &mut tally)?;
        }
        Ok(tally)
    })
}

fn version(
    archive: &Archive,
    row: &VersionRow,
    reader: &mut VersionReader<'_>,
    row_reader: Option<&mut RowReader<'_>>,
    tally: &mut Tally,
) -> Result<()> {
    let about = |finding: Finding| finding.record(row.key.as_ref()).version(row.version).seq(row.seq);
    let line = match reader.examine(row.seq) {
        Ok(line) => line,
        Err(error) => {
            let finding = Finding::of_error(error, What::Content)?;
            tally.findings.push(about(finding));
            return Ok(());
        }
    };
    tally.versions += 1;
    tally.bodies += line.bodies as u64;
    tally.bytes += line.info.raw_bytes;
    let Some(row_reader) = row_reader.filter(|_| row.newest) else { return Ok(()) };
    match row.derived {
        None => {
            tally.rows_to_make += 1;
            return Ok(());
        }
        Some(DERIVE_VERSION) => {}
        Some(other) => {
            let message = format!(
                "its record says that derivation {other} made its rows, and the archive's are of {DERIVE_VERSION}"
            );
            tally.findings.push(about(Finding::new(What::Rows, message)));
        }
    }
    tally.rows += 1;
    let outcome = match line.info.key.kind {
        Kind::Person => people::check(archive, row),
        _ => row_reader.read(row.record_id).map(|rows| rows::check(&line, rows.as_ref())),
    };
    match outcome {
        Ok(finding) => tally.findings.extend(finding),
        Err(error) => tally.findings.push(about(Finding::of_error(error, What::Rows)?)),
    }
    Ok(())
}
