//! Instants, half-open spans and ages, in every spelling that Graph sends and people type.
//!
//! An instant is a count of nanoseconds since 1970 in UTC, because Graph sends up to 7 fractional digits and a microsecond
//! type would round them. Graph's `0001-01-01` and `9999-12-31` mean "none" and are not instants.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NS_PER_S: i64 = 1_000_000_000;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    #[must_use]
    pub fn from_second(second: i64) -> Self {
        Self(second.saturating_mul(NS_PER_S))
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn as_second(self) -> i64 {
        self.0.div_euclid(NS_PER_S)
    }

    /// Reads the wall clock. Only a command's start, a round of a service and the stamp of a response may ask it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Reads a `DateTimeOffset` of Graph: RFC 3339 with 0 to 9 fractional digits. `None` for other text and for the
    /// sentinels that mean "none" (years 1 and 9999).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }

    /// Reads a time as people type it: RFC 3339, a date (midnight UTC) or an age before `now` (`36h`, `7d`, `2w`).
    ///
    /// # Errors
    /// A fragment that names the spellings accepted, when the text is none of them.
    pub fn parse_argument(text: &str, now: Timestamp) -> Result<Self, String> {
        if let Ok(age) = text.parse::<Age>() {
            return Ok(now - age);
        }
        if let Ok(date) = text.parse::<jiff::civil::Date>()
            && text.len() == 10
        {
            let days = date.duration_since(jiff::civil::date(1970, 1, 1)).as_secs();
            return Ok(Self::from_second(days));
        }
        Self::parse(text).ok_or_else(|| {
            format!("'{text}' is not a time: write 2026-11-01T00:00:00Z, 2026-11-01 or an age such as 36h, 7d, 2w")
        })
    }

    /// Reads an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`).
    #[must_use]
    pub fn parse_http(text: &str) -> Option<Self> {
        let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        i64::try_from(zoned.as_nanosecond()).ok().map(Self)
    }

    /// The instant as an HTTP date.
    #[must_use]
    pub fn to_http(self) -> String {
        self.to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// The instant with whole seconds (rounded down) as Graph's filters take it: `2026-11-01T00:00:00Z`.
    #[must_use]
    pub fn to_seconds_text(self) -> String {
        Self::from_second(self.as_second()).to_string()
    }

    /// The start of the step of `age` (an hour, a day) that holds this instant, counted from 1970.
    #[must_use]
    pub fn floor_to(self, age: Age) -> Self {
        // The first hour that fits into 64 bits begins before them.
        Self(self.0.saturating_sub(self.0.rem_euclid(age.0)))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time"))
    }
}

impl std::ops::Add<Age> for Timestamp {
    type Output = Timestamp;
    fn add(self, age: Age) -> Timestamp {
        Timestamp(self.0.saturating_add(age.0))
    }
}

impl std::ops::Sub<Age> for Timestamp {
    type Output = Timestamp;
    fn sub(self, age: Age) -> Timestamp {
        Timestamp(self.0.saturating_sub(age.0))
    }
}

impl std::ops::Sub for Timestamp {
    type Output = Age;
    fn sub(self, earlier: Timestamp) -> Age {
        Age(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add for Age {
    type Output = Age;
    fn add(self, other: Age) -> Age {
        Age(self.0.saturating_add(other.0))
    }
}

/// A length of time in nanoseconds; may be negative as the difference of two instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(pub i64);

impl Age {
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * NS_PER_S)
    }
    #[must_use]
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes * 60)
    }
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self::minutes(hours * 60)
    }
    #[must_use]
    pub const fn days(days: i64) -> Self {
        Self::hours(days * 24)
    }

    /// Seconds with a fraction, for people and JSON; exact to the microsecond.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "ages below 285 years are exact to the microsecond")]
    pub fn as_seconds_f64(self) -> f64 {
        (self.0 / 1000) as f64 / 1e6
    }

    /// Milliseconds with a fraction: jitters and round trips, which are short.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "lengths below 104 days are exact to the nanosecond")]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    #[must_use]
    pub fn whole_seconds(self) -> i64 {
        self.0 / 1_000_000_000
    }

    /// The length as a wait; zero when negative.
    #[must_use]
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for Age {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl FromStr for Age {
    type Err = String;

    /// Reads a whole number with a unit: `90s`, `15m`, `36h`, `7d`, `2w`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is not an age: write a number and a unit, such as 90s, 15m, 36h, 7d, 2w");
        let unit = text.char_indices().next_back().ok_or_else(refused)?;
        let (number, unit) = (&text[..unit.0], unit.1);
        let seconds_per_unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(refused()),
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let number: i64 = number.parse().map_err(|_| refused())?;
        number.checked_mul(seconds_per_unit).and_then(|s| s.checked_mul(NS_PER_S)).map(Self).ok_or_else(refused)
    }
}

/// Reads an `Edm.Duration` (`PT0.016S`, `P1DT2S`, `-PT3M16.9S`; days have 24 hours) as nanoseconds.
#[must_use]
pub fn parse_edm_duration(text: &str) -> Option<Age> {
    let span: jiff::Span = text.parse().ok()?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    i64::try_from(duration.as_nanos()).ok().map(Age)
}

