//! Whatever is done to an archive by whoever has not its key, `verify` finds: flipped bytes, rows taken away, pages swapped, ends cut off,
//! an older copy of one file put back, a record forged with every hash right. And in an untouched one it finds nothing.
//!
//! A byte that nothing is stored in (the unused end of a page, say) is no part of the archive: where nothing was found, everything the
//! database holds must be what it was, value for value.

use std::{
    fs,
    path::{Path, PathBuf},
};

use callvault::{
    archive::{Archive, ArchiveWriter, Folder, batch::Prepared, frame::FrameWriter},
    model::{
        document::{Document, Part, What},
        id::{RecordId, RecordKey, Seq, Version},
        time::{Age, Timestamp},
    },
    proof::note::{PrivateKey, PublicKey},
    search::{Index, State},
    verify::{self, Ask, Kept, Note},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rusqlite::{
    Connection,
    types::{Value, ValueRef},
};
use tempfile::TempDir;

use crate::support::{Bench, company, files_under};

/// Mutations of the suite; the thousands are for `--ignored`.
const SOME: u64 = 120;
const MANY: u64 = 10_000;

/// Tables whose rows are evidence or derived from it; working ones (what is still to be fetched, what ran) are none. A listing whose span
/// others cover is no loss, and forgotten by the program itself: see the test of its own.
const TABLES: [&str; 11] =
    ["ledger", "record", "version", "dictionary", "checkpoint", "node", "volume", "sealed", "hit", "session", "party"];

/// Tables of which nothing is evidence: what is still to be fetched, what commands said of themselves, how many rows a page had.
const WORKING: [&str; 6] = ["todo", "run", "listing", "delta", "setting", "changed"];

/// Files that hold nothing of the archive.
const BESIDE: [&str; 5] =
    ["FORMAT", "lock", "index/.managed.json", "index/.tantivy-writer.lock", "index/.tantivy-meta.lock"];

struct Subject {
    folder: PathBuf,
    /// The same archive earlier.
    earlier: PathBuf,
    kept: Kept,
    key: PublicKey,
    _bench: Bench,
    room: TempDir,
}

/// An archive with an open and a sealed month, and how it was a sync before.
fn subject() -> Subject {
    let bench = Bench::new(company(6, 20));
    fs::write(bench.beside("config.toml"), format!("{}\n[seal]\nwhen_due = false\n", crate::support::CONFIG)).unwrap();
    bench.sync();
    for _ in 0..9 {
        bench.simulator.advance(Age::days(5));
        bench.sync();
    }
    let room = tempfile::tempdir().unwrap();
    let earlier = room.path().join("earlier");
    copy(&bench.archive(), &earlier);
    bench.run("seal").ends_with(0);
    bench.simulator.advance(Age::days(1));
    bench.sync();
    let folder = room.path().join("whole");
    copy(&bench.archive(), &folder);
    let note = bench.run("checkpoint").ends_with(0).text();
    let key = PublicKey::parse(&bench.run("key").ends_with(0).line()).unwrap();
    Subject { folder, earlier, kept: Kept { name: "elsewhere".into(), note }, key, _bench: bench, room }
}

fn copy(from: &Path, to: &Path) {
    for file in files_under(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        // Without its mode: sealed files are read-only.
        fs::write(&target, fs::read(&file).unwrap()).unwrap();
    }
}

impl Subject {
    fn ask(&self) -> Ask {
        Ask { against: vec![self.kept.clone()], key: Some(self.key.clone()), ..Ask::default() }
    }

    /// Whether an examination of `folder` finds anything.
    fn is_found(&self, folder: &Path) -> bool {
        let Ok(archive) = Archive::open(&Folder::new(folder)) else { return true };
        match verify::verify(&archive, &self.ask(), &mut |_| {}) {
            Ok(summary) => !summary.is_whole() || summary.notes.iter().any(says_that_index_is_not_whole),
            Err(_) => true,
        }
    }
}

/// An index that is missing or behind is no damage: it is derived. It is told all the same.
fn says_that_index_is_not_whole(note: &Note) -> bool {
    matches!(note, Note::IndexMissing | Note::IndexBehind { .. } | Note::IndexOfOtherSchema)
}

/// Every value that the database holds; `None` where it cannot be read.
fn values(database: &Path) -> Option<Vec<(String, Vec<Vec<Value>>)>> {
    let connection = Connection::open(database).ok()?;
    let mut names = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY 1").ok()?;
    let names: Vec<(String, Option<String>)> =
        names.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).ok()?.collect::<Result<_, _>>().ok()?;
    let mut all = Vec::new();
    // Hints for the next sync are no evidence either.
    let columns = |table: &str| match table {
        "record" => "record_id, kind, id, newest_seq, derived",
        "dictionary" => "dictionary_id, bytes, sha256",
        // zstd can say the same in several ways: where nothing was found each frame still gives the bodies that the ledger names.
        "version" => "seq, record_id, version, dictionary_id, raw_bytes, frame IS NULL",
        _ => "*",
    };
    for (name, sql) in names.into_iter().filter(|(name, _)| !WORKING.contains(&name.as_str())) {
        let mut rows = vec![vec![Value::from(sql.clone())]];
        if sql.is_some_and(|sql| sql.starts_with("CREATE TABLE")) {
            let mut statement = connection.prepare(&format!("SELECT {} FROM \"{name}\"", columns(&name))).ok()?;
            let columns = statement.column_count();
            let mut read = statement.query([]).ok()?;
            while let Some(row) = read.next().ok()? {
                rows.push((0..columns).map(|n| value(row.get_ref(n).unwrap())).collect());
            }
        }
        all.push((name, rows));
    }
    Some(all)
}

