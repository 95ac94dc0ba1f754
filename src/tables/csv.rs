//! RFC 4180: comma, CRLF, quotes where they are needed, a header, one row a record; UTF-8 without a byte order mark.
//!
//! Text from Graph is written by [`neutral`]: what a spreadsheet would run as a formula gets an apostrophe in front, and so
//! does text that begins with an apostrophe. Taking one leading apostrophe away ([`restore`]) gives every text back exactly.
//! Phone numbers (`+44…`) begin like a formula and get one too. Columns that hold numbers, times and words of our own
//! (`kind`, `version`, `start`, `end`, `duration_s`, `sessions`, `failed`) are never touched.
//!
//! A table of one log goes on with that log's own columns, by its description. Instants there are RFC 3339 in UTC, truths `true` and
//! `false`; numbers, money above all, stand digit by digit as Graph sent them.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use crate::{
    model::{
        hit::{Hit, Matched, Person},
        view::{
            self,
            leaf::Leaf,
            log::{Holds, Log},
        },
    },
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
    log: Option<&'static Log>,
}

impl<W: Write> Csv<W> {
    /// Begins with the header.
    pub fn new(out: W) -> io::Result<Self> {
        Self::begin(out, None)
    }

    /// A table whose rows are all of `log`: its own columns come after those of every hit. A row's `json` is read for them.
    pub fn of_log(out: W, log: &'static Log) -> io::Result<Self> {
        Self::begin(out, Some(log))
    }

    fn begin(out: W, log: Option<&'static Log>) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        let own = log.map(titles).unwrap_or_default();
        writer.write_record(COLUMNS.iter().map(|title| (*title).to_owned()).chain(own)).map_err(io_error)?;
        Ok(Self { writer, log })
    }
}

/// The titles of a log's own columns; `log_id` and the like where a hit has one of that name.
fn titles(log: &'static Log) -> Vec<String> {
    let title = |title: Cow<'static, str>| {
        if COLUMNS.contains(&title.as_ref()) { format!("log_{title}") } else { title.into_owned() }
    };
    log.columns.iter().map(|column| title(column.title())).collect()
}

impl<W: Write> Sink for Csv<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let own = self.log.map(|log| own_cells(log, row.json)).unwrap_or_default();
        self.writer.write_record(cells(row.hit).iter().chain(&own).map(|cell| cell.as_bytes())).map_err(io_error)
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

fn own_cells<'a>(log: &Log, json: &'a str) -> Vec<Cow<'a, str>> {
    let row = view::read::<view::log::Row<'_>>(json).0.unwrap_or_default();
    log.columns.iter().map(|column| own_cell(row.get(column.member), column.holds)).collect()
}

fn own_cell(leaf: Leaf<'_>, holds: Holds) -> Cow<'_, str> {
    let own = match holds {
        Holds::Text => None,
        Holds::Time => return ours(leaf.timestamp()),
        Holds::Boolean => leaf.boolean().map(|truth| truth.to_string().into()),
        // A number begins like a formula where it is below zero; as text it might be one.
        Holds::Integer | Holds::Decimal => leaf.text().filter(|text| is_number(text)),
        Holds::Json => leaf.json().filter(|json| *json != "[]").map(neutral),
    };
    own.unwrap_or_else(|| neutral(&leaf.text().unwrap_or_default()).into_owned().into())
}

/// Digits with at most a sign in front, a point and an exponent: what JSON calls a number.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
        && text.bytes().all(|byte| b"+-.0123456789eE".contains(&byte))
        && !text.starts_with('+')
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
        id::{RecordId, Seq, Version},
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
            next: None,
            seq: Seq(7),
            record_id: RecordId(7),
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

    /// The cells of a row of a log, by their titles.
    fn of_log(kind: Kind, json: &str) -> Vec<(String, String)> {
        let mut out = Vec::new();
        let mut sink = Box::new(Csv::of_log(&mut out, view::log::log(kind).unwrap()).unwrap());
        sink.row(&Row { hit: &Hit { kind, ..hit() }, json }).unwrap();
        sink.finish().unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_slice());
        let lines: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(lines.len(), 2);
        lines[0].iter().cloned().zip(lines[1].iter().cloned()).collect()
    }

    fn cell<'a>(cells: &'a [(String, String)], title: &str) -> &'a str {
        let found = cells.iter().find(|(own, _)| own == title);
        found.map(|(_, cell)| cell.as_str()).unwrap()
    }

    #[test]
    fn a_table_of_one_log_goes_on_with_its_own_columns() {
        let cells = of_log(
            Kind::Pstn,
            r#"{"id":"p1","charge":0.00,"connectionCharge":1.2400,"duration":61,"startDateTime":"2026-11-01T08:00:00.50Z",
            "callerNumber":"+4989123***","userDisplayName":"=cmd()","operator":null,"administrativeUnitInfos":[{"id":"a"}]}"#,
        );
        let titles: Vec<&str> = cells.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(titles[..COLUMNS.len()], COLUMNS);
        assert_eq!(
            titles[COLUMNS.len()..][..6],
            ["log_id", "call_id", "call_type", "start_date_time", "end_date_time", "log_duration_s"]
        );
        let expected = [
            ("kind", "pstn"),
            ("log_id", "p1"),
            ("log_duration_s", "61"),
            ("start_date_time", "2026-11-01T08:00:00.5Z"),
            ("end_date_time", ""),
            // Letter for letter.
            ("charge", "0.00"),
            ("connection_charge", "1.2400"),
            ("caller_number", "'+4989123***"),
            ("user_display_name", "'=cmd()"),
            ("operator", ""),
            ("administrative_unit_infos", r#"[{"id":"a"}]"#),
        ];
        for (title, expected) in expected {
            assert_eq!(cell(&cells, title), expected, "{title}");
        }
    }

    #[test]
    fn no_two_columns_of_a_log_have_one_title() {
        for log in Kind::HITS.into_iter().filter_map(view::log::log) {
            let own = titles(log);
            let all: std::collections::HashSet<&str> =
                COLUMNS.into_iter().chain(own.iter().map(String::as_str)).collect();
            assert_eq!(all.len(), COLUMNS.len() + log.columns.len(), "{}", log.table);
        }
    }

    #[test]
    fn numbers_stand_as_sent_and_what_only_looks_like_one_does_not_run() {
        let cases = [
            ("-1.20", "-1.20"),
            ("1e-7", "1e-7"),
            ("\"0.00\"", "0.00"),
            ("\"-2\"", "-2"),
            ("\"-2+cmd()\"", "'-2+cmd()"),
            ("\"+1\"", "'+1"),
            ("\"=1\"", "'=1"),
            ("\"-inf\"", "'-inf"),
            ("null", ""),
        ];
        for (json, expected) in cases {
            let cells = of_log(Kind::Sms, &format!(r#"{{"callCharge":{json},"smsUnits":{json}}}"#));
            assert_eq!([cell(&cells, "call_charge"), cell(&cells, "sms_units")], [expected; 2], "{json}");
        }
        let cells = of_log(
            Kind::DirectRouting,
            r#"{"successfulCall":false,"mediaBypassEnabled":"=1","failureDateTime":"0001-01-01T00:00:00Z"}"#,
        );
        let shown = ["successful_call", "media_bypass_enabled", "failure_date_time"].map(|title| cell(&cells, title));
        assert_eq!(shown, ["false", "'=1", ""]);
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
