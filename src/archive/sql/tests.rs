//! What the SQL connection answers, and what it refuses.

use std::{fs, path::Path, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    archive::{ArchiveWriter, batch::Prepared, frame::FrameWriter},
    model::{
        document::{Document, Part, What},
        time::Timestamp,
    },
};

fn body(n: i64, version: i64) -> String {
    format!(r#"{{"id":"c{n}","version":{version},"startDateTime":"2026-11-01T0{n}:00:00Z","sessions":[]}}"#)
}

/// An archive of the calls c0 and c1, of which c1 has two versions.
fn archive() -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(&dir.path().join("archive"));
    let mut writer = ArchiveWriter::open_or_create(&folder, Timestamp(0)).unwrap();
    let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
    for (n, version) in [(0, 1), (1, 1), (1, 2)] {
        let part = Part::new(What::Record, "https://graph/c".into(), None, Timestamp(0), body(n, version).into());
        let key = RecordKey::call(format!("c{n}"));
        let document = Document { key, version: Version(version), parts: vec![part] };
        writer.keep(&[Prepared::new(&document, &mut frames).unwrap()]).unwrap();
    }
    (dir, folder)
}

fn asked(sql: &Sql, text: &str) -> Result<Vec<Vec<String>>, Error> {
    let mut rows = Vec::new();
    sql.ask(text, &mut |part| {
        if let Answer::Row(cells) = part {
            rows.push(cells.iter().map(|cell| format!("{cell:?}")).collect());
        }
        Ok(())
    })?;
    Ok(rows)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // SQLite's own memory, shared by all who read.
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"))
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn nothing_that_is_typed_changes_a_byte_of_the_archive_or_makes_a_file() {
    let (dir, folder) = archive();
    let sql = Sql::open(&folder).unwrap();
    let before = files(folder.path());
    let made = dir.path().join("made.db");
    let made = made.display();
    let statements = [
        "DELETE FROM hit".to_owned(),
        "UPDATE record SET newest_seq = NULL".into(),
        "INSERT INTO text (value) VALUES ('x')".into(),
        "DROP VIEW calls".into(),
        "CREATE TABLE t (x)".into(),
        "CREATE TEMP TABLE t (x)".into(),
        "CREATE TEMP VIEW v AS SELECT 1".into(),
        "CREATE VIRTUAL TABLE temp.t USING fts5(x)".into(),
        "ALTER TABLE text RENAME TO words".into(),
        format!("ATTACH '{made}' AS made"),
        format!("ATTACH 'file:{made}?mode=rwc' AS made"),
        "ATTACH ':memory:' AS made".into(),
        "DETACH main".into(),
        format!("VACUUM INTO '{made}'"),
        "VACUUM".into(),
        "REINDEX".into(),
        "ANALYZE".into(),
        "BEGIN IMMEDIATE".into(),
        "BEGIN EXCLUSIVE".into(),
        "PRAGMA user_version = 99".into(),
        "PRAGMA journal_mode = DELETE".into(),
        "PRAGMA wal_checkpoint(TRUNCATE)".into(),
        "PRAGMA writable_schema = 1".into(),
        "PRAGMA query_only = 0".into(),
        "PRAGMA optimize".into(),
        "PRAGMA incremental_vacuum".into(),
        "PRAGMA temp_store_directory = '/'".into(),
        "SELECT load_extension('x')".into(),
        format!("SELECT writefile('{made}', 'x')"),
        format!("SELECT 1; VACUUM INTO '{made}'"),
        "WITH t AS (SELECT 1) DELETE FROM hit RETURNING *".into(),
        "EXPLAIN DELETE FROM hit".into(),
    ];
    for statement in statements {
        let outcome = asked(&sql, &statement);
        assert!(matches!(outcome, Err(Error::Refused { .. } | Error::WouldWrite(_))), "{statement}: {outcome:?}");
    }
    drop(sql);
    assert_eq!(files(folder.path()), before);
    assert!(!Path::new(&made.to_string()).exists());
}

#[test]
fn questions_of_every_sort_are_answered() {
    let (_dir, folder) = archive();
    let sql = Sql::open(&folder).unwrap();
    for question in [
        "SELECT * FROM calls",
        "SELECT * FROM participations JOIN sessions USING (call_id)",
        "SELECT * FROM coverage",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT sum(x) FROM n",
        "SELECT value FROM json_each('[1,2]')",
        "EXPLAIN QUERY PLAN SELECT * FROM hit",
        "PRAGMA table_info(hit)",
        "PRAGMA user_version",
        "PRAGMA integrity_check",
        "BEGIN; SELECT 1; COMMIT",
        "SELECT * FROM pragma_table_list",
        "VALUES (1), (2)",
    ] {
        asked(&sql, question).unwrap_or_else(|error| panic!("{question}: {error}"));
    }
    assert_eq!(
        asked(&sql, "SELECT 1, 2.5, NULL, 'é', x'00ff'").unwrap(),
        [["Integer(1)", "Real(2.5)", "Null", "Text(\"é\")", "Blob(\"00ff\")"]]
    );
    assert_eq!(
        asked(&sql, "SELECT x'e523d2ed29664b6b925b754a88034cc5'").unwrap(),
        [["Blob(\"e523d2ed-2966-4b6b-925b-754a88034cc5\")"]]
    );
    assert!(sql.names().unwrap().contains(&"calls".to_owned()));
    assert!(sql.schema(Some("calls")).unwrap()[0].starts_with("CREATE VIEW calls"));
    assert_eq!(sql.schema(Some("nothing")).unwrap(), [] as [String; 0]);
}

#[test]
fn raw_is_the_archived_json_of_the_newest_version_or_of_the_one_named() {
    let (_dir, folder) = archive();
    let sql = Sql::open(&folder).unwrap();
    let text = |json: &str| format!("Text({json:?})");
    let rows = asked(&sql, "SELECT raw(id), raw(id, 1), raw(id, 2) FROM calls ORDER BY id").unwrap();
    assert_eq!(rows[0], [text(&body(0, 1)), text(&body(0, 1)), "Null".to_owned()]);
    assert_eq!(rows[1], [text(&body(1, 2)), text(&body(1, 1)), text(&body(1, 2))]);
    let none = asked(&sql, "SELECT raw('nobody'), raw(NULL), raw('c1', NULL), raw('c1', 3), raw(1)").unwrap();
    assert_eq!(none, [["Null"; 5]]);
    assert!(matches!(asked(&sql, "SELECT raw('c1', 'x')"), Err(Error::Refused { .. })));
    assert_eq!(asked(&sql, "SELECT raw('c1') ->> '$.version'").unwrap(), [["Integer(2)"]]);
}

#[test]
fn a_damaged_version_is_damage_and_no_answer() {
    let (_dir, folder) = archive();
    let connection = Connection::open(folder.database()).unwrap();
    connection.execute("UPDATE version SET frame = x'00' WHERE version = 2", []).unwrap();
    let sql = Sql::open(&folder).unwrap();
    match asked(&sql, "SELECT raw('c1')") {
        Err(Error::Archive(error)) => assert!(error.is_damage() && error.to_string().contains("call c1"), "{error}"),
        other => panic!("{other:?}"),
    }
    asked(&sql, "SELECT raw('c1', 1)").unwrap();
    assert!(matches!(asked(&sql, "SELECT nonsense"), Err(Error::Refused { .. })), "damage is told once");
}

#[test]
fn an_error_names_the_place_in_its_line() {
    let (_dir, folder) = archive();
    let sql = Sql::open(&folder).unwrap();
    match asked(&sql, "SELECT 1;\nSELECT 'é',\n  nonsense FROM calls") {
        Err(Error::Refused { message, place }) => {
            assert_eq!(message, "no such column: nonsense");
            assert_eq!(place, Some(("  nonsense FROM calls".to_owned(), 3)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_statement_that_runs_for_ever_can_be_interrupted() {
    let (_dir, folder) = archive();
    let sql = Sql::open(&folder).unwrap();
    let interrupt = sql.interrupt();
    let stop = thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        interrupt.interrupt();
    });
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    assert!(matches!(asked(&sql, endless), Err(Error::Interrupted)));
    stop.join().unwrap();
    asked(&sql, "SELECT 1").unwrap();
}

#[test]
fn names_that_come_twice_are_told_apart() {
    let names = |names: &[&str]| distinct(names.iter().copied());
    assert_eq!(names(&["id", "id", "n", "id"]), ["id", "id_2", "n", "id_3"]);
    assert_eq!(names(&["id", "id", "id_2"]), ["id", "id_2", "id_2_2"]);
}
