//! What is due to be listed: a pure function of the time, what was listed before, and what is asked.
//!
//! Graph's list can be filtered by start time only, so a late or corrected record shows only when the hour of its start is
//! listed again. An hour is due again when its age has grown by a factor since it was last listed, and once more shortly
//! before Graph forgets it. A change at age *a* is thus seen by age 2*a*, for some fifteen listings in an hour's whole life.
//! Where listing everything costs next to nothing, as in a small tenant, everything is listed and a change is seen at once.

use crate::{
    archive::listing::Listing,
    model::{
        source::{Protocol, Range, Source},
        time::{Age, Span, Timestamp},
    },
};
// The rule is a fact that `status` tells as well; whoever plans finds it here.
pub use crate::model::relisting::Policy;

/// Rows for which one window may stand: a next link that expires costs no more than listing these again.
const WINDOW_ROWS: u64 = 30_000;
/// Rows of logs show 24 to 48 hours late and are settled in the days after: so long every run reads them again.
const LOG_REREAD: Age = Age::days(9);
/// A day whose first minutes go meanwhile is not summed up again.
const SUM_MARGIN: Age = Age::hours(1);
/// A first version comes up to 150 minutes after its call: time so young is looked at again and again.
pub const NEWEST: Age = Age::hours(3);
const AT_ONCE: Timestamp = Timestamp(i64::MIN);
const NEVER: Timestamp = Timestamp(i64::MAX);

/// What the user restricts the run to. A span asked for is listed whether due or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// One window to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// Go on where an earlier run stopped.
    Resume(Listing),
    Fresh(Span),
}

impl Window {
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Window::Resume(listing) => listing.span,
            Window::Fresh(span) => *span,
        }
    }
}

/// What a plan is made from besides the time.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Listings that reach into Graph's retention, in the order in which they began.
    pub listings: &'a [Listing],
    /// Records held of that time.
    pub rows: u64,
}

/// The windows to list at `now` (Graph's time), nearest deadline first. None of a source that is not listed by time.
#[must_use]
pub fn plan(source: Source, now: Timestamp, known: Known<'_>, ask: &Ask, policy: &Policy) -> Vec<Window> {
    match source.protocol() {
        Protocol::Records => plan_records(source, now, known, ask, policy),
        Protocol::Log(range) => plan_log(source, range, now, known, ask, policy),
        Protocol::Delta => Vec::new(),
    }
}

fn plan_records(source: Source, now: Timestamp, known: Known<'_>, ask: &Ask, policy: &Policy) -> Vec<Window> {
    let bucket = source.bucket();
    let horizon = (now - policy.retention.certain(source)).floor_to(Age::seconds(1));
    let second = Age::seconds(1);
    // Graph is asked in whole seconds; what is claimed must not be more than what is asked.
    let from = ask.from.map_or(horizon, |from| from.floor_to(second));
    let to = ask.to.map_or(now.floor_to(bucket) + bucket, |to| Timestamp(to.0 + second.0 - 1).floor_to(second));
    // An unfinished window of the last run begins before today's horizon: it goes on all the same.
    let resumable = Span::new(if ask.from.is_some() { from } else { from - Age::days(1) }, to);
    let asked = ask.from.is_some() || ask.to.is_some();

    let resumed: Vec<&Listing> = known
        .listings
        .iter()
        .filter(|listing| listing.listed.is_none() && listing.cursor.is_some() && is_within(listing.span, resumable))
        .collect();
    // Of an empty archive nothing can be reckoned: a day at a time.
    let hours_max = if known.rows == 0 { 24 } else { (WINDOW_ROWS / known.rows.div_ceil(720)).max(24) };
    let longest = Age(bucket.0.saturating_mul(i64::try_from(hours_max).unwrap_or(i64::MAX)));
    let due = |hour: Span| {
        let being_listed = resumed.iter().any(|listing| is_within(hour, listing.span));
        !being_listed && (asked || record_due(source, hour, now, known, policy) <= now)
    };
    let mut windows = joined(buckets(Span::new(from, to), bucket).filter(|hour| due(*hour)), longest);
    windows.extend(resumed.into_iter().cloned().map(Window::Resume));
    windows.sort_by_key(|window| window.span().from);
    windows
}

