//! How fast we may ask: evenly, and never more than Graph's documented numbers in any window of their length.
//!
//! Graph counts 1,500 requests in 20 s for an app in a tenant, 10 in 20 s for the first pages of one call record and 50 in
//! 5 min for its following pages; refused requests count too. A bucket that refills lets twice its size through around a
//! window's edge, so requests of the app are spaced by `window / requests` instead, handed out in the order in which they
//! ask, and time in which nobody asked is not made up for. The numbers of a record are too small to space: there the times of the last
//! answers are kept exactly.
//!
//! The page with the numbers says that they may change, and large tenants report 429 far below them: each 429 stops all
//! requests until its Retry-After is over, lowers the rate, and the rate recovers slowly.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

/// So many requests in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub requests: u32,
    pub window: Duration,
}

/// The allowances that a client keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// All requests to Graph together.
    pub app: Allowance,
    /// First pages of one record.
    pub record_first: Allowance,
    /// Following pages of one record.
    pub record_following: Allowance,
}

impl Default for Rates {
    /// Graph's figures (2026-08), for all requests 30 less: what we send evenly need not arrive evenly. A request sent before
    /// a window opens may arrive inside it, so the margin has to cover the requests in flight: 16 fetches, a few lists, and
    /// one for [`LATENESS_MAX`].
    fn default() -> Self {
        Self {
            app: Allowance { requests: 1470, window: Duration::from_secs(20) },
            record_first: Allowance { requests: 10, window: Duration::from_secs(20) },
            record_following: Allowance { requests: 50, window: Duration::from_secs(5 * 60) },
        }
    }
}

/// Timers wake up to a millisecond late, and later on a busy machine. Lateness up to this is made up for, or the rate would never
/// reach what was set; a window holds at most one request more for each interval that fits into it.
const LATENESS_MAX: Duration = Duration::from_millis(10);
/// What a 429 leaves of the rate.
const LOWERED: f64 = 0.8;
/// What a window without a 429 adds to the rate.
const RAISED: f64 = 1.05;
/// Lowest share of the rate: one request in some seven seconds by default. Tenants are known that refused one in two.
const SHARE_MIN: f64 = 0.002;

/// When the next request may leave. Pure: it is told the time.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    window: Duration,
    /// The rate in force as a share of the one that was set.
    share: f64,
    next: Option<Instant>,
    paused_until: Option<Instant>,
    lowered: Option<Instant>,
    /// From when on the time without a 429 counts.
    calm_since: Option<Instant>,
    /// Time for which 429s stopped all requests.
    throttled: Duration,
}

impl Pace {
    fn new(allowance: Allowance) -> Self {
        Self {
            interval: allowance.window / allowance.requests.max(1),
            window: allowance.window,
            share: 1.0,
            next: None,
            paused_until: None,
            lowered: None,
            calm_since: None,
            throttled: Duration::ZERO,
        }
    }

    /// Takes the slot that is due, or says when one will be.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.recover(now);
        if let Some(due) = self.next.max(self.paused_until).filter(|due| *due > now) {
            return Err(due);
        }
        let on_time = now.checked_sub(LATENESS_MAX).unwrap_or(now);
        let slot = self.next.max(self.paused_until).map_or(now, |due| due.max(on_time));
        self.next = Some(slot + self.interval.div_f64(self.share));
        Ok(())
    }

    /// Notes a 429 to a request sent at `sent`: nothing leaves for `wait`, and what leaves then is slower. Answers to what was
    /// sent before the rate was last lowered say nothing about the new rate.
    fn throttled(&mut self, sent: Instant, now: Instant, wait: Duration) {
        let until = now + wait;
        let paused = self.paused_until.map_or(now, |paused| paused.max(now));
        if until > paused {
            self.throttled += until - paused;
            self.paused_until = Some(until);
        }
        if self.lowered.is_none_or(|lowered| sent >= lowered) {
            self.share = (self.share * LOWERED).max(SHARE_MIN);
            self.lowered = Some(now);
        }
        self.calm_since = Some(until.max(paused));
    }

    fn recover(&mut self, now: Instant) {
        while let Some(since) = self.calm_since.filter(|since| *since + self.window <= now) {
            self.share = (self.share * RAISED).min(1.0);
            self.calm_since = (self.share < 1.0).then_some(since + self.window);
        }
    }
}

/// The times of the last requests of one kind for one record.
#[derive(Debug)]
struct Log {
    allowance: Allowance,
    times: VecDeque<Instant>,
}

impl Log {
    fn new(allowance: Allowance) -> Self {
        Self { allowance, times: VecDeque::new() }
    }

    /// From when on another one fits; `None` when it fits now.
    fn free_at(&mut self, now: Instant) -> Option<Instant> {
        self.forget(now);
        let surplus = self.times.len().checked_sub(self.allowance.requests.max(1) as usize)?;
        Some(self.times[surplus] + self.allowance.window)
    }

