//! Throttling as Graph documents it: sliding windows, and a refused request counts like any other.
//!
//! Real time, not simulated: a client's pace is felt by a clock on the wall, or by the runtime's where a test plays that.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// At most `requests` in any stretch of `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub requests: usize,
    pub per: Duration,
}

/// What the server lets through; `None` is without bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One application in one tenant.
    pub app: Option<Rate>,
    /// One call record: itself and the first pages of its sessions and participants.
    pub record_first_page: Option<Rate>,
    /// One call record: pages reached by a next link.
    pub record_following_pages: Option<Rate>,
}

impl Limits {
    /// Graph's published figures.
    #[must_use]
    pub fn documented() -> Self {
        let twenty_s = Duration::from_secs(20);
        Self {
            app: Some(Rate { requests: 1500, per: twenty_s }),
            record_first_page: Some(Rate { requests: 10, per: twenty_s }),
            record_following_pages: Some(Rate { requests: 50, per: Duration::from_secs(300) }),
        }
    }

    #[must_use]
    pub fn off() -> Self {
        Self { app: None, record_first_page: None, record_following_pages: None }
    }

    /// The documented figures with `times` as many requests.
    #[must_use]
    pub fn scaled(times: usize) -> Self {
        let scale = |rate: Option<Rate>| rate.map(|rate| Rate { requests: rate.requests * times, ..rate });
        let documented = Self::documented();
        Self {
            app: scale(documented.app),
            record_first_page: scale(documented.record_first_page),
            record_following_pages: scale(documented.record_following_pages),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::documented()
    }
}

/// Which of a record's two windows a request falls into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Page {
    First,
    Following,
}

/// The requests of late.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    app: Window,
    records: HashMap<(String, Page), Window>,
}

/// The newest requests; never more of them than the rate allows, as older ones cannot matter.
#[derive(Debug, Default)]
struct Window(VecDeque<Instant>);

/// How many records' windows may pile up before the idle ones are dropped.
const RECORDS_KEPT: usize = 20_000;

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, windows: Mutex::default() }
    }

    /// Counts a request of the application; tells the wait when it is one too many.
    pub(super) fn app(&self, now: Instant) -> Result<(), Duration> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        self.limits.app.map_or(Ok(()), |rate| windows.app.count(rate, now))
    }

    /// Counts a request for one record.
    pub(super) fn record(&self, id: &str, page: Page, now: Instant) -> Result<(), Duration> {
        let rate = match page {
            Page::First => self.limits.record_first_page,
            Page::Following => self.limits.record_following_pages,
        };
        let Some(rate) = rate else { return Ok(()) };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.records.len() > RECORDS_KEPT {
            windows.records.retain(|_, window| {
                window.0.back().is_some_and(|last| now.duration_since(*last) < Duration::from_secs(300))
            });
        }
        windows.records.entry((id.to_owned(), page)).or_default().count(rate, now)
    }
}

impl Window {
    fn count(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.0.push_back(now);
        if self.0.len() <= rate.requests {
            return Ok(());
        }
        let oldest = self.0.pop_front().unwrap_or(now);
        if now.duration_since(oldest) >= rate.per {
            return Ok(());
        }
        // With this one counted, room comes when the oldest of those left has gone.
        let next = self.0.front().copied().unwrap_or(now);
        Err(rate.per.saturating_sub(now.duration_since(next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_and_counts_what_it_refuses() {
        let gate = Gate::new(Limits::documented());
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        for _ in 0..10 {
            assert_eq!(gate.record("a", Page::First, at(0)), Ok(()));
        }
        assert!(gate.record("a", Page::First, at(10)).is_err());
        assert_eq!(gate.record("b", Page::First, at(10)), Ok(()));
        assert_eq!(gate.record("a", Page::Following, at(10)), Ok(()));
        for _ in 0..9 {
            assert_eq!(gate.record("a", Page::First, at(21)), Ok(()));
        }
        let wait = gate.record("a", Page::First, at(21)).unwrap_err();
        assert_eq!(
            wait,
            Duration::from_secs(20),
            "the refused one of second 10 is out of the way, the nine of 21 are not"
        );
    }

    #[test]
    fn limits_may_be_off() {
        let gate = Gate::new(Limits::off());
        assert!((0..5000).all(|_| gate.app(Instant::now()).is_ok()));
    }
}
