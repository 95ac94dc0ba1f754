//! Office Open XML workbooks, as spreadsheets read them: written line by line, from beginning to end, in constant memory.
//!
//! Written here and not by a crate: those there are hold sheets in temporary files outside the place named for the export, or panic
//! when a disk is full (docs/decisions/0012). Text is text: no cell is a formula, and one that looks like a formula stays text even
//! when it is edited (`quotePrefix`). Instants are dates of the spreadsheet and show that they are in UTC. The header stays in
//! sight. What does not fit a sheet goes on in the next, under the same header.

mod sheet;
mod zip;

use std::io::{self, Write};

use self::{sheet::Sheet, zip::Zip};
use crate::tables::{
    Form,
    cell::{Cell, Column},
};

/// Lines of a sheet, its header among them.
const SHEET_LINES: u32 = 1_048_576;
/// A sheet ends before it comes to the size that a file inside a workbook may have.
const SHEET_BYTES: u64 = 3 << 30;

/// Parts whose content never changes, in their order in the file. That sheets are what any other XML file is lets their number be
/// known at the end.
const PARTS: [(&str, &str); 3] = [
    (
        "[Content_Types].xml",
        r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>"#,
    ),
    (
        "_rels/.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
    // The formats of cells, by their numbers: 0 as it comes, 1 a title, 2 an instant, 3 text that looks like a formula.
    (
        "xl/styles.xml",
        r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd\ hh:mm:ss.000&quot;Z&quot;"/></numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font><font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/><xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" quotePrefix="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#,
    ),
];
const XML: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;

pub struct Xlsx<W: Write> {
    zip: Zip<W>,
    /// What the lines are; the sheets are called so.
    name: &'static str,
    columns: Vec<Column>,
    sheet: Sheet,
    sheets: u32,
    lines_max: u32,
}

impl<W: Write> Xlsx<W> {
    /// Begins a workbook whose sheets are called `name`.
    pub fn new(out: W, name: &'static str, columns: &[Column]) -> io::Result<Self> {
        Self::with_sheets_of(SHEET_LINES, out, name, columns)
    }

    fn with_sheets_of(lines_max: u32, out: W, name: &'static str, columns: &[Column]) -> io::Result<Self> {
        let mut zip = Zip::new(out);
        for (part, content) in PARTS {
            put(&mut zip, part, content)?;
        }
        let sheet = Sheet::new(columns);
        let mut workbook = Self { zip, name, columns: columns.to_vec(), sheet, sheets: 0, lines_max };
        workbook.begin_sheet()?;
        Ok(workbook)
    }

    fn begin_sheet(&mut self) -> io::Result<()> {
        self.sheets += 1;
        self.sheet = Sheet::new(&self.columns);
        self.zip.begin(&format!("xl/worksheets/sheet{}.xml", self.sheets))?;
        self.zip.write(XML.as_bytes())
    }

    fn end_sheet(&mut self) -> io::Result<()> {
        let rest = self.sheet.end();
        self.zip.write(rest.as_bytes())
    }
}

impl<W: Write> Form for Xlsx<W> {
    fn line(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        if self.sheet.lines() == self.lines_max || self.sheet.bytes() >= SHEET_BYTES {
            self.end_sheet()?;
            self.begin_sheet()?;
        }
        match self.sheet.line(cells) {
            Some(xml) => self.zip.write(xml.as_bytes()),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.end_sheet()?;
        let (mut sheets, mut targets) = (String::new(), String::new());
        for n in 1..=self.sheets {
            let name = if n == 1 { self.name.to_owned() } else { format!("{} {n}", self.name) };
            sheets += &format!(r#"<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>"#);
            targets += &format!(
                r#"<Relationship Id="rId{n}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{n}.xml"/>"#
            );
        }
        let styles = self.sheets + 1;
        targets += &format!(
            r#"<Relationship Id="rId{styles}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/>"#
        );
        put(
            &mut self.zip,
            "xl/_rels/workbook.xml.rels",
            &format!(
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{targets}</Relationships>"#
            ),
        )?;
        put(
            &mut self.zip,
            "xl/workbook.xml",
            &format!(
                r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{sheets}</sheets></workbook>"#
            ),
        )?;
        self.zip.finish()
    }
}

fn put<W: Write>(zip: &mut Zip<W>, part: &str, content: &str) -> io::Result<()> {
    zip.begin(part)?;
    zip.write(XML.as_bytes())?;
    zip.write(content.as_bytes())
}

#[cfg(test)]
mod tests;
