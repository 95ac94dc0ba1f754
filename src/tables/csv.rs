//! RFC 4180: comma, CRLF, quotes where they are needed, a header, one line a row; UTF-8 without a byte order mark.
//!
//! Text from Graph is written by [`neutral`]: what a spreadsheet would run as a formula gets an apostrophe in front, and so
//! does text that begins with an apostrophe. Taking one leading apostrophe away ([`restore`]) gives every text back exactly.
//! Phone numbers (`+44…`) begin like a formula and get one too. Numbers, times and truths are never touched: instants are
//! RFC 3339 in UTC, truths `true` and `false`; numbers of a log, money above all, stand digit by digit as Graph sent them.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use crate::tables::{
    Form,
    cell::{Cell, Column, Type},
};

pub struct Csv<W: Write> {
    writer: csv::Writer<W>,
    /// What the lists of each column are joined by.
    separators: Vec<&'static str>,
}

impl<W: Write> Csv<W> {
    /// Begins with the header.
    pub fn new(out: W, columns: &[Column]) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        writer.write_record(columns.iter().map(|column| column.title.as_bytes())).map_err(io_error)?;
        Ok(Self { writer, separators: columns.iter().map(separator).collect() })
    }
}

/// What the lists of a column are joined by where a format has none.
pub(super) fn separator(column: &Column) -> &'static str {
    match column.holds {
        Type::Texts(separator) => separator,
        _ => "",
    }
}

impl<W: Write> Form for Csv<W> {
    fn line(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (cell, separator) in cells.iter().zip(&self.separators) {
            self.writer.write_field(shown(cell, separator).as_bytes()).map_err(io_error)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(io_error)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The reason itself, so that a closed pipe can be told from a full disk.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn shown<'a>(cell: &'a Cell<'_>, separator: &str) -> Cow<'a, str> {
    match cell {
        Cell::Nothing => "".into(),
        Cell::Text(text) => neutral(text),
        Cell::Whole(number) => number.to_string().into(),
        Cell::Real(number) => number.to_string().into(),
        // A number begins like a formula where it is below zero.
        Cell::Digits(digits) => Cow::Borrowed(digits),
        Cell::Time(time) => time.to_string().into(),
        Cell::Truth(truth) => truth.to_string().into(),
        Cell::Texts(texts) => neutral(&joined(texts, separator)).into_owned().into(),
    }
}

pub(super) fn joined(texts: &[Option<&str>], separator: &str) -> String {
    texts.iter().map(|text| text.unwrap_or_default()).collect::<Vec<_>>().join(separator)
}

/// The text as it may stand in a cell: with an apostrophe in front where a spreadsheet would take it for a formula, or where
/// it begins with an apostrophe itself.
#[must_use]
pub fn neutral(text: &str) -> Cow<'_, str> {
    if text.starts_with('\'') || runs_as_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// The text that [`neutral`] was given.
#[must_use]
pub fn restore(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// Whether a spreadsheet might run it: programs differ in what they step over before they look for the sign.
pub(super) fn runs_as_formula(text: &str) -> bool {
    for char in text.chars() {
        match char {
            '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '−' => return true,
            char if char.is_control() => return true,
            '"' | '\'' | '\u{feff}' | '\u{200b}'..='\u{200f}' => {}
            char if char.is_whitespace() => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_gets_an_apostrophe() {
        for text in [
            "=1", "+44 20", "-1", "@x", "\tx", "\rx", "  =1", "\"=1", "＝1", "＋1", "－1", "＠x", "\u{a0}=1", "\n=1",
            "'x", "''",
        ] {
            assert_eq!(neutral(text), format!("'{text}"));
            assert_eq!(restore(&neutral(text)), text);
        }
        for text in ["", "x=1", "Adele", "19:meeting", "O'Hara", "1-2", "李明"] {
            assert_eq!(neutral(text), text);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>(), start in "['\"=+@ \\t\\r＝-]{0,4}") {
            let text = start + &text;
            let cell = neutral(&text);
            prop_assert_eq!(restore(&cell), &text);
            prop_assert!(!runs_as_formula(&cell) || cell.starts_with('\''));
        }
    }

    #[test]
    fn a_closed_pipe_can_be_told_from_other_trouble() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut csv = Csv::new(Closed, &[Column::new("word", Type::Text)]).unwrap();
        let outcome = (0..10_000).try_for_each(|_| csv.line(&[Cell::Text("word".into())]));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
