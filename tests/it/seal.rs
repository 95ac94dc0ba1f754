//! Months that are over move into files of their own, and whoever reads the archive notices nothing but its size.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use callvault::{
    archive::{Archive, Folder},
    model::{
        document::Part,
        id::Seq,
        month::Month,
        time::{Age, Timestamp},
    },
    simulate::Settings,
};
use rusqlite::Connection;
use serde_json::Value;

use crate::{
    crash::assert_ledger_is_gapless,
    support::{Bench, bytes_of, company, files_under, mild},
};

/// The first instant of the month that has just gone by, of the month before it, and so on.
fn month_before(n: u32) -> Month {
    let mut begin = Month::of(Timestamp::now()).span().from;
    for _ in 1..=n {
        begin = Month::of(begin - Age::days(1)).span().from;
    }
    Month::of(begin)
}

fn without_sealing(bench: &Bench) {
    set(bench, "[seal]\nwhen_due = false\n");
}

fn set(bench: &Bench, lines: &str) {
    let file = bench.beside("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{text}{lines}")).unwrap();
}

fn exported(bench: &Bench) -> String {
    bench.run("export --format ndjson --versions all").ends_with(0).text()
}

/// Every ledger line.
fn ledger(bench: &Bench) -> Vec<String> {
    let archive = Archive::open(&Folder::new(&bench.archive())).unwrap();
    archive.entries_after(Seq(0), usize::MAX).unwrap().into_iter().map(|(_, line)| line).collect()
}

fn sealed_files(bench: &Bench) -> Vec<PathBuf> {
    let folder = bench.archive().join("sealed");
    if folder.is_dir() { files_under(&folder) } else { Vec::new() }
}

fn volumes(bench: &Bench) -> Vec<PathBuf> {
    sealed_files(bench)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "zst"))
        .collect()
}

/// Frames left in the database of what is sealed.
fn frames_left(bench: &Bench) -> i64 {
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let sql = "SELECT count(*) FROM sealed JOIN version USING (seq) WHERE frame IS NOT NULL";
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn database_bytes(bench: &Bench) -> u64 {
    bench.run("status --format json").json()["database_bytes"].as_u64().unwrap()
}

#[test]
fn a_sync_seals_a_month_that_is_over_and_every_command_goes_on_as_before() {
    let bench = Bench::new(Settings {
        start_clock: Some(month_before(3).span().from + Age::days(22)),
        days: 20,
        ..company(8, 20)
    });
    bench.run("sync").ends_with(0);
    assert_eq!(sealed_files(&bench), [] as [PathBuf; 0], "nothing is over yet");
    bench.simulator.advance(Age::days(28));
    without_sealing(&bench);
    bench.run("sync").ends_with(0);
    bench.simulator.advance(Age::days(28));
    bench.run("sync").ends_with(0);
    let (before, before_ledger, bytes) = (exported(&bench), ledger(&bench), database_bytes(&bench));

    fs::write(bench.beside("config.toml"), "[graph]\nrequests_per_20s = 30000\n[seal]\nlevel = 3\n").unwrap();
    let sync = bench.run("sync").ends_with(0);
    let month = month_before(3);
    assert!(sync.text().contains(&format!("sealed sealed/{month}/parts.ndjson.zst: ")), "{}", sync.text());
    assert_eq!(frames_left(&bench), 0);
    assert_eq!(exported(&bench), before);
    let after = ledger(&bench);
    assert_eq!(&after[..before_ledger.len()], before_ledger);
    let entry: Value = serde_json::from_str(after.iter().find(|line| line.contains("sealed")).unwrap()).unwrap();
    assert_eq!((&entry["op"], &entry["file"]), (&"sealed".into(), &format!("sealed/{month}/parts.ndjson.zst").into()));
    bench.run("verify").ends_with(0);
    assert_ledger_is_gapless(&bench);
    assert!(database_bytes(&bench) < bytes, "the database gives its room back");

    let status = bench.run("status --format json").json();
    let sealed = &status["sealed"][0];
    assert_eq!((&sealed["month"], &sealed["versions"]), (&month.to_string().into(), &entry["versions"]));
    assert_eq!(status["sources"][0]["sealed_versions"], entry["versions"]);
    assert!(status["sealed_bytes"].as_u64().unwrap() > sealed["bytes"].as_u64().unwrap());
    assert!(bench.run("status").text().contains(&format!("sealed {month} to ")));
    for file in sealed_files(&bench) {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o400, "{}", file.display());
    }

    // Of a record of that month every command says what it said.
    let oldest = bench.run("query --sort oldest --limit 1 --format ndjson").ends_with(0).json();
    let id = oldest["id"].as_str().unwrap();
    assert!(before.contains(&bench.raw(id)));
    assert!(
        bench.run(&format!("show {id} --versions")).ends_with(0).text().contains(&format!("in sealed/{month}/parts"))
    );
    bench.run(&format!("show {id}")).ends_with(0);
    bench.run(&format!("show {id} --links")).ends_with(0);
    bench.run("reindex").ends_with(0);
    assert_eq!(exported(&bench), before);
    bench.run("verify").ends_with(0);
    bench.run("verify --quick").ends_with(0);
    // And nothing is left to do.
    bench.run("sync").ends_with(0);
    assert_eq!(bench.run("seal --format json").ends_with(0).json()["sealed"], Value::Array(Vec::new()));
}

