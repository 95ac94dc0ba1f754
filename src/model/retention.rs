//! How long Microsoft keeps what: 30 days for calls; for the logs it goes by the users' countries, `retention.csv`.

use std::sync::LazyLock;

use crate::model::{source::Source, time::Age};

/// The table; its head says where the figures are from.
const TABLE: &str = include_str!("retention.csv");
const ELSEWHERE: &str = "*";

/// "Remains available for 30 days"; the error text counts from the start, the reference from the end: the earlier is taken.
const CALLS: Age = Age::days(30);

/// How long each source's records live, for an organisation with users in certain countries.
///
/// Two figures a log: what is kept for *certain*, from which deadlines are computed, and the *reach*, how far back anything may
/// still be there, which a first run asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pstn: Bounds,
    direct_routing: Bounds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    certain: Age,
    reach: Age,
}

impl Bounds {
    fn with(self, days: i64) -> Self {
        let age = Age::days(days);
        Self { certain: self.certain.min(age), reach: self.reach.max(age) }
    }
}

impl Default for Retention {
    /// Nothing is known of the countries: reckons with the shortest figure of all, and asks as far as most allow.
    fn default() -> Self {
        *OF_NO_COUNTRY
    }
}

static OF_NO_COUNTRY: LazyLock<Retention> = LazyLock::new(Retention::of_no_country);

impl Retention {
    fn of_no_country() -> Self {
        let rows = rows();
        let shortest = |figure: fn(&Row) -> i64| rows.iter().map(figure).min().unwrap_or(0);
        let usual = |figure: fn(&Row) -> i64| rows.iter().find(|row| row.country == ELSEWHERE).map_or(0, figure);
        let bounds = |figure| Bounds { certain: Age::days(shortest(figure)), reach: Age::days(usual(figure)) };
        Self { pstn: bounds(|row| row.pstn_days), direct_routing: bounds(|row| row.direct_routing_days) }
    }

    /// For users in these countries (two letters each, ISO 3166-1); none named means that nothing is known.
    ///
    /// # Errors
    /// A line that names what is no country code.
    pub fn of_countries(countries: &[String]) -> Result<Self, String> {
        let rows = rows();
        let mut found: Option<Self> = None;
        for country in countries {
            if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(format!("'{country}' is no country code of two letters, such as DE"));
            }
            let named = rows.iter().find(|row| row.country.eq_ignore_ascii_case(country));
            let Some(row) = named.or_else(|| rows.iter().find(|row| row.country == ELSEWHERE)) else { continue };
            let of = |days| Bounds { certain: Age::days(days), reach: Age::days(days) };
            found = Some(match found {
                None => Self { pstn: of(row.pstn_days), direct_routing: of(row.direct_routing_days) },
                Some(before) => Self {
                    pstn: before.pstn.with(row.pstn_days),
                    direct_routing: before.direct_routing.with(row.direct_routing_days),
                },
            });
        }
        Ok(found.unwrap_or_default())
    }

    /// How long after its start a record is kept for certain.
    #[must_use]
    pub fn certain(&self, source: Source) -> Age {
        self.bounds(source).certain
    }

    /// How long after its start a record may still be had.
    #[must_use]
    pub fn reach(&self, source: Source) -> Age {
        self.bounds(source).reach
    }

    /// No figure is published for text messages, blocked users and dial-outs: the first are taken for calls of the same plan,
    /// the others for the shortest-lived of the logs.
    fn bounds(&self, source: Source) -> Bounds {
        match source {
            Source::Calls => Bounds { certain: CALLS, reach: CALLS },
            Source::Pstn | Source::Sms => self.pstn,
            Source::DirectRouting => self.direct_routing,
            Source::BlockedUsers | Source::DialOut => {
                let shorter = self.pstn.certain.min(self.direct_routing.certain);
                Bounds { certain: shorter, reach: shorter }
            }
            Source::People => Bounds { certain: Age(i64::MAX), reach: Age(i64::MAX) },
        }
    }
}

struct Row {
    country: &'static str,
    pstn_days: i64,
    direct_routing_days: i64,
}

/// The rows of the table. It is part of the program, and a test reads it whole: what does not parse is left out here.
fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    let cells: Vec<Vec<&'static str>> = lines.map(|line| line.split(',').collect()).collect();
    let elsewhere = |n: usize| cells.iter().find(|row| row[0] == ELSEWHERE).and_then(|row| row.get(n)?.parse().ok());
    let row = |cells: &Vec<&'static str>| {
        let days = |n: usize| cells.get(n)?.parse().ok().or_else(|| elsewhere(n));
        Some(Row { country: cells[0], pstn_days: days(1)?, direct_routing_days: days(2)? })
    };
    cells.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(countries: &[&str]) -> Retention {
        let countries: Vec<String> = countries.iter().map(|country| (*country).to_owned()).collect();
        Retention::of_countries(&countries).unwrap()
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows().len() + 1, lines);
    }

    #[test]
    fn without_a_country_the_shortest_figure_is_the_deadline_and_the_usual_one_the_reach() {
        let retention = Retention::default();
        assert_eq!(retention.certain(Source::Calls), Age::days(30));
        assert_eq!((retention.certain(Source::Pstn), retention.reach(Source::Pstn)), (Age::days(150), Age::days(365)));
        assert_eq!(retention.certain(Source::DirectRouting), Age::days(150));
        assert_eq!(retention.reach(Source::DirectRouting), Age::days(150));
        assert_eq!(retention.reach(Source::DialOut), Age::days(150));
    }

    #[test]
    fn of_several_countries_the_shortest_binds_and_the_longest_is_asked_for() {
        assert_eq!(of(&["de"]).certain(Source::Pstn), Age::days(365));
        assert_eq!(of(&["IT"]).certain(Source::DirectRouting), Age::days(150));
        let retention = of(&["MX", "SE"]);
        assert_eq!((retention.certain(Source::Sms), retention.reach(Source::Sms)), (Age::days(180), Age::days(720)));
        assert!(Retention::of_countries(&["Germany".to_owned()]).unwrap_err().contains("'Germany'"));
    }
}
