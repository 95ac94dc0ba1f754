//! What people see.

pub mod matched;
pub mod person;
pub mod table;
pub mod tree;

use std::{borrow::Cow, fmt::Write};

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

#[cfg(test)]
mod tests {
    use super::*;

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
