//! Kept as long as rules say, then really gone; a hold always wins, and the ledger has it all.

use std::{
    fs,
    os::unix::fs::chown,
    path::Path,
    process::{Command, Stdio},
};

use callvault::{
    archive::{Archive, ArchiveWriter, Folder},
    model::{
        id::{Seq, Sha256},
        time::Age,
    },
    proof::note::PrivateKey,
    simulate::{LogKind, Person, Planted, PlantedRow},
};
use rusqlite::Connection;
use serde_json::Value;

use crate::{
    crash::{assert_ledger_is_gapless, kill_at_random},
    holds,
    seal::grown_unsealed,
    support::{Bench, Ran, ago, company, empty, files_under, finish},
};

const NUMBER: &str = "+4915799887766";

fn set(bench: &Bench, lines: &str) {
    let file = bench.beside("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{text}{lines}")).unwrap();
}

fn count(bench: &Bench) -> u64 {
    bench.run("query --count").ends_with(0).line().parse().unwrap()
}

/// Two calls and a row: `call` and `row` with somebody of whom the directory knows, `other` without.
fn with_somebody() -> (Bench, Person) {
    let bench = Bench::new(empty());
    // Nobody else in the simulated world is called so.
    let mut person = bench.simulator.world().people()[7].clone();
    person.name = "Wendelin Quarkson".into();
    person.upn = "wendelin.quarkson@contoso.com".into();
    assert!(bench.simulator.rename_user(&person.id, &person.name, &person.upn, None, ago(Age::days(9))));
    let identity = format!(
        r#"{{"id":"{}","identity":{{"user":{{"id":"{}","displayName":"{}","userPrincipalName":"{}"}}}}}}"#,
        person.id, person.id, person.name, person.upn
    );
    let mut call = Planted::meeting("call", ago(Age::days(3))).sessions(1);
    call.organizer.clone_from(&identity);
    bench.simulator.plant(call.raw_participants([identity]).extra_members(r#""joinWebUrl":"https://meet/Zqxjoin""#));
    bench.simulator.plant(Planted::meeting("other", ago(Age::days(2))));
    let row = PlantedRow::new(LogKind::Pstn, ago(Age::days(2))).id("row").user(&person);
    bench.simulator.plant_row(row.numbers(NUMBER, "+493012345678"));
    bench.sync();
    (bench, person)
}

fn holds_bytes(file: &Path, wanted: &[u8]) -> bool {
    fs::read(file).unwrap().windows(wanted.len()).any(|window| window == wanted)
}

/// The files of the archive that hold these bytes.
fn files_with(bench: &Bench, wanted: &[u8]) -> Vec<String> {
    let files = files_under(&bench.archive()).into_iter().filter(|file| holds_bytes(file, wanted));
    files.map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Somewhere in the middle of each frame of the database.
fn pieces_of_frames(bench: &Bench, id: &str) -> Vec<Vec<u8>> {
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let sql = "SELECT frame FROM version JOIN record USING (record_id) WHERE id = ?1";
    let mut statement = connection.prepare(sql).unwrap();
    let frames = statement.query_map([id], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    frames.map(|frame| frame.unwrap()).map(|frame| frame[frame.len() / 2..][..24].to_vec()).collect()
}

#[test]
fn somebody_erased_is_in_no_file_any_more() {
    let (bench, person) = with_somebody();
    fs::write(bench.beside("request.pdf"), "please").unwrap();
    let proof = bench.beside("request.pdf").display().to_string();
    let erase = |extra: &[&str]| {
        let words = ["retention", "erase", "--person", &person.upn, "--reason", "Art. 17", "--proof", &proof];
        bench.args(&[&words[..], extra].concat())
    };
    let words = [&person.name, &person.upn, NUMBER, "Zqxjoin"];
    for word in words {
        assert!(files_with(&bench, word.as_bytes()).contains(&"archive.db".to_owned()), "{word}");
    }
    let pieces = pieces_of_frames(&bench, "call");
    assert!(!pieces.is_empty() && pieces.iter().all(|piece| !files_with(&bench, piece).is_empty()));
    bench.args(&["query", "--participant", &person.name]).ends_with(0);
    assert_eq!(count(&bench), 3);
    let archive = Archive::open(&Folder::new(&bench.archive())).unwrap();
    let size = archive.head().unwrap().0.unsigned_abs();
    let proofs = |archive: &Archive| {
        let mut prover = archive.prover(size);
        (1..=size).map(|seq| prover.path(Seq(seq.cast_signed())).unwrap()).collect::<Vec<_>>()
    };
    let before = proofs(&archive);
    drop(archive);

    let by_name = ["retention", "erase", "--person", "Wendelin", "--reason", "r", "--proof", &proof, "--yes"];
    bench.args(&by_name).ends_with(2).telling("a name may be several people's");
    let shown = erase(&[]).ends_with(0);
    assert!(shown.text().contains("call: 1 records") && shown.text().contains("person: 1 records"), "{}", shown.text());
    assert_eq!(count(&bench), 3, "nothing has changed");
    bench.args(&["hold", "add", "case", "--matter", "m", "--participant", &person.name]).ends_with(0);
    erase(&[]).ends_with(2).telling("the hold 'case' forbids it");
    erase(&["--yes"]).ends_with(2).telling("the hold 'case' forbids it");
    assert_eq!(count(&bench), 3);
    bench.args(&["hold", "release", "case", "--reason", "settled"]).ends_with(0);

    let done = erase(&["--yes"]).ends_with(0);
    assert!(done.text().contains("disposed of 3 records"), "{}", done.text());
    for word in words {
        assert_eq!(files_with(&bench, word.as_bytes()), [] as [String; 0], "{word} is still there");
    }
    for piece in pieces {
        assert_eq!(files_with(&bench, &piece), [] as [String; 0]);
    }
    let summary = bench.run("verify --format json").ends_with(0).json();
    assert_eq!((&summary["disposed"], &summary["notes"]), (&3.into(), &serde_json::json!([])), "{summary}");
    assert_eq!(proofs(&Archive::open(&Folder::new(&bench.archive())).unwrap()), before, "proofs of old still hold");
    assert_eq!(count(&bench), 1);
    bench.run("show other").ends_with(0);
    for id in ["call", "row", &person.id] {
        bench.run(&format!("show {id}")).ends_with(2).telling("was disposed of on").telling("ledger entry");
        bench.run(&format!("show {id} --version 1")).ends_with(2).telling("was disposed of on");
    }

    // Graph still lists all of it, and has it.
    let asked = bench.simulator.requests().of_records();
    bench.sync();
    assert_eq!(bench.simulator.requests().of_records(), asked, "what was disposed of is not fetched again");
    assert_eq!(count(&bench), 1);
    assert_eq!(bench.run("status --format json").json()["sources"][0]["queued"], 0);
    bench.run("reindex").ends_with(0);
    assert_eq!(files_with(&bench, person.upn.as_bytes()), [] as [String; 0]);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
    erase(&["--yes"]).ends_with(2).telling("the archive knows nobody");
}

/// How many calls are due and not held.
fn due(bench: &Bench) -> u64 {
    let text = bench.run("retention apply").ends_with(0).text();
    let (_, rest) = text.split_once("call: ").unwrap();
    rest.split_once(" records").unwrap().0.parse().unwrap()
}

#[test]
fn rules_dispose_of_what_is_due_out_of_sealed_months_too_and_a_hold_wins() {
    let bench = grown_unsealed(company(6, 20));
    bench.run("seal --level 3").ends_with(0);
    bench.run("retention apply").ends_with(2).telling("no rule of retention is in force");
    let hits = bench.run("query --limit 0 --sort oldest --format json").ends_with(0).json();
    let hits = hits.as_array().unwrap();
    let ids: Vec<&str> = hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect();
    set(&bench, "[[disposal.rule]]\nkind = 'call'\ntype = 'peerToPeer'\nkeep = '5w'\n");
    bench.run("retention apply").ends_with(2).telling("no rule of retention is in force");
    bench.run("retention set").ends_with(0);
    let held = hits.iter().find(|hit| hit["type"] == "peerToPeer").unwrap()["id"].as_str().unwrap();
    bench.args(&["hold", "add", "one", "--matter", "m", &format!("id:{held}")]).ends_with(0);
    let peers = due(&bench) + 1;
    assert!(peers > 2 && peers < ids.len() as u64, "{peers} of {}", ids.len());
    let shown = bench.run("retention show").ends_with(0).text();
    assert!(shown.contains("call of type peerToPeer: 35 days") && shown.contains("held: 1 records"), "{shown}");
    let kept = bench.run(&format!("show {held} --raw")).ends_with(0).line();
    let before = bench.run("export --format ndjson --versions all").ends_with(0).text();
    bench.run("retention apply --dry-run").ends_with(0);
    assert_eq!(bench.run("export --format ndjson --versions all").ends_with(0).text(), before);

    let certificate = bench.beside("certificate.json").display().to_string();
    bench.args(&["retention", "apply", "--yes", "--certificate", &certificate]).ends_with(0);
    let certificate: Value = serde_json::from_str(&fs::read_to_string(certificate).unwrap()).unwrap();
    assert_eq!(certificate["records"], peers - 1);
    assert_eq!(certificate["held_back"][0]["records"], 1);
    assert_eq!(certificate["sealed_files_made_anew"].as_array().unwrap().len(), 1);
    assert!(certificate["checkpoint"].as_str().unwrap().starts_with("callvault/"));
    let again = bench.run(&format!("retention certificate {}", certificate["entry"])).ends_with(0).json();
    assert_eq!(again, certificate);
    assert_eq!(count(&bench), ids.len() as u64 - peers + 1);
    assert_eq!(bench.raw(held), kept);
    let after = bench.run("export --format ndjson --versions all").ends_with(0).text();
    assert!(
        after.lines().all(|line| before.lines().any(|other| other == line)),
        "what stays is letter for letter what it was"
    );
    let sealed = files_under(&bench.archive().join("sealed"));
    assert_eq!(sealed.len(), 2, "one file and its manifest: {sealed:?}");
    let gone =
        hits.iter().find(|hit| hit["type"] == "peerToPeer" && hit["id"] != held).unwrap()["id"].as_str().unwrap();
    bench.run(&format!("show {gone}")).ends_with(2).telling("by the rules of retention");
    let volume = sealed.iter().find(|file| file.extension().is_some_and(|ending| ending == "zst")).unwrap();
    let mut lines = Vec::new();
    zstd::stream::copy_decode(fs::File::open(volume).unwrap(), &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains(held) && !lines.contains(gone));
    let summary = bench.run("verify --format json").ends_with(0).json();
    assert_eq!(summary["notes"], serde_json::json!([]), "{summary}");
    bench.run("retention apply --yes").ends_with(0).telling("nothing is due that is not held");
    bench.run("seal").ends_with(0);
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
}

#[test]
fn rules_are_never_made_shorter_unseen() {
    let bench = holds::bench();
    let rules = |keep: &str| {
        fs::write(bench.beside("config.toml"), format!("[[disposal.rule]]\nkind = 'call'\nkeep = '{keep}'\n")).unwrap();
    };
    rules("10y");
    bench.run("retention set").ends_with(0);
    rules("9y");
    bench.run("retention apply --yes").ends_with(2).telling("not those of the config file");
    bench.run("retention set").ends_with(2).telling("--accept-shorter");
    bench.run("retention show").ends_with(0).telling("retention set");
    bench.run("retention set --accept-shorter").ends_with(0);
    rules("11y");
    bench.run("retention set").ends_with(0);
    bench.run("retention set").ends_with(0).telling("in force already");
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let sql = "SELECT group_concat(line ->> '$.version' || ':' || (line ->> '$.shorter'), ' ') FROM entries WHERE line LIKE '{\"op\":\"retention_set\"%'";
    let versions: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(versions, "1:1 2:1 3:0");
    rules("soon");
    bench.run("retention show").ends_with(2).telling("[[disposal.rule]] keep");
    rules("11y");
    assert_eq!(count(&bench), 2);
    bench.run("verify").ends_with(0);
}

#[test]
fn nothing_is_disposed_of_by_a_clock_that_no_sync_has_compared_for_long() {
    let bench = holds::bench();
    fs::write(bench.beside("config.toml"), "[[disposal.rule]]\nkind = 'call'\nkeep = '1d'\n").unwrap();
    bench.run("retention set --accept-shorter").ends_with(0);
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    // As if the clock had been set forty days ahead since.
    connection.execute("UPDATE run SET ended_ns = ended_ns - 40 * 86400 * 1000000000", []).unwrap();
    drop(connection);
    bench.run("retention apply --yes").ends_with(2).telling("a clock that is ahead").telling("--trust-clock");
    assert_eq!(count(&bench), 2);
    bench.run("retention apply --yes --trust-clock").ends_with(0);
    assert_eq!(count(&bench), 0);
}

/// The program as another user, whose everything is for the while.
fn as_another(bench: &Bench, line: &str) -> Ran {
    let own = |uid| {
        let files = files_under(&bench.beside(""))
            .into_iter()
            .chain(["", "home", "archive", "archive/index"].into_iter().map(|name| bench.beside(name)));
        files.for_each(|file| chown(&file, Some(uid), Some(uid)).unwrap());
    };
    fs::copy(env!("CARGO_BIN_EXE_callvault"), bench.beside("callvault")).unwrap();
    own(65534);
    let mut program = Command::new("setpriv");
    program.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(bench.beside("callvault"));
    program.arg("--archive").arg(bench.archive()).arg("--config").arg(bench.beside("config.toml"));
    program.env_clear().env("HOME", bench.beside("home")).args(line.split_whitespace());
    let child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ran = finish(child, line);
    own(0);
    ran
}

fn signing_writer(bench: &Bench) -> ArchiveWriter {
    let mut writer = ArchiveWriter::open(&Folder::new(&bench.archive()), bench.simulator.now()).unwrap();
    let key = PrivateKey::parse(&fs::read_to_string(bench.beside("ledger.key")).unwrap()).unwrap();
    writer.sign_with(Some(&key), bench.simulator.now()).unwrap();
    writer
}

/// Approves a plan as the program does when another user runs it.
fn approve_as(bench: &Bench, uid: u32, plan: &str, made_by: u32) {
    let mut writer = signing_writer(bench);
    let plan = Sha256::of(&fs::read(plan).unwrap());
    let refused = writer.approve_plan(plan, made_by, bench.simulator.now()).unwrap_err().to_string();
    assert!(refused.contains("a second person has to approve it"), "{refused}");
    writer.approve_plan(plan, uid, bench.simulator.now()).unwrap();
    writer.checkpoint().unwrap();
}

#[test]
fn a_second_person_approves_where_the_config_asks_for_it() {
    let own = rustix::process::geteuid().as_raw();
    approved_by(4711, &|bench, plan| approve_as(bench, 4711, plan, own));
}

#[test]
fn the_certificate_names_who_planned_and_approved_and_neither_can_be_forged_beside_the_ledger() {
    let bench = holds::bench();
    set(&bench, "[disposal]\napproval = true\n[[disposal.rule]]\nkind = 'call'\nkeep = '3d'\n");
    bench.run("retention set").ends_with(0);
    let plan = bench.beside("plan.json").display().to_string();
    bench.run(&format!("retention apply --plan {plan}")).ends_with(0);
    let forged = |sql: &str| Connection::open(bench.archive().join("archive.db")).unwrap().execute(sql, []).unwrap();
    forged("UPDATE plan SET approved_by = 4711");
    bench.run(&format!("retention apply --yes --plan {plan}")).ends_with(6).telling("no approval of the plan");
    forged("UPDATE plan SET approved_by = NULL, made_by = 4711");
    bench.run(&format!("retention apply --yes --plan {plan}")).ends_with(6).telling("not the plan that it is said");
    assert_eq!(count(&bench), 2);

    // Another plan, which is somebody else's.
    let text = fs::read_to_string(&plan).unwrap() + "\n";
    fs::write(&plan, &text).unwrap();
    let mut writer = signing_writer(&bench);
    writer.enter_plan(Sha256::of(text.as_bytes()), 1, 77, bench.simulator.now()).unwrap();
    writer.checkpoint().unwrap();
    drop(writer);
    approve_as(&bench, 4711, &plan, 77);
    let certificate = bench.beside("certificate.json").display().to_string();
    bench.run(&format!("retention apply --yes --plan {plan} --certificate {certificate}")).ends_with(0);
    let certificate: Value = serde_json::from_str(&fs::read_to_string(certificate).unwrap()).unwrap();
    let own = rustix::process::geteuid().as_raw();
    let said = ["planned_by", "approved_by", "carried_out_by"].map(|who| certificate[who].as_u64().unwrap());
    assert_eq!(said, [77, 4711, own.into()], "{certificate}");
}

#[test]
fn the_second_person_is_another_user_of_the_operating_system() {
    if rustix::process::geteuid().is_root() {
        approved_by(65534, &|bench, plan| drop(as_another(bench, &format!("retention approve {plan}")).ends_with(0)));
    }
}

fn approved_by(uid: u32, approve: &dyn Fn(&Bench, &str)) {
    let bench = holds::bench();
    set(&bench, "[disposal]\napproval = true\n[[disposal.rule]]\nkind = 'call'\nkeep = '3d'\n");
    bench.run("retention set").ends_with(0);
    bench.run("retention apply --yes").ends_with(2).telling("a second person has to approve");
    let plan = bench.beside("plan.json").display().to_string();
    bench.run(&format!("retention apply --plan {plan}")).ends_with(0);
    let written: Value = serde_json::from_str(&fs::read_to_string(&plan).unwrap()).unwrap();
    assert_eq!(written["records"].as_array().unwrap().len(), 1);
    assert_eq!(written["records"][0]["id"], "first");
    bench.run(&format!("retention apply --yes --plan {plan}")).ends_with(2).telling("nobody has approved it");
    bench.run(&format!("retention approve {plan}")).ends_with(2).telling("a second person has to approve it");
    approve(&bench, &plan);
    let text = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, text.replace("first", "other")).unwrap();
    bench.run(&format!("retention apply --yes --plan {plan}")).ends_with(2).telling("its file was changed since");
    fs::write(&plan, text).unwrap();
    bench.run(&format!("retention apply --yes --plan {plan}")).ends_with(0);
    assert_eq!(count(&bench), 1);
    bench.run(&format!("retention apply --yes --plan {plan}")).ends_with(2).telling("it was carried out already");
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let sql = "SELECT line ->> '$.approved_by' FROM entries WHERE line LIKE '{\"op\":\"purged\"%'";
    assert_eq!(connection.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap(), uid);
    let sql = "SELECT certificate, seq FROM purge";
    let (certificate, seq): (String, i64) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let certificate: Value = serde_json::from_str(&certificate).unwrap();
    assert_eq!((&certificate["approved_by"], &certificate["finished"]), (&uid.into(), &true.into()));
    // As where the disk had no room to write the database anew.
    connection.execute("UPDATE purge SET finished = 0", []).unwrap();
    let told = bench.run(&format!("retention certificate {seq}")).ends_with(3).telling("retention finish").json();
    assert_eq!(told["finished"], false);
    bench.run("retention finish").ends_with(0);
    assert_eq!(bench.run(&format!("retention certificate {seq}")).ends_with(0).json(), certificate);
    bench.run("verify").ends_with(0);
}

#[test]
fn what_is_taken_away_without_a_disposal_is_found() {
    let take = "PRAGMA foreign_keys = OFF; UPDATE record SET newest_seq = NULL, derived = NULL WHERE id = 'second';
        DELETE FROM hit WHERE record_id = (SELECT record_id FROM record WHERE id = 'second');
        CREATE TEMP TABLE taken AS SELECT * FROM version WHERE record_id = (SELECT record_id FROM record WHERE id = 'second');
        DELETE FROM version WHERE seq IN (SELECT seq FROM taken);";
    for bury in [
        "INSERT INTO purged SELECT seq, record_id, version, (SELECT max(seq) FROM purge) FROM taken;",
        "INSERT INTO purge (seq, finished) SELECT max(seq), 1 FROM ledger;
         INSERT INTO purged SELECT seq, record_id, version, (SELECT max(seq) FROM purge) FROM taken;",
        "",
    ] {
        let bench = holds::bench();
        set(&bench, "[[disposal.rule]]\nkind = 'call'\nkeep = '3d'\n");
        bench.run("retention set").ends_with(0);
        bench.run("retention apply --yes").ends_with(0);
        bench.run("verify").ends_with(0);
        let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
        connection.execute_batch(&format!("{take}{bury}")).unwrap();
        let found = bench.run("verify --format json").ends_with(6).json();
        let wanted = if bury.is_empty() { "missing" } else { "disposal" };
        assert!(found["findings"].as_array().unwrap().iter().any(|finding| finding["what"] == wanted), "{found}");
    }
}

#[test]
fn a_disposal_killed_at_random_points_is_whole_or_not_at_all_and_is_finished_later() {
    let bench = grown_unsealed(company(12, 20));
    bench.run("seal --level 3").ends_with(0);
    set(&bench, "[[disposal.rule]]\nkind = 'call'\ntype = 'peerToPeer'\nkeep = '5w'\n");
    bench.run("retention set").ends_with(0);
    let before = count(&bench);
    let due = due(&bench);
    let mut killed = 0;
    for longest_ms in [40, 80, 120, 160, 200, 250, 300, 400] {
        killed += kill_at_random(&bench, "retention apply --yes", 1, longest_ms);
        assert!([before, before - due].contains(&count(&bench)), "a part of it");
    }
    assert!(killed > 0, "no kill met a running disposal");
    bench.run("retention apply --yes").ends_with(0);
    bench.run("retention finish").ends_with(0);
    assert_eq!(count(&bench), before - due);
    bench.run("seal").ends_with(0);
    let summary = bench.run("verify --format json").ends_with(0).json();
    assert_eq!(summary["notes"], serde_json::json!([]), "{summary}");
    assert_eq!(files_under(&bench.archive().join("sealed")).len(), 2);
    assert_ledger_is_gapless(&bench);
}
