//! The signed ledger from outside: checkpoints that others keep, the key, and what is told when either is not what it should be.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use callvault::{
    model::time::Age,
    proof::{
        checkpoint::Checkpoint,
        note::{Note, PublicKey},
        tree,
    },
    simulate::Planted,
};
use rusqlite::Connection;

use crate::{
    package,
    support::{Bench, CONFIG, ago, bytes_of, company, empty},
};

fn ledger_settings(bench: &Bench, lines: &str) {
    fs::write(bench.beside("config.toml"), format!("{CONFIG}\n[ledger]\n{lines}\n")).unwrap();
}

fn read(note: &str) -> Checkpoint {
    Checkpoint::of_note(&Note::parse(note).unwrap()).unwrap()
}

fn key(bench: &Bench) -> PublicKey {
    PublicKey::parse(&bench.run("key").ends_with(0).line()).unwrap()
}

fn a_later_call(bench: &Bench, id: &str) {
    bench.simulator.plant(Planted::meeting(id, ago(Age::hours(5))));
    bench.simulator.advance(Age::hours(1));
    bench.sync();
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn every_sync_leaves_a_checkpoint_that_only_the_key_can_make() {
    let bench = Bench::new(company(4, 3));
    bench.sync();
    assert_eq!(fs::metadata(bench.beside("ledger.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let first = bench.run("checkpoint").ends_with(0).text();
    assert!(Note::parse(&first).unwrap().is_signed_by(&key(&bench)));
    a_later_call(&bench, "5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6");
    let second = bench.run("checkpoint").ends_with(0).text();
    let (old, new) = (read(&first), read(&second));
    assert!(new.size > old.size && new.origin == old.origin);
    // The proof that the one is the beginning of the other, checked by arithmetic alone.
    let kept = bench.beside("kept.txt");
    write(&kept, &first);
    let proof = bench.args(&["checkpoint", "consistency", kept.to_str().unwrap()]).ends_with(0).text();
    let path: Vec<[u8; 32]> = proof
        .lines()
        .map(|line| {
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, line).unwrap().try_into().unwrap()
        })
        .collect();
    assert!(tree::is_consistent((old.size, &old.root), (new.size, &new.root), &path));
    bench.args(&["verify", "--against", kept.to_str().unwrap()]).ends_with(0);
    let list = bench.run("checkpoint list").ends_with(0).text();
    assert!(list.contains(&first) && list.contains(&second), "{list}");
}

#[test]
fn checkpoints_go_where_the_config_says_and_an_older_archive_put_back_is_found_by_them() {
    let bench = Bench::new(company(4, 3));
    let worm = bench.beside("worm");
    fs::create_dir(&worm).unwrap();
    let posted = bench.beside("posted");
    ledger_settings(
        &bench,
        &format!(
            "checkpoint_file = {:?}\ncheckpoint_command = [\"sh\", \"-c\", \"cat >> {}\"]\ncheckpoint_stdout = true",
            worm.display().to_string(),
            posted.display()
        ),
    );
    let told = bench.run("sync").ends_with(0).text();
    let first = bench.run("checkpoint").ends_with(0).text();
    assert!(told.ends_with(&first), "{told}");
    let older = bytes_of(&bench.archive());
    a_later_call(&bench, "5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6");
    let second = bench.run("checkpoint").ends_with(0).text();
    assert_eq!(fs::read_to_string(&posted).unwrap(), format!("{first}{second}"));
    assert_eq!(fs::read_dir(&worm).unwrap().count(), 2);
    bench.run("verify").ends_with(0);
    for (file, bytes) in older {
        fs::write(bench.archive().join(file), bytes).unwrap();
    }
    let found = bench.run("verify").ends_with(6).text();
    assert!(found.contains("an older copy was put back"), "{found}");
    // A program that fails is told, and the sync is not whole.
    ledger_settings(&bench, "checkpoint_command = [\"false\"]");
    let fresh = Bench::new(company(4, 1));
    ledger_settings(&fresh, "checkpoint_command = [\"false\"]");
    fresh.run("sync").ends_with(3).telling("false: it ended with");
    ledger_settings(&fresh, "checkpoint_command = [\"true\"]");
    fresh.run("sync").ends_with(0);
}

#[test]
fn a_key_that_is_gone_keeps_no_record_out_and_is_told_until_somebody_decides() {
    let bench = Bench::new(company(4, 2));
    bench.sync();
    let (path, away) = (bench.beside("ledger.key"), bench.beside("away.key"));
    fs::rename(&path, &away).unwrap();
    bench.simulator.plant(Planted::meeting("5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6", ago(Age::hours(5))));
    bench.simulator.advance(Age::hours(1));
    bench.run("sync").ends_with(2).telling("nothing new is signed");
    bench.run("show 5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6").ends_with(0);
    assert!(!path.exists(), "no other key is made in its place");
    let found = bench.run("verify").ends_with(6).text();
    assert!(found.contains("covered by no checkpoint"), "{found}");
    // It is back, and signs nothing that it has not seen.
    fs::rename(&away, &path).unwrap();
    bench.run("sync").ends_with(6).telling("callvault checkpoint sign");
    bench.args(&["checkpoint", "sign", "--reason", "the key's disk was not mounted"]).ends_with(0);
    let whole = bench.run("verify").ends_with(0).text();
    assert!(whole.contains("signed later: the key's disk was not mounted"), "{whole}");
    bench.sync();
}

#[test]
fn a_key_is_replaced_by_both_and_a_lost_one_by_the_new_alone() {
    let bench = Bench::new(company(4, 2));
    bench.sync();
    let first = key(&bench);
    bench.run("key replace").ends_with(0);
    let second = key(&bench);
    assert!(!first.is_same_key(&second) && first.name() == second.name());
    assert!(bench.beside("ledger.key.former").exists() && !bench.beside("ledger.key.new").exists());
    let note = bench.run("checkpoint").ends_with(0).text();
    let note = Note::parse(&note).unwrap();
    assert!(note.is_signed_by(&first) && note.is_signed_by(&second));
    bench.run("verify").ends_with(0);
    bench.sync();
    bench.args(&["key", "replace", "--lost", "--reason", "x"]).ends_with(2).telling("is not lost");
    fs::remove_file(bench.beside("ledger.key")).unwrap();
    bench.args(&["key", "replace", "--lost", "--reason", "the machine burnt down"]).ends_with(0);
    let told = bench.run("verify").ends_with(0).text();
    assert!(told.contains("another key took over from one that was lost"), "{told}");
    // Who holds the former public key learns of it.
    let kept = bench.beside("public.txt");
    write(&kept, &second.to_string());
    bench.args(&["verify", "--key", kept.to_str().unwrap()]).ends_with(6);
    bench.sync();
}

#[test]
fn bad_keys_and_checkpoints_are_named_in_one_line() {
    let bench = Bench::new(company(4, 1));
    bench.run("key").ends_with(2);
    bench.run("checkpoint").ends_with(2);
    bench.sync();
    let file = bench.beside("bad.txt");
    write(&file, "no checkpoint\n");
    let name = file.to_str().unwrap();
    bench.args(&["verify", "--against", name]).ends_with(2).telling("it is no signed note");
    bench.args(&["verify", "--key", name]).ends_with(2).telling("it is no key");
    bench.args(&["checkpoint", "consistency", name]).ends_with(2).telling("it is no signed note");
    bench.args(&["verify", "--against", "/nowhere"]).ends_with(2).telling("/nowhere");
    bench.args(&["verify", "--subset", "13/12"]).ends_with(2);
    bench.args(&["checkpoint", "sign", "--reason", "x"]).ends_with(0).telling("signed already");
    fs::set_permissions(bench.beside("ledger.key"), fs::Permissions::from_mode(0o644)).unwrap();
    bench.run("sync").ends_with(2).telling("others can read it");
}

#[test]
fn what_graph_still_has_is_looked_for_and_a_record_taken_away_is_named() {
    let bench = Bench::new(empty());
    let ids = ["5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6", "6f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6"];
    for id in ids {
        bench.simulator.plant(Planted::meeting(id, ago(Age::days(8))));
    }
    bench.sync();
    let whole = bench.run("verify --against-source --format json").ends_with(0).json();
    assert_eq!((&whole["sources"][0]["listed"], &whole["sources"][0]["held"]), (&2.into(), &2.into()), "{whole}");
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    let sql = "PRAGMA foreign_keys = OFF; DELETE FROM record WHERE id = x'5f0c8d2e6b1a4c399e572d8b7a41c0f6'";
    connection.execute_batch(sql).unwrap();
    let found = bench.run("verify --against-source").ends_with(6).text();
    assert!(found.contains("Graph lists it, and the archive neither holds it"), "{found}");
}

/// A time-stamp authority on loopback: OpenSSL's, with a certificate of its own.
struct Authority {
    room: tempfile::TempDir,
    url: String,
}

fn openssl(room: &Path, args: &[&str]) -> Vec<u8> {
    let ran =
        std::process::Command::new("openssl").args(args).current_dir(room).output().expect("openssl is installed");
    assert!(ran.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

const TSA: &str = "[ext]\nextendedKeyUsage = critical,timeStamping\n[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = tsa.pem\n\
signer_key = tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\naccuracy = secs:1\nordering = yes\ntsa_name = yes\n\
ess_cert_id_chain = no\nclock_precision_digits = 3\n[req]\ndistinguished_name = dn\n[dn]\n";

impl Authority {
    fn start() -> Self {
        use std::io::{BufRead, BufReader, Read, Write};

        let room = tempfile::tempdir().unwrap();
        write(&room.path().join("tsa.cnf"), TSA);
        write(&room.path().join("serial"), "01\n");
        openssl(
            room.path(),
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "tsa.key",
                "-out",
                "tsa.pem",
                "-subj",
                "/CN=tsa",
                "-config",
                "tsa.cnf",
                "-extensions",
                "ext",
            ],
        );
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let folder = room.path().to_path_buf();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut bytes = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(length) = line.to_lowercase().strip_prefix("content-length: ") {
                        bytes = length.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut query = vec![0; bytes];
                reader.read_exact(&mut query).unwrap();
                fs::write(folder.join("query.tsq"), query).unwrap();
                openssl(
                    &folder,
                    &[
                        "ts",
                        "-reply",
                        "-config",
                        "tsa.cnf",
                        "-section",
                        "one",
                        "-queryfile",
                        "query.tsq",
                        "-out",
                        "answer.tsr",
                    ],
                );
                let answer = fs::read(folder.join("answer.tsr")).unwrap();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    answer.len()
                );
                let mut stream = reader.into_inner();
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer)).unwrap();
            }
        });
        Self { room, url }
    }
}

