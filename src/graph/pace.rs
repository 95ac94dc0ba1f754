//! When the next request may leave. Pure: it is told the time and the chance, and nothing in it waits.
//!
//! **Evenly.** Requests leave `window / requests` apart, in the order in which they ask, so that no burst meets a window of Graph's,
//! wherever that begins. Time in which nobody asked is not made up for, but for a hundredth of the window, by which timers and
//! busy machines may be late.
//!
//! **Never too many.** Even sending need not be even arriving. So counted are the requests that arrived within the last window and
//! those still on the way; one more leaves only while they are fewer than `requests`. Then no window of Graph's holds more, however
//! long each was on the way: of the requests in it, take the one that left last. When it left, each of the others either was on the
//! way, or had arrived, and that less than a window before, so all of them were counted. An answer proves the arrival; one that is
//! long in coming tells of Graph's work and not of the way, so what is unanswered for [`ON_THE_WAY_MAX`] is taken for arrived then. No
//! margin for requests in flight is needed. What it costs is their time on the way: 0.1 s in a window of 20 s is half a percent.
//!
//! **Among others.** Refused requests count too, so a client that runs against the limit takes from everybody. A 429 says that
//! all clients of the app together are too fast, and the number sent in the last window says how much of that was ours: this is
//! the share remembered. After the pause the rate begins a tenth below it, comes near it soon, stays there for long, and then leaves it
//! faster and faster: `remembered + BEND · (t − t₀)³`. Nobody asks for more for minutes where everything is taken, and whose neighbour
//! has left has all of it back minutes later. What is gained in a given time is the same for small shares and large
//! ones, and what is lost is a tenth of one's own: that is what makes shares equal. After a pause each client begins at a moment of its
//! own within one interval. `tests.rs` plays several clients against one budget.
//!
//! **Refusals that no rate explains.** Graph refuses requests for reasons of its own as well, at any rate. Who came back a step for each of
//! those would soon stand nearly still, and records would be forgotten meanwhile, so there is a share below which nobody goes
//! ([`SHARE_ENOUGH`]) unless one request in three is refused there: then it is the rate after all.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::graph::budget::Allowance;

/// The longest that a request takes to reach Graph. A connection is there already, but for the first ones.
const ON_THE_WAY_MAX: Duration = Duration::from_millis(250);
/// What part of the window a late request may make up for.
const LATENESS_PART: u32 = 100;
/// By how much a client comes back below the share at which it was refused.
const STEP_BACK: f64 = 0.1;
/// What one refusal leaves of the share at least. A program that has just begun was let through little so far, which says little.
const KEPT_MIN: f64 = 0.8;
/// How fast the rate comes back to the share remembered and leaves it again, in windows: half of the budget is left alone for nine.
const BEND: f64 = 0.05 / (9.0 * 9.0 * 9.0);
/// The share below which the rate goes only where many are refused: seven requests a second by default, enough for the calls of a large
/// tenant three times over.
const SHARE_ENOUGH: f64 = 0.1;
/// One refusal in so many requests of the last window is many.
const MANY: usize = 3;
/// Lowest share of the rate: one request in some seven seconds by default. Tenants are known that refused one in two.
const SHARE_MIN: f64 = 0.002;

#[derive(Debug)]
pub(super) struct Pace {
    allowance: Allowance,
    interval: Duration,
    /// When those of the last window arrived, at the latest.
    arrived: Log,
    /// When those of them were refused that were.
    refusals: Log,
    on_the_way: usize,
    next: Option<Instant>,
    paused_until: Option<Instant>,
    refused: Option<Refused>,
    /// Time for which 429s stopped all requests.
    throttled: Duration,
}

/// What is remembered of a refusal.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// What was let through, as a share of the rate that was set.
    share: f64,
    /// When the refusal came.
    at: Instant,
    /// When its pause ends.
    resumed: Instant,
    /// The share below which the rate does not begin again.
    least: f64,
}

