//! What is covered against what the ledger says was covered: a listing taken away makes it less.

use crate::{
    archive::{Archive, ledger::Entry},
    model::{
        id::Seq,
        source::Source,
        time::{Span, subtract, union},
    },
    verify::{Finding, Result, Summary, What},
};

/// The last statement, made at the end of a run. More may be covered by now: a gap of that moment was filled.
pub(super) fn check(archive: &Archive, seq: Seq, entry: &Entry, summary: &mut Summary) -> Result<()> {
    let Entry::Run { coverage: statement, .. } = entry else { return Ok(()) };
    for said in statement {
        let Some(source) = Source::ALL.into_iter().find(|source| source.name() == said.source) else {
            let message = format!("it says what was covered of {}, a source that is not known", said.source);
            summary.add(Finding::new(What::Coverage, message).seq(seq));
            continue;
        };
        let facts = match archive.facts(source) {
            Ok(facts) => facts,
            Err(error) => {
                summary.add(Finding::of_error(error, What::Coverage)?);
                continue;
            }
        };
        // The most that the listings can vouch for: what was still to fetch, or kept for less long, only takes away from it.
        let complete = facts.listings.iter().filter(|listing| listing.listed.is_some());
        let listed =
            union(complete.map(|listing| Span::new(listing.span.from, listing.span.to.min(listing.begun))).collect());
        for span in subtract(&said.covered, &listed) {
            let message =
                format!("{source} was covered from {} to {}, and no listing says so any more", span.from, span.to);
            summary.add(Finding::new(What::Coverage, message).seq(seq));
        }
    }
    Ok(())
}
