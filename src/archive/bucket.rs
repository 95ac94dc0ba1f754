//! The ledger of time: in which state each stretch of it is, and what is known of each bucket.
//!
//! States are coverage told in other words: `lost`, `at_risk` and the gaps are [`Coverage`]'s own, and what it calls covered is
//! divided by whether more may appear and whether it was swept. There is no second opinion.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    archive::{
        coverage::{Coverage, Facts},
        listing::Listing,
    },
    model::{
        relisting::Policy,
        source::Source,
        time::{Age, Span, Timestamp, intersect, subtract, union},
    },
};

/// How well a stretch of time is archived, the best first: a bucket has the worst state of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Covered, and listed once more shortly before Graph forgot it or was about to.
    Final,
    /// Covered: listed to the end after records had stopped appearing, and every record of the list stored.
    Complete,
    /// Covered, but so young that more records may appear; it is listed again.
    Settling,
    /// Listed, and something of it is still to fetch.
    Partial,
    /// Not covered, can still be had.
    Gap,
    /// Not covered, and Graph soon forgets it.
    AtRisk,
    /// Not covered, and Graph has forgotten it.
    Lost,
}

impl State {
    pub const ALL: [State; 7] =
        [State::Final, State::Complete, State::Settling, State::Partial, State::Gap, State::AtRisk, State::Lost];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Final => "final",
            State::Complete => "complete",
            State::Settling => "settling",
            State::Partial => "partial",
            State::Gap => "gap",
            State::AtRisk => "at_risk",
            State::Lost => "lost",
        }
    }
}

/// A stretch of time in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSpan {
    pub state: State,
    pub span: Span,
}

/// How many records of each bucket there are, by the bucket's beginning.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Stored.
    pub records: BTreeMap<Timestamp, u64>,
    /// Still to fetch.
    pub queued: BTreeMap<Timestamp, u64>,
    /// Listed, and gone before they were fetched.
    pub lost: BTreeMap<Timestamp, u64>,
    /// When a listing last brought something new.
    pub changed: BTreeMap<Timestamp, Timestamp>,
}

/// All that is known of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bucket {
    pub from: Timestamp,
    pub to: Timestamp,
    /// `None` where nothing is expected: time too young to be missed, and time before the first that was ever set out for.
    pub state: Option<State>,
    /// When the first and the last listing of all of it began that were read to their end and are still known: those of which
    /// nothing is needed any more are forgotten.
    pub first_listed: Option<Timestamp>,
    pub last_listed: Option<Timestamp>,
    /// Whether the last listing that touched it was read to its end and reached over all of it.
    pub is_whole: bool,
    /// Stored.
    pub records: u64,
    /// Still to fetch.
    pub queued: u64,
    /// Listed, and gone before they were fetched.
    pub lost: u64,
    /// When a listing last brought something new of it.
    pub changed: Option<Timestamp>,
    /// When it is to be listed again at the latest; `None` when it is not to be listed any more.
    pub due: Option<Timestamp>,
    /// When Graph forgets its first record.
    pub deadline: Timestamp,
}

/// The state of all time that matters to `source` at `now` (Graph's time): `coverage` divided, in rising order.
#[must_use]
pub fn states(source: Source, facts: &Facts, coverage: &Coverage, policy: &Policy) -> Vec<StateSpan> {
    let bucket = source.bucket();
    let at_risk: Vec<Span> = coverage.at_risk.iter().map(|risk| Span::new(risk.from, risk.to)).collect();
    let gaps = subtract(&coverage.gaps, &at_risk);
    let queued = whole_buckets(facts.missing.iter().copied(), bucket);
    let partial = intersect(&gaps, &queued);
    let settled = subtract(&coverage.covered, &coverage.settling);
    let complete = facts.listings.iter().filter(|listing| listing.listed.is_some());
    let swept = union(complete.map(|listing| swept(source, listing, policy)).collect());
    let is_final = intersect(&settled, &swept);
    let mut states = Vec::new();
    let mut add = |state, spans: &[Span]| states.extend(spans.iter().map(|span| StateSpan { state, span: *span }));
    add(State::Lost, &coverage.lost);
    add(State::AtRisk, &at_risk);
    add(State::Gap, &subtract(&gaps, &partial));
    add(State::Partial, &partial);
    add(State::Settling, &coverage.settling);
    add(State::Complete, &subtract(&settled, &is_final));
    add(State::Final, &is_final);
    states.sort_by_key(|state| state.span);
    states
}

/// What a listing read when the final sweep of it was due or over.
fn swept(source: Source, listing: &Listing, policy: &Policy) -> Span {
    let retained = policy.retention.certain(source);
    let last_bucket = (listing.begun - retained + policy.sweep_margin).floor_to(source.bucket());
    let to = listing.span.to.min(listing.begun - source.settling()).min(last_bucket + source.bucket());
    Span::new(listing.span.from.max(listing.begun - retained), to)
}

