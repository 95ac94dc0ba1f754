//! Exports of real archives in temporary folders.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    archive::{ArchiveWriter, Folder, batch::Prepared, frame::FrameWriter},
    model::{
        document::{Document, Part, What},
        filter::{Filter, Sort},
        id::{RecordKey, Version},
        kind::Kind,
        time::Timestamp,
    },
};

fn body(n: i64, version: i64) -> String {
    format!(
        r#"{{"id":"c{n}","version":{version},"type":"groupCall","modalities":["audio"],"odd":1e-7,
        "startDateTime":"2026-11-01T{n:02}:00:00Z","endDateTime":"2026-11-01T{n:02}:30:00.5Z",
        "organizer_v2":{{"id":"o","identity":{{"user":{{"id":"o","displayName":"=Adele","userPrincipalName":"a@x"}}}}}},
        "sessions":[{{"id":"s","caller":{{"associatedIdentity":{{"id":"p{version}","displayName":"李明"}}}},"segments":[]}}]}}"#
    )
}

fn document(n: i64, version: i64) -> Document {
    let part = Part::new(What::Record, "https://graph/c".into(), None, Timestamp(0), body(n, version).into());
    Document { key: RecordKey::call(format!("c{n}")), version: Version(version), parts: vec![part] }
}

/// An archive of calls c0, c1, … with as many versions each.
fn archive(versions: &[i64]) -> (TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(&dir.path().join("archive"));
    let mut writer = ArchiveWriter::open_or_create(&folder, Timestamp(0)).unwrap();
    let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
    for (n, count) in versions.iter().enumerate() {
        for version in 1..=*count {
            let prepared = Prepared::new(&document(i64::try_from(n).unwrap(), version), &mut frames).unwrap();
            writer.keep(&[prepared]).unwrap();
        }
    }
    let archive = Archive::open(&folder).unwrap();
    (dir, archive)
}

fn ask(format: Format, versions: Versions) -> Ask {
    let selection = Selection { sort: Sort::Oldest, ..Selection::default() };
    Ask { selection, format, rows: Rows::Records, versions, person: None }
}

/// The titles of a table of records, as CSV has them.
fn titles() -> String {
    let columns = Shape::default().columns();
    columns.iter().map(|column| column.title.as_ref()).collect::<Vec<_>>().join(",")
}

const FORMATS: &[Format] = &[
    Format::Ndjson,
    Format::Csv,
    #[cfg(feature = "parquet")]
    Format::Parquet,
    Format::Xlsx,
];

fn go_on(_: &Report) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn exported(archive: &Archive, ask: &Ask) -> (String, Report) {
    let mut out = Vec::new();
    let report = export(archive, ask, &mut out, &mut go_on).unwrap();
    assert_eq!(report.bytes, out.len() as u64);
    (String::from_utf8(out).unwrap(), report)
}

fn damage(dir: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(dir.join("archive/archive.db")).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0);
}

#[test]
fn ndjson_is_each_archived_document_on_its_line() {
    let (_dir, archive) = archive(&[1, 2]);
    let (text, report) = exported(&archive, &ask(Format::Ndjson, Versions::Latest));
    let expected = [document(0, 1), document(1, 2)].map(|document| document.assemble().unwrap() + "\n");
    assert_eq!(text, expected.concat());
    assert!(text.contains("\"odd\":1e-7"));
    assert_eq!((report.records, report.versions), (2, 2));
    assert!(report.reach.is_whole());
}

#[test]
fn all_versions_come_oldest_first() {
    let (_dir, archive) = archive(&[3, 1]);
    let (text, report) = exported(&archive, &ask(Format::Ndjson, Versions::All));
    let expected = [(0, 1), (0, 2), (0, 3), (1, 1)].map(|(n, v)| document(n, v).assemble().unwrap() + "\n");
    assert_eq!(text, expected.concat());
    assert_eq!((report.records, report.versions), (2, 4));
}

#[test]
fn a_table_of_older_versions_says_what_each_version_said() {
    let (_dir, archive) = archive(&[2]);
    let (text, _) = exported(&archive, &ask(Format::Csv, Versions::All));
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(rows[0], titles());
    let row = |v| {
        format!(
            "call,c0,{v},2026-11-01T00:00:00Z,2026-11-01T00:30:00.5Z,1800.5,groupCall,audio,o,'=Adele,a@x,,'=Adele; 李明,o;p{v},1,false,"
        )
    };
    assert_eq!(rows[1..], [row(1), row(2), String::new()]);
}

