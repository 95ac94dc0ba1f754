//! What is planned and told from folded listings is what is planned and told from all of them.

use proptest::prelude::*;

use crate::{
    archive::{
        Archive, ArchiveWriter, Folder,
        bucket::{self, StateSpan},
        coverage::{Coverage, Facts, coverage},
        fold::fold,
        listing::Listing,
    },
    model::{
        relisting::Policy,
        retention::Retention,
        source::Source,
        time::{Age, Span, Timestamp},
    },
    sync::plan::{Ask, Known, Window, plan},
};

const NOW: Timestamp = Timestamp(Age::days(1000).0);

/// What is computed from listings: coverage, states, and what is to be listed.
#[derive(Debug, PartialEq)]
struct Computed {
    coverage: Coverage,
    states: Vec<StateSpan>,
    windows: Vec<Span>,
}

fn computed(source: Source, listings: &[Listing], now: Timestamp, policy: &Policy) -> Computed {
    let facts = Facts { listings: listings.to_vec(), ..Facts::default() };
    let coverage = coverage(source, &facts, now, &policy.retention);
    let states = bucket::states(source, &facts, &coverage, policy);
    let horizon = now - policy.retention.reach(source);
    let reaching: Vec<Listing> = listings.iter().filter(|listing| listing.span.to > horizon).cloned().collect();
    let known = Known { listings: &reaching, rows: 1_000_000 };
    let windows = plan(source, now, known, &Ask::default(), policy).iter().map(Window::span).collect();
    Computed { coverage, states, windows }
}

/// Listings as a user's odd spans, outages and interruptions make them: `(age of from, length, age of begun, is complete)` in
/// steps of ten minutes.
fn listings(source: Source, drawn: &[(i64, i64, i64, bool)], step: Age) -> Vec<Listing> {
    let age = |steps: i64| Age(steps * step.0);
    let mut listings: Vec<Listing> = drawn
        .iter()
        .map(|&(from, length, begun, is_complete)| {
            let span = Span::new(NOW - age(from), NOW - age(from) + age(length));
            let begun = NOW - age(begun);
            Listing { listing_id: 1, source, span, begun, listed: is_complete.then_some(begun), cursor: None }
        })
        .collect();
    listings.sort_by_key(|listing| listing.begun);
    listings
}

/// Listings as people read them, in hours before `NOW`.
fn told(listings: &[Listing]) -> Vec<String> {
    let ago = |time: Timestamp| (NOW - time).as_seconds_f64() / 3600.0;
    let tell = |row: &Listing| {
        let state = if row.listed.is_some() { "" } else { " unfinished" };
        format!("{:.2} to {:.2} begun {:.2}{state}", ago(row.span.from), ago(row.span.to), ago(row.begun))
    };
    listings.iter().map(tell).collect()
}

