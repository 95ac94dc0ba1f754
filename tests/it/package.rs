//! Audit packages: made over real HTTP and real files, and checked by whoever has nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use callvault::{
    model::{id::Sha256, time::Age},
    simulate::{Planted, Settings},
    verify,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::{
    logs::telephoning,
    support::{Bench, Ran, ago, bytes_of, company, empty, files_under},
};

fn package(bench: &Bench, flags: &str, name: &str) -> PathBuf {
    let folder = bench.beside(name);
    bench.run(&format!("export {flags} --package {}", folder.display())).ends_with(0);
    folder
}

fn check(bench: &Bench, folder: &Path) -> Ran {
    bench.run(&format!("verify --package {}", folder.display()))
}

/// Files by their paths within the package.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: PathBuf| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    bytes_of(folder).into_iter().map(|(path, bytes)| (name(path), bytes)).collect()
}

pub(crate) fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// All that a package says.
fn everything(folder: &Path) -> Vec<u8> {
    bytes_of(folder).into_values().collect::<Vec<_>>().concat()
}

fn text(folder: &Path, path: &str) -> String {
    fs::read_to_string(folder.join(path)).unwrap()
}

pub(crate) fn script(folder: &Path, key: Option<&Path>) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check_package.py");
    Command::new("python3").arg(script).arg(folder).args(key).output().unwrap()
}

/// Writes the checksums anew, as whoever changed something would: manifest.json, then the bag's.
pub(crate) fn with_new_sums(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut manifest: Value = serde_json::from_slice(&files["data/manifest.json"]).unwrap();
    let payload = |path: &String| path.starts_with("data/");
    let listed: serde_json::Map<String, Value> = files
        .iter()
        .filter(|(path, _)| payload(path) && *path != "data/manifest.json")
        .map(|(path, bytes)| {
            let sum = serde_json::json!({"bytes": bytes.len(), "sha256": Sha256::of(bytes).to_string()});
            (path.clone(), sum)
        })
        .collect();
    manifest["files"] = listed.into();
    // In the order in which callvault writes its members.
    let read: callvault::package::manifest::Manifest = serde_json::from_value(manifest).unwrap();
    files.insert("data/manifest.json".into(), read.text().into_bytes());
    let sums = |files: &BTreeMap<String, Vec<u8>>, wanted: &dyn Fn(&String) -> bool| {
        let lines = files.iter().filter(|(path, _)| wanted(path));
        lines.fold(String::new(), |text, (path, bytes)| text + &format!("{}  {path}\n", Sha256::of(bytes))).into_bytes()
    };
    let manifest = sums(&files, &payload);
    files.insert("manifest-sha256.txt".into(), manifest);
    let tags = sums(&files, &|path| !payload(path) && path != "tagmanifest-sha256.txt");
    files.insert("tagmanifest-sha256.txt".into(), tags);
    files
}

