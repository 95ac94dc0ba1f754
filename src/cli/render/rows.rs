//! Rows of an SQL answer, as they come.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::{
    archive::sql::Cell,
    cli::{
        query::Format,
        render::{bars::cut, plain},
    },
    tables::csv::neutral,
};

/// So many rows are looked at before the widths of a table's columns are settled; none is held for longer.
const ROWS_AHEAD: usize = 200;

/// Writes the answers of statements, one after the other.
pub(in crate::cli) struct Writer<'a> {
    format: Format,
    /// A longer cell of a table is cut.
    cell_columns_max: Option<usize>,
    out: &'a mut dyn Write,
    columns: Vec<String>,
    n_rows: u64,
    table: Table,
}

/// The first rows of a table, then the widths that they settled.
#[derive(Default)]
struct Table {
    ahead: Vec<Vec<(String, bool)>>,
    widths: Option<Vec<usize>>,
}

impl<'a> Writer<'a> {
    pub(in crate::cli) fn new(format: Format, cell_columns_max: Option<usize>, out: &'a mut dyn Write) -> Self {
        Self { format, cell_columns_max, out, columns: Vec::new(), n_rows: 0, table: Table::default() }
    }

    /// Begins an answer.
    pub(in crate::cli) fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        self.columns = columns.to_vec();
        self.n_rows = 0;
        self.table = Table::default();
        if self.format == Format::Csv {
            let names: Vec<String> = columns.iter().map(|name| neutral(name).into_owned()).collect();
            self.record(&names)?;
        }
        Ok(())
    }

    pub(in crate::cli) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.n_rows += 1;
        match self.format {
            Format::Json => {
                self.out.write_all(if self.n_rows == 1 { b"[\n" } else { b",\n" })?;
                self.object(cells)
            }
            Format::Ndjson => {
                self.object(cells)?;
                self.out.write_all(b"\n")
            }
            Format::Csv => {
                let texts: Vec<String> = cells.iter().map(csv_text).collect();
                self.record(&texts)
            }
            Format::Table => {
                let row = cells.iter().map(|cell| self.table_text(cell)).collect();
                self.table_row(row)
            }
        }
    }

    /// Ends an answer.
    pub(in crate::cli) fn end(&mut self) -> io::Result<()> {
        match self.format {
            Format::Json => self.out.write_all(if self.n_rows == 0 { b"[]\n" } else { b"\n]\n" }),
            Format::Table if self.table.widths.is_none() && self.n_rows > 0 => self.settle(),
            _ => Ok(()),
        }
    }

    fn object(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.out.write_all(b"{")?;
        for (n, (name, cell)) in self.columns.iter().zip(cells).enumerate() {
            if n > 0 {
                self.out.write_all(b",")?;
            }
            serde_json::to_writer(&mut *self.out, name)?;
            self.out.write_all(b":")?;
            match cell {
                Cell::Null => self.out.write_all(b"null")?,
                Cell::Integer(number) => write!(self.out, "{number}")?,
                // Beyond all doubles, as the sqlite3 shell writes it: JSON has no word for it.
                Cell::Real(number) if number.is_infinite() => {
                    self.out.write_all(if *number > 0.0 { b"9e999" } else { b"-9e999" })?;
                }
                Cell::Real(number) => serde_json::to_writer(&mut *self.out, number)?,
                Cell::Text(text) => serde_json::to_writer(&mut *self.out, text)?,
                Cell::Blob(text) => serde_json::to_writer(&mut *self.out, text)?,
            }
        }
        self.out.write_all(b"}")
    }

    fn record(&mut self, cells: &[String]) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(&mut *self.out);
        writer.write_record(cells).map_err(io::Error::from)?;
        writer.flush()
    }

    /// The text of a cell, and whether it is a number.
    fn table_text(&self, cell: &Cell<'_>) -> (String, bool) {
        let text = match cell {
            Cell::Null => return (String::new(), false),
            Cell::Integer(number) => return (number.to_string(), true),
            Cell::Real(number) => return (format!("{number:?}"), true),
            Cell::Text(text) => plain(text).into_owned(),
            Cell::Blob(text) => text.clone(),
        };
        (self.cell_columns_max.map_or_else(|| text.clone(), |max| cut(&text, max)), false)
    }

    fn table_row(&mut self, row: Vec<(String, bool)>) -> io::Result<()> {
        if let Some(widths) = &self.table.widths {
            return line(&row, widths, self.out);
        }
        self.table.ahead.push(row);
        if self.table.ahead.len() == ROWS_AHEAD { self.settle() } else { Ok(()) }
    }

    /// Writes the head of a table and the rows held so far.
    fn settle(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.table.ahead);
        let width = |(n, name): (usize, &String)| {
            rows.iter().map(|row| row[n].0.width()).chain([name.width()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = self.columns.iter().enumerate().map(width).collect();
        let head: Vec<(String, bool)> = self.columns.iter().map(|name| (plain(name).into_owned(), false)).collect();
        let rule: Vec<(String, bool)> = widths.iter().map(|width| ("-".repeat(*width), false)).collect();
        for row in [head, rule].iter().chain(&rows) {
            line(row, &widths, self.out)?;
        }
        self.table.widths = Some(widths);
        Ok(())
    }
}

fn line(row: &[(String, bool)], widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    for (n, ((cell, is_number), width)) in row.iter().zip(widths).enumerate() {
        text.push_str(if n == 0 { "" } else { "  " });
        let blanks = " ".repeat(width.saturating_sub(cell.width()));
        let [first, second] = if *is_number { [&blanks, cell] } else { [cell, &blanks] };
        text.push_str(first);
        text.push_str(second);
    }
    writeln!(out, "{}", text.trim_end())
}

fn csv_text(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => format!("{number:?}"),
        Cell::Text(text) => neutral(text).into_owned(),
        Cell::Blob(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, cell_columns_max: Option<usize>, rows: &[Vec<Cell<'_>>]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(format, cell_columns_max, &mut out);
        writer.begin(&["name".to_owned(), "n".to_owned()]).unwrap();
        for row in rows {
            writer.row(row).unwrap();
        }
        writer.end().unwrap();
        drop(writer);
        String::from_utf8(out).unwrap()
    }

    fn rows() -> Vec<Vec<Cell<'static>>> {
        vec![
            vec![Cell::Text("=Zoë\n".into()), Cell::Integer(1_795_000_000_000_000_007)],
            vec![Cell::Blob("e523d2ed-2966-4b6b-925b-754a88034cc5".into()), Cell::Real(0.1)],
            vec![Cell::Null, Cell::Real(f64::NEG_INFINITY)],
        ]
    }

    #[test]
    fn each_format_says_the_same_rows() {
        assert_eq!(
            written(Format::Ndjson, None, &rows()),
            "{\"name\":\"=Zoë\\n\",\"n\":1795000000000000007}
{\"name\":\"e523d2ed-2966-4b6b-925b-754a88034cc5\",\"n\":0.1}
{\"name\":null,\"n\":-9e999}
"
        );
        assert_eq!(
            written(Format::Csv, None, &rows()),
            "name,n\r\n\"'=Zoë\n\",1795000000000000007\r\ne523d2ed-2966-4b6b-925b-754a88034cc5,0.1\r\n,-inf\r\n"
        );
        assert_eq!(
            written(Format::Table, None, &rows()),
            "name                                  n
------------------------------------  -------------------
=Zoë\\n                                1795000000000000007
e523d2ed-2966-4b6b-925b-754a88034cc5                  0.1
                                                     -inf
"
        );
        assert!(written(Format::Table, Some(10), &rows()).contains("e523d2ed-…  "));
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json, None, &rows()[..2])).unwrap();
        assert_eq!(json[0]["n"], 1_795_000_000_000_000_007_i64);
        assert_eq!(written(Format::Json, None, &[]), "[]\n");
        assert_eq!(written(Format::Table, None, &[]), "");
    }

    #[test]
    fn a_long_table_goes_on_with_the_widths_of_its_beginning() {
        let many: Vec<_> = (0..500).map(|n| vec![Cell::Text("x".repeat(n / 100).into()), Cell::Integer(1)]).collect();
        let text = written(Format::Table, None, &many);
        assert_eq!(text.lines().count(), 502);
        assert!(text.lines().nth(501).unwrap().starts_with("xxxx  1"));
    }
}
