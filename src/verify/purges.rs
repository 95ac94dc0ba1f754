//! Disposals against the ledger: what is gone was taken by one, and holds are those that were entered.

use std::collections::HashSet;

use crate::{
    archive::{self, Archive, ledger::Entry, purge::hash_of_seqs},
    model::id::Seq,
    verify::{Finding, Note, Result, Summary, What},
};

/// `entered` is what the ledger says of disposals and holds, among others.
pub(super) fn check(archive: &Archive, entered: &[(Seq, Entry)], summary: &mut Summary) -> Result<()> {
    if let Err(error) = tombstones(archive, entered, summary).and_then(|()| holds(archive, entered, summary)) {
        summary.add(Finding::of_error(error, What::Disposal)?);
    }
    Ok(())
}

fn tombstones(archive: &Archive, entered: &[(Seq, Entry)], summary: &mut Summary) -> archive::Result<()> {
    let mut known: HashSet<Seq> = archive.purges()?.into_iter().filter(|purge| *purge <= summary.head).collect();
    let mut gone = archive.gone_files()?;
    gone.retain(|(_, purge)| *purge <= summary.head);
    for (purge, entry) in entered {
        let Entry::Purged { versions, sha256, files, .. } = entry else { continue };
        known.remove(purge);
        gone.retain(|(file, by)| by != purge || !files.contains(file));
        let seqs = archive.purged_by(*purge)?;
        summary.disposed += seqs.len() as u64;
        if (seqs.len() as u64, hash_of_seqs(seqs.into_iter()).to_string()) != (*versions, sha256.clone()) {
            let message = "the versions that are called disposed of by this entry are not those that it took";
            summary.add(Finding::new(What::Disposal, message).seq(*purge));
        }
    }
    for purge in known {
        let message = "versions are called disposed of by this entry, which is of no disposal";
        summary.add(Finding::new(What::Disposal, message).seq(purge));
    }
    for (file, purge) in gone {
        let message = "the file is called gone, and the entry says nothing of it";
        summary.add(Finding::new(What::Disposal, message).file(file).seq(purge));
    }
    let unfinished = archive.unfinished_purges()?.len() as u64;
    if unfinished > 0 {
        summary.notes.push(Note::DisposalUnfinished { records: unfinished });
    }
    Ok(())
}

fn holds(archive: &Archive, entered: &[(Seq, Entry)], summary: &mut Summary) -> archive::Result<()> {
    for (seq, message) in archive.hold_faults()? {
        summary.add(Finding::new(What::Disposal, message).seq(seq));
    }
    let known = archive.hold_seqs()?;
    for (seq, entry) in entered {
        if matches!(entry, Entry::HoldAdded { .. }) && !known.contains(seq) {
            summary.add(Finding::new(What::Disposal, "the ledger enters a hold that is missing").seq(*seq));
        }
    }
    Ok(())
}