#[test]
fn a_package_holds_what_was_asked_and_is_checked_without_the_archive() {
    let bench = Bench::new(company(6, 12));
    bench.sync();
    let folder = package(&bench, "--type groupCall", "audit");
    let count: u64 = bench.run("query --type groupCall --count").line().parse().unwrap();
    let lines = bench.run("export --type groupCall --format ndjson").ends_with(0).text();
    assert_eq!(text(&folder, "data/records.ndjson"), lines);
    let key = bench.beside("key.txt");
    fs::write(&key, bench.run("key").ends_with(0).stdout).unwrap();
    fs::rename(bench.archive(), bench.beside("elsewhere")).unwrap();

    let summary = bench.run(&format!("verify --package {} --format json", folder.display())).ends_with(0).json();
    assert_eq!(summary["contents"]["records"], count);
    assert_eq!((&summary["findings_count"], &summary["is_signed"]), (&0.into(), &true.into()));
    let manifest: Value = serde_json::from_str(&text(&folder, "data/manifest.json")).unwrap();
    assert_eq!((&manifest["contents"], &manifest["query"]["types"][0]), (&summary["contents"], &"groupCall".into()));
    check(&bench, &folder).ends_with(0);
    bench.run(&format!("verify --package {} --key {}", folder.display(), key.display())).ends_with(0);

    // Tools that everybody has say the same.
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "manifest-sha256.txt", "tagmanifest-sha256.txt"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(sums.status.success(), "{sums:?}");
    let by_script = script(&folder, Some(&key));
    assert!(by_script.status.success(), "{by_script:?}");
    assert!(String::from_utf8(by_script.stdout).unwrap().starts_with(&format!("whole: {count} records, ")));

    // Each record has its own file, which the load files name.
    for (n, line) in (1..).zip(lines.lines()) {
        assert_eq!(text(&folder, &format!("data/load/natives/CV{n:08}.json")), format!("{line}\n"));
    }
    let dat = text(&folder, "data/load/records.dat");
    let rows: Vec<Vec<&str>> = dat
        .strip_prefix('\u{feff}')
        .unwrap()
        .split_terminator("\r\n")
        .map(|line| {
            line.split('\u{14}').map(|field| field.strip_prefix('þ').unwrap().strip_suffix('þ').unwrap()).collect()
        })
        .collect();
    assert_eq!(rows.len() as u64, count + 1);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));
    let column = |title: &str| rows[0].iter().position(|field| *field == title).unwrap();
    let hashes: BTreeSet<String> =
        lines.lines().map(|line| Sha256::of(format!("{line}\n").as_bytes()).to_string()).collect();
    assert!(rows[1..].iter().all(|row| hashes.contains(row[column("SHA256")])));
    let xml =
        "import sys, xml.etree.ElementTree as tree; print(len(tree.parse(sys.argv[1]).findall('.//ExternalFile')))";
    let edrm = Command::new("python3").args(["-c", xml]).arg(folder.join("data/load/edrm.xml")).output().unwrap();
    assert_eq!(String::from_utf8(edrm.stdout).unwrap().trim(), count.to_string());

    // The report needs nothing from outside, and nobody else reads any of it.
    let report = text(&folder, "data/report.html");
    for outside in ["<script", " src=", "href=\"http", "@import", "url("] {
        assert!(!report.contains(outside), "{outside}");
    }
    assert_eq!(report.matches("<section ").count() as u64, count);
    assert!(report.contains("aria-label=\"sessions over time\"") && report.contains("The whole period is covered"));
    for file in files_under(&folder) {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
}

#[test]
fn the_same_question_at_the_same_checkpoint_gives_the_same_bytes() {
    let bench = Bench::new(company(4, 8));
    bench.sync();
    let first = package(&bench, "--versions all", "first");
    thread::sleep(Duration::from_millis(1100));
    let second = package(&bench, "--versions all", "second");
    let (first, second) = (files(&first), files(&second));
    assert!(first.len() > 20 && first.keys().eq(second.keys()));
    let differ: Vec<_> = first.keys().filter(|path| first[*path] != second[*path]).collect();
    assert!(differ.is_empty(), "{differ:?}");
}

#[test]
fn each_of_two_hundred_mutations_is_found_and_an_untouched_copy_is_whole() {
    let bench = Bench::new(company(2, 5));
    bench.sync();
    let whole = files(&package(&bench, "--participant a", "audit"));
    let whole = if whole.contains_key("data/load/natives/CV00000002.json") {
        whole
    } else {
        files(&package(&bench, "", "all"))
    };
    let copy = bench.beside("copy");
    write(&copy, &whole);
    assert!(verify::package(&copy, None).unwrap().is_whole());
    let seed = rand::random::<u64>();
    let mut lot = StdRng::seed_from_u64(seed);
    let paths: Vec<&String> = whole.keys().collect();
    for round in 0..200 {
        let mut files = whole.clone();
        let path = paths[lot.random_range(0..paths.len())].clone();
        let bytes = files.get_mut(&path).unwrap();
        let at = lot.random_range(0..bytes.len());
        let what = match round % 8 {
            0 => {
                bytes.truncate(at);
                "cut off"
            }
            1 => {
                files.remove(&path);
                "taken away"
            }
            2 => {
                files.insert(format!("{path}.more"), b"more".to_vec());
                "another beside it"
            }
            3 => {
                bytes.insert(at, b' ');
                "a space put in"
            }
            4 => {
                let other = paths[lot.random_range(0..paths.len())];
                if whole[other] == whole[&path] {
                    continue;
                }
                files.insert(path.clone(), whole[other].clone());
                "another file's content"
            }
            _ => {
                bytes[at] ^= 1 << lot.random_range(0..8);
                "a bit flipped"
            }
        };
        write(&copy, &files);
        let summary = verify::package(&copy, None).unwrap();
        assert!(!summary.is_whole(), "seed {seed}, round {round}: {path}, {what} at {at}, is not found");
    }
    write(&copy, &whole);
    check(&bench, &copy).ends_with(0);
}