#[test]
fn an_authority_vouches_for_when_a_checkpoint_was_there_and_openssl_agrees() {
    let authority = Authority::start();
    let bench = Bench::new(company(4, 2));
    ledger_settings(&bench, &format!("timestamp_url = {:?}", authority.url));
    bench.sync();
    let folder = bench.beside("stamps");
    bench.args(&["checkpoint", "timestamps", folder.to_str().unwrap()]).ends_with(0);
    let note = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().unwrap() == "txt")
        .unwrap();
    let answer = note.with_extension("tsr");
    assert_eq!(fs::read_to_string(&note).unwrap(), bench.run("checkpoint").ends_with(0).text());
    openssl(
        authority.room.path(),
        &["ts", "-verify", "-data", note.to_str().unwrap(), "-in", answer.to_str().unwrap(), "-CAfile", "tsa.pem"],
    );
    bench.run("verify").ends_with(0);
    a_package_has_the_stamp(&authority, &bench, &fs::read(&answer).unwrap());
    // A stamp of something else is no stamp of this.
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    connection
        .execute("UPDATE checkpoint SET timestamp = (SELECT timestamp FROM checkpoint WHERE timestamp IS NOT NULL)", [])
        .unwrap();
    drop(connection);
    let found = bench.run("verify").ends_with(6).text();
    assert!(found.contains("it is about something else"), "{found}");
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    connection.execute("UPDATE checkpoint SET timestamp = x'3003'", []).unwrap();
    drop(connection);
    bench.run("export --package none").ends_with(6).telling("has a time stamp of which is to be said");
    // An authority that is not there: told, and done with the next checkpoint.
    let fresh = Bench::new(company(4, 1));
    ledger_settings(&fresh, "timestamp_url = \"http://127.0.0.1:9/\"");
    fresh.run("sync").ends_with(3).telling("the time-stamp authority http://127.0.0.1:9/");
    ledger_settings(&fresh, "timestamp_url = \"http://tsa.example.com/\"");
    a_later_call_is_stamped_by_nobody(&fresh);
}

