//! Workbooks as whoever unpacks them sees them.

use std::io::Read;

use super::*;
use crate::{model::time::Timestamp, tables::cell::Type};

/// The parts of a workbook by their names, read by the directory at its end and checked against their sums.
fn parts(file: &[u8]) -> Vec<(String, String)> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(file[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let end = file.len() - 22;
    assert_eq!(u32_at(end), 0x0605_4b50);
    let mut at = u32_at(end + 16) as usize;
    (0..u16_at(end + 10))
        .map(|_| {
            assert_eq!(u32_at(at), 0x0201_4b50);
            let (crc, compressed, bytes) = (u32_at(at + 16), u32_at(at + 20) as usize, u32_at(at + 24) as usize);
            let name_bytes = u16_at(at + 28);
            let name = String::from_utf8(file[at + 46..at + 46 + name_bytes].to_vec()).unwrap();
            let content = u32_at(at + 42) as usize + 30 + name_bytes;
            at += 46 + name_bytes;
            let mut text = String::new();
            let compressed_bytes = &file[content..content + compressed];
            flate2::read::DeflateDecoder::new(compressed_bytes).read_to_string(&mut text).unwrap();
            let mut sum = flate2::Crc::new();
            sum.update(text.as_bytes());
            assert_eq!((sum.sum(), text.len()), (crc, bytes), "{name}");
            // And the descriptor behind it says the same.
            let behind = content + compressed;
            assert_eq!([u32_at(behind), u32_at(behind + 4)], [0x0807_4b50, crc]);
            (name, text)
        })
        .collect()
}

fn written(lines_max: u32, columns: &[Column], lines: &[Vec<Cell<'_>>]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut form = Box::new(Xlsx::with_sheets_of(lines_max, &mut out, "records", columns).unwrap());
    for line in lines {
        form.line(line).unwrap();
    }
    form.finish().unwrap();
    parts(&out)
}

/// The one cell of a sheet of one column, as XML.
fn cell(cell: Cell<'_>) -> String {
    let parts = written(SHEET_LINES, &[Column::new("x", Type::Texts("; "))], &[vec![cell]]);
    let sheet = &parts.iter().find(|(name, _)| name == "xl/worksheets/sheet1.xml").unwrap().1;
    let (_, line) = sheet.split_once(r#"<row r="2">"#).unwrap();
    line.split_once("</row>").unwrap().0.to_owned()
}

fn text(style: u8, text: &str) -> String {
    format!(r#"<c r="A2" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>"#)
}

#[test]
fn a_workbook_says_what_it_is_in_its_first_part_and_names_its_sheets() {
    let parts = written(SHEET_LINES, &[Column::new("kind", Type::Text)], &[]);
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "[Content_Types].xml",
            "_rels/.rels",
            "xl/styles.xml",
            "xl/worksheets/sheet1.xml",
            "xl/_rels/workbook.xml.rels",
            "xl/workbook.xml"
        ]
    );
    assert!(parts[3].1.contains(r#"state="frozen""#) && parts[3].1.contains(r#"<autoFilter ref="A1:A1"/>"#));
    assert!(parts[5].1.contains(r#"<sheet name="records" sheetId="1" r:id="rId1"/>"#));
}

#[test]
fn what_looks_like_a_formula_is_text_and_stays_text_when_it_is_edited() {
    for formula in ["=1+1", "+44 20 7946", "-1", "@x", "'=1", "  =1"] {
        assert_eq!(cell(Cell::Text(formula.into())), text(3, formula));
    }
    assert_eq!(cell(Cell::Text("Adele".into())), text(0, "Adele"));
    assert_eq!(cell(Cell::Texts(vec![Some("=a"), None, Some("b")])), text(3, "=a; ; b"));
}

#[test]
fn any_text_is_well_formed_xml() {
    let odd = "a<b>&\u{1}\u{0}\r\n\t\u{ffff}_x0041_ _x1_ 😀";
    assert_eq!(
        cell(Cell::Text(odd.into())),
        text(0, "a&lt;b&gt;&amp;_x0001__x0000__x000D_\n\t_xFFFF__x005F_x0041_ _x1_ 😀")
    );
    assert_eq!(cell(Cell::Text("".into())), "");
}

#[test]
fn a_text_longer_than_a_cell_is_cut_and_says_so() {
    let long = "😀".repeat(20_000);
    let shown = cell(Cell::Text(long.as_str().into()));
    assert!(shown.contains(" … cut: 20000 characters in all</t>"), "{}", &shown[shown.len() - 80..]);
    let inside = shown.split_once("preserve\">").unwrap().1.split_once("</t>").unwrap().0;
    assert!(inside.encode_utf16().count() <= 32_767);
    assert_eq!(cell(Cell::Text("x".repeat(32_767).into())), text(0, &"x".repeat(32_767)));
}

#[test]
fn numbers_are_numbers_unless_a_spreadsheet_would_round_them() {
    assert_eq!(cell(Cell::Digits("-1.2400".into())), r#"<c r="A2" s="0"><v>-1.2400</v></c>"#);
    assert_eq!(cell(Cell::Real(1800.5)), r#"<c r="A2" s="0"><v>1800.5</v></c>"#);
    assert_eq!(cell(Cell::Truth(true)), r#"<c r="A2" t="b"><v>1</v></c>"#);
    assert_eq!(cell(Cell::Whole(1_000_000_000_000_000_000)), r#"<c r="A2" s="0"><v>1000000000000000000</v></c>"#);
    assert_eq!(cell(Cell::Digits("0.1234567890123456".into())), text(3, "0.1234567890123456"));
    assert_eq!(cell(Cell::Whole(1_234_567_890_123_456)), text(3, "1234567890123456"));
}

#[test]
fn instants_are_dates_of_the_spreadsheet_where_it_has_them() {
    let time = |text| cell(Cell::Time(Timestamp::parse(text).unwrap()));
    assert_eq!(time("2026-11-01T12:00:00Z"), r#"<c r="A2" s="2"><v>46327.5</v></c>"#);
    assert_eq!(time("1900-03-01T00:00:00Z"), r#"<c r="A2" s="2"><v>61</v></c>"#);
    assert_eq!(time("1900-02-28T00:00:00Z"), text(0, "1900-02-28T00:00:00Z"));
}

#[test]
fn what_does_not_fit_a_sheet_goes_on_in_the_next() {
    let lines: Vec<_> = (1..=5).map(|n| vec![Cell::Whole(n)]).collect();
    let parts = written(3, &[Column::new("n", Type::Whole)], &lines);
    let sheets: Vec<&str> =
        parts.iter().filter(|(name, _)| name.contains("sheets/")).map(|(_, xml)| xml.as_str()).collect();
    assert_eq!(sheets.len(), 3);
    for (sheet, last) in sheets.iter().zip([3, 3, 2]) {
        assert!(
            sheet.contains(r#"<row r="1"><c r="A1" s="1""#) && sheet.contains(&format!("A1:A{last}\"/>")),
            "{sheet}"
        );
    }
    assert!(parts.last().unwrap().1.contains(r#"<sheet name="records 3" sheetId="3" r:id="rId3"/>"#));
}

#[test]
fn columns_are_as_wide_as_what_is_in_them() {
    let columns = [Column::new("id", Type::Text), Column::new("name", Type::Text), Column::new("at", Type::Time)];
    let line = vec![Cell::Text("x".repeat(36).into()), Cell::Text("y".repeat(500).into()), Cell::Time(Timestamp(0))];
    // More lines than are measured.
    let parts = written(SHEET_LINES, &columns, &vec![line; 300]);
    let sheet = &parts[3].1;
    for (n, width) in [(1, 37), (2, 60), (3, 25)] {
        assert!(sheet.contains(&format!(r#"<col min="{n}" max="{n}" width="{width}" customWidth="1"/>"#)), "{n}");
    }
    assert_eq!(sheet.matches("<row ").count(), 301);
}
