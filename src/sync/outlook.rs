//! What a sync has before it: how many requests, how long they take at the pace, and what will not be had before Graph forgets it.
//!
//! An estimate. How many records time has that was never listed nobody knows: as many as the time that was, hour by hour.

use serde::Serialize;

use crate::{
    archive::{
        self, Archive,
        bucket::Tally,
        coverage::{AtRisk, Coverage},
    },
    model::{
        relisting::Policy,
        source::{Protocol, Source},
        time::{Age, Span, Timestamp, intersect, union},
    },
    sync::{
        due,
        plan::{Ask, Known, Window, plan},
    },
};

/// Rows on a page of a list; a log has more on one.
const PAGE_ROWS: f64 = 60.0;
const LOG_PAGE_ROWS: f64 = 1000.0;
/// Requests that a record takes at the least.
const RECORD_REQUESTS: f64 = 2.0;
/// What keeping up with new calls leaves at the least for old ones.
const OLD_SHARE_MIN: f64 = 0.1;

/// What is before one source. Spans are half-open.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outlook {
    pub source: &'static str,
    /// Windows to list.
    pub windows: Vec<Span>,
    /// Records on the to-do list.
    pub queued: u64,
    /// Requests expected, a page of each window and two of each record at the least.
    pub requests: u64,
    /// Whether the archive tells how many records time has that was never listed; if not, `requests` is the least.
    pub is_estimate: bool,
    /// How long they take at the pace.
    pub seconds: f64,
    /// What Graph soon forgets.
    pub at_risk: Vec<AtRisk>,
    /// Missing time that will be had before its deadline, if the sync begins now and the pace holds.
    pub in_time: Vec<Span>,
    /// Missing time that will not.
    pub too_late: Vec<Span>,
}

/// What an outlook is computed from.
#[derive(Clone, Debug)]
pub struct Before {
    pub windows: Vec<Window>,
    pub coverage: Coverage,
    pub tally: Tally,
    pub queued: u64,
}

/// Reads the outlook of a source out of the archive; Graph is not asked. `requests_per_s` is the pace.
pub fn read(
    archive: Option<&Archive>,
    source: Source,
    now: Timestamp,
    (ask, policy, requests_per_s): (&Ask, &Policy, f64),
) -> archive::Result<Outlook> {
    let horizon = now - policy.retention.reach(source);
    let from = ask.from.map_or(horizon, |from| from.min(horizon));
    let Some(archive) = archive else {
        let windows = plan(source, now, Known { listings: &[], rows: 0 }, ask, policy);
        let nothing = archive::coverage::Facts::default();
        let coverage = archive::coverage::coverage(source, &nothing, now, &policy.retention);
        let before = Before { windows, coverage, tally: Tally::default(), queued: 0 };
        return Ok(outlook(source, &before, now, policy, requests_per_s));
    };
    let listings = archive.listings_since(source, from)?;
    let known = Known { listings: &listings, rows: due::known_rows(archive, source, horizon)? };
    let before = Before {
        windows: plan(source, now, known, ask, policy),
        coverage: archive.coverage(source, now, &policy.retention)?,
        tally: archive.tally(source, Span::new(from, now + source.bucket()))?,
        queued: archive.queued(source.kind())?,
    };
    Ok(outlook(source, &before, now, policy, requests_per_s))
}