    fn forget(&mut self, now: Instant) {
        while self.times.front().is_some_and(|time| *time + self.allowance.window <= now) {
            self.times.pop_front();
        }
    }
}

/// Which of a record's two allowances a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Following,
}

/// What one record has used of its allowances.
///
/// A record's requests go one after another, and each is noted when its answer is in: it arrived before that, so no delay on the
/// way can crowd two windows' worth into one.
#[derive(Debug)]
pub(super) struct RecordBudget {
    first: Log,
    following: Log,
}

impl RecordBudget {
    pub(super) fn free_at(&mut self, turn: Turn, now: Instant) -> Option<Instant> {
        self.log(turn).free_at(now)
    }

    pub(super) fn note(&mut self, turn: Turn, now: Instant) {
        self.log(turn).times.push_back(now);
    }

    fn log(&mut self, turn: Turn) -> &mut Log {
        match turn {
            Turn::First => &mut self.first,
            Turn::Following => &mut self.following,
        }
    }

    fn is_unused(&mut self, now: Instant) -> bool {
        self.first.forget(now);
        self.following.forget(now);
        self.first.times.is_empty() && self.following.times.is_empty()
    }

    /// Whether fetching the record once more could go over an allowance.
    fn is_worth_keeping(&self) -> bool {
        !self.following.times.is_empty() || self.first.times.len() * 3 > self.first.allowance.requests as usize
    }
}

/// The budget of a client.
#[derive(Debug)]
pub(super) struct Budget {
    rates: Rates,
    /// Lets one request at a time wait for its slot, in the order of their coming. A request that is given up leaves
    /// no hole, because a slot is taken only when it is due.
    turnstile: Semaphore,
    pace: Mutex<Pace>,
    /// Records that were fetched a moment ago and used much of their allowances.
    spent: Mutex<HashMap<String, RecordBudget>>,
}

impl Budget {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            rates,
            turnstile: Semaphore::new(1),
            pace: Mutex::new(Pace::new(rates.app)),
            spent: Mutex::new(HashMap::new()),
        }
    }

    /// Waits until a request may leave.
    pub(super) async fn slot(&self) {
        let _turn = self.turnstile.acquire().await;
        loop {
            let taken = lock(&self.pace).take(Instant::now());
            match taken {
                Ok(()) => return,
                Err(due) => sleep_until(due).await,
            }
        }
    }

    pub(super) fn throttled(&self, sent: Instant, wait: Duration) {
        lock(&self.pace).throttled(sent, Instant::now(), wait);
    }

    /// Time for which 429s stopped all requests; what lies ahead of `now` is not counted yet.
    pub(super) fn throttled_so_far(&self, now: Instant) -> Duration {
        let pace = lock(&self.pace);
        let ahead = pace.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        pace.throttled.saturating_sub(ahead)
    }

    /// What `id` has used; give it back with [`Budget::put_back`].
    pub(super) fn record(&self, id: &str) -> RecordBudget {
        let unused = || RecordBudget {
            first: Log::new(self.rates.record_first),
            following: Log::new(self.rates.record_following),
        };
        lock(&self.spent).remove(id).unwrap_or_else(unused)
    }

    pub(super) fn put_back(&self, id: &str, used: RecordBudget) {
        let now = Instant::now();
        let mut spent = lock(&self.spent);
        if spent.len() >= spent.capacity() {
            spent.retain(|_, used| !used.is_unused(now));
        }
        if used.is_worth_keeping() {
            spent.insert(id.to_owned(), used);
        }
    }
}