/// A text by its bytes, which may be none any more.
fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Text(text) => Value::Blob(text.to_vec()),
        other => Value::try_from(other).unwrap(),
    }
}

/// The tables whose rows differ.
fn changed_tables(before: &[(String, Vec<Vec<Value>>)], after: &[(String, Vec<Vec<Value>>)]) -> Vec<String> {
    if before.len() != after.len() {
        return vec!["sqlite_schema".into()];
    }
    let differ = before.iter().zip(after).filter(|(before, after)| before != after);
    differ.map(|(before, _)| before.0.clone()).collect()
}

/// What the index's list of files leads to: every document, and how far it has followed.
fn listed(folder: &Path) -> Option<(Seq, Vec<(RecordId, Seq)>)> {
    let State::Ready(index) = Index::open(&folder.join("index")).ok()? else { return None };
    let mut documents: Vec<_> = index.documents().ok()?.collect();
    documents.sort();
    Some((index.position(), documents))
}

/// A file of the index without its footer, whose length stands before the last four bytes; `None` where there is none.
fn above_footer(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(file).ok()?;
    let end = bytes.len().checked_sub(8)?;
    let footer = u32::from_le_bytes(bytes[end..end + 4].try_into().ok()?);
    bytes.truncate(end.checked_sub(usize::try_from(footer).ok()?)?);
    Some(bytes)
}

/// Files that are not the same in both folders, or in one alone.
fn differing(one: &Path, other: &Path) -> Vec<String> {
    let names = |folder: &Path| -> Vec<PathBuf> {
        files_under(folder).iter().map(|file| file.strip_prefix(folder).unwrap().to_path_buf()).collect()
    };
    let mut all = names(one);
    all.extend(names(other));
    all.sort();
    all.dedup();
    // What a reader makes beside a database is empty, or says nothing of its own.
    let bytes = |folder: &Path, name: &Path| fs::read(folder.join(name)).unwrap_or_default();
    all.retain(|name| !name.to_string_lossy().ends_with("-shm") && bytes(one, name) != bytes(other, name));
    all.iter().map(|name| name.display().to_string()).collect()
}

/// Does something to the archive in `folder`; says what.
fn mutate(dice: &mut StdRng, folder: &Path, earlier: &Path) -> String {
    let files: Vec<PathBuf> =
        files_under(folder).into_iter().filter(|file| fs::metadata(file).unwrap().len() > 0).collect();
    let any = |dice: &mut StdRng| files[dice.random_range(0..files.len())].clone();
    let database = folder.join("archive.db");
    match dice.random_range(0..12) {
        0..4 => {
            let file = if dice.random_bool(0.5) { database } else { any(dice) };
            let mut bytes = fs::read(&file).unwrap();
            let at = dice.random_range(0..bytes.len());
            bytes[at] ^= dice.random_range(1..=255_u8);
            fs::write(&file, bytes).unwrap();
            format!("flipped byte {at} of {}", file.display())
        }
        4..7 => {
            let table = TABLES[dice.random_range(0..TABLES.len())];
            let connection = Connection::open(&database).unwrap();
            // Tables without rowid have their key alone.
            let key = match table {
                "node" => "height, n",
                "party" | "session" => "record_id, n",
                _ => "rowid",
            };
            let sql = format!(
                "PRAGMA foreign_keys = OFF; DELETE FROM {table} WHERE ({key}) IN
                     (SELECT {key} FROM {table} LIMIT 1 OFFSET abs(random()) % (SELECT count(*) FROM {table}))"
            );
            connection.execute_batch(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            if connection.total_changes() == 0 {
                "nothing to delete".into()
            } else {
                format!("deleted a row of {table}")
            }
        }
        7 => {
            let mut bytes = fs::read(&database).unwrap();
            let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]])).max(512);
            let pages = bytes.len() / size;
            let (one, other) = (dice.random_range(1..pages), dice.random_range(1..pages));
            let kept = bytes[one * size..(one + 1) * size].to_vec();
            bytes.copy_within(other * size..(other + 1) * size, one * size);
            bytes[other * size..(other + 1) * size].copy_from_slice(&kept);
            fs::write(&database, bytes).unwrap();
            format!("swapped pages {one} and {other}")
        }
        8 => {
            let file = any(dice);
            let bytes = fs::read(&file).unwrap();
            let end = dice.random_range(0..bytes.len());
            fs::write(&file, &bytes[..end]).unwrap();
            format!("cut {} at {end}", file.display())
        }
        9 => {
            let old: Vec<PathBuf> = files_under(earlier);
            let mut changed = old.iter().filter_map(|file| {
                let now = folder.join(file.strip_prefix(earlier).unwrap());
                (now.exists() && fs::read(&now).unwrap() != fs::read(file).unwrap()).then_some((file, now))
            });
            let n = changed.clone().count();
            let (old, now) = changed.nth(dice.random_range(0..n)).unwrap();
            fs::write(&now, fs::read(old).unwrap()).unwrap();
            format!("put an older {} back", now.display())
        }
        10 => {
            let file = any(dice);
            fs::remove_file(&file).unwrap();
            format!("took {} away", file.display())
        }
        _ => {
            let id = uuid(dice);
            let body = format!(
                r#"{{"id":"{id}","version":1,"type":"groupCall","startDateTime":"2026-01-01T00:00:00Z","sessions":[]}}"#
            );
            let part = Part::new(What::Record, "https://graph/c".into(), None, Timestamp(0), body.into());
            let document = Document { key: RecordKey::call(&*id), version: Version(1), parts: vec![part] };
            let folder = Folder::new(folder);
            let mut writer = ArchiveWriter::open(&folder, Timestamp(0)).unwrap();
            if dice.random_bool(0.5) {
                // With a key, but another one.
                let key = PrivateKey::generate("forger").unwrap();
                writer.sign_with(Some(&key), Timestamp(0)).unwrap();
            }
            let mut frames = FrameWriter::new(writer.dictionary().unwrap().as_ref()).unwrap();
            writer.keep(&[Prepared::new(&document, &mut frames).unwrap()]).unwrap();
            drop(writer);
            callvault::follow::catch_up(&Archive::open(&folder).unwrap()).unwrap();
            format!("forged {id}")
        }
    }
}