#[test]
fn checksums_written_anew_hide_nothing() {
    let bench = Bench::new(company(2, 6));
    bench.sync();
    let whole = files(&package(&bench, "", "audit"));
    let copy = bench.beside("copy");
    let unsigned = |mut files: BTreeMap<String, Vec<u8>>| {
        files.remove("signature.txt");
        with_new_sums(files)
    };
    write(&copy, &unsigned(whole.clone()));
    let summary = verify::package(&copy, None).unwrap();
    assert!(summary.is_whole(), "{:?}", summary.findings);
    assert!(!summary.is_signed && summary.notes.iter().any(|note| note.contains("the manifest is not signed")));

    // Of each file of the payload a byte is changed, so that it is still what it should be of its kind.
    let changed = |path: &str, from: &str, to: &str| {
        let mut files = whole.clone();
        let text = String::from_utf8(files[path].clone()).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        files.insert(path.into(), text.replacen(from, to, 1).into_bytes());
        files
    };
    let first: Value =
        serde_json::from_slice(whole["data/records.ndjson"].split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let id = first["id"].as_str().unwrap();
    let proof: Value =
        serde_json::from_slice(whole["data/proofs.ndjson"].split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let hash = proof["path"][0].as_str().unwrap();
    let manifest: Value = serde_json::from_slice(&whole["data/manifest.json"]).unwrap();
    let versions = format!("\"versions\": {}", manifest["contents"]["versions"]);
    let forged = [
        ("data/records.ndjson", "\"peerToPeer\"", "\"peerToPair\"", "the record is not"),
        ("data/parts.ndjson", "\"peerToPeer\"", "\"peerToPair\"", "does not match its SHA-256"),
        ("data/parts.ndjson", "\"received\":\"20", "\"received\":\"21", "the bodies are not those"),
        ("data/proofs.ndjson", id, "00000000-0000-0000-0000-000000000000", "its entry is about another"),
        ("data/proofs.ndjson", hash, &"0".repeat(64), "does not lead from entry"),
        ("data/coverage.json", "\"covered\"", "\"gap\"", "it says other times than the ledger's entry"),
        ("data/ledger.ndjson", "covered", "cohered", "it is no entry with a proof"),
        ("data/manifest.json", &versions, "\"versions\": 1", "it counts"),
        ("data/report.html", id, "someone-else", "it is not what the records and the manifest make it"),
        ("data/certificate.txt", "I am a custodian", "I am no custodian", "it is not what the records"),
        ("data/tables/records.csv", id, "someone-else", "it is not what the records"),
        ("data/load/records.dat", id, "someone-else", "it is not what the records"),
        ("data/load/edrm.xml", id, "someone-else", "it is not what the records"),
        ("data/load/natives/CV00000001.json", id, "someone-else", "it is not the line of the records"),
        ("data/checkpoint.txt", "callvault/", "callvault/0", "it is not signed by the key"),
        ("bagit.txt", "1.0", "0.9", "it does not declare BagIt 1.0"),
    ];
    for (path, from, to, finding) in forged {
        write(&copy, &unsigned(changed(path, from, to)));
        let summary = verify::package(&copy, None).unwrap();
        let told: Vec<String> =
            summary.findings.iter().map(|found| format!("{}: {}", found.file, found.message)).collect();
        assert!(told.iter().any(|told| told.contains(finding)), "{path}: {told:?}");
        // With the signature left in place, that alone tells.
        write(&copy, &with_new_sums(changed(path, from, to)));
        let summary = verify::package(&copy, None).unwrap();
        assert!(summary.findings.iter().any(|found| found.file == "signature.txt" || path == "bagit.txt"), "{path}");
    }
    // A record with all that belongs to it taken out: only the signature tells.
    for path in ["data/records.ndjson", "data/proofs.ndjson"] {
        let mut files = whole.clone();
        let rest = files[path].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        files.insert(path.into(), files[path][rest..].to_vec());
        write(&copy, &unsigned(files));
        assert!(!verify::package(&copy, None).unwrap().is_whole(), "{path}");
        assert!(!script(&copy, None).status.success(), "{path}");
    }
}

#[test]
fn a_package_that_somebody_else_signed_is_told_by_the_auditors_key() {
    let (ours, theirs) = (Bench::new(company(2, 4)), Bench::new(company(2, 4)));
    ours.sync();
    theirs.sync();
    let forged = package(&theirs, "", "audit");
    assert!(check(&ours, &forged).ends_with(0).text().contains("the key is the package's own"));
    let key = ours.beside("key.txt");
    fs::write(&key, ours.run("key").ends_with(0).stdout).unwrap();
    let ran = ours.run(&format!("verify --package {} --key {} --format json", forged.display(), key.display()));
    let summary = ran.ends_with(6).json();
    assert_eq!(summary["findings"][0]["file"], "data/checkpoint.txt");
    assert!(summary["findings"][0]["message"].as_str().unwrap().contains("not signed by the key that you gave"));
    assert!(!script(&forged, Some(&key)).status.success());
    assert!(script(&forged, None).status.success());
    ours.run(&format!("verify --package {} --key {}", forged.display(), forged.join("bagit.txt").display()))
        .ends_with(2);
}

#[test]
fn an_export_that_is_cut_off_leaves_nothing_that_looks_like_a_package() {
    let bench = Bench::new(company(10, 20));
    bench.sync();
    let mut cut = 0;
    for n in 0..8 {
        let folder = bench.beside(&format!("audit-{n}"));
        let mut export = bench.start(&format!("export --package {}", folder.display()));
        thread::sleep(Duration::from_millis(40 + 90 * n));
        let has_ended = export.try_wait().unwrap().is_some();
        export.kill().unwrap();
        export.wait().unwrap();
        if folder.exists() {
            check(&bench, &folder).ends_with(0);
        } else {
            assert!(!has_ended, "an export that ended leaves its package");
            cut += 1;
            check(&bench, &folder).ends_with(2).telling("is no audit package");
        }
    }
    assert!(cut > 0, "no kill met a running export");
    // What is there already is nobody's to replace.
    let folder = bench.beside("taken");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("mine"), "mine").unwrap();
    bench.run(&format!("export --package {}", folder.display())).ends_with(2).telling("is there already");
    assert_eq!(files(&folder).into_keys().collect::<Vec<_>>(), ["mine"]);
    check(&bench, &folder).ends_with(2).telling("is no audit package");
    bench.run(&format!("export --package {0} --output {0}.csv", folder.display())).ends_with(2);
    bench.run("export").ends_with(2).telling("--format");
    let nowhere = bench.beside("no/such/place");
    bench.run(&format!("export --package {}", nowhere.display())).ends_with(2).telling("no/such is no folder");
}

#[test]
fn profiles_leave_out_what_they_say_and_the_package_still_proves_its_records() {
    let bench = Bench::new(telephoning_small());
    bench.sync();
    let full = package(&bench, "", "full");
    let all = everything(&full);
    let has = |bytes: &[u8], text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
    let records: Vec<Value> =
        text(&full, "data/records.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut addresses = BTreeSet::new();
    let mut people = BTreeSet::new();
    for record in &records {
        gather(record, &mut addresses, &mut people);
    }
    assert!(addresses.len() > 20 && people.len() > 20, "{} addresses, {} people", addresses.len(), people.len());
    assert!(addresses.iter().chain(&people).all(|text| has(&all, text)));

    let without = package(&bench, "--profile no-network", "without");
    let shown = check(&bench, &without).ends_with(0);
    assert!(shown.text().contains("whole"));
    let bytes = everything(&without);
    let left: Vec<_> = addresses.iter().filter(|address| has(&bytes, address)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(people.iter().all(|person| has(&bytes, person)));
    assert!(!without.join("data/parts.ndjson").exists());
    assert!(text(&without, "data/report.html").contains("Left out of this package"));
    assert!(script(&without, None).status.success());

    bench
        .run(&format!("export --profile pseudonymised --package {}", bench.beside("x").display()))
        .ends_with(2)
        .telling("--token-key");
    // What is no package is not cut: nobody is to take it for that.
    for flag in ["--profile pseudonymised", "--profile no-network", "--token-key any"] {
        bench.run(&format!("export --format csv {flag}")).ends_with(2).telling("cannot be used with");
    }
    let key = bench.beside("token.key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let flags = format!("--profile pseudonymised --token-key {}", key.display());
    let hidden = package(&bench, &flags, "hidden");
    check(&bench, &hidden).ends_with(0);
    let bytes = everything(&hidden);
    let left: Vec<_> = addresses.iter().chain(&people).filter(|text| has(&bytes, text)).collect();
    assert!(left.is_empty(), "{left:?}");
    // Whoever asks by name does not name them in what comes out.
    let name = people.iter().find(|person| person.contains('@')).unwrap();
    let asked = package(&bench, &format!("{flags} --participant {name}"), "asked");
    let bytes = everything(&asked);
    assert!(!has(&bytes, name));
    let token =
        serde_json::from_str::<Value>(&text(&asked, "data/manifest.json")).unwrap()["query"]["participants"][0].clone();
    assert!(has(&everything(&hidden), token.as_str().unwrap()), "tokens are the same everywhere");

    let inside = bench.archive().join("token.key");
    fs::copy(&key, &inside).unwrap();
    let flags = format!("--profile pseudonymised --token-key {}", inside.display());
    bench
        .run(&format!("export {flags} --package {}", bench.beside("x").display()))
        .ends_with(2)
        .telling("lies in the archive");
}

/// Calls and rows of all logs, few of each.
fn telephoning_small() -> Settings {
    Settings { calls_per_day: 8, days: 10, log_days: Some(20), ..telephoning() }
}

/// Addresses of networks, and what people are called, in a record.
fn gather(value: &Value, addresses: &mut BTreeSet<String>, people: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value.as_str()) {
                    // A number of few digits stands in other numbers too.
                    (
                        "ipAddress"
                        | "reflexiveIPAddress"
                        | "macAddress"
                        | "clientLocalIpV4Address"
                        | "clientPublicIpV4Address",
                        Some(text),
                    ) if text.len() > 9 => {
                        addresses.insert(text.to_owned());
                    }
                    ("userPrincipalName", Some(text)) if !text.is_empty() => {
                        people.insert(text.to_owned());
                    }
                    _ => gather(value, addresses, people),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| gather(element, addresses, people)),
        _ => {}
    }
}

#[test]
fn an_access_request_gets_all_records_about_a_person_of_every_kind() {
    let bench = Bench::new(telephoning());
    bench.sync();
    let person = bench.simulator.world().people()[3].clone();
    let folder = package(&bench, &format!("--person {}", person.upn), "about");
    check(&bench, &folder).ends_with(0);
    let manifest: Value = serde_json::from_str(&text(&folder, "data/manifest.json")).unwrap();
    assert_eq!(manifest["query"]["person"], person.upn);
    let kinds = manifest["contents"]["kinds"].as_object().unwrap();
    assert_eq!(kinds["person"]["records"], 1);
    for (kind, count) in kinds.iter().filter(|(kind, _)| *kind != "person") {
        let counted =
            bench.run(&format!("query --participant {} --kind {kind} --count", person.upn)).ends_with(0).line();
        assert_eq!(count["records"].to_string(), counted, "{kind}");
    }
    assert!(kinds.len() > 2, "{kinds:?}");
    let lines = bench.run(&format!("export --person {} --format ndjson", person.upn)).ends_with(0).text();
    assert_eq!(text(&folder, "data/records.ndjson"), lines);
    assert!(lines.lines().last().unwrap().contains(&person.upn), "the directory's own record of them");
    let csv = bench.run(&format!("export --person {} --format csv", person.upn)).ends_with(0).text();
    assert_eq!(csv.lines().count(), lines.lines().count() + 1);
    bench.args(&["export", "--person", " ", "--format", "csv"]).ends_with(2).telling("--person is empty");
}

#[test]
fn a_package_says_what_the_archive_lacks_and_why() {
    let bench = Bench::new(company(3, 10));
    bench.sync();
    bench.simulator.advance(Age::days(60));
    bench.run("sync");
    let folder = package(&bench, "--kind call", "audit");
    check(&bench, &folder).ends_with(0);
    let coverage: Value = serde_json::from_str(&text(&folder, "data/coverage.json")).unwrap();
    let calls = &coverage["sources"][0];
    assert_eq!(calls["source"], "calls");
    let stretches = calls["stretches"].as_array().unwrap();
    assert!(stretches.windows(2).all(|pair| pair[0]["to"] == pair[1]["from"]), "no hole: {stretches:?}");
    assert_eq!((&stretches[0]["from"], &stretches.last().unwrap()["to"]), (&calls["from"], &calls["to"]));
    let lost = stretches.iter().find(|stretch| stretch["state"] == "lost").unwrap();
    assert!(lost["why"].as_str().unwrap().contains("before Microsoft Graph forgot them"));
    let status = bench.calls_status();
    assert_eq!(lost["from"], status["lost"][0][0]);
    let report = text(&folder, "data/report.html");
    assert!(report.contains("Parts of the period are not covered") && report.contains("<td>lost</td>"));
    assert!(text(&folder, "data/certificate.txt").contains("names times in it of which records may be missing"));

    // Of a period that nobody has listed anything of, nothing can be vouched for.
    let folder = package(&bench, "--from 2090-01-01", "unknown");
    check(&bench, &folder).ends_with(0);
    let report = text(&folder, "data/report.html");
    assert!(
        report.contains("Parts of the period are not covered") && report.contains("Nothing of it had been listed yet")
    );
}

#[test]
fn whatever_a_record_says_is_text_in_every_file() {
    let bench = Bench::new(empty());
    let odd = r#"=HYPERLINK(\"http://x\",\"<script>alert(1)</script>&amp;\")þ\u0014]]>\uffff"#;
    let identity = format!(r#"{{"id":"p1","identity":{{"user":{{"id":"p1","displayName":"{odd}"}}}}}}"#);
    let mut call = Planted::meeting("odd", ago(Age::days(2))).sessions(1);
    call.organizer.clone_from(&identity);
    bench.simulator.plant(call.raw_participants([identity]));
    bench.sync();
    let folder = package(&bench, "", "audit");
    check(&bench, &folder).ends_with(0);
    assert!(text(&folder, "data/records.ndjson").contains(odd));
    let report = text(&folder, "data/report.html");
    assert!(!report.contains("<script") && report.contains("=HYPERLINK(&quot;http://x&quot;,&quot;&lt;script&gt;"));
    assert!(text(&folder, "data/tables/records.csv").contains("'=HYPERLINK"));
    let lines = text(&folder, "data/load/records.dat");
    assert!(
        lines
            .split_terminator("\r\n")
            .all(|line| line.split('\u{14}').count() == 22 && line.matches('þ').count() == 44)
    );
    let xml = "import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])";
    let read = Command::new("python3").args(["-c", xml]).arg(folder.join("data/load/edrm.xml")).output().unwrap();
    assert!(read.status.success(), "{read:?}");
}

#[test]
fn without_a_checkpoint_there_is_no_package() {
    let bench = Bench::new(company(2, 3));
    let config = fs::read_to_string(bench.beside("config.toml")).unwrap();
    // No file can be made there.
    fs::write(bench.beside("config.toml"), format!("{config}[ledger]\nkey = \"/proc/ledger.key\"\n")).unwrap();
    bench.sync();
    let folder = bench.beside("audit");
    bench.run(&format!("export --package {}", folder.display())).ends_with(3).telling("no signed checkpoint");
    assert!(!folder.exists());
    // The next sync has a place for a key, and signs all that there is.
    fs::write(bench.beside("config.toml"), config).unwrap();
    bench.sync();
    check(&bench, &package(&bench, "", "audit")).ends_with(0);
}

#[test]
fn the_manual_prints_the_script_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = fs::read_to_string(root.join("tests/check_package.py")).unwrap();
    assert!(script.lines().count() < 100);
    assert!(fs::read_to_string(root.join("docs/auditing.md")).unwrap().contains(&format!("```python\n{script}```\n")));
}