/// A panic of another thread leaves times and counts, which are good at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn pace(requests: u32, window: Duration) -> Pace {
        Pace::new(Allowance { requests, window })
    }

    /// The most of `times` that any half-open window holds.
    fn densest(times: &[Instant], window: Duration) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (last, time) in times.iter().enumerate() {
            while times[first] + window <= *time {
                first += 1;
            }
            most = most.max(last - first + 1);
        }
        most
    }

    /// Sends as fast as it may, waking `late(n)` after each due time.
    fn run(pace: &mut Pace, start: Instant, requests: usize, late: impl Fn(usize) -> Duration) -> Vec<Instant> {
        let mut now = start;
        let mut sent = Vec::new();
        while sent.len() < requests {
            match pace.take(now) {
                Ok(()) => sent.push(now),
                Err(due) => now = due + late(sent.len()),
            }
        }
        sent
    }

    #[test]
    fn requests_leave_evenly_from_the_first_one_on() {
        let start = Instant::now();
        let sent = run(&mut pace(100, SECOND), start, 500, |_| Duration::ZERO);
        assert_eq!(densest(&sent, SECOND), 100);
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] == MS * 10));
    }

    #[test]
    fn a_rest_is_not_made_up_for() {
        let start = Instant::now();
        let mut pace = pace(100, SECOND);
        let mut sent = run(&mut pace, start, 100, |_| Duration::ZERO);
        sent.extend(run(&mut pace, start + SECOND * 3, 100, |_| Duration::ZERO));
        assert!(densest(&sent, SECOND) <= 101, "{}", densest(&sent, SECOND));
    }

    #[test]
    fn late_timers_cost_no_rate() {
        let start = Instant::now();
        let sent = run(&mut pace(1000, SECOND), start, 5000, |n| MS * u32::try_from(n % 4).unwrap());
        assert!(*sent.last().unwrap() - start < SECOND * 5 + MS * 20);
        assert!(densest(&sent, SECOND) <= 1010);
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_budget(
            lateness in prop::collection::vec(0_u32..40, 1..50),
            rests in prop::collection::vec((0_usize..400, 0_u32..3000), 0..5),
            throttle in any::<bool>(),
        ) {
            let start = Instant::now();
            let window = SECOND * 2;
            let mut pace = pace(147, window);
            let (mut now, mut sent) = (start, Vec::new());
            while sent.len() < 800 {
                if let Some((_, rest)) = rests.iter().find(|(at, _)| *at == sent.len()) {
                    now += MS * *rest;
                }
                match pace.take(now) {
                    Ok(()) => {
                        sent.push(now);
                        if throttle && sent.len() % 97 == 0 {
                            pace.throttled(now, now, MS * 300);
                        }
                    }
                    Err(due) => now = due + MS * lateness[sent.len() % lateness.len()],
                }
            }
            assert!(densest(&sent, window) <= 148);
        }
    }

    #[test]
    fn a_429_stops_everything_and_then_all_go_on_slower_one_after_another() {
        let start = Instant::now();
        let mut pace = pace(100, SECOND);
        let before = run(&mut pace, start, 10, |_| Duration::ZERO);
        let now = *before.last().unwrap() + MS;
        for request in &before {
            pace.throttled(*request, now, SECOND * 10);
        }
        assert_eq!(pace.take(now + SECOND * 5), Err(now + SECOND * 10));
        let after = run(&mut pace, now, 50, |_| Duration::ZERO);
        assert_eq!(after[0], now + SECOND * 10);
        assert!(
            after.windows(2).all(|pair| pair[1] - pair[0] == MS * 12 + MS / 2),
            "one step down for one burst of answers"
        );
        assert_eq!(pace.throttled, SECOND * 10, "time stopped counts once, however many were refused");
    }

    #[test]
    fn the_rate_recovers_slowly_and_fully() {
        let start = Instant::now();
        let mut pace = pace(100, SECOND * 20);
        pace.throttled(start, start, SECOND);
        let share_after = |pace: &mut Pace, seconds: u32| {
            pace.recover(start + SECOND * seconds);
            format!("{:.3}", pace.share)
        };
        assert_eq!(share_after(&mut pace, 20), "0.800");
        assert_eq!(share_after(&mut pace, 21), "0.840");
        assert_eq!(share_after(&mut pace, 41), "0.882");
        assert_eq!(share_after(&mut pace, 121), "1.000");
        for _ in 0..100 {
            let now = start + SECOND * 200;
            pace.lowered = None;
            pace.throttled(now, now, SECOND);
        }
        assert!((pace.share - SHARE_MIN).abs() < 1e-9);
    }

    #[test]
    fn a_record_gets_ten_first_pages_in_twenty_seconds_and_not_one_more() {
        let budget = Budget::new(Rates::default());
        let start = Instant::now();
        let mut record = budget.record("a");
        for n in 0..10 {
            assert_eq!(record.free_at(Turn::First, start + SECOND * n), None);
            record.note(Turn::First, start + SECOND * n);
        }
        assert_eq!(record.free_at(Turn::First, start + SECOND * 10), Some(start + SECOND * 20));
        assert_eq!(
            record.free_at(Turn::Following, start + SECOND * 10),
            None,
            "following pages have their own allowance"
        );
        assert_eq!(record.free_at(Turn::First, start + SECOND * 20), None);
        record.note(Turn::First, start + SECOND * 20);
        assert_eq!(record.free_at(Turn::First, start + SECOND * 20), Some(start + SECOND * 21));
    }

    #[test]
    fn a_record_fetched_again_goes_on_with_what_it_has_used() {
        let budget = Budget::new(Rates::default());
        let mut record = budget.record("a");
        for _ in 0..50 {
            record.note(Turn::Following, Instant::now());
        }
        budget.put_back("a", record);
        assert!(budget.record("b").free_at(Turn::Following, Instant::now()).is_none());
        assert!(budget.record("a").free_at(Turn::Following, Instant::now()).is_some());
    }
}
