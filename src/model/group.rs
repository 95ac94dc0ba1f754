//! Records in groups: how many, how long, how many failed.

use jiff::civil::{Date, date};

use crate::model::{
    hit::Person,
    time::{Age, Timestamp},
};

/// What records are grouped by. A record with several of it (people, modalities, programs) is in several groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Everybody in it, in any role; a person of several names is one.
    Participant,
    Organizer,
    Kind,
    Type,
    Modality,
    /// Of the start, in UTC, as the following.
    Month,
    /// ISO 8601: from Monday on.
    Week,
    Day,
    Hour,
    Weekday,
    HourOfDay,
    /// Programs, by the header that they send.
    Agent,
    Platform,
    /// Machines.
    Device,
    /// Where it failed; of failed records alone.
    Stage,
    /// Why it failed; of failed records alone.
    Reason,
}

impl By {
    /// Whether the groups are stretches of time, one after the other.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, By::Month | By::Week | By::Day | By::Hour)
    }

    /// Whether the groups are a round: they have an order of their own, and no first.
    #[must_use]
    pub fn is_round(self) -> bool {
        matches!(self, By::Weekday | By::HourOfDay)
    }

    /// Whether the groups follow from the start alone.
    #[must_use]
    pub fn is_calendar(self) -> bool {
        self.is_time() || self.is_round()
    }

    /// The number of the stretch of time that `start` lies in; of an order that is none of time, 0.
    #[must_use]
    pub fn bucket(self, start: Timestamp) -> i64 {
        let days = start.0.div_euclid(Age::days(1).0);
        let hours = start.0.div_euclid(Age::hours(1).0);
        match self {
            By::Month => {
                let date = day(days);
                i64::from(date.year()) * 12 + i64::from(date.month()) - 1
            }
            By::Week => (days + THURSDAY).div_euclid(7),
            By::Day => days,
            By::Hour => hours,
            By::Weekday => (days + THURSDAY).rem_euclid(7),
            By::HourOfDay => hours.rem_euclid(24),
            _ => 0,
        }
    }

    /// What a stretch of time is called.
    #[must_use]
    pub fn name(self, bucket: i64) -> String {
        match self {
            By::Month => format!("{:04}-{:02}", bucket.div_euclid(12), bucket.rem_euclid(12) + 1),
            By::Week => {
                let week = day(bucket.saturating_mul(7) - THURSDAY).iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            By::Day => day(bucket).to_string(),
            By::Hour => format!("{}T{:02}", day(bucket.div_euclid(24)), bucket.rem_euclid(24)),
            By::Weekday => WEEKDAYS[usize::try_from(bucket.rem_euclid(7)).unwrap_or(0)].to_owned(),
            By::HourOfDay => format!("{bucket:02}"),
            _ => String::new(),
        }
    }

    #[must_use]
    pub fn is_person(self) -> bool {
        matches!(self, By::Participant | By::Organizer)
    }
}

/// 1970 began with a Thursday, so many days after a Monday.
const THURSDAY: i64 = 3;
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn day(days: i64) -> Date {
    // Whatever a timestamp holds lies between the years 1677 and 2262.
    jiff::Span::new().try_days(days).and_then(|days| date(1970, 1, 1).checked_add(days)).unwrap_or(Date::MAX)
}

/// The records that have one thing in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What they have in common, as records say it; times as `2026-11`, `2026-W48`, `2026-11-24`, `2026-11-24T09`. `None` of those that
    /// have none.
    pub name: Option<String>,
    /// Of a group by people, whom.
    pub person: Option<Person>,
    /// Place among groups of time, which counts stretches without records too.
    pub place: i64,
    pub sum: Sum,
}

/// What a group comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub records: u64,
    /// From start to end of each record, added up; nanoseconds.
    pub duration_ns: i128,
    /// Records with a failure.
    pub failures: u64,
}

impl Sum {
    /// To a hundredth.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a hundredth of a minute of millennia fits")]
    pub fn minutes(&self) -> f64 {
        (self.duration_ns as f64 / 6e8).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_lies_in_the_stretch_that_the_calendar_says() {
        let cases = [
            ("2026-11-24T09:30:00Z", ["2026-11", "2026-W48", "2026-11-24", "2026-11-24T09", "Tuesday", "09"]),
            ("2026-11-22T23:59:59.9999999Z", ["2026-11", "2026-W47", "2026-11-22", "2026-11-22T23", "Sunday", "23"]),
            ("2026-11-23T00:00:00Z", ["2026-11", "2026-W48", "2026-11-23", "2026-11-23T00", "Monday", "00"]),
            ("2027-01-01T00:00:00Z", ["2027-01", "2026-W53", "2027-01-01", "2027-01-01T00", "Friday", "00"]),
            ("2024-12-30T12:00:00Z", ["2024-12", "2025-W01", "2024-12-30", "2024-12-30T12", "Monday", "12"]),
            ("1969-12-31T23:00:00Z", ["1969-12", "1970-W01", "1969-12-31", "1969-12-31T23", "Wednesday", "23"]),
        ];
        for (start, expected) in cases {
            let start = Timestamp::parse(start).unwrap();
            let names = [By::Month, By::Week, By::Day, By::Hour, By::Weekday, By::HourOfDay]
                .map(|by| by.name(by.bucket(start)));
            assert_eq!(names, expected.map(str::to_owned));
        }
    }

    #[test]
    fn the_ends_of_time_have_names_too() {
        for start in [Timestamp(i64::MIN), Timestamp(i64::MAX)] {
            for by in [By::Month, By::Week, By::Day, By::Hour, By::Weekday, By::HourOfDay] {
                assert!(!by.name(by.bucket(start)).is_empty());
            }
        }
    }
}
