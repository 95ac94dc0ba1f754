//! How much we may ask, shared by everything that asks Graph: lists, records, logs, people, the doctor's probes, and each of their
//! repetitions. Signing in is another host's, and counts nowhere.
//!
//! Graph counts 1,500 requests in 20 s for an app in a tenant, 10 in 20 s for the first pages of one call record and 50 in
//! 5 min for its following pages; refused requests count too. [`pace`](crate::graph::pace) says when a request of the app may leave. The
//! numbers of a record are too small to space: there the times of the last answers are kept exactly.
//!
//! The page with the numbers says that they may change, and large tenants report 429 far below them: each 429 stops all
//! requests until its Retry-After is over, and lowers the rate.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use crate::graph::pace::{Log, Pace};

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
    /// Graph's figures (2026-08), for all requests 10 less: what is sent is counted exactly, so the rest is not for errors but for
    /// company. A `doctor` beside a sync, or somebody's look into Graph with the same app, is not refused and slows nobody down.
    fn default() -> Self {
        Self {
            app: Allowance { requests: 1490, window: Duration::from_secs(20) },
            record_first: Allowance { requests: 10, window: Duration::from_secs(20) },
            record_following: Allowance { requests: 50, window: Duration::from_secs(5 * 60) },
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
        self.log(turn).free_at(now, 0)
    }

    pub(super) fn note(&mut self, turn: Turn, now: Instant) {
        self.log(turn).note(now);
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
        self.first.len() + self.following.len() == 0
    }

    /// Whether fetching the record once more could go over an allowance.
    fn is_worth_keeping(&self) -> bool {
        self.following.len() > 0 || self.first.len() * 3 > self.first.allowance.requests as usize
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

    /// Waits until a request may leave. It counts as on the way until what is returned is dropped.
    pub(super) async fn slot(&self) -> Sent<'_> {
        let _turn = self.turnstile.acquire().await;
        loop {
            let now = Instant::now();
            let taken = lock(&self.pace).take(now);
            match taken {
                Ok(()) => return Sent { budget: self, at: now },
                Err(due) => sleep_until(due).await,
            }
        }
    }

    /// Notes a 429 to a request that left at `sent`; `random` is drawn from [0, 1).
    pub(super) fn throttled(&self, sent: Instant, wait: Duration, random: f64) {
        lock(&self.pace).throttled(sent, Instant::now(), wait, random);
    }

    /// Time for which 429s stopped all requests; what lies ahead of `now` is not counted yet.
    pub(super) fn throttled_so_far(&self, now: Instant) -> Duration {
        lock(&self.pace).throttled_so_far(now)
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

/// A request on the way; once it is dropped, it has arrived.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    budget: &'a Budget,
    pub(super) at: Instant,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        lock(&self.budget.pace).arrived(self.at, Instant::now());
    }
}

/// A panic of another thread leaves times and counts, which are good at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

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
