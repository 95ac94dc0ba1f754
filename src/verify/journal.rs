//! The journal of accesses: its chain of hashes, and how far the ledger says that it goes.

use crate::{
    archive::{
        Archive, Error,
        access::{Checked, JournalReader},
        ledger::Entry,
    },
    model::id::Seq,
    verify::{Finding, Note, Summary, What},
};

/// The journal's file, for findings.
const FILE: &str = "access.db";

/// `entered` is what the ledger says of it.
pub(super) fn check(archive: &Archive, entered: &[(Seq, Entry)], summary: &mut Summary) {
    let entered: Vec<(Seq, i64, &str)> = entered
        .iter()
        .filter_map(|(seq, entry)| match entry {
            Entry::Journal { rows, hash, .. } => Some((*seq, *rows, hash.as_str())),
            _ => None,
        })
        .collect();
    let asked: Vec<i64> = entered.iter().map(|(_, rows, _)| *rows).collect();
    let opened = JournalReader::open(archive.folder());
    let checked = match opened.and_then(|journal| journal.map(|journal| journal.check(&asked)).transpose()) {
        Ok(checked) => checked.unwrap_or_default(),
        // A copy where nothing may be written, made while the journal's log was in use.
        Err(Error::Unclosed(_)) => {
            summary.notes.push(Note::JournalUnread);
            return;
        }
        Err(error) => {
            let message = format!("the journal cannot be read: {error}");
            summary.add(Finding::new(What::Journal, message).file(FILE));
            return;
        }
    };
    for (n, message) in &checked.faults {
        summary.add(Finding::new(What::Journal, format!("row {n}: {message}")).file(FILE));
    }
    summary.accesses = checked.rows.unsigned_abs();
    compare(&entered, &checked, summary);
}

fn compare(entered: &[(Seq, i64, &str)], checked: &Checked, summary: &mut Summary) {
    let gone = entered.iter().filter(|(_, rows, _)| *rows > checked.rows).max_by_key(|(_, rows, _)| *rows);
    if let Some((seq, rows, _)) = gone {
        let message =
            format!("the ledger says that it had {rows} rows, and there are {}: its end is cut off", checked.rows);
        summary.add(Finding::new(What::Journal, message).file(FILE).seq(*seq));
    }
    for (seq, rows, hash) in entered {
        let found = checked.hashes.iter().find(|head| head.rows == *rows);
        if found.is_some_and(|head| head.hash.to_string() != *hash) {
            let message = format!("its first {rows} rows are not those that the ledger entered");
            summary.add(Finding::new(What::Journal, message).file(FILE).seq(*seq));
        }
    }
}
