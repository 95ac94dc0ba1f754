//! What SQLite can say of its own file, and what a single look at a table tells.

use crate::{
    archive::{self, Archive},
    verify::{Ask, FINDINGS_MAX, Finding, Result, Summary, What},
};

pub(super) fn check(archive: &Archive, ask: &Ask, summary: &mut Summary) -> Result<()> {
    texts(What::Database, archive.database_faults(ask.quick), summary)?;
    texts(What::Database, archive.schema_faults(), summary)?;
    texts(What::Reference, archive.foreign_key_faults(FINDINGS_MAX), summary)?;
    texts(What::Dictionary, archive.dictionary_faults(), summary)?;
    texts(What::Coverage, archive.listing_faults(), summary)?;
    texts(What::Reference, archive.count_faults(), summary)?;
    newest(archive, summary)?;
    if archive.rows_are_current().unwrap_or(false) {
        let identities = archive.identity_faults().map(|found| found.into_iter().map(identity_fault).collect());
        texts(What::Rows, identities, summary)?;
    }
    Ok(())
}

fn texts(what: What, faults: archive::Result<Vec<String>>, summary: &mut Summary) -> Result<()> {
    match faults {
        Ok(faults) => faults.into_iter().for_each(|fault| summary.add(Finding::new(what, fault).file("archive.db"))),
        Err(error) => summary.add(Finding::of_error(error, what)?),
    }
    Ok(())
}

fn newest(archive: &Archive, summary: &mut Summary) -> Result<()> {
    let outcome = archive.newest_faults(&mut |fault| {
        let seq = |seq: Option<_>| seq.map_or_else(|| "none".to_owned(), |seq| format!("ledger entry {seq}"));
        let message = format!("its highest version is {}, its record names {}", seq(fault.highest), seq(fault.claimed));
        summary.add(Finding::new(What::Newest, message).record(fault.key.as_ref()));
    });
    if let Err(error) = outcome {
        summary.add(Finding::of_error(error, What::Newest)?);
    }
    Ok(())
}

fn identity_fault(identity_id: i64) -> String {
    match identity_id {
        0 => "table identity_word has words that no identity's name has".to_owned(),
        id => format!(
            "row {id} of table identity is not found by its own name or number (fingerprint, phone_reversed, masked_count, masked_reversed, identity_word)"
        ),
    }
}