#[test]
fn seal_says_what_it_would_do_and_refuses_a_month_that_can_still_change() {
    let bench = grown_unsealed(company(6, 20));
    let (before, database) = (exported(&bench), fs::read(bench.archive().join("archive.db")).unwrap());
    let dry = bench.run("seal --dry-run --format json").ends_with(0).json();
    let month = month_before(3);
    assert_eq!((&dry["due"][0]["month"], &dry["sealed"]), (&month.to_string().into(), &Value::Array(Vec::new())));
    assert!(bench.run("seal --dry-run").ends_with(0).text().contains(&format!("{month}: ")));
    assert!(fs::read(bench.archive().join("archive.db")).unwrap() == database, "a dry run changes nothing");
    assert_eq!((exported(&bench), sealed_files(&bench)), (before, Vec::new()));
    let young = Month::of(bench.simulator.now());
    let newest = Month::of(
        Timestamp::parse(bench.run("query --limit 1 --format ndjson").json()["start"].as_str().unwrap()).unwrap(),
    );
    bench.run(&format!("seal --month {newest}")).ends_with(2).telling("Graph may have calls of it until");
    bench.run(&format!("seal --month {}", young.next())).ends_with(0).telling("nothing is to be sealed");
    bench.run("seal --month soon").ends_with(2).telling("soon");
    bench.run("seal --level 23").ends_with(2).telling("level");
    set(&bench, "level = 99\n");
    bench.run("seal").ends_with(2).telling("[seal] level: 99");
}

/// A tenant whose month three months ago is over, and that can still be had some days of: pulled, nothing sealed yet.
pub(crate) fn grown_unsealed(settings: Settings) -> Bench {
    let began = month_before(3).span().from + Age::days(22);
    let bench = Bench::new(Settings { start_clock: Some(began), days: 20, ..settings });
    without_sealing(&bench);
    bench.run("sync --source calls").ends_with(0);
    for _ in 0..2 {
        bench.simulator.advance(Age::days(25));
        bench.run("sync --source calls").ends_with(0);
    }
    bench
}