fn uuid(dice: &mut StdRng) -> String {
    let n: u128 = dice.random();
    let hex = format!("{n:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[test]
fn a_listing_taken_away_on_which_coverage_rests_is_found() {
    let bench = Bench::new(company(6, 5));
    bench.sync();
    bench.run("verify").ends_with(0);
    let connection = Connection::open(bench.archive().join("archive.db")).unwrap();
    assert!(connection.execute("DELETE FROM listing WHERE source = 'calls'", []).unwrap() > 0);
    drop(connection);
    let found = bench.run("verify").ends_with(6).text();
    assert!(found.contains("no listing says so any more"), "{found}");
}

#[expect(clippy::print_stdout, reason = "a long run says what it saw")]
fn play(mutations: u64, first_seed: u64) {
    let subject = subject();
    assert!(!subject.is_found(&subject.folder), "an untouched archive");
    let (mut found, mut of_nothing) = (0, 0);
    for seed in first_seed..first_seed + mutations {
        let mut dice = StdRng::seed_from_u64(seed);
        let folder = subject.room.path().join("mutated");
        copy(&subject.folder, &folder);
        let what = mutate(&mut dice, &folder, &subject.earlier);
        if subject.is_found(&folder) {
            found += 1;
        } else {
            // Of a database the unused bytes hold nothing; the locks, the index's list of what to clean up, and the note for whoever finds the
            // folder never do. All else has to be found.
            let changed = differing(&subject.folder, &folder);
            for file in changed {
                let tables = match file.as_str() {
                    name @ ("archive.db" | "access.db") => {
                        let [before, after] = [&subject.folder, &folder].map(|folder| values(&folder.join(name)));
                        before.zip(after).map(|(before, after)| changed_tables(&before, &after))
                    }
                    // Its files have checksums; of the list of them counts what is read from it.
                    "index/meta.json" => (listed(&subject.folder) == listed(&folder)).then(Vec::new),
                    // What stands below a file of the index says who made it, and the checksum of the rest.
                    name if name.starts_with("index/") && !BESIDE.contains(&name) => {
                        (above_footer(&subject.folder.join(name)) == above_footer(&folder.join(name))).then(Vec::new)
                    }
                    name => BESIDE.contains(&name).then(Vec::new),
                };
                let is_nothing = tables.as_ref().is_some_and(Vec::is_empty);
                assert!(is_nothing, "seed {seed}: {what}: not found, though it changed {file}, {tables:?}");
            }
            of_nothing += 1;
        }
        fs::remove_dir_all(&folder).unwrap();
    }
    println!("{mutations} mutations: {found} found, {of_nothing} changed nothing that is stored");
    assert!(found > mutations / 2, "{found} of {mutations}");
}

#[test]
fn every_mutation_is_found_and_an_untouched_archive_is_whole() {
    play(SOME, 1);
}

#[test]
#[ignore = "ten thousand: minutes in release; CALLVAULT_MUTATIONS sets how many, CALLVAULT_SEED the first"]
fn ten_thousand_mutations_are_found() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    play(number("CALLVAULT_MUTATIONS", MANY), number("CALLVAULT_SEED", 1_000_000));
}
