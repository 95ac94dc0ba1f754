//! RFC 4180: comma, CRLF, quotes where they are needed, a header, one row a record; UTF-8 without a byte order mark.
//!
//! Text from Graph is written by [`neutral`]: what a spreadsheet would run as a formula gets an apostrophe in front, and so
//! does text that begins with an apostrophe. Taking one leading apostrophe away ([`restore`]) gives every text back exactly.
//! Phone numbers (`+44…`) begin like a formula and get one too. Columns that hold numbers, times and words of our own
//! (`kind`, `version`, `start`, `end`, `duration_s`, `sessions`, `failed`) are never touched.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use crate::{
    model::hit::{Hit, Matched, Person},
    tables::{Row, Sink},
};

/// The columns: the contract's hit, flattened.
///
/// `modalities` and `participant_ids` are joined by `;`, `participants` by `; ` with the first of name, UPN, number and id
/// that is known; `matched` is a JSON array. A person without an id has an empty place in `participant_ids`, so both lists have the same order.
pub const COLUMNS: [&str; 17] = [
    "kind",
    "id",
    "version",
    "start",
    "end",
    "duration_s",
    "type",
    "modalities",
    "organizer_id",
    "organizer_name",
    "organizer_upn",
    "organizer_phone",
    "participants",
    "participant_ids",
    "sessions",
    "failed",
    "matched",
];

pub struct Csv<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Begins with the header.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        writer.write_record(COLUMNS).map_err(io_error)?;
        Ok(Self { writer })
    }
}

impl<W: Write> Sink for Csv<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.writer.write_record(cells(row.hit).iter().map(|cell| cell.as_bytes())).map_err(io_error)
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

fn cells(hit: &Hit) -> [Cow<'_, str>; COLUMNS.len()] {
    let organizer = hit.organizer.as_ref();
    let of_organizer = |member: fn(&Person) -> Option<&String>| text(organizer.and_then(member));
    [
        hit.kind.name().into(),
        neutral(&hit.id),
        ours(Some(hit.version)),
        ours(hit.start),
        ours(hit.end),
        ours(hit.duration_s),
        text(hit.call_type.as_ref()),
        joined(hit.modalities.iter().flatten().map(String::as_str), ";"),
        of_organizer(|person| person.id.as_ref()),
        of_organizer(|person| person.name.as_ref()),
        of_organizer(|person| person.upn.as_ref()),
        of_organizer(|person| person.phone.as_ref()),
        joined(hit.participants.iter().map(known_as), "; "),
        joined(hit.participants.iter().map(|person| person.id.as_deref().unwrap_or_default()), ";"),
        ours(hit.sessions),
        ours(Some(hit.failed)),
        matched(&hit.matched),
    ]
}

/// Who was asked for, as JSON, the contract's own; nothing where nobody was.
fn matched(matched: &[Matched]) -> Cow<'_, str> {
    if matched.is_empty() { "".into() } else { serde_json::to_string(matched).unwrap_or_default().into() }
}

fn ours<T: ToString>(value: Option<T>) -> Cow<'static, str> {
    value.map(|value| value.to_string()).unwrap_or_default().into()
}

fn text(value: Option<&String>) -> Cow<'_, str> {
    neutral(value.map(String::as_str).unwrap_or_default())
}

fn joined<'a>(values: impl Iterator<Item = &'a str>, separator: &str) -> Cow<'a, str> {
    let values: Vec<&str> = values.collect();
    neutral(&values.join(separator)).into_owned().into()
}

fn known_as(person: &Person) -> &str {
    let names = [&person.name, &person.upn, &person.phone, &person.id];
    names.into_iter().flatten().next().map(String::as_str).unwrap_or_default()
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
fn runs_as_formula(text: &str) -> bool {
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
    use crate::model::{
        id::{Seq, Version},
        kind::Kind,
        time::Timestamp,
    };

    fn hit() -> Hit {
        let person = |id: Option<&str>, name: Option<&str>, phone: Option<&str>| Person {
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            upn: None,
            phone: phone.map(str::to_owned),
        };
        Hit {
            kind: Kind::Call,
            id: "e523d2ed-2966-4b6b-925b-754a88034cc5".into(),
            version: Version(2),
            start: Timestamp::parse("2026-11-01T10:00:00.5Z"),
            end: None,
            duration_s: Some(-1.5),
            call_type: Some("groupCall".into()),
            modalities: Some(vec!["audio".into(), "video".into()]),
            organizer: Some(person(Some("a"), Some("=HYPERLINK(\"http://x\",\"y\")"), None)),
            participants: vec![
                person(Some("a"), Some("Vance, Adele"), None),
                person(None, Some("Zoë"), None),
                person(Some("+4420"), None, Some("+4420")),
            ],
            sessions: Some(3),
            failed: true,
            matched: Vec::new(),
            seq: Seq(7),
        }
    }

    fn written(hits: &[Hit]) -> String {
        let mut out = Vec::new();
        let mut sink: Box<dyn Sink + '_> = Box::new(Csv::new(&mut out).unwrap());
        for hit in hits {
            sink.row(&Row { hit, json: "{}" }).unwrap();
        }
        sink.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_one_quoted_row_under_a_header() {
        let text = written(&[hit()]);
        let mut lines = text.split("\r\n");
        assert_eq!(lines.next().unwrap(), COLUMNS.join(","));
        assert_eq!(
            lines.next().unwrap(),
            "call,e523d2ed-2966-4b6b-925b-754a88034cc5,2,2026-11-01T10:00:00.5Z,,-1.5,groupCall,audio;video,a,\
             \"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",,,\"Vance, Adele; Zoë; +4420\",a;;+4420,3,true,"
        );
        assert_eq!((lines.next(), lines.next()), (Some(""), None));
    }

    #[test]
    fn a_table_without_rows_has_its_header() {
        assert_eq!(written(&[]), format!("{}\r\n", COLUMNS.join(",")));
    }

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
        let mut csv = Csv::new(Closed).unwrap();
        let hit = hit();
        let outcome = (0..1000).try_for_each(|_| csv.row(&Row { hit: &hit, json: "" }));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
