//! Damage to what is known of people.

use super::*;

const ROWS: [&str; 3] = [
    r#"{"id":"0ca1c0de-0000-4000-8000-000000000001","displayName":"Adele Meyer","userPrincipalName":"adele@contoso.com","mail":"a@contoso.com",
        "otherMails":["b@contoso.com"],"department":"Sales","businessPhones":["+442079460018"],"mobilePhone":"0171 1234567","accountEnabled":true}"#,
    r#"{"id":"0ca1c0de-0000-4000-8000-000000000001","displayName":"Adele Vance"}"#,
    r#"{"id":"0ca1c0de-0000-4000-8000-000000000001","@removed":{"reason":"changed"}}"#,
];

/// The bench with somebody of three versions: entries 9 to 11, row 6 of `record`.
fn bench() -> Bench {
    let bench = Bench::new();
    let mut writer = bench.writer();
    for (n, row) in (0..).zip(ROWS) {
        let part = Part::new(Body::Row, "https://graph/users".into(), None, Timestamp(n), row.into());
        let link = Cursor("https://graph/next".into());
        writer.keep_delta(Source::People, vec![part], Some(&link), Timestamp(n)).unwrap();
    }
    follow::catch_up(&bench.archive()).unwrap();
    writer.checkpoint().unwrap();
    bench
}

#[test]
fn people_nobody_touched_are_whole() {
    let summary = bench().verify(false);
    assert_eq!((texts(&summary), summary.notes), (vec![], vec![Note::NotSigned]));
    assert_eq!((summary.head, summary.records, summary.versions, summary.rows), (Seq(11), 6, 9, 6));
}

/// A statement, and what the one finding has to say.
const DAMAGE: &[(&str, &str)] = &[
    ("UPDATE person SET display_name = 'Eve' WHERE version = 1", "person version 1 (display_name)"),
    ("UPDATE person SET user_principal_name = NULL WHERE version = 3", "person version 3 (user_principal_name)"),
    ("UPDATE person SET seen_ns = 7, mail = 'x' WHERE version = 2", "person version 2 (seen_ns mail)"),
    ("UPDATE person SET other_mails = 'x' WHERE version = 2", "person version 2 (other_mails)"),
    ("UPDATE person SET business_phones = '[]' WHERE version = 2", "person version 2 (business_phones)"),
    (
        "UPDATE person SET mobile_phone = NULL, department = NULL, account_enabled = 0",
        "(department mobile_phone account_enabled)",
    ),
    ("UPDATE person SET id = 'x' WHERE version = 2", "person version 2 (id)"),
    ("UPDATE person SET removed = NULL WHERE version = 3", "person version 3 (removed)"),
    ("DELETE FROM person_term WHERE term = 'meyer'", "person version 1 (person_term)"),
    (
        "INSERT INTO person_term SELECT record_id, version, 1, 'eve' FROM person WHERE version = 2",
        "person version 2 (person_term)",
    ),
    ("DELETE FROM person_term WHERE version = 1; DELETE FROM person WHERE version = 1", "person (2 rows instead of 3)"),
    ("DELETE FROM person_term; DELETE FROM person", "its rows are missing"),
];

#[test]
fn damage_to_the_rows_of_people_is_found_and_mended() {
    for (sql, expected) in DAMAGE {
        let bench = bench();
        bench.sql(sql);
        for quick in [false, true] {
            let found = texts(&bench.verify(quick));
            let [finding] = &found[..] else { panic!("{sql}: {found:#?}") };
            let about = "rows person 0ca1c0de-0000-4000-8000-000000000001 version 3 (ledger entry 11): ";
            assert!(finding.starts_with(about) && finding.contains(expected), "{sql}: {finding}");
        }
        let mut writer = bench.writer();
        writer.forget_rows().unwrap();
        writer.derive_more(crate::model::id::RecordId(0), 99).unwrap();
        assert_eq!(texts(&bench.verify(false)), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn a_damaged_version_of_a_person_is_named_once() {
    let bench = bench();
    bench.sql("UPDATE version SET frame = NULL WHERE seq = 9");
    let found = texts(&bench.verify(false));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("content person") && found[0].contains("(ledger entry 9)"), "{found:#?}");
}
