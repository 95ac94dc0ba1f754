//! Calendar months in UTC: what is sealed at a time.

use std::{fmt, str::FromStr};

use jiff::{civil::Date, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::time::{Span, Timestamp};

/// A month of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month that an instant lies in.
    #[must_use]
    pub fn of(instant: Timestamp) -> Self {
        let second = jiff::Timestamp::from_second(instant.as_second()).unwrap_or_default();
        let date = Offset::UTC.to_datetime(second).date();
        Self { year: date.year(), month: date.month() }
    }

    #[must_use]
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year.saturating_add(1), month: 1 }
        } else {
            Self { month: self.month + 1, ..self }
        }
    }

    /// From its first instant to that of the next.
    #[must_use]
    pub fn span(self) -> Span {
        Span::new(self.begin(), self.next().begin())
    }

    fn begin(self) -> Timestamp {
        let first = Date::new(self.year, self.month, 1).unwrap_or(Date::ZERO);
        Timestamp::from_second(first.duration_since(jiff::civil::date(1970, 1, 1)).as_secs())
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is no month such as 2026-09");
        let (year, month) = text.split_once('-').ok_or_else(refused)?;
        let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(year, 4) || !is_number(month, 2) {
            return Err(refused());
        }
        let (year, month) = (year.parse().map_err(|_| refused())?, month.parse().map_err(|_| refused())?);
        Date::new(year, month, 1).map_err(|_| refused())?;
        Ok(Self { year, month })
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        for (text, from, to) in [
            ("2026-09", "2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
            ("2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("1969-12", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            let month: Month = text.parse().unwrap();
            let [from, to] = [from, to].map(|text| Timestamp::parse(text).unwrap());
            assert_eq!(month.span(), Span::new(from, to));
            assert_eq!((Month::of(from), Month::of(Timestamp(to.0 - 1))), (month, month));
            assert_eq!((Month::of(to), month.to_string()), (month.next(), text.to_owned()));
        }
        for wrong in ["2026", "2026-13", "2026-00", "26-09", "2026-9", "2026-09-01", "+026-09", "soon"] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }
}
