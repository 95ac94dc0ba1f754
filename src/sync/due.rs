//! When a service has something to do again.

use crate::{
    archive::{self, Archive},
    model::{
        filter::Filter,
        relisting::Policy,
        source::{Protocol, Source},
        time::Timestamp,
    },
    sync::plan::{self, Known},
};

/// The earliest instant at which something of `sources` is due after a round that ended at `now` (Graph's time): a listing, another
/// try of a record that failed, the directory. An instant that is past: at once.
pub(super) fn next(
    archive: &Archive,
    sources: impl Iterator<Item = Source>,
    now: Timestamp,
    policy: &Policy,
) -> archive::Result<Timestamp> {
    let mut next = Timestamp(i64::MAX);
    for source in sources {
        let listing = match source.protocol() {
            Protocol::Delta => Some(archive.delta(source)?.map_or(now, |delta| delta.asked + policy.look)),
            _ => {
                let horizon = now - policy.retention.reach(source);
                let listings = archive.listings_since(source, horizon)?;
                plan::next(
                    source,
                    now,
                    Known { listings: &listings, rows: known_rows(archive, source, horizon)? },
                    policy,
                )
            }
        };
        let tries = archive.next_try(source.kind())?;
        next = listing.into_iter().chain(tries).fold(next, Timestamp::min);
    }
    Ok(next)
}

/// Records held since `horizon`.
pub(super) fn known_rows(archive: &Archive, source: Source, horizon: Timestamp) -> archive::Result<u64> {
    let later = Filter { kinds: vec![source.kind()], from: Some(horizon), ..Filter::default() };
    archive.count(&archive.wanted(&later)?, None)
}
