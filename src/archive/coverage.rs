//! What the archive can vouch for: computed from what was listed and what is still to fetch, never claimed.

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::{
    archive::{
        error::Result,
        listing::{self, Listing},
        rows::kind_code,
        todo,
    },
    model::{
        retention::Retention,
        source::Source,
        time::{Age, Span, Timestamp, subtract, union},
    },
};

/// A record still to fetch takes the whole hour of its start out of what is covered.
const BUCKET: Age = Age::hours(1);
/// How long a span may stay listed but unsettled: by then it has been listed again, or its late calls were missed. The doubling
/// of `sync::plan` lists an hour again before its age is twice the time in which it settles.
pub(crate) const UNSETTLED_MAX: Age = Age::hours(96);
/// What Graph forgets within so short a time is no gap to mend, and clocks differ by as much.
const HORIZON_SLACK: Age = Age::minutes(10);

/// The state of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Listed to the end, and every record of the list stored.
    pub covered: Vec<Span>,
    /// The youngest part of `covered`: more calls may still appear there, so it will be listed again.
    pub settling: Vec<Span>,
    /// Not covered, can still be had.
    pub gaps: Vec<Span>,
    /// The part of the gaps that Graph soon forgets.
    pub at_risk: Vec<AtRisk>,
    /// Not covered, past Graph's retention.
    pub lost: Vec<Span>,
}

/// A gap and the time until which it can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AtRisk {
    pub from: Timestamp,
    pub to: Timestamp,
    /// When its first record goes.
    pub deadline: Timestamp,
}

/// What coverage is computed from.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub listings: Vec<Listing>,
    /// Starts of records still to fetch.
    pub missing: Vec<Timestamp>,
    /// Starts of records that were lost.
    pub lost: Vec<Timestamp>,
}

pub(crate) fn facts(connection: &Connection, source: Source) -> Result<Facts> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT start_ns FROM lost WHERE kind = ?1")?;
    let lost = statement.query_map(params![kind_code(source.kind())], |row| row.get(0).map(Timestamp))?;
    Ok(Facts {
        listings: listing::since(connection, source, Timestamp(i64::MIN))?,
        missing: todo::starts(connection, source.kind())?,
        lost: lost.collect::<rusqlite::Result<_>>()?,
    })
}

