//! One sheet as XML: a header that stays in sight, lines of cells, columns as wide as their first lines need.

use std::{borrow::Cow, fmt::Write, mem};

use crate::{
    model::time::{Age, Timestamp},
    tables::{
        cell::{Cell, Column},
        csv::{joined, runs_as_formula, separator},
    },
};

/// Lines after which the widths are settled; until then they are held back, since the widths stand before them.
const LINES_MEASURED: u32 = 100;
const WIDTHS: std::ops::RangeInclusive<usize> = 6..=60;
/// What a cell holds, in units of UTF-16.
const TEXT_UNITS: usize = 32_767;
/// A spreadsheet counts with so many digits.
const DIGITS: usize = 15;

pub(super) struct Sheet {
    separators: Vec<&'static str>,
    /// The references of the columns: A, B, …, AA.
    names: Vec<String>,
    widths: Vec<usize>,
    lines: u32,
    bytes: u64,
    /// Not yet given away.
    xml: String,
    begun: bool,
}

impl Sheet {
    pub(super) fn new(columns: &[Column]) -> Self {
        let mut sheet = Self {
            separators: columns.iter().map(separator).collect(),
            names: (0..columns.len()).map(name).collect(),
            widths: columns.iter().map(|column| column.title.chars().count() + 1).collect(),
            lines: 0,
            bytes: 0,
            xml: String::new(),
            begun: false,
        };
        sheet.begin_line();
        for (n, column) in columns.iter().enumerate() {
            sheet.text(n, TITLE, &column.title);
        }
        sheet.xml += "</row>";
        sheet
    }

    /// So far, the header among them.
    pub(super) fn lines(&self) -> u32 {
        self.lines
    }

