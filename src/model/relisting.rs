//! How often time is listed again: the rule, when it makes a stretch of time due, and what it costs at the most.
//!
//! Graph has no change feed, so a late or corrected record shows only when the time of its start is listed again. Let `b` be the
//! end of a bucket (an hour of call starts, a day of a log), and its *age* at an instant `t` be `max(t - b, age_min)`. A bucket
//! listed at age `l` is due again at age `factor * l`, and in any case `sweep_margin` before Graph forgets it.
//!
//! - **Seen in time.** Let a change come at age `a`, after the listing at age `l <= a` and before the next. That one is due at age
//!   `factor * l <= factor * a`. So what comes at age `a` is seen by age `factor * a`; and whatever came before the final sweep is
//!   seen by it, or earlier.
//! - **Cost.** The ages of a bucket's listings are `l(0) >= age_min` and `l(k + 1) >= factor * l(k)`, so `l(k) >= factor^k * age_min`.
//!   The last that is due by growth alone has `l(k) <= retention`, so `k <= log(retention / age_min) / log(factor)`: with the first and
//!   the sweep at most `log2(30 d / 15 min) + 2`, that is 13 listings in a bucket's life, where an hourly look takes 720.
//!
//! docs/decisions/0004 says what that is in requests.

use crate::model::{
    retention::Retention,
    source::Source,
    time::{Age, Span, Timestamp},
};

/// Factors above this would leave an hour listed but unsettled for longer than coverage takes it on trust.
const FACTOR_MAX: f64 = 2.5;

/// How often time is listed again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// A bucket is due again when its age has grown by this factor since it was last listed.
    pub factor: f64,
    /// Ages below this count as this.
    pub age_min: Age,
    /// A last sweep takes place this long before Graph forgets a bucket.
    pub sweep_margin: Age,
    /// Where the archive holds at most so many records of the last 30 days, all of them are listed each time: 500 requests.
    pub list_all_rows: u64,
    /// What is listed more often than its age asks for is left alone this long: all calls where they are few, the newest calls, the
    /// directory. Zero lists it in each run.
    pub look: Age,
    /// The same for a young day of a log.
    pub log_pause: Age,
    pub retention: Retention,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            factor: 2.0,
            age_min: Age::minutes(15),
            sweep_margin: Age::hours(36),
            list_all_rows: 30_000,
            look: Age::default(),
            log_pause: Age::default(),
            retention: Retention::default(),
        }
    }
}

impl Policy {
    /// # Errors
    /// A line that names the setting which no archive can be kept with.
    pub fn check(&self) -> Result<(), String> {
        if !(self.factor > 1.0 && self.factor <= FACTOR_MAX) {
            return Err(format!("relist_factor: {} is not above 1 and at most {FACTOR_MAX}", self.factor));
        }
        if self.age_min < Age::minutes(1) || self.age_min > Age::days(1) {
            return Err("age_min: must be at least 1m and at most 1d".to_owned());
        }
        let retained = Source::ALL.into_iter().map(|source| self.retention.certain(source)).min().unwrap_or_default();
        if self.sweep_margin < Age::hours(1) || self.sweep_margin >= retained {
            return Err(format!(
                "sweep_margin: must be at least 1h and less than the {} days for which Graph keeps a record",
                retained.0 / Age::days(1).0
            ));
        }
        Ok(())
    }

    /// When Graph forgets the first record of a bucket.
    #[must_use]
    pub fn deadline(&self, source: Source, bucket: Span) -> Timestamp {
        bucket.from + self.retention.certain(source)
    }

    /// When the final sweep of a bucket is due.
    #[must_use]
    pub fn sweep(&self, source: Source, bucket: Span) -> Timestamp {
        self.deadline(source, bucket) - self.sweep_margin
    }

    /// When a bucket that was last listed at `last` is due again by the growth of its age or for its final sweep.
    #[must_use]
    pub fn due_again(&self, source: Source, bucket: Span, last: Timestamp) -> Timestamp {
        let age = (last - bucket.to).max(self.age_min);
        let grown = bucket.to + times(age, self.factor);
        let sweep = self.sweep(source, bucket);
        if last < sweep { grown.min(sweep) } else { grown }
    }

