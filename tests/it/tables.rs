//! Tables as whoever opens them sees them: the columns, their types, the rows; Parquet, workbooks and CSV say the same.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use callvault::simulate::Settings;
#[cfg(feature = "parquet")]
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use serde_json::Value;

use crate::{
    logs::telephoning,
    support::{Bench, company},
};

fn export(bench: &Bench, flags: &str, name: &str) -> PathBuf {
    let path = bench.beside(name);
    bench.run(&format!("export {flags} --output {}", path.display())).ends_with(0);
    path
}

/// The lines of a CSV export, cells by their titles.
fn csv_lines(bench: &Bench, flags: &str) -> Vec<BTreeMap<String, String>> {
    let text = bench.run(&format!("export --format csv {flags}")).ends_with(0).text();
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

#[cfg(feature = "parquet")]
fn parquet_rows(path: &Path) -> Vec<Row> {
    let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    file.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

#[cfg(feature = "parquet")]
fn field<'r>(row: &'r Row, title: &str) -> &'r Field {
    row.get_column_iter().find(|(name, _)| *name == title).unwrap().1
}

/// What CSV shows where Parquet has this field.
#[cfg(feature = "parquet")]
fn as_in_csv(field: &Field, title: &str) -> String {
    match field {
        Field::Null => String::new(),
        Field::Bool(truth) => truth.to_string(),
        Field::Long(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        Field::Str(text) => callvault::tables::csv::neutral(text).into_owned(),
        Field::TimestampMicros(us) => callvault::model::time::Timestamp(us * 1000).to_string(),
        Field::ListInternal(list) => {
            let separator = if title == "participants" { "; " } else { ";" };
            let texts = list.elements().iter().map(|text| match text {
                Field::Str(text) => text.as_str(),
                _ => "",
            });
            callvault::tables::csv::neutral(&texts.collect::<Vec<_>>().join(separator)).into_owned()
        }
        other => panic!("{title} is {other:?}"),
    }
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_has_a_row_a_record_and_says_what_csv_says_in_types() {
    let bench = Bench::new(company(15, 12));
    bench.sync();
    for flags in ["", "--rows sessions", "--rows segments", "--rows streams --failed"] {
        let expected = csv_lines(&bench, flags);
        let rows = parquet_rows(&export(&bench, &format!("--format parquet {flags}"), "out.parquet"));
        assert!(expected.len() > 10, "{flags}: {} lines", expected.len());
        assert_eq!(rows.len(), expected.len(), "{flags}");
        for (row, expected) in rows.iter().zip(&expected) {
            for (title, field) in row.get_column_iter() {
                assert_eq!(microseconds(&as_in_csv(field, title)), microseconds(&expected[title]), "{flags} {title}");
            }
            assert_eq!(row.get_column_iter().count(), expected.len(), "{flags}");
        }
    }
}

/// An instant as far as Parquet has it; any other text as it is.
#[cfg(feature = "parquet")]
fn microseconds(text: &str) -> String {
    let instant = callvault::model::time::Timestamp::parse(text);
    instant.map_or(text.to_owned(), |instant| (instant.0 / 1000).to_string())
}

#[cfg(feature = "parquet")]
#[test]
fn every_stream_of_every_call_is_a_row_with_its_figures() {
    let bench = Bench::new(company(10, 8));
    bench.sync();
    let mut streams = Vec::new();
    for line in bench.run("export --kind call --format ndjson").ends_with(0).text().lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for session in list(&call["sessions"]) {
            for media in list(&session["segments"]).iter().flat_map(|segment| list(&segment["media"])) {
                for stream in list(&media["streams"]) {
                    streams.push((call["id"].clone(), session["id"].clone(), media["label"].clone(), stream));
                }
            }
        }
    }
    let rows = parquet_rows(&export(&bench, "--rows streams --format parquet", "streams.parquet"));
    assert!(rows.len() > 100);
    assert_eq!(rows.len(), streams.len());
    let text = |field: &Field| match field {
        Field::Str(text) => Value::String(text.clone()),
        _ => Value::Null,
    };
    for (row, (call, session, label, stream)) in rows.iter().zip(&streams) {
        assert_eq!(
            [text(field(row, "call_id")), text(field(row, "session_id")), text(field(row, "media_label"))],
            [call.clone(), session.clone(), label.clone()]
        );
        for (title, member) in
            [("stream_direction", "streamDirection"), ("audio_codec", "audioCodec"), ("stream_id", "streamId")]
        {
            assert_eq!(text(field(row, title)), stream[member], "{title}");
        }
        let loss = match field(row, "average_packet_loss_rate") {
            Field::Double(loss) => Some(*loss),
            _ => None,
        };
        assert_eq!(loss, stream["averagePacketLossRate"].as_f64());
        let jitter = stream["averageJitter"].as_str().and_then(callvault::model::time::parse_edm_duration);
        let shown = match field(row, "average_jitter_ms") {
            Field::Double(ms) => Some(*ms),
            _ => None,
        };
        assert_eq!(shown, jitter.map(callvault::model::time::Age::as_millis_f64));
    }
}

#[cfg(feature = "parquet")]
#[test]
fn money_in_parquet_is_a_decimal_that_adds_up() {
    let bench = Bench::new(telephoning());
    bench.run("sync --source pstn").ends_with(0);
    let lines = csv_lines(&bench, "--kind pstn");
    let rows = parquet_rows(&export(&bench, "--kind pstn --format parquet", "pstn.parquet"));
    assert!(rows.len() > 20);
    let mut charged = 0;
    for (row, line) in rows.iter().zip(&lines) {
        let shown = match field(row, "charge") {
            Field::Decimal(decimal) => {
                let unscaled = i128::from_be_bytes(decimal.data().try_into().unwrap());
                charged += i32::from(unscaled != 0);
                assert_eq!((decimal.precision(), decimal.scale()), (38, 10));
                unscaled.to_string()
            }
            _ => String::new(),
        };
        let sent = &line["charge"];
        let digits = sent
            .split_once('.')
            .map_or(format!("{sent}{}", "0".repeat(10)), |(whole, fraction)| format!("{whole}{fraction:0<10}"));
        let expected = if sent.is_empty() { String::new() } else { digits.parse::<i128>().unwrap().to_string() };
        assert_eq!(shown, expected, "{sent}");
    }
    assert!(charged > 0);
}

/// The first sheet of a workbook as XML: its entry is the fourth, behind the parts that never change.
fn sheet(workbook: &[u8]) -> String {
    let name = b"xl/worksheets/sheet1.xml";
    let at = workbook.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    let mut xml = String::new();
    flate2::read::DeflateDecoder::new(&workbook[at..]).read_to_string(&mut xml).unwrap();
    xml
}

#[test]
fn a_workbook_has_a_header_in_sight_a_line_a_record_and_no_formula() {
    let bench = Bench::new(company(15, 12));
    bench.sync();
    let expected = csv_lines(&bench, "");
    let file = fs::read(export(&bench, "--format xlsx", "out.xlsx")).unwrap();
    assert!(file.starts_with(b"PK\x03\x04"));
    let xml = sheet(&file);
    assert_eq!(xml.matches("<row ").count(), expected.len() + 1);
    assert!(xml.contains(r#"ySplit="1""#) && xml.contains(r#"state="frozen""#));
    assert!(!xml.contains("<f>") && !xml.contains("<f "), "no cell is a formula");
    for line in &expected {
        assert!(xml.contains(&format!(">{}<", line["id"])), "{}", line["id"]);
    }
    assert_eq!(bench.run("export --format xlsx").ends_with(0).stdout, file, "the same through a pipe");
}

#[test]
fn an_export_that_is_killed_leaves_no_half_of_a_file() {
    let bench = Bench::new(company(25, 26));
    bench.sync();
    for format in ["parquet", "xlsx"] {
        let output = bench.beside(&format!("out.{format}"));
        for delay_ms in [5, 20, 40, 80] {
            let mut export =
                bench.start(&format!("export --rows streams --format {format} --output {}", output.display()));
            thread::sleep(Duration::from_millis(delay_ms));
            export.kill().unwrap();
            export.wait().unwrap();
            if let Ok(file) = fs::read(&output) {
                let end: &[u8] = if format == "parquet" { b"PAR1" } else { b"PK\x05\x06" };
                assert!(file[file.len() - 22..].windows(4).any(|window| window == end), "{format} after {delay_ms} ms");
                fs::remove_file(&output).unwrap();
            }
        }
    }
}

#[test]
fn what_rows_cannot_be_had_is_said_before_anything_is_written() {
    let bench = Bench::new(Settings { calls_per_day: 0, ..company(1, 1) });
    bench.sync();
    for (line, told) in [
        ("export --rows streams --format ndjson", "--rows"),
        ("export --rows streams --format csv --kind pstn", "--kind"),
        ("export --rows calls --format csv", "calls"),
    ] {
        let ran = bench.run(line).ends_with(2).telling(told);
        assert!(ran.stdout.is_empty(), "{line}");
    }
    for rows in ["records", "sessions", "segments", "streams"] {
        let ran = bench.run(&format!("export --rows {rows} --format csv")).ends_with(0);
        assert_eq!(ran.text().lines().count(), 1, "{rows}: a header and nothing else");
    }
}
