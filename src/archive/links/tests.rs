//! Links found in real archives, from both sides.

use tempfile::TempDir;

use super::*;
use crate::{
    archive::{Archive, ArchiveWriter, Folder, batch::Prepared, frame::FrameWriter},
    model::{
        document::{Document, Part, What},
        id::Version,
    },
};

const ADELE: &str = "0f3c8a1e-5555-4444-3333-222211110000";

/// A pair's call on the first of November at this time, of five minutes with +4989123456, or a meeting of an hour with it.
fn call(id: &str, start: &str, is_meeting: bool) -> (RecordKey, String) {
    let (end, kind) = if is_meeting {
        (format!("{}:59:59", &start[..2]), "groupCall")
    } else {
        (format!("{}:05:00", &start[..2]), "peerToPeer")
    };
    let time = |time: &str| format!("2026-11-01T{time}Z");
    let json = format!(
        r#"{{"id":"{id}","version":1,"type":"{kind}","modalities":["audio"],"startDateTime":"{}","endDateTime":"{}",
        "participants_v2":[{{"id":"{ADELE}","identity":{{"user":{{"id":"{ADELE}","displayName":"Adele"}}}}}},
        {{"id":"+4989123456","identity":{{"phone":{{"id":"+4989123456"}}}}}}],"sessions":[]}}"#,
        time(start),
        time(&end)
    );
    (RecordKey::call(id), json)
}

fn pstn(id: &str, call_type: &str, (start, end): (&str, &str), more: &str) -> (RecordKey, String) {
    let json = format!(
        r#"{{"id":"{id}","callType":"{call_type}","startDateTime":"2026-11-01T{start}Z","endDateTime":"2026-11-01T{end}Z",
        "callerNumber":"+498955501","calleeNumber":"+4989123***"{more}}}"#
    );
    (RecordKey { kind: Kind::Pstn, id: id.into() }, json)
}

fn direct_routing(id: &str, more: &str) -> (RecordKey, String) {
    let key = RecordKey { kind: Kind::DirectRouting, id: id.into() };
    (key, format!(r#"{{"id":"{id}","callType":"ByotOut","startDateTime":"2026-11-01T20:00:00Z"{more}}}"#))
}

fn archive(records: &[(RecordKey, String)]) -> (TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(&dir.path().join("archive"));
    let mut writer = ArchiveWriter::open_or_create(&folder, Timestamp(0)).unwrap();
    let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
    for (key, json) in records {
        let what = if key.kind == Kind::Call { What::Record } else { What::Row };
        let part = Part::new(what, "https://graph/x".into(), None, Timestamp(0), json.clone().into());
        let document = Document { key: key.clone(), version: Version(1), parts: vec![part] };
        writer.keep(&[Prepared::new(&document, &mut frames).unwrap()]).unwrap();
    }
    (dir, Archive::open(&folder).unwrap())
}

/// `id confidence` of each link of a record, in their order.
fn links(archive: &Archive, key: &RecordKey) -> Vec<String> {
    archive.links(key).unwrap().into_iter().map(|linked| format!("{} {}", linked.key.id, linked.confidence)).collect()
}

fn user() -> String {
    format!(r#","userId":"{ADELE}","duration":300"#)
}

#[test]
fn a_call_and_its_rows_name_each_other() {
    let meeting = "3b7a2f6e-1111-4222-8333-444455556666";
    let records = [
        call("pair", "08:00:00", false),
        call(meeting, "10:00:00", true),
        pstn("row", "user_out", ("08:00:02", "08:05:02"), &user()),
        pstn("bot", "ucap_out", ("08:00:04", "08:05:03"), r#","userId":null,"duration":299"#),
        pstn("other day", "user_out", ("18:00:02", "18:05:02"), &user()),
        pstn("leg", "conf_in", ("10:20:00", "10:30:00"), &format!(r#","userId":"{}""#, ADELE.to_uppercase())),
        pstn("operator", "oc_user_in", ("03:00:00", "03:01:00"), &format!(r#","callId":"{meeting}""#)),
        direct_routing("one", &format!(r#","correlationId":"{}""#, meeting.to_uppercase())),
        direct_routing("two", &format!(r#","correlationId":"{meeting}""#)),
        direct_routing("after", &format!(r#","correlationId":"elsewhere","transferorCorrelationId":"{meeting}""#)),
    ];
    let (_dir, archive) = archive(&records);
    let cases: [(usize, &[&str]); 10] = [
        (0, &["row high", "bot low"]),
        (1, &["one certain", "two certain", "operator high", "after high", "leg medium"]),
        (2, &["pair high"]),
        (3, &["pair low"]),
        (4, &[]),
        (5, &["3b7a2f6e-1111-4222-8333-444455556666 medium"]),
        (6, &["3b7a2f6e-1111-4222-8333-444455556666 high"]),
        (7, &["3b7a2f6e-1111-4222-8333-444455556666 certain", "after certain"]),
        (8, &["3b7a2f6e-1111-4222-8333-444455556666 certain", "after certain"]),
        (9, &["one certain", "two certain", "3b7a2f6e-1111-4222-8333-444455556666 high"]),
    ];
    for (n, expected) in cases {
        assert_eq!(links(&archive, &records[n].0), expected, "{}", records[n].0);
    }
    assert_eq!(links(&archive, &RecordKey::call("nowhere")), Vec::<String>::new());
}

#[test]
fn kinds_that_are_about_no_single_call_have_no_links() {
    let sms = RecordKey { kind: Kind::Sms, id: "s".into() };
    let json = format!(
        r#"{{"id":"s","userId":"{ADELE}","sentDateTime":"2026-11-01T08:00:00Z","sourceNumber":"+4989123456"}}"#
    );
    let (_dir, archive) = archive(&[call("pair", "08:00:00", false), (sms.clone(), json)]);
    assert!(links(&archive, &sms).is_empty() && links(&archive, &RecordKey::call("pair")).is_empty());
}

#[test]
fn no_more_are_given_than_somebody_reads() {
    let id = "3b7a2f6e-1111-4222-8333-444455556666";
    let rows = (0..LINKS_MAX + 20).map(|n| direct_routing(&format!("r{n}"), &format!(r#","correlationId":"{id}""#)));
    let records: Vec<_> = std::iter::once(call(id, "08:00:00", false)).chain(rows).collect();
    let (_dir, archive) = archive(&records);
    assert_eq!(links(&archive, &records[0].0).len(), LINKS_MAX);
}

#[test]
fn every_candidate_comes_by_an_index() {
    let (dir, _archive) = archive(&[]);
    let connection = Connection::open(dir.path().join("archive/archive.db")).unwrap();
    for sql in [ROWS_THAT_NAME, TRANSFERS, WITH_SOMEBODY, WITH_A_NUMBER] {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let unbound = vec![rusqlite::types::Null; statement.parameter_count()];
        let steps = statement.query_map(rusqlite::params_from_iter(unbound), |row| row.get(3)).unwrap();
        let steps: Vec<String> = steps.map(|step| step.unwrap()).collect();
        let of_tables =
            |step: &&String| step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE") && !step.contains("subquery");
        assert_eq!(steps.iter().find(of_tables), None, "{sql}\n{steps:#?}");
        assert!(steps.iter().any(|step| step.contains("USING")), "{steps:#?}");
    }
}