#[test]
fn what_comes_late_to_a_sealed_month_stays_open_until_somebody_seals_it_into_a_second_file() {
    let bench = grown_unsealed(company(4, 20));
    bench.run("seal").ends_with(0);
    let month = month_before(3);
    let first = bytes_of(&bench.archive().join("sealed"));
    // As if a version had been had after all: one of a sealed record, stored by other means.
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let (seq, record_id): (i64, i64) = connection
        .query_row("SELECT seq, record_id FROM sealed JOIN version USING (seq) ORDER BY seq LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    drop(connection);
    late_version(&bench, seq, record_id);
    bench.run("verify").ends_with(0);
    let whole = exported(&bench);
    // A sync leaves it alone, seal takes it.
    fs::write(bench.beside("config.toml"), "[graph]\nrequests_per_20s = 30000\n").unwrap();
    bench.run("sync --source calls").ends_with(0);
    assert_eq!(volumes(&bench).len(), 1);
    let sealed = bench.run("seal --format json").ends_with(0).json();
    assert_eq!(sealed["sealed"][0]["file"], format!("sealed/{month}/parts-2.ndjson.zst"));
    assert_eq!(sealed["sealed"][0]["versions"], 1);
    let now = bytes_of(&bench.archive().join("sealed"));
    assert!(first.iter().all(|(file, bytes)| now.get(file) == Some(bytes)), "what was sealed is never written again");
    assert_eq!(exported(&bench), whole);
    bench.run("verify").ends_with(0);
    bench
        .args(&["verify", "--sealed", &bench.archive().join(format!("sealed/{month}")).display().to_string()])
        .ends_with(0);
}

#[test]
fn what_somebody_put_where_a_sealing_was_cut_off_is_not_taken_for_its_leavings() {
    let bench = grown_unsealed(company(6, 12));
    let whole = exported(&bench);
    let month = month_before(3);
    let folder = bench.archive().join(format!("sealed/{month}"));
    fs::create_dir_all(&folder).unwrap();
    // A sealing died after it had written its name down, and a file came under that name by other means.
    let foreign = folder.join("parts-7.ndjson.zst");
    fs::write(&foreign, "of somebody else").unwrap();
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let insert =
        "INSERT INTO volume (month, n, bytes, sha256, manifest_sha256) VALUES (?1, 7, 3, zeroblob(32), zeroblob(32))";
    connection.execute(insert, [month.to_string()]).unwrap();
    drop(connection);
    bench.run("seal").ends_with(0);
    assert_eq!(fs::read(&foreign).unwrap(), b"of somebody else");
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let left: i64 =
        connection.query_row("SELECT count(*) FROM volume WHERE seq IS NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    assert_eq!(volumes(&bench).len(), 2, "the sealing went on all the same");
    assert_eq!(exported(&bench), whole);
    fs::remove_file(&foreign).unwrap();
    bench.run("verify").ends_with(0);
}

/// Stores a further version of a record through the library's own door.
fn late_version(bench: &Bench, seq: i64, record_id: i64) {
    use callvault::{
        archive::{ArchiveWriter, batch::Prepared, frame::FrameWriter},
        model::id::Version,
    };
    let folder = Folder::new(&bench.archive());
    let stored = Archive::open(&folder).unwrap().version_reader().read(Seq(seq)).unwrap();
    let mut document = stored.document;
    document.version = Version(1000);
    let mut writer = ArchiveWriter::open(&folder, bench.simulator.now()).unwrap();
    let key = std::fs::read_to_string(bench.beside("ledger.key")).unwrap();
    let key = callvault::proof::note::PrivateKey::parse(&key).unwrap();
    writer.sign_with(Some(&key), bench.simulator.now()).unwrap().trouble().unwrap();
    let dictionary = writer.dictionary().unwrap();
    let mut frames = FrameWriter::new(dictionary.as_ref()).unwrap();
    writer.keep(&[Prepared::new(&document, &mut frames).unwrap()]).unwrap();
    drop(writer);
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let versions: i64 = connection
        .query_row("SELECT count(*) FROM version WHERE record_id = ?1", [record_id], |row| row.get(0))
        .unwrap();
    assert!(versions > 1);
    callvault::follow::catch_up(&Archive::open(&folder).unwrap()).unwrap();
}

#[test]
fn a_sealed_file_that_is_missing_or_altered_is_named_and_put_back_all_is_well() {
    let bench = grown_unsealed(company(5, 20));
    bench.run("seal").ends_with(0);
    let volume = volumes(&bench).remove(0);
    let manifest = volume.with_file_name("manifest.json");
    let whole = exported(&bench);
    let name = format!("sealed/{}/parts.ndjson.zst", month_before(3));
    let id = bench.run("query --sort oldest --limit 1 --format ndjson").json()["id"].as_str().unwrap().to_owned();
    let elsewhere = bench.beside("elsewhere.zst");
    fs::rename(&volume, &elsewhere).unwrap();
    let findings = bench.run("verify --format json").ends_with(6).json();
    assert_eq!(findings["findings_count"], 1, "one file, one finding: {findings}");
    assert_eq!(
        (&findings["findings"][0]["what"], &findings["findings"][0]["file"]),
        (&"sealed".into(), &name.clone().into())
    );
    for line in [format!("show {id} --raw"), "export --format ndjson".to_owned(), "verify --quick".to_owned()] {
        let ran = bench.run(&line).ends_with(6);
        assert!(ran.stderr.contains(&name) || ran.text().contains(&name), "{line}: {ran:?}");
    }
    // What needs no body of it works on.
    bench.run("query --count").ends_with(0);
    bench.run("reindex").ends_with(6).telling(&name);

    fs::copy(&elsewhere, &volume).unwrap();
    bench.run("sync --source calls").ends_with(0);
    assert_eq!(exported(&bench), whole);
    bench.run("verify").ends_with(0);

    let bytes = fs::read(&volume).unwrap();
    for (file, at) in [(&volume, bytes.len() / 2), (&volume, bytes.len() - 20), (&manifest, 40)] {
        let good = fs::read(file).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(file, bad).unwrap();
        let relative = format!("sealed/{}/{}", month_before(3), file.file_name().unwrap().to_string_lossy());
        let verified = bench.run("verify").ends_with(6);
        assert!(verified.text().contains(&relative), "{}", verified.text());
        let folder = volume.parent().unwrap().display().to_string();
        bench.args(&["verify", "--sealed", &folder]).ends_with(6);
        fs::write(file, good).unwrap();
        bench.args(&["verify", "--sealed", &folder]).ends_with(0);
    }
    bench.run("verify").ends_with(0);

    let place = |change: &str| {
        let database = rusqlite::Connection::open(bench.archive().join("archive.db")).unwrap();
        let sql =
            format!("UPDATE sealed SET frame_bytes = frame_bytes {change} WHERE seq = (SELECT max(seq) FROM sealed)");
        assert_eq!(database.execute(&sql, []).unwrap(), 1);
    };
    place("+ 1");
    assert!(bench.run("verify").ends_with(6).text().contains("a frame that the file does not have"));
    place("- 1");
    bench.run("verify").ends_with(0);
    bench.run("verify --sealed /no/such/folder").ends_with(2).telling("/no/such/folder");
    fs::write(volume.with_file_name("parts-7.ndjson.zst"), "of somebody else").unwrap();
    assert!(bench.run("verify").ends_with(0).text().contains("knows nothing of sealed/"));
}

#[test]
fn standard_tools_read_every_line_of_a_sealed_month_and_a_copy_is_checked_alone() {
    let bench = grown_unsealed(company(5, 20));
    bench.run("seal").ends_with(0);
    let volume = volumes(&bench).remove(0);
    let copy = bench.beside("write-once");
    fs::create_dir(&copy).unwrap();
    for file in sealed_files(&bench) {
        fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
    }
    let checked = bench.args(&["verify", "--sealed", copy.to_str().unwrap(), "--format", "json"]).ends_with(0).json();
    let lines = run("zstd", &["-dc", volume.to_str().unwrap()]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(checked[0]["lines"], lines.len());
    let records: BTreeMap<&str, &Value> = lines
        .iter()
        .filter(|line| line["what"] == "record")
        .map(|line| (line["id"].as_str().unwrap(), &line["body"]))
        .collect();
    for (id, body) in records {
        assert_eq!(body["id"], id);
    }
    let listed = run("zstd", &["-l", volume.to_str().unwrap()]);
    assert!(listed.contains(".zst"), "{listed}");
}

fn run(program: &str, args: &[&str]) -> String {
    let ran = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(ran.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn a_reader_of_a_hundred_lines_that_shares_nothing_with_us_reads_open_and_sealed_months() {
    let bench = grown_unsealed(company(5, 20));
    bench.run("seal").ends_with(0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_archive.py");
    assert!(fs::read_to_string(&script).unwrap().lines().count() < 100);
    let read = run("python3", &[script.to_str().unwrap(), bench.archive().to_str().unwrap()]);
    let folder = Folder::new(&bench.archive());
    let archive = Archive::open(&folder).unwrap();
    let mut reader = archive.version_reader();
    let mut expected = String::new();
    let mut sealed = 0;
    for seq in archive.version_seqs_after(Seq(0), usize::MAX).unwrap() {
        let stored = reader.read(seq).unwrap();
        sealed += u64::from(stored.info.sealed.is_some());
        for part in &stored.document.parts {
            let info = &stored.info;
            expected += &format!(
                "{seq} {} {} {} {} {} {}\n",
                info.key.kind,
                info.key.id,
                info.version,
                part.what.name().replace(' ', "_"),
                part.sha256,
                part.body.len()
            );
        }
    }
    assert!(sealed > 0 && sealed < expected.lines().count() as u64 / 2);
    assert_eq!(read, expected);
    let seqs = archive.version_seqs_after(Seq(0), usize::MAX).unwrap();
    for Seq(seq) in [seqs[0], seqs[seqs.len() - 1]] {
        let bodies = run("python3", &[script.to_str().unwrap(), bench.archive().to_str().unwrap(), &seq.to_string()]);
        let stored = reader.read(Seq(seq)).unwrap();
        let text = |part: &Part| String::from_utf8(part.body.clone()).unwrap() + "\n";
        assert_eq!(bodies, stored.document.parts.iter().map(text).collect::<String>());
        assert_eq!(
            bench.run(&format!("show {} --raw --version {}", stored.info.key.id, stored.info.version)).line(),
            stored.json
        );
    }
}

#[test]
fn a_database_that_an_older_program_made_gives_its_room_back_too() {
    let bench = grown_unsealed(company(5, 20));
    let whole = exported(&bench);
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    connection.execute_batch("PRAGMA auto_vacuum = none; VACUUM").unwrap();
    drop(connection);
    let bytes = database_bytes(&bench);
    bench.run("seal").ends_with(0);
    assert!(database_bytes(&bench) < bytes);
    assert_eq!((exported(&bench), frames_left(&bench)), (whole, 0));
    bench.run("verify").ends_with(0);
}

#[test]
fn readers_beside_a_sealing_never_fail() {
    let bench = grown_unsealed(Settings { weather: mild(callvault::simulate::Weather::calm()), ..company(12, 20) });
    let before = exported(&bench);
    let mut sealing = bench.start("seal --level 12");
    let mut read = 0;
    while sealing.try_wait().unwrap().is_none() || read == 0 {
        assert_eq!(exported(&bench), before);
        bench.run("verify").ends_with(0);
        read += 1;
    }
    assert_eq!(sealing.wait().unwrap().code(), Some(0));
    assert_eq!(exported(&bench), before);
    assert_eq!(frames_left(&bench), 0);
}