    /// How often a bucket is listed in its life at the most, however often one looks.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a count of some fifteen")]
    #[expect(clippy::cast_sign_loss, reason = "age_min is less than any retention")]
    pub fn listings_max(&self, source: Source) -> u32 {
        let growth = self.retention.certain(source).0 as f64 / self.age_min.0 as f64;
        (growth.ln() / self.factor.ln()).floor() as u32 + 2
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "ages of days need no nanoseconds")]
fn times(age: Age, factor: f64) -> Age {
    Age((age.0 as f64 * factor) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Span = Span { from: Timestamp(0), to: Timestamp(Age::hours(1).0) };

    #[test]
    fn a_bucket_is_due_at_its_doubled_age_or_for_its_sweep() {
        let policy = Policy::default();
        let cases = [
            // Listed while it lasted: as if at the least age.
            (Age::minutes(5), Age::minutes(90)),
            (Age::minutes(60), Age::minutes(90)),
            (Age::minutes(90), Age::minutes(120)),
            (Age::hours(11), Age::hours(21)),
            // The sweep comes before the doubled age.
            (Age::days(20), Age::hours(684)),
            (Age::hours(683), Age::hours(684)),
            // Swept: its doubled age is beyond Graph's memory.
            (Age::hours(684), Age::hours(1367)),
        ];
        for (last, due) in cases {
            let found = policy.due_again(Source::Calls, HOUR, Timestamp(0) + last);
            assert_eq!(found, Timestamp(0) + due, "listed at {last:?}");
        }
    }

    /// The proof in the head of this file, played for looks at every interval and changes at every age.
    #[test]
    fn a_change_at_any_age_is_seen_by_its_multiple_and_a_bucket_costs_no_more_than_stated() {
        for (factor, look_minutes) in [(2.0, 7), (2.0, 15), (1.5, 60), (2.5, 24 * 60), (1.1, 15)] {
            let policy = Policy { factor, ..Policy::default() };
            let look = Age::minutes(look_minutes);
            let deadline = policy.deadline(Source::Calls, HOUR);
            let mut listings = Vec::new();
            let mut now = Timestamp(0);
            while now < deadline {
                let due = listings.last().is_none_or(|last| policy.due_again(Source::Calls, HOUR, *last) <= now);
                if due {
                    listings.push(now);
                }
                now = now + look;
            }
            let count = u32::try_from(listings.len()).unwrap();
            assert!(count <= policy.listings_max(Source::Calls), "{count} listings at {factor}");
            for changed in (0..29 * 24).map(|hours| HOUR.to + Age::hours(hours)) {
                let seen = listings.iter().find(|listing| **listing >= changed).copied();
                let by_age = HOUR.to + times((changed - HOUR.to).max(policy.age_min), factor) + look;
                let by_sweep = policy.sweep(Source::Calls, HOUR) + look;
                let by = if changed < policy.sweep(Source::Calls, HOUR) { by_age.min(by_sweep) } else { continue };
                assert!(seen.is_some_and(|seen| seen <= by), "a change at {changed} is seen at {seen:?}, not by {by}");
            }
        }
        assert_eq!(Policy::default().listings_max(Source::Calls), 13);
    }

    #[test]
    fn settings_that_would_lose_records_are_refused_by_name() {
        let wrong = [
            (Policy { factor: 1.0, ..Policy::default() }, "relist_factor"),
            (Policy { factor: f64::NAN, ..Policy::default() }, "relist_factor"),
            (Policy { factor: 3.0, ..Policy::default() }, "relist_factor"),
            (Policy { age_min: Age::default(), ..Policy::default() }, "age_min"),
            (Policy { sweep_margin: Age::days(30), ..Policy::default() }, "sweep_margin"),
            (Policy { sweep_margin: Age::minutes(1), ..Policy::default() }, "sweep_margin"),
        ];
        for (policy, name) in wrong {
            assert!(policy.check().unwrap_err().starts_with(name));
        }
        assert_eq!(Policy::default().check(), Ok(()));
    }
}