fn assert_folds(source: Source, listings: &[Listing], now: Timestamp, later: Age) {
    let folded = fold(source, listings, now, &Policy::default());
    let long = Retention::of_countries(&["DE".to_owned()]).unwrap();
    for retention in [Retention::default(), long] {
        let policy = Policy { retention, ..Policy::default() };
        for now in [now, now + later] {
            let before = computed(source, listings, now, &policy);
            let after = computed(source, &folded, now, &policy);
            if retention == Retention::default() {
                assert_eq!(before, after, "{source} at {now}: {:#?} became {:#?}", told(listings), told(&folded));
            } else {
                assert_eq!(
                    before.coverage,
                    after.coverage,
                    "{source} at {now}: {:#?} became {:#?}",
                    told(listings),
                    told(&folded)
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn folding_calls_changes_nothing_that_is_computed(
        drawn in prop::collection::vec((0_i64..13_000, 1_i64..5_000, 0_i64..9_000, prop::bool::weighted(0.9)), 0..40),
        later in 0_i64..9_000,
    ) {
        let listings = listings(Source::Calls, &drawn, Age::minutes(10));
        assert_folds(Source::Calls, &listings, NOW, Age::minutes(later * 10));
    }

    #[test]
    fn folding_close_listings_changes_nothing_that_is_computed(
        drawn in prop::collection::vec((4_200_i64..4_700, 1_i64..400, 0_i64..4_700, prop::bool::weighted(0.9)), 0..25),
        later in 0_i64..600,
    ) {
        let listings = listings(Source::Calls, &drawn, Age::minutes(10));
        assert_folds(Source::Calls, &listings, NOW, Age::minutes(later * 10));
    }

    #[test]
    fn folding_a_log_changes_nothing_that_is_computed(
        drawn in prop::collection::vec((0_i64..10_000, 1_i64..2_000, 0_i64..9_500, prop::bool::weighted(0.9)), 0..30),
        later in 0_i64..9_000,
    ) {
        let listings = listings(Source::Pstn, &drawn, Age::hours(1));
        assert_folds(Source::Pstn, &listings, NOW, Age::hours(later));
    }
}

/// A service that looks every `every`, as the plan tells it, for `days`; folded every day.
fn kept_up(source: Source, every: Age, days: i64, rows: u64) -> (Vec<Listing>, Vec<Listing>) {
    let policy = Policy { log_pause: Age::hours(1), ..Policy::default() };
    let (mut all, mut folded): (Vec<Listing>, Vec<Listing>) = (Vec::new(), Vec::new());
    let mut now = NOW;
    while now < NOW + Age::days(days) {
        let horizon = now - policy.retention.reach(source);
        let reaching: Vec<Listing> = folded.iter().filter(|listing| listing.span.to > horizon).cloned().collect();
        for window in plan(source, now, Known { listings: &reaching, rows }, &Ask::default(), &policy) {
            let (span, listed) = (window.span(), Some(now));
            let listing = Listing { listing_id: 1, source, span, begun: now, listed, cursor: None };
            all.push(listing.clone());
            folded.push(listing);
        }
        if now.floor_to(Age::days(1)) != (now - every).floor_to(Age::days(1)) {
            folded = fold(source, &folded, now, &policy);
        }
        now = now + every;
    }
    (all, fold(source, &folded, now, &policy))
}

#[test]
fn years_of_listings_become_a_few_rows_a_day_and_say_the_same() {
    for (source, every, days, rows) in [
        (Source::Calls, Age::hours(12), 250, 3_000),
        (Source::Calls, Age::hours(8), 70, 1_000_000),
        (Source::Pstn, Age::hours(24), 420, 0),
    ] {
        let (all, folded) = kept_up(source, every, days, rows);
        let days = usize::try_from(days).unwrap();
        // A day that Graph has forgotten takes two rows; what it may still have takes more, and no more as the years go by.
        assert!(folded.len() < 3 * days + 600, "{source}: {} of {} rows stay", folded.len(), all.len());
        let now = NOW + Age::days(i64::try_from(days).unwrap());
        let [before, after] = [&all, &folded].map(|rows| computed(source, rows, now, &Policy::default()));
        assert_eq!(before, after, "{source}");
    }
}

#[test]
fn an_archive_folds_its_listings_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Folder::new(folder.path());
    let mut writer = ArchiveWriter::open_or_create(&folder, NOW).unwrap();
    let mut all = Vec::new();
    for hour in 0..300 {
        let now = NOW + Age::hours(hour * 4);
        let span = Span::new(now - Age::days(30), now + Age::hours(1));
        let listing = writer.begin_listing(Source::Calls, span, now).unwrap();
        writer.list_page(&listing, &[], None, now).unwrap();
        all.push(Listing { listed: Some(now), ..listing });
    }
    let interrupted = Span::new(NOW, NOW + Age::days(1));
    all.push(writer.begin_listing(Source::Calls, interrupted, NOW + Age::days(49)).unwrap());
    let (policy, now) = (Policy::default(), NOW + Age::days(50));
    let gone = writer.fold_listings(Source::Calls, &policy, now).unwrap();
    assert!(gone > 150, "{gone} rows less");
    assert_eq!(writer.fold_listings(Source::Calls, &policy, now).unwrap(), 0, "nothing has come since");
    let folded = Archive::open(&folder).unwrap().facts(Source::Calls).unwrap().listings;
    assert_eq!(folded.len() + gone, all.len());
    all.sort_by_key(|listing| listing.begun);
    let [before, after] = [&all, &folded].map(|rows| computed(Source::Calls, rows, now, &policy));
    assert_eq!(before, after);
}

#[test]
fn what_is_folded_twice_is_as_if_folded_once() {
    let (all, _) = kept_up(Source::Calls, Age::hours(6), 90, 3_000);
    let now = NOW + Age::days(90);
    let once = fold(Source::Calls, &all, now, &Policy::default());
    let twice = fold(Source::Calls, &once, now, &Policy::default());
    assert_eq!(once.len(), twice.len());
    assert_eq!(
        computed(Source::Calls, &once, now, &Policy::default()),
        computed(Source::Calls, &twice, now, &Policy::default())
    );
}