/// A half-open stretch of time: `from` is in it, `to` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    #[must_use]
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    #[must_use]
    pub fn contains(self, instant: Timestamp) -> bool {
        self.from <= instant && instant < self.to
    }

    /// What both have in common; empty when nothing.
    #[must_use]
    pub fn intersection(self, other: Span) -> Span {
        Span::new(self.from.max(other.from), self.to.min(other.to))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.from, self.to)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.from, self.to).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <(Timestamp, Timestamp)>::deserialize(deserializer).map(|(from, to)| Self { from, to })
    }
}

/// Joins spans that touch or overlap; the result rises and its spans do not touch.
#[must_use]
pub fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => joined.push(span),
        }
    }
    joined
}

/// What of `whole` none of `holes` covers; `holes` must come out of [`union`].
#[must_use]
pub fn subtract(whole: &[Span], holes: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    for span in whole {
        let mut from = span.from;
        for hole in holes.iter().filter(|hole| hole.from < span.to && span.from < hole.to) {
            if from < hole.from {
                left.push(Span::new(from, hole.from));
            }
            from = from.max(hole.to);
        }
        if from < span.to {
            left.push(Span::new(from, span.to));
        }
    }
    left
}

/// What both have in common; both must come out of [`union`].
#[must_use]
pub fn intersect(one: &[Span], other: &[Span]) -> Vec<Span> {
    let (mut common, mut from) = (Vec::new(), 0);
    for span in one {
        // Both rise: what ended before this span matters to none after it.
        from += other[from..].iter().take_while(|before| before.to <= span.from).count();
        let touching = other[from..].iter().take_while(|other| other.from < span.to);
        common.extend(touching.map(|other| span.intersection(*other)));
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_times_keep_every_digit_and_sentinels_are_none() {
        let time = Timestamp::parse("2020-02-25T18:52:21.2169889Z").unwrap();
        assert_eq!(time.to_string(), "2020-02-25T18:52:21.2169889Z");
        assert_eq!(Timestamp::parse("2024-10-18T14:01:52.406+02:00").unwrap().to_string(), "2024-10-18T12:01:52.406Z");
        assert!(Timestamp::parse("2023-09-25T09:28:38Z") < Timestamp::parse("2023-09-25T09:28:38.2Z"));
        assert_eq!(Timestamp::parse("0001-01-01T00:00:00Z"), None);
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59.9999999Z"), None);
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn the_first_instant_of_all_has_a_step_too() {
        let first = Timestamp::parse("1677-09-21T00:12:43.145224193Z").unwrap();
        assert_eq!(first.floor_to(Age::days(1)), Timestamp(i64::MIN));
        assert_eq!(Timestamp(-1).floor_to(Age::hours(1)).to_string(), "1969-12-31T23:00:00Z");
    }

    #[test]
    fn people_may_write_times_dates_and_ages() {
        let now = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
        let read = |text| Timestamp::parse_argument(text, now).map(|time| time.to_string());
        assert_eq!(read("2026-11-01").unwrap(), "2026-11-01T00:00:00Z");
        assert_eq!(read("36h").unwrap(), "2026-11-22T00:00:00Z");
        assert_eq!(read("2w").unwrap(), "2026-11-09T12:00:00Z");
        assert_eq!(read("2026-11-01T01:00:00+01:00").unwrap(), "2026-11-01T00:00:00Z");
        for wrong in ["", "h", "7", "-7d", "2026-13-01", "7 d", "2026-11-01T00:00:00", "99999999999999w", "日"] {
            assert!(read(wrong).unwrap_err().contains("is not a time"), "{wrong}");
        }
    }

    #[test]
    fn durations_are_read_to_the_nanosecond() {
        assert_eq!(parse_edm_duration("PT0.016S"), Some(Age(16_000_000)));
        assert_eq!(parse_edm_duration("PT2M2.0456729S"), Some(Age(122_045_672_900)));
        assert_eq!(parse_edm_duration("P1DT2S"), Some(Age::seconds(86_402)));
        assert_eq!(parse_edm_duration("-PT3M16.9S"), Some(Age(-196_900_000_000)));
        assert_eq!(parse_edm_duration("soon"), None);
    }

    #[test]
    fn http_dates_go_both_ways() {
        let time = Timestamp::parse("1994-11-06T08:49:37Z").unwrap();
        assert_eq!(time.to_http(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Timestamp::parse_http(&time.to_http()), Some(time));
    }

    #[test]
    fn spans_join_and_leave_holes() {
        let span = |from, to| Span::new(Timestamp(from), Timestamp(to));
        assert_eq!(union(vec![span(5, 7), span(0, 2), span(2, 4), span(9, 9)]), [span(0, 4), span(5, 7)]);
        assert_eq!(subtract(&[span(0, 10)], &[span(0, 4), span(5, 7)]), [span(4, 5), span(7, 10)]);
        assert_eq!(subtract(&[span(0, 4)], &[span(0, 4)]), []);
        assert_eq!(
            intersect(&[span(0, 3), span(5, 9)], &[span(1, 2), span(2, 6), span(8, 12)]),
            [span(1, 2), span(2, 3), span(5, 6), span(8, 9)]
        );
        assert_eq!(intersect(&[span(0, 3)], &[span(3, 4)]), []);
    }
}
