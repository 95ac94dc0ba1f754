//! When calls begin: workdays with a hump in the morning and one in the afternoon, quiet nights and weekends.
//!
//! The start of the n-th call is a formula, not a list: a world of millions of calls costs no memory, and the calls of an
//! hour are found without looking at the others.

use crate::{
    model::time::{Age, Timestamp},
    simulate::dice::Dice,
};

/// How much of a day's calls begins in each UTC hour.
const HOURS: [u64; 24] =
    [3, 3, 2, 3, 6, 15, 40, 90, 130, 140, 130, 100, 90, 120, 140, 120, 90, 60, 40, 30, 20, 12, 8, 5];
const DAY: u64 = {
    let (mut sum, mut hour) = (0, 0);
    while hour < 24 {
        sum += HOURS[hour];
        hour += 1;
    }
    sum
};
const DAY_NS: i64 = Age::days(1).0;
const HOUR_NS: u128 = 3_600_000_000_000;

/// By how much [`Calendar::start`] may lie before [`Calendar::drawn`]: cut to whole seconds at most.
pub(super) const CUT: Age = Age::seconds(1);

#[derive(Clone, Debug)]
pub(super) struct Calendar {
    seed: u64,
    /// Days since 1970 of the first day with calls.
    first_day: i64,
    calls_per_workday: u64,
    calls_per_restday: u64,
}

impl Calendar {
    pub(super) fn new(seed: u64, first: Timestamp, calls_per_workday: u32) -> Self {
        let calls_per_workday = u64::from(calls_per_workday);
        Self {
            seed,
            first_day: first.0.div_euclid(DAY_NS),
            calls_per_workday,
            calls_per_restday: calls_per_workday * 6 / 100,
        }
    }

    /// Days since 1970 of the first day with calls.
    pub(super) fn first_day(&self) -> i64 {
        self.first_day
    }

    /// Whether there is no call at all, ever.
    pub(super) fn is_empty(&self) -> bool {
        self.calls_per_workday == 0
    }

    /// The start of call `n`, with 0 to 7 fractional digits as Graph sends them; `None` in a world without calls.
    pub(super) fn start(&self, n: u64) -> Option<Timestamp> {
        let step_ns = match Dice::of(self.seed, &[0x5f, n]).below(20) {
            0 | 1 => 1_000_000_000,
            2..=4 => 1_000_000,
            5 => 10_000,
            6 => 1_000,
            _ => 100,
        };
        self.drawn(n).map(|drawn| Timestamp(drawn.0 - drawn.0.rem_euclid(step_ns)))
    }

    /// The start of call `n` before its last digits are cut: never falls as `n` rises.
    pub(super) fn drawn(&self, n: u64) -> Option<Timestamp> {
        if self.is_empty() {
            return None;
        }
        let (day, place) = self.place(n);
        let jitter = Dice::of(self.seed, &[0x5e, n]).throw() >> 32;
        let share = ((u128::from(place) << 32) + u128::from(jitter)) * u128::from(DAY) / u128::from(self.calls_on(day));
        let ns = i64::try_from(time_of_day_ns(share)).unwrap_or(0);
        Some(Timestamp((self.first_day + day) * DAY_NS + ns))
    }

    /// The first call drawn at or after `instant`; later ones follow it.
    pub(super) fn first_at(&self, instant: Timestamp) -> u64 {
        let day = instant.0.div_euclid(DAY_NS) - self.first_day;
        if day < 0 || self.is_empty() {
            return 0;
        }
        let (mut low, mut high) = (self.calls_before(day), self.calls_before(day + 1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.drawn(middle).is_some_and(|drawn| drawn < instant) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The day (since the first) of call `n`, and which call of that day it is.
    fn place(&self, n: u64) -> (i64, u64) {
        let week = self.calls_per_workday * 5 + self.calls_per_restday * 2;
        let mut day = i64::try_from(n / week).unwrap_or(i64::MAX / 7) * 7;
        let mut left = n % week;
        while left >= self.calls_on(day) {
            left -= self.calls_on(day);
            day += 1;
        }
        (day, left)
    }

    fn calls_before(&self, day: i64) -> u64 {
        let week = self.calls_per_workday * 5 + self.calls_per_restday * 2;
        let weeks = u64::try_from(day / 7).unwrap_or(0);
        weeks * week + (day / 7 * 7..day).map(|day| self.calls_on(day)).sum::<u64>()
    }

    /// How many calls begin on the `day`th day after the first.
    pub(super) fn calls_on(&self, day: i64) -> u64 {
        // 1970-01-01 was a Thursday.
        if (self.first_day + day + 3).rem_euclid(7) < 5 { self.calls_per_workday } else { self.calls_per_restday }
    }
}

/// Where a day is when `share` (times 2^32) of its [`DAY`] has begun.
fn time_of_day_ns(share: u128) -> u128 {
    let mut left = share;
    for (hour, weight) in (0_u128..).zip(HOURS) {
        let weight = u128::from(weight) << 32;
        if left < weight {
            return hour * HOUR_NS + left * HOUR_NS / weight;
        }
        left -= weight;
    }
    24 * HOUR_NS - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn starts_rise_and_are_found_again() {
        let calendar = Calendar::new(3, time("2026-10-26T00:00:00Z"), 90);
        for n in 0..2000 {
            let drawn = calendar.drawn(n).unwrap();
            assert!(n == 0 || calendar.drawn(n - 1).unwrap() <= drawn);
            assert!(calendar.start(n).unwrap() <= drawn && drawn - calendar.start(n).unwrap() < CUT);
            let found = calendar.first_at(drawn);
            assert!(found <= n && calendar.drawn(found) == Some(drawn));
        }
        assert_eq!(calendar.first_at(time("2020-01-01T00:00:00Z")), 0);
    }

    #[test]
    fn a_week_has_five_busy_days() {
        let calendar = Calendar::new(3, time("2026-10-26T15:00:00Z"), 100);
        let on = |day: &str| {
            let from = time(&format!("{day}T00:00:00Z"));
            calendar.first_at(from + Age::days(1)) - calendar.first_at(from)
        };
        assert_eq!(
            (on("2026-10-26"), on("2026-10-30"), on("2026-10-31"), on("2026-11-01"), on("2026-11-02")),
            (100, 100, 6, 6, 100)
        );
    }

    #[test]
    fn a_world_may_be_without_calls() {
        let calendar = Calendar::new(3, time("2026-10-26T00:00:00Z"), 0);
        assert!(calendar.is_empty() && calendar.drawn(5).is_none() && calendar.start(0).is_none());
    }
}
