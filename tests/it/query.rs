//! Questions: every filter, every spelling of a person, every format.

use callvault::{
    model::time::{Age, Timestamp},
    simulate::Planted,
};
use serde_json::Value;

use crate::support::{Bench, ago, company, empty};

const ZOE: &str = "0a1b2c3d-1111-4222-8333-444455556666";
const ANNA: &str = "0a1b2c3d-7777-4888-8999-aaaabbbbcccc";
const TENANT: &str = "dc368399-474c-4d40-900c-6265431fd81f";

fn user(id: &str, name: &str, upn: &str) -> String {
    format!(
        r#"{{"id":"{id}","identity":{{"user":{{"id":"{id}","displayName":"{name}","tenantId":"{TENANT}","userPrincipalName":"{upn}"}}}}}}"#
    )
}

fn zoe() -> String {
    user(ZOE, "Zoë Brontë-O'Connor", "zoe.bronte@contoso.com")
}

fn anna() -> String {
    user(ANNA, "Anna \\\"Nan\\\" Łukasik, PhD", "Anna.Lukasik@contoso.com")
}

fn phone(number: &str) -> String {
    format!(r#"{{"id":"{number}","identity":{{"phone":{{"id":"{number}","displayName":null}}}}}}"#)
}

fn start(days: i64) -> Timestamp {
    (Timestamp::now() - Age::days(days)).floor_to(Age::days(1)) + Age::hours(8)
}

/// Four calls: `both` (9 days ago, ten minutes), `zoe` (6 days, an hour), `phone` (4 days, failed), `group` (3 days, video).
fn bench() -> Bench {
    let bench = Bench::new(empty());
    let session = |modality: &str, failure: &str| {
        format!(r#"{{"id":"s","modalities":["{modality}"],"failureInfo":{failure},"segments":[]}}"#)
    };
    let plant = |id: &str, days, minutes, people: &[String], call_type: &str, session: String| {
        let mut call = Planted::meeting(id, start(days)).ending(start(days) + Age::minutes(minutes));
        call.organizer.clone_from(&people[0]);
        call_type.clone_into(&mut call.call_type);
        bench.simulator.plant(call.raw_participants(people.to_vec()).raw_sessions([session]));
    };
    plant("both", 9, 10, &[zoe(), anna()], "peerToPeer", session("audio", "null"));
    plant("zoe", 6, 60, &[zoe()], "groupCall", session("audio", "null"));
    let failure = r#"{"stage":"midcall","reason":"The connection dropped"}"#;
    plant("phone", 4, 5, &[anna(), phone("+442079460123")], "peerToPeer", session("audio", failure));
    plant("group", 3, 90, &[anna(), zoe()], "groupCall", session("video", "null"));
    bench.sync();
    bench
}

fn found(bench: &Bench, args: &[&str]) -> Vec<String> {
    let args: Vec<_> = ["query", "--format", "json"].iter().chain(args).copied().collect();
    let hits = bench.args(&args).ends_with(0).json();
    hits.as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_participant_is_found_by_id_upn_name_and_number_however_they_are_spelled() {
    let bench = bench();
    for spelling in [
        ZOE,
        &ZOE.to_uppercase(),
        "zoe.bronte@contoso.com",
        "ZOE.BRONTE@CONTOSO.COM",
        "Zoë Brontë-O'Connor",
        "zoe bronte-o'connor",
    ] {
        assert_eq!(found(&bench, &["--participant", spelling]), ["group", "zoe", "both"], "{spelling}");
    }
    for spelling in ["+442079460123", "+44 20 7946 0123", "+44 (20) 7946-0123", "00442079460123", "tel:+442079460123"] {
        assert_eq!(found(&bench, &["--participant", spelling]), ["phone"], "{spelling}");
    }
    assert_eq!(found(&bench, &["--participant", ZOE, "--participant", "anna.lukasik@contoso.com"]), ["group", "both"]);
    assert_eq!(found(&bench, &["--organizer", ZOE]), ["zoe", "both"]);
    assert!(found(&bench, &["--participant", "nobody@contoso.com"]).is_empty());
}

#[test]
fn filters_narrow_what_is_found_and_add_up() {
    let bench = bench();
    let all = ["group", "phone", "zoe", "both"];
    assert_eq!(found(&bench, &[]), all);
    assert_eq!(found(&bench, &["--type", "groupCall"]), ["group", "zoe"]);
    assert_eq!(found(&bench, &["--type", "groupCall", "--type", "peerToPeer"]), all);
    assert_eq!(found(&bench, &["--failed"]), ["phone"]);
    assert_eq!(found(&bench, &["--min-duration", "60m"]), ["group", "zoe"]);
    assert_eq!(found(&bench, &["--min-duration", "1h", "--participant", ANNA]), ["group"]);
    assert_eq!(found(&bench, &["--kind", "call"]), all);
    assert!(found(&bench, &["--kind", "sms"]).is_empty());
    assert_eq!(found(&bench, &["--sort", "oldest", "--limit", "2"]), ["both", "zoe"]);
    assert_eq!(found(&bench, &["--sort", "longest", "--limit", "1"]), ["group"]);
    assert_eq!(found(&bench, &["--limit", "0"]), all);
}

#[test]
fn ranges_are_half_open() {
    let bench = bench();
    let (zoe, phone) = (start(6).to_string(), start(4).to_string());
    assert_eq!(found(&bench, &["--from", &zoe, "--to", &phone]), ["zoe"]);
    assert_eq!(found(&bench, &["--to", &zoe]), ["both"]);
    assert!(found(&bench, &["--from", &zoe, "--to", &zoe]).is_empty());
    let day = |days| start(days).to_string()[..10].to_owned();
    assert_eq!(found(&bench, &["--from", &day(6), "--to", &day(5)]), ["zoe"]);
    assert_eq!(found(&bench, &["--from", "8d", "--to", "5d"]), ["zoe"]);
}

#[test]
fn text_is_found_by_word_prefix_phrase_field_and_logic() {
    let bench = bench();
    let cases: [(&str, &[&str]); 14] = [
        ("zoe", &["group", "zoe", "both"]),
        ("ZOË", &["group", "zoe", "both"]),
        ("bron*", &["group", "zoe", "both"]),
        ("oconnor", &["group", "zoe", "both"]),
        ("\"zoe bronte\"", &["group", "zoe", "both"]),
        ("\"bronte zoe\"", &[]),
        ("zoe anna", &["group", "both"]),
        ("zoe AND NOT anna", &["zoe"]),
        ("lukasik OR zoe", &["group", "phone", "zoe", "both"]),
        ("stage:midcall", &["phone"]),
        ("\"connection dropped\"", &["phone"]),
        ("type:groupCall AND (anna OR stage:midcall)", &["group"]),
        ("phone:+442079460123", &["phone"]),
        ("duration:>=1h", &["group", "zoe"]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&bench, &[text]), expected, "{text}");
        let count = bench.args(&["query", text, "--count"]).ends_with(0).line();
        assert_eq!(count, expected.len().to_string(), "{text}");
    }
    assert_eq!(found(&bench, &["zoe", "--type", "groupCall", "--to", "5d"]), ["zoe"], "text and filters together");
    bench.args(&["query", "zoe AND )"]).ends_with(2).telling("column 5");
    bench.args(&["query", "zoe (anna"]).ends_with(2).telling("column 5");
}

#[test]
fn a_hit_has_exactly_the_keys_of_the_contract() {
    let bench = bench();
    let hits = bench.args(&["query", "--participant", "+442079460123", "--format", "json"]).ends_with(0).json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let set = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let hit = &hits[0];
    assert_eq!(
        keys(hit),
        set("kind id version start end duration_s type modalities organizer participants sessions failed matched")
    );
    assert_eq!(keys(&hit["matched"][0]), set("asked id name upn phone by masked"));
    let unasked = bench.args(&["query", "--failed", "--format", "json"]).ends_with(0).json();
    assert!(unasked[0].get("matched").is_none(), "nobody was asked for");
    assert_eq!(keys(&hit["organizer"]), set("id name upn phone"));
    assert!(hit["participants"].as_array().unwrap().iter().all(|person| keys(person) == set("id name upn phone")));
    assert_eq!(hit["kind"], "call");
    assert_eq!(
        (hit["version"].as_i64(), hit["sessions"].as_i64(), hit["failed"].as_bool()),
        (Some(1), Some(1), Some(true))
    );
    assert_eq!(hit["duration_s"].as_f64(), Some(300.0));
    assert_eq!(Timestamp::parse(hit["start"].as_str().unwrap()), Some(start(4)));
    assert!(hit["start"].as_str().unwrap().ends_with('Z'));
    let numbers: Vec<_> =
        hit["participants"].as_array().unwrap().iter().filter_map(|person| person["phone"].as_str()).collect();
    assert_eq!(numbers, ["+442079460123"]);
    assert_eq!(hit["organizer"]["name"], "Anna \"Nan\" Łukasik, PhD");
}

#[test]
fn csv_is_read_back_by_any_reader_of_rfc_4180() {
    let bench = bench();
    for line in ["query --format csv", "export --format csv"] {
        let text = bench.run(line).ends_with(0).text();
        assert!(text.ends_with("\r\n"));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let ids: Vec<_> = rows.iter().map(|row| row[column("id")].to_owned()).collect();
        assert_eq!(ids, ["group", "phone", "zoe", "both"]);
        assert_eq!(&rows[1][column("organizer_name")], "Anna \"Nan\" Łukasik, PhD");
        assert_eq!((&rows[1][column("failed")], &rows[1][column("duration_s")]), ("true", "300"));
        assert!(rows.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "no cell is a formula");
    }
}

#[test]
fn every_format_tells_the_same_records_in_the_same_order() {
    let bench = Bench::new(company(15, 12));
    bench.sync();
    for sort in ["newest", "oldest", "longest"] {
        let json = found(&bench, &["--limit", "0", "--sort", sort]);
        let lines = bench.run(&format!("query --limit 0 --sort {sort} --format ndjson")).ends_with(0).text();
        let ids: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, json, "{sort}");
    }
    let all = found(&bench, &["--limit", "0"]).len();
    assert!(all > 60);
    assert_eq!(found(&bench, &[]).len(), 50, "the default limit");
    assert_eq!(bench.run("query --count").ends_with(0).line(), all.to_string(), "a count has no limit");
    assert_eq!(bench.run("query --count --limit 3").ends_with(0).line(), all.to_string());
    assert_eq!(bench.run("export --format ndjson").ends_with(0).text().lines().count(), all);
    assert!(bench.run("query").ends_with(0).text().lines().count() >= 50);
}

#[test]
fn what_people_took_part_in_is_what_the_world_says() {
    let bench = Bench::new(company(15, 12));
    let began = bench.sync();
    let expected = bench.simulator.world().expected(began);
    for person in bench.simulator.world().people().iter().take(12) {
        let ids = found(&bench, &["--limit", "0", "--participant", &person.id]);
        for call in expected.iter().filter(|call| call.participant_ids.contains(&person.id)) {
            assert!(ids.contains(&call.id), "{} took part in {}", person.id, call.id);
        }
        let by_text = found(&bench, &["--limit", "0", &format!("participant_id:{}", person.id)]);
        assert_eq!(by_text, ids, "text and filter agree");
    }
    let failed = expected.iter().filter(|call| call.failed).count();
    assert!(found(&bench, &["--limit", "0", "--failed"]).len() >= failed);
}

#[test]
fn an_export_to_a_file_appears_whole_or_not_at_all() {
    let bench = bench();
    let file = bench.beside("out.csv");
    let ran = bench.args(&["export", "zoe", "--format", "csv", "--output", file.to_str().unwrap()]).ends_with(0);
    assert!(ran.stdout.is_empty());
    assert_eq!(csv::Reader::from_path(&file).unwrap().records().count(), 3);
    let nowhere = bench.beside("missing").join("out.csv");
    bench.args(&["export", "--format", "csv", "--output", nowhere.to_str().unwrap()]).ends_with(1).telling("missing");
}

#[test]
fn a_record_is_shown_as_a_tree_whatever_the_case_of_its_id() {
    let bench = Bench::new(empty());
    let id = "E523D2ED-2966-4B6B-925B-754A88034CC5".to_lowercase();
    bench.simulator.plant(Planted::meeting(id.clone(), ago(Age::hours(9))).sessions(2));
    bench.sync();
    let shown = bench.run(&format!("show {id}")).ends_with(0).text();
    assert!(shown.contains(&id), "{shown}");
    assert_eq!(bench.run(&format!("show {}", id.to_uppercase())).ends_with(0).text(), shown);
    assert!(!shown.contains('\u{1b}'), "no colours where there is no terminal");
}
