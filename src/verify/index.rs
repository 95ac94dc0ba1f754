//! The search index against the archive: its files against their checksums, its documents against the records.

use std::collections::HashMap;

use crate::{
    archive::Archive,
    model::id::{RecordId, Seq},
    search::{Index, State},
    verify::{Ask, Error, Finding, Note, Result, Summary, What},
};

/// A writer may merge segments away while their files are read; then the index is opened again, so often.
const TRIES: usize = 3;

pub(super) fn check(archive: &Archive, ask: &Ask, summary: &mut Summary) -> Result<()> {
    // The index is opened before the archive is read: the archive may then know more, never less.
    let Some(index) = open(archive, summary)? else { return Ok(()) };
    if !ask.quick {
        let damaged = checksums(archive, &index)?;
        for file in &damaged {
            let finding = Finding::new(What::Index, "the file does not match its checksum, or cannot be read");
            summary.add(finding.file(format!("index/{file}")));
        }
        if !damaged.is_empty() {
            return Ok(());
        }
    }
    let outcome = archive.at_one_moment(|| compare(archive, ask, &index, summary));
    match outcome {
        Err(Error::Archive(error)) => summary.add(Finding::of_error(error, What::Database)?),
        other => other?,
    }
    Ok(())
}

fn compare(archive: &Archive, ask: &Ask, index: &Index, summary: &mut Summary) -> Result<()> {
    let head = archive.head()?;
    if index.position() > head {
        let message = format!("it has followed the ledger to {}, the ledger ends at {head}", index.position());
        summary.add(Finding::new(What::Index, message).file("index"));
        return Ok(());
    }
    if !ask.quick {
        documents(archive, index, summary)?;
    }
    match archive.versions_after(index.position())? {
        0 => {}
        versions => summary.notes.push(Note::IndexBehind { versions }),
    }
    Ok(())
}

fn open(archive: &Archive, summary: &mut Summary) -> Result<Option<Index>> {
    match Index::open(&archive.folder().index())? {
        State::Ready(index) => return Ok(Some(index)),
        State::Missing => summary.notes.push(Note::IndexMissing),
        State::OtherSchema => summary.notes.push(Note::IndexOfOtherSchema),
        State::Damaged(why) => {
            summary.add(Finding::new(What::Index, format!("it cannot be opened: {why}")).file("index"));
        }
    }
    Ok(None)
}

/// The files of the index that are damaged.
fn checksums(archive: &Archive, index: &Index) -> Result<Vec<String>> {
    let dir = archive.folder().index();
    let mut outcome = index.verify(&dir);
    for _ in 1..TRIES {
        if matches!(&outcome, Ok(damaged) if damaged.is_empty()) {
            break;
        }
        outcome = match Index::open(&dir)? {
            State::Ready(index) => index.verify(&dir),
            _ => continue,
        };
    }
    Ok(outcome.unwrap_or_else(|error| vec![format!("({error})")]))
}

/// A set of records: one bit each, in words of 64 neighbours.
#[derive(Default)]
struct Records(HashMap<i64, u64>);

impl Records {
    /// Puts a record in; whether it was not there before.
    fn insert(&mut self, record_id: RecordId) -> bool {
        let word = self.0.entry(record_id.0.div_euclid(64)).or_default();
        let bit = 1 << record_id.0.rem_euclid(64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, record_id: RecordId) -> bool {
        let word = self.0.get(&record_id.0.div_euclid(64));
        word.is_some_and(|word| word & (1 << record_id.0.rem_euclid(64)) != 0)
    }
}

/// Each document stands for the newest version of its record, and each record whose newest version the index has reached has
/// one. A record whose newest version came after is not looked at.
fn documents(archive: &Archive, index: &Index, summary: &mut Summary) -> Result<()> {
    let mut seen = Records::default();
    for (record_id, seq) in index.documents()? {
        summary.documents += 1;
        let is_new = seen.insert(record_id);
        if let Some(finding) = document(archive, index.position(), (record_id, seq), is_new)? {
            summary.add(finding.seq(seq).file("index"));
        }
    }
    let mut missing = Vec::new();
    archive.each_newest(&mut |record_id, newest| {
        if newest <= index.position() && !seen.contains(record_id) {
            missing.push((record_id, newest));
            summary.findings_count += u64::from(missing.len() > super::FINDINGS_MAX);
            missing.truncate(super::FINDINGS_MAX);
        }
    })?;
    for (record_id, newest) in missing {
        let key = archive.record(record_id)?.and_then(|(key, _)| key);
        summary.add(
            Finding::new(What::Index, "the index does not have it").record(key.as_ref()).seq(newest).file("index"),
        );
    }
    Ok(())
}

fn document(
    archive: &Archive,
    position: Seq,
    (record_id, seq): (RecordId, Seq),
    is_new: bool,
) -> Result<Option<Finding>> {
    let Some((key, newest)) = archive.record(record_id)? else {
        return Ok(Some(Finding::new(What::Index, "the index has a record that the archive does not have")));
    };
    let finding = |message: &str| Some(Finding::new(What::Index, message).record(key.as_ref()));
    Ok(match newest {
        _ if !is_new => finding("the index has it twice"),
        Some(newest) if newest > position || newest == seq => None,
        Some(newest) => finding(&format!("the index has it as of ledger entry {seq}, its newest version is {newest}")),
        None => finding("the index has a record that has no version"),
    })
}