/// Logs are asked for whole days in UTC, so that a log that sums up is always asked for the same spans. An unfinished window
/// begins anew: its next links count rows, and rows may have come in before.
fn plan_log(source: Source, range: Range, now: Timestamp, known: Known<'_>, ask: &Ask, policy: &Policy) -> Vec<Window> {
    let day = source.bucket();
    let end_of_day = |time: Timestamp| Timestamp(time.0 + day.0 - 1).floor_to(day);
    let from = ask.from.unwrap_or(now - policy.retention.reach(source)).floor_to(day);
    // The sum of a day that is not over would change with every look at it.
    let today = if range.sums_up { now.floor_to(day) } else { end_of_day(now) };
    let to = ask.to.map_or(today, end_of_day).min(today);
    let asked = ask.from.is_some() || ask.to.is_some();
    let due = |span: &Span| {
        let due = log_due(source, range, *span, now, known, policy);
        due <= now || asked && due != NEVER
    };
    joined(buckets(Span::new(from, to), day).filter(due), range.longest)
}

/// Makes windows of buckets that touch, none longer than `longest`.
fn joined(buckets: impl Iterator<Item = Span>, longest: Age) -> Vec<Window> {
    let mut spans: Vec<Span> = Vec::new();
    for bucket in buckets {
        match spans.last_mut() {
            Some(span) if span.to == bucket.from && bucket.to - span.from <= longest => span.to = bucket.to,
            _ => spans.push(bucket),
        }
    }
    spans.into_iter().map(Window::Fresh).collect()
}

fn is_within(inner: Span, outer: Span) -> bool {
    outer.from <= inner.from && inner.to <= outer.to
}

/// Hours or days on the clock, the first and the last cut to `whole`.
fn buckets(whole: Span, length: Age) -> impl Iterator<Item = Span> {
    std::iter::successors((!whole.is_empty()).then_some(whole.from), move |from| {
        Some(from.floor_to(length) + length).filter(|next| *next < whole.to)
    })
    .map(move |from| Span::new(from, (from.floor_to(length) + length).min(whole.to)))
}

/// When a listing that covers the whole bucket and was read to its end last began.
fn last_listed(bucket: Span, listings: &[Listing]) -> Option<Timestamp> {
    let covers = |listing: &&Listing| listing.listed.is_some() && is_within(bucket, listing.span);
    listings.iter().filter(covers).map(|listing| listing.begun).max()
}

/// When an hour of call starts is to be listed.
fn record_due(source: Source, hour: Span, now: Timestamp, known: Known<'_>, policy: &Policy) -> Timestamp {
    let Some(last) = last_listed(hour, known.listings) else { return AT_ONCE };
    let again = policy.due_again(source, hour, last);
    let is_cheap = known.rows <= policy.list_all_rows;
    let is_looked_at = policy.look > Age::default() && hour.to > now - NEWEST;
    if is_cheap || is_looked_at { again.min(after(last, policy.look)) } else { again }
}

/// When a day of a log is to be listed.
fn log_due(source: Source, range: Range, day: Span, now: Timestamp, known: Known<'_>, policy: &Policy) -> Timestamp {
    let Some(last) = last_listed(day, known.listings) else { return AT_ONCE };
    // Of a day that is half forgotten there is half a sum, which must not take the place of the whole one.
    if range.sums_up && day.from < now - policy.retention.reach(source) + SUM_MARGIN {
        return NEVER;
    }
    let again = policy.due_again(source, day, last);
    if last - day.to < LOG_REREAD { again.min(after(last, policy.log_pause)) } else { again }
}

/// Without a pause at once, even if Graph's clock, which comes in whole seconds, seems to have gone back.
fn after(last: Timestamp, pause: Age) -> Timestamp {
    if pause == Age::default() { AT_ONCE } else { last + pause }
}

