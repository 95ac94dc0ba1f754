//! The ledger against itself and against what it names: no gaps, each entry readable, each with its row and each row with it.

use std::collections::{HashMap, HashSet};

use crate::{
    archive::{
        inspect::{LostRow, Slice, VersionRow},
        ledger::{self, Entry},
    },
    model::{
        id::{RecordKey, Seq},
        kind::Kind,
    },
    verify::{Finding, What, tree::Said},
};

/// Checks the stretch after `after` up to `to`. Returns the numbers of the entries that can be read: only with them can
/// anything be compared.
pub(super) fn check(
    slice: &Slice,
    (after, to): (Seq, Seq),
    said: &mut Said,
    findings: &mut Vec<Finding>,
) -> HashSet<Seq> {
    gaps(slice, (after, to), findings);
    let mut readable = HashSet::with_capacity(slice.entries.len());
    let versions: HashMap<Seq, &VersionRow> = slice.versions.iter().map(|row| (row.seq, row)).collect();
    for (seq, line) in &slice.entries {
        let Ok(entry) = ledger::parse(*seq, line) else {
            findings.push(Finding::new(What::Ledger, "the entry is unreadable").seq(*seq));
            continue;
        };
        readable.insert(*seq);
        match &entry {
            Entry::Created { .. } if *seq == Seq(1) => {}
            _ if *seq == Seq(1) => {
                findings.push(Finding::new(What::Ledger, "the first entry is not the beginning").seq(*seq));
            }
            Entry::Created { .. } => {
                findings.push(Finding::new(What::Ledger, "the archive cannot begin here").seq(*seq));
            }
            Entry::Key { .. } | Entry::SignedLate { .. } | Entry::Run { .. } => said.hear(*seq, &entry),
            Entry::Version { kind, id, version, .. } => {
                let message = match versions.get(seq) {
                    Some(row) if row.key.is_some() => continue,
                    Some(_) => "the ledger names a version whose record is missing",
                    None => "the ledger names a version that is missing",
                };
                let finding = Finding::new(What::Missing, message).record(key(kind, id).as_ref());
                findings.push(finding.version(*version).seq(*seq));
            }
            Entry::Sealed { file, .. } => {
                if !slice.volumes.contains(seq) {
                    let message = "the ledger enters a file of sealed bodies of which the database knows nothing";
                    findings.push(Finding::new(What::Missing, message).file(file).seq(*seq));
                }
            }
            Entry::Lost { kind, id, version, .. } => {
                if slice.lost.iter().find(|row| row.seq == *seq).map(entry_of).as_ref() != Some(&Some(entry.clone())) {
                    let message = "the ledger enters a record as lost, its row is missing or says something else";
                    let finding = Finding::new(What::Missing, message).record(key(kind, id).as_ref());
                    findings.push(finding.version(*version).seq(*seq));
                }
            }
        }
    }
    unledgered(slice, &readable, findings);
    readable
}

/// One finding for each run of missing numbers, however long: a forged number may lie far out.
fn gaps(slice: &Slice, (after, to): (Seq, Seq), findings: &mut Vec<Finding>) {
    let mut expected = after.0 + 1;
    let end = to.0.saturating_add(1);
    for seq in slice.entries.iter().map(|(seq, _)| seq.0).chain([end]) {
        match seq - expected {
            0 => {}
            1 => findings.push(Finding::new(What::Ledger, "the entry is missing").seq(Seq(expected))),
            _ => {
                let message = format!("the entries from here to {} are missing", seq - 1);
                findings.push(Finding::new(What::Ledger, message).seq(Seq(expected)));
            }
        }
        expected = seq.saturating_add(1);
    }
}

/// Rows whose number is that of an entry of another kind. Versions of another entry are told by reading them.
fn unledgered(slice: &Slice, readable: &HashSet<Seq>, findings: &mut Vec<Finding>) {
    for row in &slice.lost {
        let entered = slice.entries.iter().any(|(seq, line)| *seq == row.seq && line.contains("\"op\":\"lost\""));
        if !entered || !readable.contains(&row.seq) {
            let message = "a record is called lost and the ledger has no such entry";
            findings.push(
                Finding::new(What::Unledgered, message).record(row.key.as_ref()).version(row.version).seq(row.seq),
            );
        }
    }
    for row in slice.versions.iter().filter(|row| !readable.contains(&row.seq)) {
        let message = "a version is stored and the ledger has no such entry";
        findings
            .push(Finding::new(What::Unledgered, message).record(row.key.as_ref()).version(row.version).seq(row.seq));
    }
}

fn entry_of(row: &LostRow) -> Option<Entry> {
    let key = row.key.as_ref()?;
    let (version, start, lost) = (row.version, row.start, row.lost);
    Some(Entry::Lost { kind: key.kind.name().into(), id: key.id.clone(), version, start, lost })
}

fn key(kind: &str, id: &str) -> Option<RecordKey> {
    Kind::of_name(kind).map(|kind| RecordKey { kind, id: id.to_owned() })
}