/// The stamp is in a package, `openssl` believes it there, and another one in its place is found.
fn a_package_has_the_stamp(authority: &Authority, bench: &Bench, answer: &[u8]) {
    let folder = bench.beside("package");
    let [path, folder_text] =
        [&folder.join("data/timestamps/checkpoint.tsr"), &folder].map(|path| path.to_str().unwrap().to_owned());
    bench.args(&["export", "--package", &folder_text]).ends_with(0);
    assert_eq!(fs::read(&path).unwrap(), answer);
    let note = folder.join("data/checkpoint.txt");
    let verified = ["ts", "-verify", "-data", note.to_str().unwrap(), "-in", &path, "-CAfile", "tsa.pem"];
    openssl(authority.room.path(), &verified);
    let summary = bench.args(&["verify", "--format", "json", "--package", &folder_text]).ends_with(0).json();
    let manifest = fs::read_to_string(folder.join("data/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert!(summary["timestamp"].is_string() && summary["timestamp"] == manifest["timestamp"], "{summary}");
    let script = std::process::Command::new("python3").arg("tests/check_package.py").arg(&folder).output().unwrap();
    assert!(script.status.success(), "{script:?}");
    // Another answer, with checksums that fit.
    let mut files = package::files(&folder);
    files.insert("data/timestamps/checkpoint.tsr".into(), answer.iter().rev().copied().collect());
    let changed = bench.beside("changed");
    package::write(&changed, &package::with_new_sums(files));
    let found = bench.args(&["verify", "--package", changed.to_str().unwrap()]).ends_with(6).text();
    assert!(found.contains("data/timestamps/checkpoint.tsr: the time stamp: "), "{found}");
}

fn a_later_call_is_stamped_by_nobody(bench: &Bench) {
    bench.simulator.plant(Planted::meeting("7f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6", ago(Age::hours(5))));
    bench.simulator.advance(Age::hours(1));
    bench.run("sync").ends_with(3).telling("plain http is taken of loopback addresses only");
}

#[test]
fn damage_of_the_key_s_entry_keeps_no_record_out() {
    let bench = Bench::new(company(4, 2));
    bench.sync();
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    connection.execute("UPDATE ledger SET entry = replace(entry, 'callvault/', 'x') WHERE seq = 2", []).unwrap();
    drop(connection);
    let key = fs::read(bench.beside("ledger.key")).unwrap();
    bench.simulator.plant(Planted::meeting("5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6", ago(Age::hours(5))));
    bench.simulator.advance(Age::hours(1));
    bench.run("sync").ends_with(6);
    bench.run("show 5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6").ends_with(0);
    bench.run("verify").ends_with(6);
    assert_eq!(fs::read(bench.beside("ledger.key")).unwrap(), key, "no other key is made for it");
}

#[test]
fn a_checkpoint_that_was_put_somewhere_and_is_none_any_more_is_a_finding() {
    let bench = Bench::new(company(4, 1));
    let file = bench.beside("newest.txt");
    ledger_settings(&bench, &format!("checkpoint_file = {:?}", file.display().to_string()));
    bench.sync();
    bench.run("verify").ends_with(0);
    write(&file, "rubbish\n");
    let found = bench.run("verify").ends_with(6).text();
    assert!(found.contains("newest.txt: it is no signed note"), "{found}");
    fs::remove_file(&file).unwrap();
    bench.run("verify").ends_with(0).telling("there is no checkpoint to compare with");
}