/// The buckets that hold these instants, joined.
pub(super) fn whole_buckets(instants: impl Iterator<Item = Timestamp>, bucket: Age) -> Vec<Span> {
    union(instants.map(|instant| instant.floor_to(bucket)).map(|from| Span::new(from, from + bucket)).collect())
}

/// The buckets of `within`, each with what is known of it.
#[must_use]
pub fn buckets(
    source: Source,
    (facts, states, tally): (&Facts, &[StateSpan], &Tally),
    within: Span,
    now: Timestamp,
    policy: &Policy,
) -> Vec<Bucket> {
    let length = source.bucket();
    let first = within.from.floor_to(length);
    let begins = std::iter::successors(Some(first), |from| Some(*from + length)).take_while(|from| *from < within.to);
    let mut later = states;
    begins
        .map(|from| {
            let span = Span::new(from, from + length);
            later = &later[later.iter().take_while(|state| state.span.to <= span.from).count()..];
            let touching = later.iter().take_while(|state| state.span.from < span.to);
            let state = touching.filter(|state| state.span.to > span.from).map(|state| state.state).max();
            bucket(source, (facts, tally), span, state, now, policy)
        })
        .collect()
}

fn bucket(
    source: Source,
    (facts, tally): (&Facts, &Tally),
    span: Span,
    state: Option<State>,
    now: Timestamp,
    policy: &Policy,
) -> Bucket {
    let covers = |listing: &Listing| listing.span.from <= span.from && span.to <= listing.span.to;
    let whole = facts.listings.iter().filter(|listing| listing.listed.is_some() && covers(listing));
    let (first, last) = whole.fold((None, None), |(first, last): (Option<Timestamp>, Option<Timestamp>), listing| {
        (Some(first.map_or(listing.begun, |first| first.min(listing.begun))), last.max(Some(listing.begun)))
    });
    let touches = |listing: &&Listing| !listing.span.intersection(span).is_empty();
    let latest = facts.listings.iter().filter(touches).max_by_key(|listing| (listing.begun, covers(listing)));
    let deadline = policy.deadline(source, span);
    let due = last.map_or(span.from, |last| policy.due_again(source, span, last));
    let of = |counts: &BTreeMap<Timestamp, u64>| counts.get(&span.from).copied().unwrap_or(0);
    Bucket {
        from: span.from,
        to: span.to,
        state,
        first_listed: first,
        last_listed: last,
        is_whole: latest.is_some_and(|listing| listing.listed.is_some() && covers(listing)),
        records: of(&tally.records),
        queued: of(&tally.queued),
        lost: of(&tally.lost),
        changed: tally.changed.get(&span.from).copied(),
        due: Some(due).filter(|due| *due < deadline && now < deadline),
        deadline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::coverage::coverage;

    const NOW: Timestamp = Timestamp(Age::days(1000).0);
    const POLICY: fn() -> Policy = Policy::default;

    fn ago(age: Age) -> Timestamp {
        NOW - age
    }

    fn listing(from: Timestamp, to: Timestamp, begun: Timestamp, complete: bool) -> Listing {
        let span = Span::new(from, to);
        Listing { listing_id: 1, source: Source::Calls, span, begun, listed: complete.then_some(begun), cursor: None }
    }

    fn at(facts: &Facts) -> Vec<StateSpan> {
        let coverage = coverage(Source::Calls, facts, NOW, &POLICY().retention);
        states(Source::Calls, facts, &coverage, &POLICY())
    }

    fn state_at(facts: &Facts, age: Age) -> Option<State> {
        let span = Span::new(ago(age), ago(age) + Age::hours(1));
        let states = at(facts);
        let found = buckets(Source::Calls, (facts, &states, &Tally::default()), span, NOW, &POLICY());
        found.first().and_then(|bucket| bucket.state)
    }

    /// What, its listings, ages of starts still to fetch and lost, and the age of the hour that is then in which state.
    type Case = (&'static str, Vec<Listing>, Vec<Age>, Vec<Age>, Age, Option<State>);

    #[test]
    fn each_state_is_what_its_name_says() {
        let to_now = |from: Age, begun: Age| listing(ago(from), NOW, ago(begun), true);
        let whole = || vec![to_now(Age::days(31), Age::default())];
        let half = listing(ago(Age::days(31)), ago(Age::days(10)), NOW, false);
        let cases: [Case; 14] = [
            ("nothing was ever listed", vec![], vec![], vec![], Age::hours(500), Some(State::Gap)),
            ("nothing listed, soon gone", vec![], vec![], vec![], Age::hours(719), Some(State::AtRisk)),
            ("nothing listed, long gone", vec![], vec![], vec![], Age::hours(730), None),
            ("too young to be missed", vec![], vec![], vec![], Age::hours(2), None),
            ("listed just now, old", whole(), vec![], vec![], Age::hours(500), Some(State::Complete)),
            ("listed just now, young", whole(), vec![], vec![], Age::hours(20), Some(State::Settling)),
            ("listed just now, oldest", whole(), vec![], vec![], Age::hours(700), Some(State::Final)),
            ("listed, one to fetch", whole(), vec![Age::hours(500)], vec![], Age::hours(500), Some(State::Partial)),
            (
                "listed, one to fetch, soon gone",
                whole(),
                vec![Age::hours(700)],
                vec![],
                Age::hours(700),
                Some(State::AtRisk),
            ),
            ("listed, one lost", whole(), vec![], vec![Age::hours(500)], Age::hours(500), Some(State::Lost)),
            ("its list not read to the end", vec![half.clone()], vec![], vec![], Age::hours(500), Some(State::Gap)),
            (
                "not read to the end, ids known",
                vec![half],
                vec![Age::hours(500)],
                vec![],
                Age::hours(500),
                Some(State::Partial),
            ),
            (
                "kept up, then an outage",
                vec![to_now(Age::days(40), Age::days(33))],
                vec![],
                vec![],
                Age::hours(750),
                Some(State::Lost),
            ),
            (
                "listed long ago, never swept",
                vec![listing(ago(Age::days(60)), ago(Age::days(35)), ago(Age::days(33)), true)],
                vec![],
                vec![],
                Age::hours(36 * 24),
                Some(State::Complete),
            ),
        ];
        for (what, listings, missing, lost, age, expected) in cases {
            let instants = |ages: Vec<Age>| ages.into_iter().map(ago).collect();
            let facts = Facts { listings, missing: instants(missing), lost: instants(lost) };
            assert_eq!(state_at(&facts, age), expected, "{what}");
        }
    }

    #[test]
    fn a_bucket_tells_when_it_was_listed_and_when_it_is_due() {
        let span = Span::new(ago(Age::hours(100)), ago(Age::hours(99)));
        let facts = Facts {
            listings: vec![
                listing(ago(Age::days(31)), NOW, ago(Age::hours(90)), true),
                listing(ago(Age::days(31)), NOW, ago(Age::hours(60)), true),
                // Half of it, and one that broke off: neither is a listing of the bucket.
                listing(span.from + Age::minutes(30), NOW, ago(Age::hours(20)), true),
                listing(ago(Age::days(31)), NOW, ago(Age::hours(10)), false),
            ],
            ..Facts::default()
        };
        let states = at(&facts);
        let tally = Tally {
            records: BTreeMap::from([(span.from, 7)]),
            changed: BTreeMap::from([(span.from, ago(Age::hours(90)))]),
            ..Tally::default()
        };
        let found = buckets(Source::Calls, (&facts, &states, &tally), span, NOW, &POLICY());
        let expected = Bucket {
            from: span.from,
            to: span.to,
            state: Some(State::Complete),
            first_listed: Some(ago(Age::hours(90))),
            last_listed: Some(ago(Age::hours(60))),
            is_whole: false,
            records: 7,
            queued: 0,
            lost: 0,
            changed: Some(ago(Age::hours(90))),
            // It was 39 hours old: due at 78.
            due: Some(ago(Age::hours(21))),
            deadline: span.from + Age::days(30),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn states_divide_coverage_and_say_nothing_else() {
        let facts = Facts {
            listings: vec![
                listing(ago(Age::days(60)), ago(Age::days(33)), ago(Age::days(32)), true),
                listing(ago(Age::days(30)), ago(Age::days(12)), ago(Age::days(1)), true),
                listing(ago(Age::days(10)), NOW, NOW, true),
            ],
            missing: vec![ago(Age::hours(100)), ago(Age::days(29)), ago(Age::days(11))],
            lost: vec![ago(Age::days(20))],
        };
        let coverage = coverage(Source::Calls, &facts, NOW, &POLICY().retention);
        let states = states(Source::Calls, &facts, &coverage, &POLICY());
        let of = |wanted: &[State]| {
            union(states.iter().filter(|state| wanted.contains(&state.state)).map(|state| state.span).collect())
        };
        assert_eq!(of(&[State::Final, State::Complete, State::Settling]), coverage.covered);
        assert_eq!(of(&[State::Settling]), coverage.settling);
        assert_eq!(of(&[State::Partial, State::Gap, State::AtRisk]), coverage.gaps);
        assert_eq!(of(&[State::Lost]), coverage.lost);
        assert!(states.windows(2).all(|pair| pair[0].span.to <= pair[1].span.from), "{states:?}");
    }
}
