//! Simulated time: runs like the monotonic clock, or some times as fast, from where it was set, and jumps when told. Where a test
//! stops the runtime's clock, it stands still with it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use tokio::time::Instant;

use crate::model::time::{Age, Timestamp};

#[derive(Debug)]
pub(super) struct Clock {
    began: Timestamp,
    started: Instant,
    /// The wall clock at `started`.
    started_wall: Timestamp,
    /// Simulated seconds in a real one.
    rate: i64,
    advanced_ns: AtomicI64,
    /// In their order; together they are `advanced_ns`.
    jumps: Mutex<Vec<Jump>>,
}

#[derive(Clone, Copy, Debug)]
struct Jump {
    /// Real time since the start.
    after: Age,
    by: Age,
}

impl Clock {
    /// A rate of 0 counts as 1: time that stands still has no tests.
    pub(super) fn starting_at(began: Timestamp, rate: u32) -> Self {
        Self {
            began,
            started: Instant::now(),
            started_wall: Timestamp::now(),
            rate: i64::from(rate.max(1)),
            advanced_ns: AtomicI64::new(0),
            jumps: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.at(Age::from(self.started.elapsed())) + Age(self.advanced_ns.load(Ordering::SeqCst))
    }

    pub(super) fn advance(&self, by: Age) {
        let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        jumps.push(Jump { after: Age::from(self.started.elapsed()), by });
        self.advanced_ns.fetch_add(by.0, Ordering::SeqCst);
    }

    /// When, by the wall clock, simulated time first reached `instant`; `None` before the start and in the future.
    pub(super) fn wall_time_of(&self, instant: Timestamp) -> Option<Timestamp> {
        if instant < self.began || instant > self.now() {
            return None;
        }
        let mut advanced = Age(0);
        for jump in self.jumps.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let before = self.at(jump.after) + advanced;
            if instant <= before {
                break;
            }
            advanced = advanced + jump.by;
            if instant <= before + jump.by {
                return Some(self.started_wall + jump.after);
            }
        }
        Some(self.started_wall + Age(((instant - self.began).0 - advanced.0) / self.rate))
    }

    /// Simulated time so long after the start, jumps aside.
    fn at(&self, after: Age) -> Timestamp {
        self.began + Age(after.0.saturating_mul(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_time_runs_at_its_rate_and_can_be_read_on_the_wall() {
        let began = Timestamp::parse("2026-11-20T15:00:00Z").unwrap();
        let clock = Clock::starting_at(began, 60);
        let wall = clock.started_wall;
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), began + Age::minutes(2));
        clock.advance(Age::hours(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), began + Age::minutes(63));
        let after = |minutes| clock.wall_time_of(began + Age::minutes(minutes)).map(|at| (at - wall).whole_seconds());
        assert_eq!([after(1), after(2), after(40), after(62), after(63)], [1, 2, 2, 2, 3].map(Some));
        assert_eq!((after(64), after(-1)), (None, None));
    }
}