/// When the next listing is due, by what is known at `now`; `None` for a source that is not listed by time. What is only to come, an
/// hour or a day that has not begun, is due when somebody looks.
#[must_use]
pub fn next(source: Source, now: Timestamp, known: Known<'_>, policy: &Policy) -> Option<Timestamp> {
    let bucket = source.bucket();
    let horizon = |age: Age, whole: Age| (now - age).floor_to(whole);
    match source.protocol() {
        Protocol::Records => {
            if known.listings.iter().any(|listing| listing.listed.is_none() && listing.cursor.is_some()) {
                return Some(now);
            }
            let all =
                Span::new(horizon(policy.retention.certain(source), Age::seconds(1)), now.floor_to(bucket) + bucket);
            buckets(all, bucket).map(|hour| record_due(source, hour, now, known, policy)).min()
        }
        Protocol::Log(range) => {
            // A day that a log sums up is not over yet: it is not counted as missing.
            let all = Span::new(horizon(policy.retention.reach(source), bucket), now.floor_to(bucket));
            buckets(all, bucket).map(|day| log_due(source, range, day, now, known, policy)).min()
        }
        Protocol::Delta => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Cursor;

    const NOW: Timestamp = Timestamp(Age::days(1000).0);
    const BIG: u64 = 1_000_000;
    const BUCKET: Age = Age::hours(1);

    fn ago(age: Age) -> Timestamp {
        NOW - age
    }

    fn listing(from: Timestamp, to: Timestamp, begun: Timestamp, cursor: Option<&str>) -> Listing {
        Listing {
            listing_id: 1,
            source: Source::Calls,
            span: Span::new(from, to),
            begun,
            listed: cursor.is_none().then_some(begun),
            cursor: cursor.map(|link| Cursor(link.into())),
        }
    }

    fn spans(now: Timestamp, listings: &[Listing], rows: u64, ask: Ask) -> Vec<Span> {
        let windows = plan(Source::Calls, now, Known { listings, rows }, &ask, &Policy::default());
        windows.iter().map(Window::span).collect()
    }

    #[test]
    fn a_first_run_lists_thirty_days_oldest_first_in_windows_of_a_day() {
        let windows = spans(NOW, &[], 0, Ask::default());
        assert_eq!(windows.first().map(|span| span.from), Some(ago(Age::days(30))));
        assert_eq!(windows.last().map(|span| span.to), Some(NOW + BUCKET));
        assert!(windows.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert!(windows.iter().all(|span| span.to - span.from <= Age::days(1)));
    }

    #[test]
    fn a_large_tenant_lists_an_hour_again_only_when_its_age_has_doubled() {
        let all = |begun| [listing(ago(Age::days(31)), begun + BUCKET, begun, None)];
        let a_minute_later = spans(NOW + Age::minutes(1), &all(NOW), BIG, Ask::default());
        assert!(
            a_minute_later
                .iter()
                .all(|span| span.from >= ago(Age::hours(1)) || span.to <= ago(Age::hours(28 * 24 + 12))),
            "{a_minute_later:?}"
        );
        let a_day_later = spans(NOW + Age::days(1), &all(NOW), BIG, Ask::default());
        let youngest = a_day_later.last().unwrap();
        assert!(youngest.to == NOW + Age::days(1) + BUCKET);
        assert!(a_day_later.iter().any(|span| span.contains(ago(Age::hours(23)))));
        assert!(!a_day_later.iter().any(|span| span.contains(ago(Age::hours(27)))));
    }

    #[test]
    fn every_hour_is_swept_once_more_before_graph_forgets_it() {
        let bucket_from = ago(Age::days(29));
        let listed_at_half_its_life = [listing(ago(Age::days(31)), NOW, bucket_from + Age::days(15), None)];
        assert!(
            spans(NOW, &listed_at_half_its_life, BIG, Ask::default()).iter().any(|span| span.contains(bucket_from))
        );
        let swept = [listing(ago(Age::days(31)), NOW, bucket_from + Age::days(30) - Age::hours(36), None)];
        assert!(!spans(NOW, &swept, BIG, Ask::default()).iter().any(|span| span.contains(bucket_from)));
    }

    #[test]
    fn a_small_tenant_is_listed_whole_each_time_in_few_windows() {
        let listed = [listing(ago(Age::days(31)), NOW + BUCKET, NOW, None)];
        let windows = spans(NOW + Age::minutes(1), &listed, 3000, Ask::default());
        assert_eq!(windows.len(), 1, "{windows:?}");
        // Also with less than one record an hour.
        assert_eq!(spans(NOW + Age::minutes(1), &listed, 20, Ask::default()), windows);
        assert_eq!(windows[0].from, NOW + Age::minutes(1) - Age::days(30));
    }

    #[test]
    fn a_span_asked_for_is_listed_exactly_even_when_it_is_not_due() {
        let listed = [listing(ago(Age::days(31)), NOW + BUCKET, NOW, None)];
        let ask = Ask { from: Some(ago(Age::minutes(90))), to: Some(ago(Age::minutes(10))) };
        assert_eq!(spans(NOW, &listed, BIG, ask), [Span::new(ago(Age::minutes(90)), ago(Age::minutes(10)))]);
        let nothing = Ask { from: Some(NOW), to: Some(NOW) };
        assert_eq!(spans(NOW, &[], BIG, nothing), []);
    }

    #[test]
    fn an_unfinished_listing_that_began_at_the_old_horizon_goes_on() {
        let half = listing(ago(Age::days(30)), NOW, NOW, Some("next"));
        let known = Known { listings: std::slice::from_ref(&half), rows: 0 };
        let windows = plan(Source::Calls, NOW + Age::hours(1), known, &Ask::default(), &Policy::default());
        assert_eq!(windows[0], Window::Resume(half));
    }

    #[test]
    fn an_unfinished_listing_goes_on_in_its_place() {
        let half = listing(ago(Age::days(3)), ago(Age::days(2)), NOW, Some("next"));
        let windows = plan(
            Source::Calls,
            NOW,
            Known { listings: std::slice::from_ref(&half), rows: 0 },
            &Ask::default(),
            &Policy::default(),
        );
        let at = windows.iter().position(|window| *window == Window::Resume(half.clone())).unwrap();
        assert_eq!(windows[at - 1].span().to, half.span.from);
        assert_eq!(windows[at + 1].span().from, half.span.to);
    }

    fn log_spans(source: Source, now: Timestamp, listings: &[Listing], ask: Ask) -> Vec<Span> {
        let windows = plan(source, now, Known { listings, rows: 0 }, &ask, &Policy::default());
        windows.iter().map(Window::span).collect()
    }

    #[test]
    fn a_first_run_asks_a_log_as_far_back_as_anything_may_be_kept_and_never_for_ninety_days_at_once() {
        let now = NOW + Age::hours(7);
        let spans = log_spans(Source::Pstn, now, &[], Ask::default());
        assert_eq!(spans.first().map(|span| span.from), Some(ago(Age::days(365))));
        assert_eq!(spans.last().map(|span| span.to), Some(NOW + Age::days(1)));
        assert!(spans.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert!(spans.iter().all(|span| span.to - span.from <= Age::days(30)));
        let asked = Ask { from: Some(ago(Age::days(91))), to: Some(NOW) };
        assert_eq!(log_spans(Source::Sms, now, &[], asked).len(), 4);
    }

    #[test]
    fn a_log_that_sums_up_is_asked_for_whole_days_that_are_over() {
        let now = NOW + Age::hours(7);
        let spans = log_spans(Source::DialOut, now, &[], Ask::default());
        assert!(
            spans
                .iter()
                .all(|span| span.to - span.from == Age::days(1) && span.from.floor_to(Age::days(1)) == span.from)
        );
        assert_eq!((spans.len(), spans.last().map(|span| span.to)), (150, Some(NOW)));
        let part_of_a_day = Ask { from: Some(ago(Age::hours(30))), to: Some(ago(Age::hours(29))) };
        assert_eq!(
            log_spans(Source::DialOut, now, &[], part_of_a_day),
            [Span::new(ago(Age::days(2)), ago(Age::days(1)))]
        );
    }

    #[test]
    fn a_sum_that_was_had_is_not_asked_for_again_once_its_day_is_half_forgotten() {
        let day = Span::new(ago(Age::days(150)), ago(Age::days(149)));
        let begun = day.to + Age::days(5);
        let listed = [Listing { source: Source::DialOut, ..listing(day.from, day.to, begun, None) }];
        let asks_for_it =
            |now, listings: &[Listing], ask| log_spans(Source::DialOut, now, listings, ask).contains(&day);
        let by_name = Ask { from: Some(day.from), to: Some(day.to) };
        assert!(asks_for_it(NOW - Age::hours(2), &listed, Ask::default()), "it is due, and still whole");
        for ask in [Ask::default(), by_name] {
            assert!(!asks_for_it(NOW + Age::hours(7), &listed, ask), "what was summed up later would be less");
            assert!(asks_for_it(NOW + Age::hours(7), &[], ask), "half of it is more than nothing");
        }
    }

    #[test]
    fn every_run_reads_the_last_days_of_a_log_again_and_older_ones_when_their_age_has_doubled() {
        let all = Span::new(ago(Age::days(365)), NOW + Age::days(1));
        let listed = Listing { source: Source::Pstn, ..listing(all.from, all.to, NOW + Age::hours(7), None) };
        let spans = log_spans(Source::Pstn, NOW + Age::hours(8), &[listed], Ask::default());
        assert_eq!(spans, [Span::new(ago(Age::days(9)), NOW + Age::days(1))]);
    }
}
