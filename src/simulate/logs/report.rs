//! The report of dial-outs: sums over the window that was asked for, made anew for each request.

use std::collections::BTreeMap;

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        logs::{DAY_NS, LogKind, Window, row::LogRow},
    },
};

/// Whose dial-outs a line sums up, where to, and in which currency.
type Group = (Option<String>, String, Option<String>, String);

/// A line of the report.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) user_id: Option<String>,
    pub(super) user_principal_name: Option<String>,
    pub(super) user_display_name: Option<String>,
    pub(super) usage_location: String,
    pub(super) destination_context: Option<String>,
    pub(super) currency: String,
    pub(super) calls: u32,
    pub(super) seconds: i64,
    charge: Decimal,
}

/// An exact sum; its scale is the largest of what was added.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    units: i128,
    scale: u32,
}

impl Line {
    pub(super) fn charge(&self) -> String {
        self.charge.to_text()
    }

    fn of(row: &LogRow) -> Self {
        Self {
            user_id: row.user_id.clone(),
            user_principal_name: None,
            user_display_name: None,
            usage_location: row.user_country.clone(),
            destination_context: row.destination_context.clone(),
            currency: row.currency.clone(),
            calls: 0,
            seconds: 0,
            charge: Decimal { units: 0, scale: 2 },
        }
    }

    fn add(&mut self, row: &LogRow) {
        self.calls += 1;
        self.seconds += row.duration_s;
        for charge in [&row.charge, &row.connection_charge].into_iter().flatten() {
            self.charge.add(charge);
        }
        // Under which name somebody is known by the last of his calls that has one.
        self.user_principal_name = row.user_principal_name.clone().or(self.user_principal_name.take());
        self.user_display_name = row.user_display_name.clone().or(self.user_display_name.take());
    }
}

impl World {
    /// The report as Graph gives it at `now`. Dial-outs that have not shown up yet, or are too old, are not counted.
    pub(super) fn dial_outs(&self, from: Timestamp, to: Timestamp, now: Timestamp) -> Vec<Line> {
        let window = Window { log: LogKind::DialOut, from, to };
        let retention = self.telephony.retention.dial_out;
        let mut lines = BTreeMap::<Group, Line>::new();
        for day in from.0.div_euclid(DAY_NS)..=to.0.div_euclid(DAY_NS) {
            for row in self.rows_of_day(LogKind::DialOut, day) {
                let Some(row) = row.seen(now, retention).filter(|row| window.holds(row.start)) else { continue };
                let group = (
                    row.user_id.clone(),
                    row.user_country.clone(),
                    row.destination_context.clone(),
                    row.currency.clone(),
                );
                lines.entry(group).or_insert_with(|| Line::of(row)).add(row);
            }
        }
        lines.into_values().collect()
    }
}

impl Decimal {
    /// Adds a number without exponent; other text adds nothing.
    fn add(&mut self, text: &str) {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let Ok(units) = format!("{whole}{fraction}").parse::<i128>() else { return };
        let scale = u32::try_from(fraction.len()).unwrap_or(0).min(20);
        let common = self.scale.max(scale);
        self.units = self.units * 10_i128.pow(common - self.scale) + units * 10_i128.pow(common - scale);
        self.scale = common;
    }

    fn to_text(self) -> String {
        let one = 10_i128.pow(self.scale);
        let sign = if self.units < 0 { "-" } else { "" };
        let (whole, rest) = (self.units.abs() / one, self.units.abs() % one);
        format!("{sign}{whole}.{rest:0width$}", width = self.scale as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_keep_the_widest_scale() {
        let sum = |texts: &[&str]| {
            let mut sum = Decimal { units: 0, scale: 2 };
            for text in texts {
                sum.add(text);
            }
            sum.to_text()
        };
        assert_eq!(sum(&["0.00", "0.10", "0.20"]), "0.30");
        assert_eq!(sum(&["0.00", "1.2400", "3"]), "4.2400");
        assert_eq!(sum(&["-0.50", "0.25"]), "-0.25");
        assert_eq!(sum(&[]), "0.00");
    }
}