/// Computes it: the work bucket by bucket in the order of the plan, nearest deadline first, while new calls take their share of the
/// pace.
#[must_use]
pub fn outlook(source: Source, before: &Before, now: Timestamp, policy: &Policy, requests_per_s: f64) -> Outlook {
    let bucket = source.bucket();
    let per_bucket = mean(&before.tally, &before.coverage.covered, bucket);
    let (page_rows, per_record) = match source.protocol() {
        Protocol::Records => (PAGE_ROWS, RECORD_REQUESTS),
        Protocol::Log(_) | Protocol::Delta => (LOG_PAGE_ROWS, 0.0),
    };
    let spans: Vec<Span> = before.windows.iter().map(Window::span).collect();
    let whole = |instants: &mut dyn Iterator<Item = &Timestamp>| {
        union(instants.map(|from| Span::new(*from, *from + bucket)).collect())
    };
    let queued = whole(&mut before.tally.queued.keys());
    let missing = union([before.coverage.gaps.clone(), queued.clone()].concat());
    // What is to be done, in buckets: what is listed, and what is fetched without being listed again.
    let mut work = buckets_of(&spans, bucket);
    work.extend(buckets_of(&queued, bucket));
    work.sort_unstable();
    work.dedup();

    let keeping_up = per_bucket.unwrap_or(0.0) * (per_record + 1.0 / page_rows) / bucket.as_seconds_f64();
    let pace = (requests_per_s - keeping_up).max(requests_per_s * OLD_SHARE_MIN);
    let (mut requests, mut done) = (0.0, Vec::new());
    for from in work {
        let span = Span::new(from, from + bucket);
        let of = |counts: &std::collections::BTreeMap<Timestamp, u64>| as_f64(counts.get(&from).copied().unwrap_or(0));
        let is_covered = intersect(&[span], &before.coverage.gaps).is_empty();
        let (held, still) = (of(&before.tally.records), of(&before.tally.queued));
        let new = if is_covered { 0.0 } else { (per_bucket.unwrap_or(0.0) - held - still).max(0.0) };
        let is_listed = spans.iter().any(|window| !window.intersection(span).is_empty());
        // A window is a page at the least.
        let pages = if is_listed { (held + still + new) / page_rows } else { 0.0 };
        let begins_window = spans.iter().any(|window| span.contains(window.from));
        // What is gone for certain when its turn comes costs nothing; of a log old days are asked for that may be gone.
        if now + seconds(requests / pace) < span.to + policy.retention.reach(source) {
            requests += if begins_window { pages.max(1.0) } else { pages } + (still + new) * per_record;
        }
        let first_missing = intersect(&missing, &[span]).first().map_or(span, |part| *part);
        done.push((span, now + seconds(requests / pace) < policy.deadline(source, first_missing)));
    }
    let in_time = done.iter().filter(|(_, in_time)| *in_time).map(|(span, _)| *span).collect();
    let too_late = done.iter().filter(|(_, in_time)| !*in_time).map(|(span, _)| *span).collect();
    Outlook {
        source: source.name(),
        windows: spans,
        queued: before.queued,
        requests: whole_number(requests),
        is_estimate: per_bucket.is_some(),
        seconds: requests / pace,
        at_risk: before.coverage.at_risk.clone(),
        in_time: intersect(&missing, &union(in_time)),
        too_late: intersect(&missing, &union(too_late)),
    }
}

/// Records of a bucket, on the mean over the buckets that are covered; `None` where none is.
fn mean(tally: &Tally, covered: &[Span], bucket: Age) -> Option<f64> {
    let first = tally.records.keys().next().copied()?;
    let known = intersect(covered, &[Span::new(first, Timestamp(i64::MAX))]);
    let length: f64 = known.iter().map(|span| (span.to - span.from).as_seconds_f64()).sum();
    let is_known = |from: Timestamp| known.iter().any(|span| span.from <= from && from + bucket <= span.to);
    let records: u64 = tally.records.iter().filter(|(from, _)| is_known(**from)).map(|(_, records)| records).sum();
    (length > 0.0).then(|| as_f64(records) / (length / bucket.as_seconds_f64()).max(1.0))
}

