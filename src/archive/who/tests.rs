//! Who is found by what, over a real archive.

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::{
    archive::{Archive, ArchiveWriter, Folder, batch::Prepared, frame::FrameWriter, schema},
    model::{
        document::{Document, Part, What as Body},
        filter::{Filter, Selection},
        hit::Hit,
        id::{Cursor, RecordKey, Version},
        kind::Kind,
        source::Source,
        time::Timestamp,
    },
};

const ANNA: &str = "0a0a0a0a-1111-4222-8333-000000000001";
const OTHER: &str = "0a0a0a0a-1111-4222-8333-000000000002";
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

struct Bench {
    _dir: TempDir,
    folder: Folder,
    writer: ArchiveWriter,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("archive"));
        let writer = ArchiveWriter::open_or_create(&folder, Timestamp(0)).unwrap();
        Self { _dir: dir, folder, writer }
    }

    fn keep(&mut self, kind: Kind, id: &str, what: Body, body: &str) {
        let part = Part::new(what, "https://graph/x".into(), None, Timestamp(0), body.into());
        let key = RecordKey { kind, id: id.into() };
        let document = Document { key, version: Version(1), parts: vec![part] };
        let prepared = Prepared::new(&document, &mut FrameWriter::new(None).unwrap()).unwrap();
        self.writer.keep(&[prepared]).unwrap();
    }

    fn call(&mut self, id: &str, user: &str, name: &str) {
        let body = format!(
            r#"{{"id":"{id}","version":1,"startDateTime":"2026-11-01T00:00:00Z","organizer_v2":{{"identity":{{"user":{{"id":"{user}","displayName":"{name}"}}}}}}}}"#
        );
        self.keep(Kind::Call, id, Body::Record, &body);
    }

    fn pstn(&mut self, id: &str, callee: &str) {
        let body = format!(
            r#"{{"id":"{id}","startDateTime":"2026-11-01T00:00:00Z","callType":"user_out","callerNumber":"+15550001111","calleeNumber":"{callee}"}}"#
        );
        self.keep(Kind::Pstn, id, Body::Row, &body);
    }

    fn blocked(&mut self, id: &str, user: &str, number: &str) {
        let body = format!(
            r#"{{"remediationId":"{id}","blockDateTime":"2026-11-01T00:00:00Z","userId":"{user}","userTelephoneNumber":"{number}"}}"#
        );
        self.keep(Kind::BlockedUser, id, Body::Row, &body);
    }

    /// A row of the directory that came in at `seen`.
    fn person(&mut self, seen: i64, row: &str) {
        let part = Part::new(Body::Row, "https://graph/users".into(), None, Timestamp(seen), row.into());
        let link = Cursor("https://graph/next".into());
        self.writer.keep_delta(Source::People, vec![part], Some(&link), Timestamp(seen)).unwrap();
    }

    fn hits(&self, asked: &str) -> Vec<Hit> {
        let filter = Filter { participants: vec![asked.into()], ..Filter::default() };
        let mut hits = Vec::new();
        let archive = Archive::open(&self.folder).unwrap();
        archive
            .for_each(&Selection { filter, ..Selection::default() }, &mut |hit| {
                hits.push(hit);
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        hits.sort_by(|a, b| a.id.cmp(&b.id));
        hits
    }

    fn found(&self, asked: &str) -> Vec<String> {
        self.hits(asked).into_iter().map(|hit| hit.id).collect()
    }

    fn through(&self, asked: &str, id: &str) -> Option<Through> {
        let hit = self.hits(asked).into_iter().find(|hit| hit.id == id).unwrap();
        assert_eq!(hit.matched.len(), 1, "{:?}", hit.matched);
        hit.matched[0].through.clone()
    }
}

/// Anna Meyer, who becomes Anna Schmidt at 20, and another Anna Meyer who does not.
fn two_annas() -> Bench {
    let mut bench = Bench::new();
    bench.call("old", ANNA, "Anna Meyer");
    bench.call("new", ANNA, "Anna Schmidt");
    bench.call("other", OTHER, "Anna Meyer");
    bench.person(
        10,
        &format!(
            r#"{{"id":"{ANNA}","displayName":"Anna Meyer","userPrincipalName":"Anna.Meyer@x.org","mail":"am@x.org",
                "otherMails":["anna@home.net"],"businessPhones":["+49 (0)89 123456"],"mobilePhone":"0171 7654321"}}"#
        ),
    );
    bench.person(10, &format!(r#"{{"id":"{OTHER}","displayName":"Anna Meyer","userPrincipalName":"anna.meyer2@x.org","businessPhones":["4711"]}}"#));
    bench.person(
        20,
        &format!(r#"{{"id":"{ANNA}","displayName":"Anna Schmidt","userPrincipalName":"anna.schmidt@x.org","mail":"as@x.org"}}"#),
    );
    bench
}

#[test]
fn somebody_is_found_by_every_name_and_address_they_ever_had() {
    let bench = two_annas();
    for asked in [
        ANNA,
        "anna.meyer@X.org",
        "anna.schmidt@x.org",
        "am@x.org",
        "as@x.org",
        "Anna@Home.net",
        "Anna Schmidt",
        "schmidt",
    ] {
        assert_eq!(bench.found(asked), ["new", "old"], "{asked}");
    }
    assert_eq!(bench.found("anna.meyer2@x.org"), ["other"]);
    let until = Some(Timestamp(20));
    let meyer = Through::Directory { known_as: "Anna Meyer".into(), from: None, until };
    assert_eq!(bench.through("Anna Meyer", "new"), Some(meyer));
    assert_eq!(bench.through("Anna Meyer", "old"), None, "the record itself says so");
    let schmidt = Through::Directory { known_as: "Anna Schmidt".into(), from: until, until: None };
    assert_eq!(bench.through("Anna Schmidt", "old"), Some(schmidt));
    let mail = Through::Directory { known_as: "anna@home.net".into(), from: None, until: None };
    assert_eq!(bench.through("anna@home.net", "old"), Some(mail));
}

#[test]
fn people_of_one_name_are_all_meant_and_stay_different_people() {
    let bench = two_annas();
    assert_eq!(bench.found("Anna Meyer"), ["new", "old", "other"]);
    assert_eq!(bench.found("Schmidt"), ["new", "old"], "who was never called so is not meant");
    assert_eq!(bench.found(OTHER), ["other"]);
    assert!(bench.found("Meyer Schmidt").is_empty(), "nobody was called both at a time");
}

#[test]
fn one_object_id_is_one_person_without_any_directory() {
    let mut bench = Bench::new();
    bench.call("old", ANNA, "Anna Meyer");
    bench.call("new", &ANNA.to_uppercase(), "Anna Schmidt");
    bench.call("other", OTHER, "Anna Meyer");
    bench.call("zero", NOBODY, "Anna Schmidt");
    bench.call("nil", NOBODY, "Ben");
    bench.call("guest", "8:teamsvisitor:1", "Cem");
    bench.call("same guest", "8:teamsvisitor:1", "Deniz");
    assert_eq!(bench.found("Schmidt"), ["new", "old", "zero"], "an id of zeros is nobody's");
    assert_eq!(bench.through("Schmidt", "old"), Some(Through::Records { known_as: "Anna Schmidt".into() }));
    assert_eq!(bench.found("Cem"), ["guest"]);
}

#[test]
fn a_number_finds_its_owner_and_the_owner_the_calls_of_the_number() {
    let mut bench = two_annas();
    bench.pstn("desk", "+4989123456");
    bench.pstn("mobile", "+491717654321");
    bench.pstn("extension", "+49305554711");
    bench.pstn("starred", "+4989123***");
    for asked in ["+49 89 123456", "0049 89 123456", "089 123456"] {
        assert_eq!(bench.found(asked), ["desk", "mobile", "new", "old", "starred"], "{asked}");
    }
    assert_eq!(bench.found("Anna Schmidt"), ["desk", "mobile", "new", "old"], "what is starred is nobody's for sure");
    assert_eq!(bench.through("Schmidt", "desk"), Some(Through::NumberOf("Anna Schmidt".into())));
    let number = Through::Directory { known_as: "+49 (0)89 123456".into(), from: None, until: None };
    assert_eq!(bench.through("+4989123456", "old"), Some(number));
    assert_eq!(bench.found(OTHER), ["other"], "an extension is no number of one's own");
    assert_eq!(bench.found("4711"), ["extension", "other"]);
}

#[test]
fn a_starred_number_is_found_by_each_number_that_it_may_be() {
    let mut bench = Bench::new();
    bench.pstn("three", "+4989123***");
    bench.pstn("four", "+4989123****");
    bench.pstn("national", "089123***");
    bench.pstn("area", "+498***");
    bench.pstn("whole", "+4989123456");
    for asked in ["+4989123456", "+49 89 123456", "0049 89 123456", "+49 (0)89 123456"] {
        assert_eq!(bench.found(asked), ["national", "three", "whole"], "{asked}");
    }
    assert_eq!(bench.found("089 123456"), ["national", "three", "whole"]);
    assert_eq!(bench.found("+49 89 1234567"), ["four"]);
    assert!(bench.found("+49 89 124456").is_empty());
    assert_eq!(bench.found("3456"), ["whole"], "the last digits are those that are hidden");
    let masked: Vec<bool> = bench.hits("+4989123456").iter().map(|hit| hit.matched[0].masked).collect();
    assert_eq!(masked, [true, true, false]);
    assert_eq!(bench.found("+4989123***"), ["national", "three"]);
}

#[test]
fn a_blocked_users_number_is_theirs() {
    let mut bench = Bench::new();
    bench.call("call", ANNA, "Anna Meyer");
    bench.blocked("block", ANNA, "+4989777888");
    bench.pstn("pstn", "+4989777888");
    assert_eq!(bench.found("+4989777888"), ["block", "call", "pstn"]);
    assert_eq!(bench.found("Anna Meyer"), ["block", "call", "pstn"]);
}

#[test]
fn who_was_removed_is_found_as_before() {
    let mut bench = two_annas();
    bench.person(30, &format!(r#"{{"id":"{ANNA}","@removed":{{"reason":"deleted"}}}}"#));
    assert_eq!(bench.found("anna.meyer@x.org"), ["new", "old"]);
    assert_eq!(bench.found("as@x.org"), ["new", "old"]);
}

#[test]
fn rows_made_again_are_the_rows_that_were() {
    let mut bench = two_annas();
    let rows = |bench: &Bench| {
        let connection = Connection::open(bench.folder.database()).unwrap();
        let mut statement = connection.prepare("SELECT record_id FROM record WHERE kind = 7 ORDER BY 1").unwrap();
        let people: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(|row| row.unwrap()).collect();
        people
            .into_iter()
            .map(|id| people::rows(&connection, crate::model::id::RecordId(id)).unwrap())
            .collect::<Vec<_>>()
    };
    let before = rows(&bench);
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    bench.writer.forget_rows().unwrap();
    // A version that comes in while older ones have no rows waits with them.
    bench.person(30, &format!(r#"{{"id":"{ANNA}","mail":null}}"#));
    assert!(rows(&bench).iter().all(Vec::is_empty));
    bench.writer.derive_more(crate::model::id::RecordId(0), 99).unwrap();
    let after = rows(&bench);
    assert_eq!((&after[0][..2], &after[1]), (&before[0][..], &before[1]));
    assert_eq!(
        (after[0][2].person.mail.as_deref(), after[0][2].person.display_name.as_deref()),
        (None, Some("Anna Schmidt"))
    );
    assert_eq!(bench.found("as@x.org"), ["new", "old"]);
}

#[test]
fn every_look_up_is_answered_by_an_index() {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection, Timestamp(0)).unwrap();
    let statements: Vec<String> = include_str!("../who.rs")
        .split('"')
        .filter(|literal| literal.starts_with("SELECT"))
        .map(|sql| sql.replace("{}", people::COLUMNS))
        .collect();
    assert!(statements.len() > 12);
    for sql in statements {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = vec![rusqlite::types::Value::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        for step in rows.map(|row| row.unwrap()) {
            // Blocked users are few, and only the index is read.
            let is_small = step.starts_with("SCAN blocked_user USING COVERING INDEX");
            // What is looked up.
            let is_values = step.starts_with("SCAN json_each");
            assert!(!step.starts_with("SCAN") || is_small || is_values, "{sql}: {step}");
        }
    }
}