    /// Given away so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a line; gives what can be written of the sheet by now.
    pub(super) fn line(&mut self, cells: &[Cell<'_>]) -> Option<String> {
        self.begin_line();
        for (n, cell) in cells.iter().enumerate().take(self.names.len()) {
            self.cell(n, cell);
        }
        self.xml += "</row>";
        (self.begun || self.lines > LINES_MEASURED).then(|| self.given())
    }

    /// The rest of the sheet.
    pub(super) fn end(&mut self) -> String {
        let last = self.names.last().cloned().unwrap_or_default();
        let end = format!(r#"</sheetData><autoFilter ref="A1:{last}{}"/></worksheet>"#, self.lines);
        self.xml += &end;
        self.given()
    }

    fn given(&mut self) -> String {
        let held = mem::take(&mut self.xml);
        let xml = if mem::replace(&mut self.begun, true) { held } else { self.head() + &held };
        self.bytes += xml.len() as u64;
        xml
    }

    fn head(&self) -> String {
        let mut head = r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols>"#.to_owned();
        for (n, width) in (1..).zip(&self.widths) {
            let width = width.clamp(WIDTHS.start(), WIDTHS.end());
            let _ = write!(head, r#"<col min="{n}" max="{n}" width="{width}" customWidth="1"/>"#);
        }
        head + "</cols><sheetData>"
    }

    fn begin_line(&mut self) {
        self.lines += 1;
        let _ = write!(self.xml, r#"<row r="{}">"#, self.lines);
    }

    fn cell(&mut self, n: usize, cell: &Cell<'_>) {
        match cell {
            Cell::Nothing => {}
            Cell::Text(text) => self.given_text(n, text),
            Cell::Texts(texts) => self.given_text(n, &joined(texts, self.separators[n])),
            Cell::Whole(number) => self.number(n, PLAIN, &number.to_string()),
            Cell::Real(number) => self.number(n, PLAIN, &number.to_string()),
            Cell::Digits(digits) => self.number(n, PLAIN, digits),
            Cell::Time(time) => match serial(*time) {
                Some(days) => self.number(n, INSTANT, &days.to_string()),
                None => self.text(n, PLAIN, &time.to_string()),
            },
            Cell::Truth(truth) => {
                let _ =
                    write!(self.xml, r#"<c r="{}{}" t="b"><v>{}</v></c>"#, self.names[n], self.lines, u8::from(*truth));
            }
        }
    }

    /// Text as Graph sent it.
    fn given_text(&mut self, n: usize, text: &str) {
        if !text.is_empty() {
            let style = if text.starts_with('\'') || runs_as_formula(text) { AS_TEXT } else { PLAIN };
            self.text(n, style, &cut(text));
        }
    }

    fn text(&mut self, n: usize, style: u8, text: &str) {
        self.measure(n, text.chars().count());
        let _ = write!(
            self.xml,
            r#"<c r="{}{}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{}</t></is></c>"#,
            self.names[n],
            self.lines,
            escaped(text)
        );
    }

    /// A number; as text where the spreadsheet would round it.
    fn number(&mut self, n: usize, style: u8, digits: &str) {
        if style == PLAIN && significant(digits) > DIGITS {
            return self.text(n, AS_TEXT, digits);
        }
        self.measure(n, if style == INSTANT { INSTANT_WIDTH } else { digits.len() });
        let _ = write!(self.xml, r#"<c r="{}{}" s="{style}"><v>{digits}</v></c>"#, self.names[n], self.lines);
    }

    fn measure(&mut self, n: usize, width: usize) {
        self.widths[n] = self.widths[n].max(width + 1);
    }
}

/// Formats of cells, in the order of the style sheet.
const PLAIN: u8 = 0;
const TITLE: u8 = 1;
const INSTANT: u8 = 2;
const AS_TEXT: u8 = 3;
const INSTANT_WIDTH: usize = 24;

/// The reference of a column: A to Z, AA to ZZ.
fn name(n: usize) -> String {
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap_or_default());
    match n / 26 {
        0 => letter(n).into(),
        more => name(more - 1) + &letter(n).to_string(),
    }
}

/// Days since 1899-12-30, as spreadsheets count; `None` before March 1900, where they disagree.
#[expect(clippy::cast_precision_loss, reason = "to the microsecond until far beyond the year 2200")]
fn serial(time: Timestamp) -> Option<f64> {
    const MARCH_1900: i64 = 61;
    let since = i128::from(time.0) + 25_569 * i128::from(Age::days(1).0);
    let days = since as f64 / Age::days(1).0 as f64;
    (days >= MARCH_1900 as f64).then_some(days)
}

fn significant(digits: &str) -> usize {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').trim_end_matches('0').len()
}

/// The text, or as much of it as a cell holds and how much there was.
fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_UNITS || text.encode_utf16().count() <= TEXT_UNITS {
        return text.into();
    }
    let end = format!(" … cut: {} characters in all", text.chars().count());
    let room = TEXT_UNITS - end.encode_utf16().count();
    let mut units = 0;
    let kept = text.chars().take_while(|char| {
        units += char.len_utf16();
        units <= room
    });
    Cow::Owned(kept.chain(end.chars()).collect())
}

/// What XML has no character for is written as spreadsheets do: `_x0007_`.
fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain = |char: char| {
        !matches!(char, '&' | '<' | '>' | '_' | '\u{fffe}' | '\u{ffff}')
            && (char >= ' ' || char == '\n' || char == '\t')
    };
    if text.chars().all(is_plain) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (at, char) in text.char_indices() {
        match char {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '_' if looks_escaped(&text[at..]) => out += "_x005F_",
            '_' => out.push('_'),
            char if is_plain(char) => out.push(char),
            char => {
                let _ = write!(out, "_x{:04X}_", u32::from(char));
            }
        }
    }
    out.into()
}

/// Whether a text begins as an escaped character does.
fn looks_escaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 7 && bytes[1] == b'x' && bytes[2..6].iter().all(u8::is_ascii_hexdigit) && bytes[6] == b'_'
}
