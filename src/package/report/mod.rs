//! The report: one HTML file for people, with nothing outside it and no script in it. On paper each call begins where it fits.
//!
//! All that it says is made of the manifest, the coverage statement and the records, so whoever checks a package can make it again.

mod call;
mod record;
mod timeline;
mod top;

use std::{borrow::Cow, fmt::Write};

use crate::{
    model::{
        kind::Kind,
        time::{Age, Timestamp},
    },
    package::{Item, coverage::Statement, manifest::Manifest},
};

/// Records that are shown in full: more pages than anybody would print. All are in the list, in the tables and in the files.
pub const DETAILS_MAX: u64 = 2000;

const STYLE: &str = include_str!("report.css");

/// A report that grows record by record.
#[derive(Debug, Default)]
pub struct Report {
    list: String,
    details: String,
    shown: u64,
    items: u64,
}

impl Report {
    pub fn item(&mut self, item: &Item<'_>) {
        self.items += 1;
        let is_shown = self.items <= DETAILS_MAX;
        top::line(&mut self.list, item, is_shown);
        if is_shown {
            self.shown += 1;
            match item.key.kind {
                Kind::Call => call::section(&mut self.details, item),
                _ => record::section(&mut self.details, item),
            }
        }
    }

    /// The whole page.
    #[must_use]
    pub fn finish(self, manifest: &Manifest, coverage: &Statement) -> String {
        let mut page = String::with_capacity(self.list.len() + self.details.len() + 20_000);
        page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        page.push_str(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
        );
        page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Call records: audit package</title>\n<style>\n");
        page.push_str(STYLE);
        page.push_str("</style>\n</head>\n<body>\n");
        top::page(&mut page, manifest, coverage);
        top::list(&mut page, &self.list, self.items, self.shown);
        page.push_str(&self.details);
        page.push_str("</body>\n</html>\n");
        page
    }
}

/// Text as it may stand in HTML and XML, within quotes too. Control characters and the two others that XML does not have become spaces.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_none = |letter: char| letter.is_control() || "\u{fffe}\u{ffff}".contains(letter);
    if !text.contains(|letter: char| is_none(letter) || "&<>\"'".contains(letter)) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter if is_none(letter) => out.push(' '),
            letter => out.push(letter),
        }
    }
    out.into()
}

/// Labels and values, a line each; those without a value are left out.
fn facts<'a>(page: &mut String, facts: impl IntoIterator<Item = (&'a str, Option<String>)>) {
    page.push_str("<dl>\n");
    for (label, value) in facts {
        if let Some(value) = value {
            let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escaped(label), escaped(&value));
        }
    }
    page.push_str("</dl>\n");
}

/// `2026-11-01 10:00:00`; in UTC, which the report says once.
fn at(time: Timestamp) -> String {
    time.to_seconds_text().replace('T', " ").trim_end_matches('Z').to_owned()
}

fn maybe_at(time: Option<Timestamp>) -> String {
    time.map(at).unwrap_or_default()
}

/// `10:00:00`, with the day in front where it is another than that of `beside`.
fn clock(time: Timestamp, beside: Option<Timestamp>) -> String {
    let text = at(time);
    let is_same_day = beside.is_some_and(|beside| at(beside).get(..10) == text.get(..10));
    if is_same_day { text.chars().skip(11).collect() } else { text }
}

/// `1 h 02 min`, `5 min 03 s`, `7 s`.
fn length(age: Age) -> String {
    let seconds = age.whole_seconds();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// A cell of a table.
fn cell(page: &mut String, text: &str) {
    page.push_str("<td>");
    page.push_str(&escaped(text));
    page.push_str("</td>");
}

fn number_cell(page: &mut String, text: &str) {
    page.push_str("<td class=\"n\">");
    page.push_str(&escaped(text));
    page.push_str("</td>");
}

fn head(page: &mut String, titles: &[&str]) {
    page.push_str("<table>\n<thead><tr>");
    for title in titles {
        let _ = write!(page, "<th>{}</th>", escaped(title));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
}

fn foot(page: &mut String) {
    page.push_str("</tbody>\n</table>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_record_says_is_markup() {
        assert_eq!(escaped("a<b onload=\"x\">&'\u{1b}"), "a&lt;b onload=&quot;x&quot;&gt;&amp;&#39; ");
        assert_eq!(escaped("Zofia"), "Zofia");
    }

    #[test]
    fn times_and_lengths_read_well() {
        let time = Timestamp::parse("2026-11-01T23:59:58.5Z").unwrap();
        assert_eq!(at(time), "2026-11-01 23:59:58");
        assert_eq!(clock(time, Some(time)), "23:59:58");
        assert_eq!(clock(time + Age::seconds(2), Some(time)), "2026-11-02 00:00:00");
        assert_eq!([7, 63, 3725].map(|seconds| length(Age::seconds(seconds))), ["7 s", "1 min 03 s", "1 h 02 min"]);
    }
}
