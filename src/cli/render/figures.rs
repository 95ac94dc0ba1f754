//! Graph's figures as people read them: what is null, empty or `unknown` is left out, units are said.

use crate::model::{
    time::{Age, Timestamp},
    view::leaf::Leaf,
};

/// Collects what is known, in the order of asking.
#[derive(Debug, Default)]
pub(super) struct Figures(pub(super) Vec<String>);

impl Figures {
    /// A text after its label; the label may be empty.
    pub(super) fn text(&mut self, label: &str, leaf: Leaf<'_>) {
        if let Some(text) = known(leaf) {
            self.push(label, &text);
        }
    }

    pub(super) fn push(&mut self, label: &str, value: &str) {
        self.0.push(if label.is_empty() { value.to_owned() } else { format!("{label} {value}") });
    }

    /// Several figures of one thing: `label 16 ms avg, 30 ms max`.
    pub(super) fn several(&mut self, label: &str, figures: &[(Option<String>, &str)]) {
        let known = figures.iter().filter_map(|(figure, what)| Some((figure.as_ref()?, *what)));
        let known: Vec<String> = known.map(|(figure, what)| format!("{figure} {what}").trim_end().to_owned()).collect();
        if !known.is_empty() {
            self.push(label, &known.join(", "));
        }
    }

    /// A share of the call; none is no news.
    pub(super) fn share(&mut self, label: &str, leaf: Leaf<'_>) {
        if leaf.number().is_some_and(|share| share > 0.0)
            && let Some(share) = percent(leaf)
        {
            self.push(label, &share);
        }
    }

    /// A statement, where it is true.
    pub(super) fn flag(&mut self, label: &str, leaf: Leaf<'_>) {
        if leaf.boolean() == Some(true) {
            self.0.push(label.to_owned());
        }
    }
}

/// A text that says something.
pub(super) fn known(leaf: Leaf<'_>) -> Option<String> {
    leaf.owned().filter(|text| !text.eq_ignore_ascii_case("unknown"))
}

/// A fraction in percent.
pub(super) fn percent(leaf: Leaf<'_>) -> Option<String> {
    let percent = leaf.number()? * 100.0;
    Some(if percent > 0.0 && percent < 0.01 { "<0.01 %".into() } else { format!("{} %", number(percent)) })
}

pub(super) fn milliseconds(leaf: Leaf<'_>) -> Option<String> {
    Some(format!("{} ms", number(leaf.duration()?.as_seconds_f64() * 1000.0)))
}

/// A number with its unit, if any.
pub(super) fn with_unit(leaf: Leaf<'_>, unit: &str) -> Option<String> {
    Some(format!("{} {unit}", number(leaf.number()?)).trim_end().to_owned())
}

/// A rate in bits per second. 0 and the largest of 32 bits stand for "unknown".
pub(super) fn bits_per_second(leaf: Leaf<'_>) -> Option<String> {
    known(leaf).filter(|text| text != "4294967295")?;
    let rate = leaf.number().filter(|rate| *rate > 0.0)?;
    let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")];
    let (unit, name) = units.into_iter().find(|(unit, _)| rate >= *unit).unwrap_or((1.0, "bit/s"));
    Some(format!("{} {name}", number(rate / unit)))
}

/// At most two digits after the point.
fn number(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// A length of time: `1 h 2 min 3 s`; below a minute with a tenth of a second.
pub(super) fn length(age: Age) -> String {
    let seconds = age.0.unsigned_abs() / 1_000_000_000;
    let sign = if age.0 < 0 { "-" } else { "" };
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{} s", number((age.as_seconds_f64() * 10.0).trunc() / 10.0)),
        (0, _) => format!("{sign}{minutes} min {rest} s"),
        _ => format!("{sign}{hours} h {minutes} min {rest} s"),
    }
}

/// From, to and how long: `2026-11-01T10:00:00Z → 2026-11-01T10:30:00Z  30 min 0 s`.
pub(super) fn times(start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    let text = |time: Option<Timestamp>| time.map_or_else(|| "?".to_owned(), Timestamp::to_seconds_text);
    match start.zip(end) {
        Some((from, to)) => format!("{} → {}  {}", text(start), text(end), length(to - from)),
        None if start.is_none() && end.is_none() => "at unknown times".to_owned(),
        None => format!("{} → {}", text(start), text(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_well() {
        let cases = [
            (Age(0), "0 s"),
            (Age(25_547_112_400), "25.5 s"),
            (Age::seconds(90), "1 min 30 s"),
            (Age::seconds(3661), "1 h 1 min 1 s"),
            (Age::days(2), "48 h 0 min 0 s"),
            (Age::seconds(-90), "-1 min 30 s"),
        ];
        for (age, expected) in cases {
            assert_eq!(length(age), expected);
        }
    }

    #[test]
    fn numbers_have_two_digits_and_no_idle_zeros() {
        assert_eq!([0.0, 100.0, 0.5, 1.239, 1e-9].map(number), ["0", "100", "0.5", "1.24", "0"]);
    }
}
