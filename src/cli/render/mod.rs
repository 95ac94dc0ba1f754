//! What people see.

pub mod bars;
mod branch;
pub mod calendar;
mod figures;
mod linked;
mod log;
pub mod matched;
pub mod person;
pub(super) mod rows;
pub mod table;
mod tree;

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

use unicode_width::UnicodeWidthStr;

use crate::{
    archive::{links::Linked, versions::VersionInfo},
    model::{
        kind::Kind,
        rows::{Derived, Identity},
        time::Span,
    },
};

/// One version of a record, with all that is said of it.
pub struct Shown<'a> {
    pub info: &'a VersionInfo,
    /// All versions of the record, this one among them.
    pub versions: &'a [VersionInfo],
    pub derived: &'a Derived,
    /// The archived document.
    pub json: &'a str,
    /// Of a row of a log, the span that it was asked for with.
    pub asked: Option<Span>,
    pub linked: &'a [Linked],
}

impl Shown<'_> {
    fn version(&self) -> String {
        let place = self.versions.iter().position(|other| other.seq == self.info.seq).map_or(1, |place| place + 1);
        let newest = if self.info.newest { ", the newest" } else { ", not the newest" };
        let count = self.versions.len().max(1);
        format!("{} ({place} of {count}{newest}; ledger entry {})", self.info.version, self.info.seq)
    }
}

/// Writes a record as text.
pub fn record(shown: &Shown<'_>, out: &mut dyn Write) -> io::Result<()> {
    match shown.info.key.kind {
        Kind::Call => tree::show(shown, out)?,
        _ => log::show(shown, out)?,
    }
    linked::section(shown.linked, out)
}

/// Writes what a record is linked with, and nothing else.
pub fn links(linked: &[Linked], out: &mut dyn Write) -> io::Result<()> {
    linked::list(linked, out)
}

/// `Adele Vance <adele@contoso.com>`, the number of a phone, or whatever is known; what is no user says what it is.
fn person(identity: &Identity) -> String {
    let mut text = match (&identity.display_name, &identity.user_principal_name) {
        (Some(name), Some(upn)) => format!("{name} <{upn}>"),
        (Some(name), None) => name.clone(),
        (None, Some(upn)) => upn.clone(),
        (None, None) => identity.id.clone().unwrap_or_else(|| "somebody unknown".to_owned()),
    };
    if !matches!(identity.set_key.as_str(), "" | "user") {
        text = format!("{text} [{}]", identity.set_key);
    }
    text
}

/// The text with everything that could steer a terminal or turn the order of letters made visible: control characters of both
/// sets, line and paragraph separators, marks and overrides of direction, invisible tags. They show as `\u{202e}`.
///
/// Joiners stay: names of many languages, and emoji, need them.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            // A string takes everything: there is no error to pass on.
            char if steers(char) => drop(write!(out, "{}", char.escape_default())),
            char => out.push(char),
        }
    }
    out.into()
}

fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Characters shown to either side of a mark, where what was typed is longer.
const AROUND: usize = 50;

/// What was typed, and under it a mark at `column`, counted in characters from 1.
#[must_use]
pub fn pointed(typed: &str, column: usize) -> String {
    let at = column.saturating_sub(1);
    let begin = at.saturating_sub(AROUND);
    let cut = |is_cut: bool| if is_cut { "…" } else { "" };
    let (mut shown, mut before) = (cut(begin > 0).to_owned(), usize::from(begin > 0));
    for (n, char) in typed.chars().enumerate().skip(begin).take(2 * AROUND) {
        let mut buffer = [0; 4];
        let char = plain(char.encode_utf8(&mut buffer));
        // Ideographs take two columns, marks none.
        before += if n < at { char.width() } else { 0 };
        shown.push_str(&char);
    }
    shown.push_str(cut(typed.chars().nth(begin + 2 * AROUND).is_some()));
    format!("  {shown}\n  {}^", " ".repeat(before))
}

/// A size for people: three digits and a unit of 1,000.
#[expect(clippy::cast_precision_loss, reason = "a size for the eye")]
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stands_under_the_character_that_is_meant() {
        let cases = [
            ("(nowak", 1, "  (nowak\n  ^"),
            ("start:>x", 8, "  start:>x\n         ^"),
            ("王小明 )", 5, "  王小明 )\n         ^"),
            ("Zoe\u{308} )", 6, "  Zoe\u{308} )\n      ^"),
            ("a\n)", 3, "  a\\n)\n     ^"),
            ("nowak AND", 10, "  nowak AND\n           ^"),
            ("", 1, "  \n  ^"),
        ];
        for (typed, column, expected) in cases {
            assert_eq!(pointed(typed, column), expected);
        }
    }

    #[test]
    fn of_a_long_query_the_part_around_the_mark_is_shown() {
        let typed = "a ".repeat(100) + ")" + &" b".repeat(100);
        let shown = pointed(&typed, 201);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0].chars().count(), 2 + 1 + 100 + 1);
        assert_eq!(lines[0].chars().nth(lines[1].chars().count() - 1), Some(')'));
    }

    #[test]
    fn what_steers_a_terminal_is_shown_and_not_obeyed() {
        let cases = [
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("exe.\u{202e}gpj", "exe.\\u{202e}gpj"),
            ("\u{2067}x\u{2069}", "\\u{2067}x\\u{2069}"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn names_of_all_languages_stay_as_they_are() {
        for text in ["Zoë", "李明", "سارة", "می\u{200c}خواهم", "👩\u{200d}💻", "O'Hara \\ x", ""] {
            assert!(matches!(plain(text), Cow::Borrowed(same) if same == text));
        }
    }
}
