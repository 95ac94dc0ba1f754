//! Damage × place: each is found and named, and an archive that nobody touched has none.

mod people;
mod signed;

use std::{fs, io::Write, path::Path};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::*;
use crate::{
    archive::{
        ArchiveWriter, Folder,
        batch::Prepared,
        frame::{Dictionary, FrameWriter},
    },
    follow,
    model::{
        document::{Document, Part, What as Body},
        id::{Cursor, RecordKey, Sha256, Version},
        listed::Listed,
        source::Source,
        time::{Span, Timestamp},
    },
};

const CALLS: i64 = 5;

fn body(n: i64, version: i64) -> String {
    format!(
        r##"{{"id":"c{n}","version":{version},"type":"groupCall","modalities":["audio","video"],"joinWebUrl":"https://teams/{n}",
        "startDateTime":"2026-11-01T{n:02}:00:00Z","endDateTime":"2026-11-01T{n:02}:30:00.5Z","lastModifiedDateTime":"2026-11-02T00:00:00Z",
        "organizer_v2":{{"id":"o","identity":{{"user":{{"id":"0ca1c0de-0000-4000-8000-000000000001","displayName":"Adele Vance",
            "tenantId":"0ca1c0de-0000-4000-8000-00000000000f","userPrincipalName":"adele@contoso.com"}}}}}},
        "sessions":[{{"id":"0ca1c0de-0000-4000-8000-00000000000{n}","startDateTime":"2026-11-01T{n:02}:00:00Z",
            "endDateTime":"2026-11-01T{n:02}:20:00Z","modalities":["audio"],"isTest":false,
            "failureInfo":{{"stage":"midcall","reason":"lost the network"}},
            "caller":{{"@odata.type":"#microsoft.graph.callRecords.participantEndpoint","name":"machine-{n}","cpuCoresCount":8,
                "userAgent":{{"platform":"windows","headerValue":"Teams/1.{version}"}},
                "associatedIdentity":{{"id":"+44207946001{n}","displayName":null}},
                "feedback":{{"rating":"poor","text":"hissing","tokens":{{"a":true}}}}}},
            "callee":{{"@odata.type":"#microsoft.graph.callRecords.serviceEndpoint","userAgent":{{"role":"skypeForBusinessApplicationServer"}}}},
            "segments":[{{"id":"0ca1c0de-0000-4000-8000-00000000000{n}","startDateTime":"2026-11-01T{n:02}:00:00Z",
                "endDateTime":"2026-11-01T{n:02}:20:00Z","media":[{{"label":"main-audio","streams":[
                    {{"maxJitter":"PT0.016S","maxPacketLossRate":0.01,"maxRoundTripTime":"PT0.1S","averageAudioDegradation":0.25}}]}}]}},
              {{"id":"x","startDateTime":"2026-11-01T{n:02}:01:00Z","caller":{{"name":"other","feedback":{{"rating":"good"}}}}}}]}},
          {{"id":"second","segments":[]}}]}}"##
    )
}

