//! Simulated time: runs like the monotonic clock from where it was set, and jumps when told. Where a test stops the runtime's
//! clock, it stands still with it.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::Instant;

use crate::model::time::{Age, Timestamp};

#[derive(Debug)]
pub(super) struct Clock {
    began: Timestamp,
    started: Instant,
    advanced_ns: AtomicI64,
}

impl Clock {
    pub(super) fn starting_at(began: Timestamp) -> Self {
        Self { began, started: Instant::now(), advanced_ns: AtomicI64::new(0) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.began + Age::from(self.started.elapsed()) + Age(self.advanced_ns.load(Ordering::SeqCst))
    }

    pub(super) fn advance(&self, by: Age) {
        self.advanced_ns.fetch_add(by.0, Ordering::SeqCst);
    }
}