/// Computes the state of `source` at `now` (Graph's time).
#[must_use]
pub fn coverage(source: Source, facts: &Facts, now: Timestamp, retention: &Retention) -> Coverage {
    if !source.is_of_events() {
        return Coverage::default();
    }
    let retained = retention.certain(source);
    let buckets = |starts: &[Timestamp]| {
        union(starts.iter().map(|start| start.floor_to(BUCKET)).map(|from| Span::new(from, from + BUCKET)).collect())
    };
    let missing = buckets(&facts.missing);
    let lost_records = buckets(&facts.lost);
    let complete = || facts.listings.iter().filter(|listing| listing.listed.is_some());
    // A listing says nothing about calls that started after it began, nor about those that Graph had forgotten by then.
    let seen = |listing: &Listing, age: Age| listing.seen(age, retained);
    let seen_once = union(complete().map(|listing| seen(listing, Age::default())).collect());
    let settled = union(complete().map(|listing| seen(listing, source.settling())).collect());
    let young = [Span::new(now - UNSETTLED_MAX, Timestamp(i64::MAX))];
    let unsettled_for_too_long = subtract(&subtract(&seen_once, &settled), &young);
    let covered = subtract(&seen_once, &unsettled_for_too_long);
    let covered = subtract(&subtract(&covered, &missing), &lost_records);

    let horizon = now - retained;
    let can_be_had = Span::new(horizon + HORIZON_SLACK, now - source.latency());
    let gaps: Vec<Span> = subtract(&subtract(&[can_be_had], &covered), &lost_records);
    // A log that was never had is one that the organisation does not archive: it lacks the permission, or the cloud the log.
    let is_kept = source == Source::Calls || complete().next().is_some();
    // The buckets of which Graph soon forgets the first record: of a gap of weeks its oldest days alone.
    let margin = (now + source.risk_margin() - retained).floor_to(source.bucket()) + source.bucket();
    let at_risk = gaps
        .iter()
        .filter(|gap| is_kept && gap.from < margin)
        .map(|gap| AtRisk { from: gap.from, to: gap.to.min(margin), deadline: gap.from + retained })
        .collect();
    // What was never set out for is not lost: it begins with the earliest span that was ever to be listed. Before a listing
    // has come to its end, as without permission, nothing was ever to be had.
    let set_out = facts.listings.iter().map(|listing| seen(listing, Age::default())).filter(|span| !span.is_empty());
    // A run that died with its first window had set out for what was at the horizon then, and is not to blame for it.
    let set_out = set_out.map(|span| span.from + HORIZON_SLACK).min();
    let duty = set_out.filter(|_| complete().next().is_some()).unwrap_or(horizon);
    let mut lost = subtract(&[Span::new(duty, horizon)], &covered);
    lost.extend(lost_records);
    Coverage { settling: subtract(&covered, &settled), covered, gaps, at_risk, lost: union(lost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(Age::days(1000).0);

    fn ago(age: Age) -> Timestamp {
        NOW - age
    }

    fn listing(from: Timestamp, to: Timestamp, begun: Timestamp, complete: bool) -> Listing {
        let span = Span::new(from, to);
        Listing { listing_id: 1, source: Source::Calls, span, begun, listed: complete.then_some(begun), cursor: None }
    }

    fn at(facts: &Facts) -> Coverage {
        coverage(Source::Calls, facts, NOW, &Retention::default())
    }

    #[test]
    fn an_empty_archive_has_one_gap_and_has_lost_nothing() {
        let found = at(&Facts::default());
        assert_eq!(found.gaps, [Span::new(ago(Age::days(30)) + HORIZON_SLACK, ago(Source::Calls.latency()))]);
        assert_eq!(found.at_risk.len(), 1);
        assert_eq!((found.covered, found.lost), (vec![], vec![]));
    }

    #[test]
    fn listings_that_never_came_to_an_end_have_lost_nothing() {
        let begun = ago(Age::hours(1));
        let found = at(&Facts { listings: vec![listing(ago(Age::days(31)), NOW, begun, false)], ..Facts::default() });
        assert_eq!((found.gaps.len(), found.lost), (1, vec![]));
    }

    #[test]
    fn a_finished_listing_covers_up_to_its_beginning_and_its_youngest_part_settles() {
        let begun = ago(Age::hours(1));
        let found = at(&Facts { listings: vec![listing(ago(Age::days(30)), NOW, begun, true)], ..Facts::default() });
        assert_eq!(found.covered, [Span::new(ago(Age::days(30)), begun)]);
        assert_eq!(found.settling, [Span::new(begun - Age::hours(36), begun)]);
        assert_eq!((found.gaps, found.lost), (vec![], vec![]));
    }

    #[test]
    fn an_unfinished_listing_covers_nothing() {
        let found = at(&Facts { listings: vec![listing(ago(Age::days(9)), NOW, NOW, false)], ..Facts::default() });
        assert_eq!(found.covered, []);
    }

    #[test]
    fn a_record_still_to_fetch_leaves_its_hour_uncovered() {
        let start = ago(Age::hours(100)) + Age::minutes(20);
        let whole = listing(ago(Age::days(30)), NOW, NOW, true);
        let found = at(&Facts { listings: vec![whole], missing: vec![start], ..Facts::default() });
        assert_eq!(found.gaps, [Span::new(ago(Age::hours(100)), ago(Age::hours(99)))]);
        assert_eq!((found.at_risk, found.lost), (vec![], vec![]));
    }

    #[test]
    fn what_was_set_out_for_and_missed_is_lost_and_what_soon_goes_is_at_risk() {
        let found = at(&Facts {
            listings: vec![
                listing(ago(Age::days(40)), ago(Age::days(35)), ago(Age::days(33)), true),
                listing(ago(Age::days(28)), NOW, NOW, true),
            ],
            ..Facts::default()
        });
        assert_eq!(found.lost, [Span::new(ago(Age::days(35)), ago(Age::days(30)))]);
        assert_eq!(found.at_risk[0].deadline, NOW + HORIZON_SLACK);
        assert_eq!(found.gaps, [Span::new(ago(Age::days(30)) + HORIZON_SLACK, ago(Age::days(28)))]);
    }

    #[test]
    fn the_young_end_of_a_last_listing_is_lost_once_an_outage_outlives_it() {
        let begun = ago(Age::days(40));
        let found = at(&Facts { listings: vec![listing(ago(Age::days(70)), begun, begun, true)], ..Facts::default() });
        assert_eq!(found.covered, [Span::new(ago(Age::days(70)), begun - Age::hours(36))]);
        assert_eq!(found.lost, [Span::new(begun - Age::hours(36), ago(Age::days(30)))]);
        assert_eq!(found.settling, []);
    }

    #[test]
    fn nothing_is_claimed_of_time_that_graph_had_forgotten_when_it_was_listed() {
        let begun = ago(Age::hours(1));
        let found = at(&Facts {
            listings: vec![listing(ago(Age::days(60)), ago(Age::days(50)), begun, true)],
            ..Facts::default()
        });
        assert_eq!((found.covered, found.lost), (vec![], vec![]));
    }

    #[test]
    fn a_lost_record_is_a_lost_hour_and_no_gap() {
        let whole = listing(ago(Age::days(30)), NOW, NOW, true);
        let found = at(&Facts { listings: vec![whole], lost: vec![ago(Age::hours(50))], ..Facts::default() });
        assert_eq!(found.lost, [Span::new(ago(Age::hours(50)), ago(Age::hours(49)))]);
        assert_eq!(found.gaps, []);
    }

    #[test]
    fn a_first_run_that_died_and_ran_again_at_once_has_lost_nothing() {
        let a_minute_ago = ago(Age::minutes(1));
        let found = at(&Facts {
            listings: vec![
                listing(ago(Age::days(31)), NOW, a_minute_ago, false),
                listing(ago(Age::days(31)), NOW, NOW, true),
            ],
            ..Facts::default()
        });
        assert_eq!((found.gaps, found.lost), (vec![], vec![]));
    }
}