/// The beginnings of the buckets that spans touch.
fn buckets_of(spans: &[Span], bucket: Age) -> Vec<Timestamp> {
    let begins = |span: &Span| {
        let (first, to) = (span.from.floor_to(bucket), span.to);
        std::iter::successors(Some(first), move |from| Some(*from + bucket)).take_while(move |from| *from < to)
    };
    spans.iter().flat_map(begins).collect()
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never negative")]
fn whole_number(number: f64) -> u64 {
    number.ceil() as u64
}

#[expect(clippy::cast_possible_truncation, reason = "an estimate; what takes centuries saturates")]
fn seconds(seconds: f64) -> Age {
    Age((seconds * 1e9) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{
        coverage::{Facts, coverage},
        listing::Listing,
    };

    const NOW: Timestamp = Timestamp(Age::days(1000).0);

    fn ago(age: Age) -> Timestamp {
        NOW - age
    }

    /// Kept up until an outage that began so long ago, with so many records an hour before it.
    fn after_outage(outage: Age, per_hour: u64) -> Before {
        let begun = ago(outage);
        let span = Span::new(begun - Age::days(30), begun);
        let listing = Listing { listing_id: 1, source: Source::Calls, span, begun, listed: Some(begun), cursor: None };
        let policy = Policy::default();
        let known = Known { listings: std::slice::from_ref(&listing), rows: 1_000_000 };
        let hours = buckets_of(&[Span::new(ago(Age::days(30)), begun)], Age::hours(1));
        let tally = Tally { records: hours.into_iter().map(|hour| (hour, per_hour)).collect(), ..Tally::default() };
        let windows = plan(Source::Calls, NOW, known, &Ask::default(), &policy);
        let facts = Facts { listings: vec![listing], ..Facts::default() };
        let coverage = coverage(Source::Calls, &facts, NOW, &policy.retention);
        Before { windows, coverage, tally, queued: 0 }
    }

    fn outlook_of(before: &Before, per_s: f64) -> Outlook {
        outlook(Source::Calls, before, NOW, &Policy::default(), per_s)
    }

    #[test]
    fn after_twenty_days_a_tenant_within_the_pace_makes_all_of_it_in_time() {
        let before = after_outage(Age::days(20), 500);
        let outlook = outlook_of(&before, 73.5);
        assert!(outlook.is_estimate && outlook.too_late.is_empty());
        assert_eq!(outlook.in_time, before.coverage.gaps);
        let expected = 500.0 * 24.0 * 20.0 * (2.0 + 1.0 / 60.0);
        assert!((as_f64(outlook.requests) / expected - 1.0).abs() < 0.1, "{} of {expected}", outlook.requests);
        assert!((outlook.seconds - as_f64(outlook.requests) / 73.5).abs() < outlook.seconds * 0.05);
    }

    #[test]
    fn at_a_pace_that_is_too_slow_it_says_what_will_not_make_it() {
        // New calls take more than half of the pace, and an hour of old ones an hour and a quarter of the rest.
        let before = after_outage(Age::days(25), 1000);
        let outlook = outlook_of(&before, 1.0);
        assert!(!outlook.too_late.is_empty() && !outlook.in_time.is_empty(), "{outlook:?}");
        let all = union([outlook.in_time.clone(), outlook.too_late.clone()].concat());
        assert_eq!(all, before.coverage.gaps, "everything missing is told once");
        assert!(outlook.in_time[0].from < outlook.too_late[0].from, "the earliest deadline comes first");
    }

    #[test]
    fn keeping_up_with_today_takes_its_share_of_the_pace() {
        let calm = outlook_of(&after_outage(Age::days(20), 500), 10.0);
        let alone = as_f64(calm.requests) / 10.0;
        let share = 500.0 * (2.0 + 1.0 / 60.0) / 3600.0 / 10.0;
        assert!((calm.seconds / (alone / (1.0 - share)) - 1.0).abs() < 0.01);
    }

    #[test]
    fn of_an_empty_archive_it_knows_the_least_alone() {
        for source in Source::ALL {
            let outlook = read(None, source, NOW, (&Ask::default(), &Policy::default(), 73.5)).unwrap();
            assert!(!outlook.is_estimate);
            assert_eq!(outlook.requests, outlook.windows.len() as u64, "a page of each window of {}", source.name());
        }
        let outlook = read(None, Source::Calls, NOW, (&Ask::default(), &Policy::default(), 73.5)).unwrap();
        assert_eq!(outlook.at_risk.len(), 1);
    }
}
