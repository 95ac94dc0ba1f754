//! Seals months that cannot change any more: their bodies move from frames in the database into files of their own.
//!
//! A month of a source is over when Graph has forgotten all of it, nothing of it is still to fetch and no list of it is still being
//! read. Each source is sealed when its own month is over: calls after their 30 days, rows of logs when no user's country keeps them any longer.

use std::cell::Cell;

use serde::Serialize;

use crate::{
    archive::{
        self, Archive, ArchiveWriter,
        coverage::{self, Facts},
        sealed::{
            table::{Amount, Sealed},
            writing::{OnProgress, Sealing},
        },
    },
    model::{
        kind::Kind,
        month::Month,
        relisting::Policy,
        source::Source,
        time::{Age, Timestamp, intersect},
    },
};

/// zstd's level where nobody says another: what comes of it is 1.13 times what level 19 makes, for a fiftieth of the time.
pub const LEVEL: i32 = 9;
pub const LEVELS: std::ops::RangeInclusive<i64> = 1..=22;
/// Clocks differ, and a list may have been on its way when Graph forgot.
const SLACK: Age = Age::days(1);

/// What may be sealed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Only this month.
    pub month: Option<Month>,
    /// Leaves alone what came late to a month of a source that is sealed already.
    pub only_first: bool,
}

/// A month of which something can be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    pub month: Month,
    #[serde(serialize_with = "names")]
    pub kinds: Vec<Kind>,
    #[serde(flatten)]
    pub amount: Amount,
}

/// Months of which something is to be sealed at `now` (Graph's time), the oldest first.
pub fn due(archive: &Archive, ask: Ask, now: Timestamp, policy: &Policy) -> archive::Result<Vec<Due>> {
    let volumes = archive.volumes()?;
    let mut sources = Vec::new();
    for source in Source::ALL.into_iter().filter(|source| source.is_of_events()) {
        if archive.counts(source.kind())?.versions > 0 {
            sources.push((source, archive.facts(source)?));
        }
    }
    let is_sealed = |month, kind| {
        volumes.iter().any(|volume| volume.name.month == month && volume.kinds.iter().any(|(of, _)| *of == kind))
    };
    let mut due = Vec::new();
    for month in
        archive.months(Month::of(now))?.into_iter().filter(|month| ask.month.is_none_or(|asked| asked == *month))
    {
        let over: Vec<Kind> = sources
            .iter()
            .filter(|(source, facts)| still_changes(*source, month, facts, now, policy).is_none())
            .map(|(source, _)| source.kind())
            .filter(|kind| !(ask.only_first && is_sealed(month, *kind)))
            .collect();
        if over.is_empty() {
            continue;
        }
        let open = archive.open_amounts(month)?.into_iter().filter(|(kind, _)| over.contains(kind)).collect::<Vec<_>>();
        if !open.is_empty() {
            let amount = open.iter().fold(Amount::default(), |sum, (_, amount)| sum.with(*amount));
            due.push(Due { month, kinds: open.into_iter().map(|(kind, _)| kind).collect(), amount });
        }
    }
    Ok(due)
}

/// Why a source's month may still change; `None` when it is over.
#[must_use]
pub fn still_changes(source: Source, month: Month, facts: &Facts, now: Timestamp, policy: &Policy) -> Option<String> {
    let span = month.span();
    let forgotten = span.to + policy.retention.reach(source) + SLACK;
    if now < forgotten {
        return Some(format!("Graph may have {} of it until {}", source.name(), forgotten.to_seconds_text()));
    }
    if facts.missing.iter().any(|start| *start < span.to) {
        return Some(format!("{} of it are still to fetch", source.name()));
    }
    let is_read = |listing: &&archive::listing::Listing| {
        listing.listed.is_none() && listing.cursor.is_some() && !listing.span.intersection(span).is_empty()
    };
    let coverage = coverage::coverage(source, facts, now, &policy.retention);
    let open = coverage.gaps.iter().chain(&coverage.settling).copied().collect::<Vec<_>>();
    if facts.listings.iter().any(|listing| is_read(&listing)) || !intersect(&open, &[span]).is_empty() {
        return Some(format!("a list of {} of it is still being read", source.name()));
    }
    None
}

/// Seals what is due, and then gives the room in the database back; a sealing that was cut off before is finished first.
///
/// # Errors
/// [`archive::Error::DiskFull`] and others. Nothing is lost, and the next sealing goes on.
pub fn seal(
    writer: &mut ArchiveWriter,
    due: &[Due],
    level: i32,
    now: Timestamp,
    on: &mut OnProgress<'_>,
) -> archive::Result<Vec<Sealed>> {
    let was_cut_off = Archive::open(writer.folder())?.volumes()?.iter().any(|volume| !volume.emptied);
    let is_stopped = Cell::new(false);
    let mut on = |progress| {
        let wish = on(progress);
        is_stopped.set(is_stopped.get() || wish.is_break());
        wish
    };
    // A file that is not what was sealed keeps its frames and stops no other month.
    let finished = if was_cut_off { writer.finish_sealing(&mut on) } else { Ok(()) };
    let mut made = Vec::new();
    for due in due {
        if is_stopped.get() {
            break;
        }
        let sealing = Sealing { month: due.month, kinds: due.kinds.clone(), level, now };
        made.extend(writer.seal(&sealing, &mut on)?.as_ref().map(Sealed::from));
    }
    if !is_stopped.get() && (was_cut_off || !made.is_empty()) {
        writer.give_back()?;
    }
    finished.map(|()| made)
}

fn names<S: serde::Serializer>(kinds: &[Kind], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(kinds.iter().map(|kind| kind.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::listing::Listing,
        model::{id::Cursor, time::Span},
    };

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn why(source: Source, facts: &Facts, now: &str) -> Option<String> {
        still_changes(source, "2026-09".parse().unwrap(), facts, at(now), &Policy::default())
    }

    #[test]
    fn a_month_is_over_once_graph_has_forgotten_all_of_it_and_nothing_is_to_be_fetched() {
        let nothing = Facts::default();
        assert!(why(Source::Calls, &nothing, "2026-10-31T23:59:59Z").unwrap().contains("until 2026-11-01T00:00:00Z"));
        assert_eq!(why(Source::Calls, &nothing, "2026-11-01T00:00:00Z"), None);
        let missing = |start| Facts { missing: vec![at(start)], ..Facts::default() };
        assert!(
            why(Source::Calls, &missing("2026-09-30T23:00:00Z"), "2026-12-01T00:00:00Z").unwrap().contains("to fetch")
        );
        assert_eq!(why(Source::Calls, &missing("2026-10-01T00:00:00Z"), "2026-12-01T00:00:00Z"), None);
        let span = Span::new(at("2026-09-30T00:00:00Z"), at("2026-10-02T00:00:00Z"));
        let cursor = Some(Cursor("next".into()));
        let begun = at("2026-10-20T00:00:00Z");
        let listing = Listing { listing_id: 1, source: Source::Calls, span, begun, listed: None, cursor };
        let read = Facts { listings: vec![listing], ..Facts::default() };
        assert!(why(Source::Calls, &read, "2026-12-01T00:00:00Z").unwrap().contains("being read"));
    }

    #[test]
    fn rows_of_logs_wait_as_long_as_any_country_keeps_them() {
        assert!(why(Source::Pstn, &Facts::default(), "2027-09-30T00:00:00Z").is_some());
        assert_eq!(why(Source::Pstn, &Facts::default(), "2027-10-03T00:00:00Z"), None);
    }
}