fn prepared(n: i64, version: i64, frames: &mut FrameWriter) -> Prepared {
    let part = |what, body: String| Part::new(what, "https://graph/c".into(), None, Timestamp(0), body.into());
    let parts = vec![part(Body::Record, body(n, version)), part(Body::Participants, r#"{"value":[]}"#.into())];
    Prepared::new(&Document { key: RecordKey::call(format!("c{n}")), version: Version(version), parts }, frames)
        .unwrap()
}

/// Five calls, the last in two versions, one lost record, and the search index.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        let mut writer = bench.writer();
        bench.add_dictionary();
        let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
        for n in 0..CALLS {
            writer.keep(&[prepared(n, 1, &mut frames)]).unwrap();
        }
        writer.keep(&[prepared(CALLS - 1, 2, &mut frames)]).unwrap();
        let span = Span::new(Timestamp(0), Timestamp(9));
        let listing = writer.begin_listing(Source::Calls, span, Timestamp(9)).unwrap();
        let row = Listed { id: "gone".into(), version: Version(1), start: Some(Timestamp(3)), last_modified: None };
        writer.list_page(&listing, &[row], Some(&Cursor("next".into())), Timestamp(9)).unwrap();
        writer.lose(&RecordKey::call("gone"), Timestamp(9), Timestamp(9)).unwrap().unwrap();
        writer.list_page(&listing, &[], None, Timestamp(9)).unwrap();
        follow::catch_up(&bench.archive()).unwrap();
        writer.checkpoint().unwrap();
        bench
    }

    fn folder(&self) -> Folder {
        Folder::new(&self.dir.path().join("archive"))
    }

    fn writer(&self) -> ArchiveWriter {
        ArchiveWriter::open_or_create(&self.folder(), Timestamp(0)).unwrap()
    }

    fn add_dictionary(&self) {
        let samples: Vec<String> = (0..100).map(|n| body(n, n)).collect();
        let bytes = zstd::dict::from_samples(&samples, 4096).unwrap();
        let id = Dictionary::new(bytes.clone()).unwrap().id;
        let sql = "INSERT INTO dictionary (dictionary_id, bytes, sha256, added_ns) VALUES (?1, ?2, ?3, 9)";
        let connection = Connection::open(self.folder().database()).unwrap();
        connection.execute(sql, params![id, bytes, Sha256::of(&bytes).0]).unwrap();
    }

    fn archive(&self) -> Archive {
        Archive::open(&self.folder()).unwrap()
    }

    fn verify(&self, quick: bool) -> Summary {
        verify(&self.archive(), &Ask { quick, ..Ask::default() }, &mut |_| {}).unwrap()
    }

    fn sql(&self, sql: &str) {
        let connection = Connection::open(self.folder().database()).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch(sql).unwrap();
        assert!(connection.total_changes() > 0, "{sql}");
    }

    fn index_file(&self, ending: &str) -> std::path::PathBuf {
        let mut files = fs::read_dir(self.folder().index()).unwrap().map(|file| file.unwrap().path());
        files.find(|path| path.extension().is_some_and(|found| found == ending)).unwrap()
    }
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// The findings as text.
fn texts(summary: &Summary) -> Vec<String> {
    summary.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn an_untouched_archive_is_whole() {
    let bench = Bench::new();
    for quick in [false, true] {
        let summary = bench.verify(quick);
        assert_eq!(texts(&summary), Vec::<String>::new());
        assert!(summary.is_whole());
        assert_eq!(summary.notes, [Note::NotSigned]);
        assert_eq!((summary.head, summary.entries, summary.records), (Seq(8), 8, 5));
        assert_eq!((summary.versions, summary.bodies, summary.rows), (6, 12, 5));
        assert_eq!(summary.documents, if quick { 0 } else { 5 });
        assert!(summary.bytes > 6000);
    }
}

/// One statement that damages the database, the kind of each finding, and what the first of that kind has to name.
const DAMAGE: &[(&str, &[(What, &str)])] = &[
    (
        "UPDATE version SET frame = CAST(substr(frame, 1, 60) || x'00' || substr(frame, 62) AS BLOB) WHERE seq = 3",
        &[(What::Content, "call c1 version 1 (ledger entry 3)")],
    ),
    (
        "UPDATE version SET frame = NULL WHERE seq = 3",
        &[(What::Content, "call c1 version 1 (ledger entry 3): its frame is missing")],
    ),
    ("UPDATE version SET raw_bytes = 1 WHERE seq = 3", &[(What::Content, "call c1")]),
    ("UPDATE record SET derived = 1 WHERE newest_seq = 3", &[(What::Rows, "call c1")]),
    // The frame of another call: whole in itself, but not what the ledger names.
    (
        "UPDATE version SET frame = (SELECT frame FROM version WHERE seq = 2), raw_bytes = (SELECT raw_bytes FROM version WHERE seq = 2) WHERE seq = 3",
        &[(What::Content, "call c1 version 1 (ledger entry 3): its bodies are not those")],
    ),
    ("UPDATE version SET dictionary_id = NULL WHERE seq = 3", &[(What::Content, "call c1")]),
    (
        "UPDATE dictionary SET bytes = CAST(bytes || x'00' AS BLOB)",
        &[(What::Dictionary, "SHA-256"), (What::Content, "call c0")],
    ),
    ("UPDATE kept SET versions = versions + 1", &[(What::Reference, "table kept says")]),
    ("DELETE FROM version WHERE seq = 6", &[(What::Missing, "missing call c4 version 1 (ledger entry 6)")]),
    (
        "DELETE FROM version WHERE seq = 7",
        &[
            (What::Reference, "record"),
            (What::Missing, "missing call c4 version 2 (ledger entry 7)"),
            (What::Newest, "call c4: its highest version is ledger entry 6"),
        ],
    ),
    (
        "DELETE FROM ledger WHERE seq = 4",
        &[
            (What::Reference, "version"),
            (What::Ledger, "(ledger entry 4): the entry is missing"),
            (What::Unledgered, "call c2 version 1 (ledger entry 4)"),
        ],
    ),
    (
        "DELETE FROM ledger WHERE seq = 8; DELETE FROM lost",
        &[(What::Ledger, "its end is cut off"), (What::Index, "the ledger ends at 7")],
    ),
    (
        "UPDATE ledger SET entry = 'x' WHERE seq = 4",
        &[(What::Ledger, "entry 4): the entry is unreadable"), (What::Unledgered, "call c2")],
    ),
    (
        "UPDATE ledger SET entry = replace(entry, '\"version\":1', '\"version\":7') WHERE seq = 4",
        &[(What::Content, "call c2")],
    ),
    ("UPDATE ledger SET entry = (SELECT entry FROM ledger WHERE seq = 3) WHERE seq = 4", &[(What::Content, "call c2")]),
    (
        "UPDATE ledger SET entry = (SELECT entry FROM ledger WHERE seq = 1) WHERE seq = 4",
        &[(What::Ledger, "entry 4"), (What::Content, "call c2")],
    ),
    // A forged entry for a version that never was.
    (
        "INSERT INTO ledger (entry) VALUES ('{\"op\":\"version\",\"kind\":\"call\",\"id\":\"forged\",\"version\":1,\"json\":\"\",\"parts\":\"\"}')",
        &[(What::Missing, "call forged version 1 (ledger entry 9)")],
    ),
    ("DELETE FROM lost", &[(What::Missing, "call gone version 1 (ledger entry 8)")]),
    ("UPDATE lost SET start_ns = 4", &[(What::Missing, "call gone")]),
    (
        "INSERT INTO lost (seq, kind, id, version, start_ns, lost_ns) VALUES (3, 1, 'c1', 1, 0, 0)",
        &[(What::Unledgered, "call c1")],
    ),
    (
        "UPDATE record SET newest_seq = 6 WHERE newest_seq = 7",
        &[
            (What::Newest, "call c4: its highest version is ledger entry 7, its record names ledger entry 6"),
            (What::Rows, "call c4 version 1"),
            (What::Index, "call c4"),
        ],
    ),
    ("UPDATE record SET id = 'c9' WHERE id = 'c1'", &[(What::Content, "call c9 version 1 (ledger entry 3)")]),
    (
        "DELETE FROM record WHERE id = 'c1'",
        &[
            (What::Reference, "record"),
            (What::Missing, "missing call c1 version 1 (ledger entry 3)"),
            (What::Index, ""),
        ],
    ),
    (
        "DELETE FROM session WHERE n = 1 AND record_id = 2",
        &[(
            What::Rows,
            "call c1 version 1 (ledger entry 3): its rows are not what it derives to: session (1 rows instead of 2)",
        )],
    ),
    (
        "DELETE FROM segment WHERE n = 1 AND record_id = 2",
        &[(What::Rows, "segment of session 0 (1 rows instead of 2)")],
    ),
    ("UPDATE session SET n = 5 WHERE n = 1 AND record_id = 2", &[(What::Rows, "positions")]),
    (
        "DELETE FROM hit WHERE record_id = 2",
        &[(What::Rows, "call c1 version 1 (ledger entry 3): its rows are missing")],
    ),
    ("DELETE FROM call WHERE record_id = 2", &[(What::Rows, "call.version, call.last_modified_ns, call.join_web_url")]),
    ("DELETE FROM party WHERE record_id = 2 AND n = 1", &[(What::Rows, "party")]),
    ("UPDATE party SET roles = 1 WHERE record_id = 2", &[(What::Rows, "party")]),
    ("UPDATE party SET start_ns = 1 WHERE record_id = 2", &[(What::Rows, "party.start_ns")]),
    ("DELETE FROM feedback WHERE record_id = 2 AND segment_n = 1", &[(What::Rows, "feedback")]),
    ("UPDATE feedback SET text = 'fine' WHERE record_id = 2 AND segment_n = -1", &[(What::Rows, "feedback")]),
    ("UPDATE hit SET seq = 2 WHERE record_id = 2", &[(What::Rows, "hit.seq")]),
    ("UPDATE hit SET kind = 2 WHERE record_id = 2", &[(What::Rows, "hit.kind")]),
    (
        "UPDATE hit SET start_ns = 7 WHERE record_id = 2",
        &[(What::Rows, "call c1 version 1 (ledger entry 3): its rows are not what it derives to: hit.start_ns")],
    ),
    ("UPDATE hit SET end_ns = NULL WHERE record_id = 2", &[(What::Rows, "hit.end_ns")]),
    ("UPDATE hit SET type_id = NULL WHERE record_id = 2", &[(What::Rows, "hit.type")]),
    ("UPDATE hit SET modalities_id = type_id WHERE record_id = 2", &[(What::Rows, "hit.modalities")]),
    ("UPDATE hit SET organizer_id = NULL WHERE record_id = 2", &[(What::Rows, "hit.organizer")]),
    ("UPDATE hit SET session_count = 9 WHERE record_id = 2", &[(What::Rows, "hit.session_count")]),
    ("UPDATE hit SET failed = 0 WHERE record_id = 2", &[(What::Rows, "hit.failed")]),
    ("UPDATE call SET join_web_url = NULL WHERE record_id = 2", &[(What::Rows, "call.join_web_url")]),
    ("UPDATE session SET start_ns = 7 WHERE record_id = 2 AND n = 0", &[(What::Rows, "session 0 (start_ns)")]),
    (
        "UPDATE session SET failure_reason_id = NULL WHERE record_id = 2 AND n = 0",
        &[(What::Rows, "session 0 (failure)")],
    ),
    ("UPDATE segment SET max_jitter_ns = 7 WHERE record_id = 2 AND n = 0", &[(What::Rows, "segment 0.0 (quality)")]),
    ("UPDATE segment SET end_ns = 7 WHERE record_id = 2 AND n = 1", &[(What::Rows, "segment 0.1 (end_ns)")]),
    ("UPDATE endpoint SET cpu_cores_count = 9 WHERE name = 'machine-1'", &[(What::Rows, "session 0 (caller)")]),
    ("UPDATE user_agent SET role = 'x' WHERE role IS NOT NULL", &[(What::Rows, "session 0 (callee)")]),
    ("UPDATE identity SET display_name = 'Eve' WHERE display_name IS NOT NULL", &[(What::Rows, "identity")]),
    ("UPDATE identity SET phone_reversed = '1' WHERE phone_reversed IS NOT NULL", &[(What::Rows, "table identity")]),
    (
        "UPDATE identity SET masked_count = 3, masked_reversed = '1234' WHERE phone_reversed IS NOT NULL",
        &[(What::Rows, "table identity")],
    ),
    ("DELETE FROM identity_word WHERE word = 'vance'", &[(What::Rows, "table identity")]),
    ("INSERT INTO identity_word SELECT 'eve', identity_id FROM identity LIMIT 1", &[(What::Rows, "identity_word")]),
    ("DELETE FROM text WHERE value = 'midcall'", &[(What::Reference, "session"), (What::Rows, "session 0 (failure)")]),
    (
        "INSERT INTO hit SELECT 99, seq, kind, start_ns, end_ns, NULL, NULL, NULL, 0, 0 FROM hit LIMIT 1",
        &[(What::Reference, "row 99 of table hit")],
    ),
    ("UPDATE listing SET cursor = 'x'", &[(What::Coverage, "listing 1 is finished and has a page to go")]),
    ("UPDATE listing SET to_ns = from_ns", &[(What::Coverage, "ends before")]),
    ("UPDATE listing SET source = 'x'", &[(What::Coverage, "source")]),
];

#[test]
fn every_damage_to_the_database_is_found_and_named() {
    for (sql, expected) in DAMAGE {
        let bench = Bench::new();
        bench.sql(sql);
        for quick in [false, true] {
            let summary = bench.verify(quick);
            let found = texts(&summary);
            let expected = expected.iter().filter(|(what, _)| !quick || *what != What::Index);
            let mut kinds: Vec<What> = expected.clone().map(|(what, _)| *what).collect();
            kinds.sort();
            let mut kinds_found: Vec<What> = summary.findings.iter().map(|finding| finding.what).collect();
            kinds_found.retain(|what| !quick || *what != What::Index);
            kinds_found.dedup();
            assert_eq!(kinds_found, kinds, "{sql}: {found:#?}");
            for (what, text) in expected {
                let of_kind = |text: &&String| text.starts_with(what.name());
                assert!(
                    found.iter().find(of_kind).is_some_and(|found| found.contains(text)),
                    "{sql}: {text}: {found:#?}"
                );
            }
        }
    }
}

#[test]
fn a_page_of_the_database_that_was_overwritten_is_found() {
    let bench = Bench::new();
    let path = bench.folder().database();
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 8192;
    let mut found = 0;
    for page in 1..pages {
        let whole = bytes[page * 8192..(page + 1) * 8192].to_vec();
        // A leaf of a table or an index that has no cells: nothing of it is ever read.
        if matches!(whole[0], 0x0a | 0x0d) && whole[3..5] == [0, 0] {
            continue;
        }
        bytes[page * 8192 + 16..(page + 1) * 8192].fill(0xa5);
        overwrite(&path, &bytes);
        // A page of the schema may keep the archive from being opened at all: that is an error and no finding.
        if let Ok(archive) = Archive::open(&bench.folder())
            && let Ok(summary) = verify(&archive, &Ask::default(), &mut |_| {})
        {
            assert!(!summary.is_whole(), "page {page} of {pages}");
            found += 1;
        }
        bytes[page * 8192..(page + 1) * 8192].copy_from_slice(&whole);
    }
    assert!(found > pages / 2, "{found} of {pages}");
}

#[test]
fn a_missing_index_is_a_note_and_an_old_one_is_behind() {
    let bench = Bench::new();
    let mut writer = bench.writer();
    let mut frames = FrameWriter::new(None).unwrap();
    writer.keep(&[prepared(0, 2, &mut frames)]).unwrap();
    let summary = bench.verify(false);
    assert_eq!((texts(&summary), summary.notes), (vec![], vec![Note::NotSigned, Note::IndexBehind { versions: 1 }]));
    fs::remove_dir_all(bench.folder().index()).unwrap();
    let summary = bench.verify(false);
    assert_eq!((texts(&summary), summary.notes), (vec![], vec![Note::NotSigned, Note::IndexMissing]));
}

#[test]
fn a_garbled_file_of_the_index_is_found_and_named() {
    for ending in ["fast", "term", "idx", "pos", "store", "fieldnorm"] {
        let bench = Bench::new();
        let path = bench.index_file(ending);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 0x10;
        overwrite(&path, &bytes);
        let summary = bench.verify(false);
        let name = format!("index/{}", path.file_name().unwrap().display());
        let named = |finding: &Finding| finding.what == What::Index && finding.file.as_deref() == Some(&name);
        assert!(summary.findings.iter().any(named), "{ending}: {:?}", texts(&summary));
    }
}

#[test]
fn an_index_that_cannot_be_opened_is_found_by_a_quick_look_too() {
    let bench = Bench::new();
    overwrite(&bench.folder().index().join("meta.json"), b"{");
    for quick in [false, true] {
        let summary = bench.verify(quick);
        assert_eq!(summary.findings.len(), 1, "{:?}", texts(&summary));
        assert_eq!(summary.findings[0].what, What::Index);
    }
}

#[test]
fn an_index_of_another_archive_is_found() {
    let bench = Bench::new();
    bench.sql(
        "UPDATE record SET record_id = 50 WHERE record_id = 2; UPDATE version SET record_id = 50 WHERE record_id = 2",
    );
    let summary = bench.verify(false);
    let found = texts(&summary);
    assert!(found.iter().any(|text| text.contains("the archive does not have")), "{found:#?}");
    assert!(
        found.iter().any(|text| text.contains("index call c1 (ledger entry 3): the index does not have it")),
        "{found:#?}"
    );
}

#[test]
fn an_index_ahead_of_the_ledger_is_found() {
    let bench = Bench::new();
    let other = Bench::new();
    let mut frames = FrameWriter::new(None).unwrap();
    let mut writer = other.writer();
    writer.keep(&[prepared(0, 2, &mut frames)]).unwrap();
    follow::catch_up(&other.archive()).unwrap();
    fs::remove_dir_all(bench.folder().index()).unwrap();
    fs::rename(other.folder().index(), bench.folder().index()).unwrap();
    assert_eq!(texts(&bench.verify(false)), ["index index: it has followed the ledger to 9, the ledger ends at 8"]);
}

#[test]
fn rows_that_are_being_made_again_are_no_damage() {
    let bench = Bench::new();
    let mut writer = bench.writer();
    writer.forget_rows().unwrap();
    writer.derive_more(crate::model::id::RecordId(0), 2).unwrap();
    let summary = bench.verify(false);
    assert_eq!((texts(&summary), summary.rows), (vec![], 2));
    assert_eq!(summary.notes, [Note::NotSigned, Note::RowsToMake { records: 3 }]);
    bench.sql("UPDATE setting SET value = 0 WHERE name = 'derive_version'");
    let summary = bench.verify(false);
    assert_eq!(
        (texts(&summary), summary.rows, summary.notes),
        (vec![], 0, vec![Note::RowsOfOtherDerivation, Note::NotSigned])
    );
}

#[test]
fn a_thousand_findings_are_kept_and_all_are_counted() {
    let mut summary = Summary::default();
    (0..1500).for_each(|_| summary.add(Finding::new(What::Content, "x")));
    assert_eq!((summary.findings.len(), summary.findings_count), (FINDINGS_MAX, 1500));
}

#[test]
fn an_examination_beside_a_writer_finds_nothing() {
    let bench = Bench::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = bench.writer();
            let mut frames = FrameWriter::new(None).unwrap();
            let mut version = 3;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for n in 0..CALLS {
                    writer.keep(&[prepared(n, version, &mut frames)]).unwrap();
                }
                version += 1;
                if version % 4 == 0 {
                    follow::catch_up(&bench.archive()).unwrap();
                    writer.forget_rows().unwrap();
                }
                writer.derive_more(crate::model::id::RecordId(0), 3).unwrap();
            }
        });
        let found: Vec<String> = (0..8).flat_map(|_| texts(&bench.verify(false))).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(found, Vec::<String>::new());
    });
}

#[test]
fn findings_are_data_for_scripts() {
    let finding = Finding::new(What::Content, "its frame is missing");
    let finding = finding.record(Some(&RecordKey::call("c1"))).version(Version(2)).seq(Seq(7));
    assert_eq!(
        serde_json::to_string(&finding).unwrap(),
        r#"{"what":"content","record":{"kind":"call","id":"c1"},"version":2,"seq":7,"file":null,"message":"its frame is missing"}"#
    );
    assert_eq!(
        serde_json::to_string(&Note::RowsToMake { records: 2 }).unwrap(),
        r#"{"note":"rows-to-make","records":2}"#
    );
}