#[test]
fn one_log_alone_brings_its_own_columns_and_several_do_not() {
    let (dir, _) = archive(&[1]);
    let folder = Folder::new(&dir.path().join("archive"));
    let mut writer = ArchiveWriter::open(&folder, Timestamp(0)).unwrap();
    let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
    for (version, charge) in [(1, "0.00"), (2, "1.2400")] {
        let body = format!(r#"{{"id":"p","startDateTime":"2026-11-02T08:00:00Z","charge":{charge},"currency":"EUR"}}"#);
        let part = Part::new(What::Row, "https://graph/p".into(), None, Timestamp(0), body.into());
        let key = RecordKey { kind: Kind::Pstn, id: "p".into() };
        let document = Document { key, version: Version(version), parts: vec![part] };
        writer.keep(&[Prepared::new(&document, &mut frames).unwrap()]).unwrap();
    }
    let archive = Archive::open(&folder).unwrap();
    let of = |kinds: &[Kind], versions| {
        let mut ask = ask(Format::Csv, versions);
        ask.selection.filter.kinds = kinds.to_vec();
        exported(&archive, &ask).0
    };
    let text = of(&[Kind::Pstn, Kind::Pstn], Versions::All);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with(&(titles() + ",log_id,call_id,")), "{}", lines[0]);
    assert!(lines[1].contains(",0.00,,EUR,") && lines[2].contains(",1.2400,,EUR,"), "{text}");
    for kinds in [&[Kind::Pstn, Kind::Sms][..], &[Kind::Call], &[]] {
        assert_eq!(of(kinds, Versions::Latest).split("\r\n").next(), Some(titles().as_str()), "{kinds:?}");
    }
}

#[test]
fn a_hit_made_from_the_document_is_the_hit_that_a_query_gives() {
    let (_dir, archive) = archive(&[2]);
    let mut reader = archive.version_reader();
    archive
        .for_each(&Selection::default(), &mut |hit| {
            let stored = reader.read(hit.seq).unwrap();
            let derived = derive::derive(&stored.document, &stored.json);
            assert_eq!(
                Hit {
                    record_id: hit.record_id,
                    ..Hit::of(&stored.info.key, stored.info.version, stored.info.seq, &derived)
                },
                hit
            );
            ControlFlow::Continue(())
        })
        .unwrap();
}

#[test]
fn a_selection_bounds_what_is_written() {
    let (_dir, archive) = archive(&[1, 1, 1]);
    let filter = Filter { from: Timestamp::parse("2026-11-01T01:00:00Z"), ..Filter::default() };
    let mut ask = ask(Format::Csv, Versions::Latest);
    ask.selection = Selection { filter, limit: Some(1), sort: Sort::Oldest, ..Selection::default() };
    let (text, report) = exported(&archive, &ask);
    assert!(text.contains("\r\ncall,c1,1,"));
    assert_eq!(report.records, 1);
    ask.selection.text = Some("modality:(".into());
    assert!(matches!(
        export(&archive, &ask, &mut Vec::new(), &mut go_on),
        Err(Error::Query(query::Error::Syntax { .. }))
    ));
}

#[test]
fn a_file_appears_whole_private_and_alone() {
    let (dir, archive) = archive(&[1, 1]);
    let path = dir.path().join("calls.ndjson");
    fs::File::create(&path).unwrap().write_all(b"old").unwrap();
    let report = export_to_file(&archive, &ask(Format::Ndjson, Versions::Latest), &path, &mut go_on).unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (report.bytes, 0o600));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn damage_names_the_record_and_leaves_no_file() {
    let (dir, archive) = archive(&[1, 1]);
    damage(
        dir.path(),
        "UPDATE version SET frame = CAST(substr(frame, 1, 40) || x'00' || substr(frame, 42) AS BLOB) WHERE seq = 3",
    );
    for &format in FORMATS {
        let path = dir.path().join("calls");
        let error = export_to_file(&archive, &ask(format, Versions::Latest), &path, &mut go_on).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("call c1"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_stop_leaves_the_file_that_was_there() {
    let (dir, archive) = archive(&[1, 1, 1]);
    let path = dir.path().join("calls");
    fs::File::create(&path).unwrap().write_all(b"old").unwrap();
    let mut records = 0;
    let stop = &mut |report: &Report| {
        records = report.records;
        if records == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = export_to_file(&archive, &ask(Format::Csv, Versions::Latest), &path, stop).unwrap_err();
    assert!(matches!(error, Error::Stopped));
    assert_eq!(records, 2);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_reader_that_goes_away_is_recognised() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (_dir, archive) = archive(&[1]);
    for &format in FORMATS {
        let error = export(&archive, &ask(format, Versions::Latest), &mut Closed, &mut go_on).unwrap_err();
        assert!(error.is_broken_pipe(), "{error}");
    }
}

#[test]
fn what_is_no_file_is_never_replaced() {
    let (dir, archive) = archive(&[1]);
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [&socket, &dir.path().to_path_buf()] {
        let error = export_to_file(&archive, &ask(Format::Csv, Versions::Latest), path, &mut go_on).unwrap_err();
        assert!(matches!(error, Error::File { .. }));
    }
    assert!(!fs::metadata(&socket).unwrap().is_file());
}

#[test]
fn a_link_stays_and_what_it_names_is_replaced() {
    let (dir, archive) = archive(&[1]);
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::File::create(&file).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    export_to_file(&archive, &ask(Format::Csv, Versions::Latest), &link, &mut go_on).unwrap();
    assert!(link.is_symlink() && fs::metadata(&file).unwrap().len() > 0);
}