impl Pace {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            interval: allowance.window / allowance.requests.max(1),
            arrived: Log::new(allowance),
            refusals: Log::new(allowance),
            on_the_way: 0,
            next: None,
            paused_until: None,
            refused: None,
            throttled: Duration::ZERO,
        }
    }

    /// Takes the slot that is due, or says when to ask again. Who takes one tells [`Pace::arrived`] when it has.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let share = self.share(now);
        if share >= 1.0 {
            self.refused = None;
        }
        let due = self.next.max(self.paused_until);
        if let Some(later) = due.filter(|due| *due > now).or_else(|| self.arrived.free_at(now, self.on_the_way)) {
            return Err(later);
        }
        let on_time = now.checked_sub(self.allowance.window / LATENESS_PART).unwrap_or(now);
        let slot = due.map_or(now, |due| due.max(on_time));
        self.next = Some(slot + self.interval.div_f64(share));
        self.on_the_way += 1;
        Ok(())
    }

    /// Notes that a request that left at `sent` was answered, or given up.
    pub(super) fn arrived(&mut self, sent: Instant, now: Instant) {
        self.on_the_way = self.on_the_way.saturating_sub(1);
        self.arrived.note(now.min(sent + ON_THE_WAY_MAX));
    }

    /// Notes a 429 to a request that left at `sent`: nothing leaves for `wait`, and what leaves then is slower. `random` is drawn from
    /// [0, 1). Answers to what was sent before an earlier refusal was known say nothing new about the rate.
    pub(super) fn throttled(&mut self, sent: Instant, now: Instant, wait: Duration, random: f64) {
        self.refusals.note(now);
        if self.refused.is_none_or(|refused| sent >= refused.at) {
            let share = self.share(now);
            let had = self.had(now).max(share * KEPT_MIN);
            let least = share.min(self.share_min(now));
            self.refused = Some(Refused { share: share.min(had).max(least), at: now, resumed: now, least });
        }
        let until = now + wait;
        let paused = self.paused_until.map_or(now, |paused| paused.max(now));
        if until > paused {
            self.throttled += until - paused;
            self.paused_until = Some(until);
        }
        let resumed = until.max(paused);
        if let Some(refused) = &mut self.refused {
            refused.resumed = resumed;
        }
        let begin = resumed + self.interval.div_f64(self.share(now)).mul_f64(random.clamp(0.0, 1.0));
        self.next = self.next.max(Some(begin));
    }

    /// Time for which 429s stopped all requests; what lies ahead of `now` is not counted yet.
    pub(super) fn throttled_so_far(&self, now: Instant) -> Duration {
        let ahead = self.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        self.throttled.saturating_sub(ahead)
    }

    /// The rate in force as a share of the one that was set.
    fn share(&self, now: Instant) -> f64 {
        let Some(Refused { share, resumed, least, .. }) = self.refused else { return 1.0 };
        let windows = now.saturating_duration_since(resumed).div_duration_f64(self.allowance.window);
        let flat = (STEP_BACK * share / BEND).cbrt();
        (share + BEND * (windows - flat).powi(3)).clamp(least, 1.0)
    }

    /// How far the rate may go down.
    fn share_min(&mut self, now: Instant) -> f64 {
        self.arrived.forget(now);
        self.refusals.forget(now);
        let asked = self.arrived.len().max(MANY);
        if self.refusals.len() * MANY > asked { SHARE_MIN } else { SHARE_ENOUGH }
    }

    /// What was sent in the last window, as a share of what may be.
    fn had(&mut self, now: Instant) -> f64 {
        self.arrived.forget(now);
        let sent = u32::try_from(self.arrived.times.len() + self.on_the_way).unwrap_or(u32::MAX);
        f64::from(sent) / f64::from(self.allowance.requests.max(1))
    }
}

/// The times of the last requests of one kind, for an allowance that is kept to exactly.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) allowance: Allowance,
    /// Rising.
    times: VecDeque<Instant>,
}

impl Log {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, times: VecDeque::new() }
    }

    /// From when on another one fits beside so many on the way; `None` when it fits now.
    pub(super) fn free_at(&mut self, now: Instant, on_the_way: usize) -> Option<Instant> {
        self.forget(now);
        let surplus = (self.times.len() + on_the_way).checked_sub(self.allowance.requests.max(1) as usize)?;
        // Where those on the way are too many by themselves, they will have arrived now at the earliest.
        let leaves = self.times.get(surplus).copied().unwrap_or(now);
        Some(leaves + self.allowance.window)
    }

    pub(super) fn note(&mut self, time: Instant) {
        let place = self.times.partition_point(|earlier| *earlier <= time);
        self.times.insert(place, time);
    }

    pub(super) fn forget(&mut self, now: Instant) {
        while self.times.front().is_some_and(|time| *time + self.allowance.window <= now) {
            self.times.pop_front();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }
}

#[cfg(test)]
mod tests;
