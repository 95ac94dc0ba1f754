//! Whether an archive that grows for years stays as quick and as small as it was: one archive, months of simulated calls one after the other,
//! looked at on the way.
//!
//! `cargo bench --bench growth`. The calls are those of a simulated company, made on the spot and stored as the program stores what it
//! fetched: prepared, kept in batches, indexed; months that are over are sealed. At each look it is told what the calls since the last one took, what questions take now, and how
//! much memory and disk there is. The lines are drawn as SVG. Environment:
//! - `CALLVAULT_CALLS`: calls in all (default 1,000,000; 10,000,000 takes hours and 40 GB)
//! - `CALLVAULT_MONTHS`: over so many (default 36)
//! - `CALLVAULT_FOLDER`: where the archive is made; it stays there (default: a folder of its own that goes)
//! - `CALLVAULT_PLOT`: where the drawing goes, such as `docs/growth.svg` (default: nowhere)

mod look;
mod plot;

use std::{
    env, fs,
    ops::ControlFlow,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use callvault::{
    archive::{
        Archive, ArchiveWriter, Folder,
        batch::{Kept, Prepared},
        frame::FrameWriter,
    },
    follow::{Follower, News},
    model::{
        document::{Document, Part, What},
        id::{RecordKey, Version},
        relisting::Policy,
        time::{Age, Timestamp},
    },
    proof::note::PrivateKey,
    seal,
    simulate::{Bodies, Settings, Simulator, World},
};

use crate::look::{Look, Most, Took, cpu_s, thread_cpu_s};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Who signs the ledger: a key from the documentation of Go's package note.
const LEDGER_KEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
/// Versions a transaction.
const BATCH: usize = 256;
/// Calls that a thread makes and prepares at a time.
const CHUNK: u64 = 64;
const THREADS: usize = 2;

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn main() -> Result<()> {
    if env::var_os("MALLOC_ARENA_MAX").is_none() {
        // As `sync` does (docs/decisions/0018-lean.md); it comes back only when it failed.
        return Err(Command::new(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env("MALLOC_ARENA_MAX", "2")
            .exec()
            .into());
    }
    let calls: u64 = env::var("CALLVAULT_CALLS").map_or(Ok(1_000_000), |text| text.parse())?;
    let months: u32 = env::var("CALLVAULT_MONTHS").map_or(Ok(36), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let path = env::var_os("CALLVAULT_FOLDER").map_or_else(|| scratch.path().join("archive"), PathBuf::from);
    if Folder::new(&path).exists() {
        return Err(format!("{} is an archive already: it is to grow from nothing", path.display()).into());
    }
    let settings = settings_beside(&path)?;
    let company = company(calls, months);
    let world = company.world();
    let most = Most::watched();
    let mut looks: Vec<Look> = Vec::new();
    println!("{}", Look::TITLES);
    for to in steps(calls) {
        let from = looks.last().map_or(0, |look| look.calls);
        most.since();
        let mut took = grow(world, &path, from..to)?;
        took.storing_bytes = most.since();
        took.sealing_cpu_s = seal(world, &path, to)?;
        took.sealing_bytes = most.since();
        let mut look = Look::at(world, &path, to, took)?;
        println!("{look}");
        if to == calls || to == calls / 10 {
            look = look.with_peaks(&path, &settings)?;
        }
        looks.push(look);
        // At every look: a run that is stopped leaves its lines.
        if let Some(file) = env::var_os("CALLVAULT_PLOT") {
            write(Path::new(&file), &plot::svg(&looks))?;
        }
    }
    for verdict in look::verdicts(&looks) {
        println!("{verdict}");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a drawing, made anew whenever wanted")]
fn write(path: &Path, text: &str) -> Result<()> {
    Ok(fs::write(path, text)?)
}

/// A config file beside the archive, and the key beside that: what writes as a command signs as well.
#[expect(clippy::disallowed_methods, reason = "made anew by each run")]
fn settings_beside(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let (settings, key) = (path.with_file_name("callvault.toml"), path.with_file_name("ledger.key"));
    fs::write(&settings, "")?;
    fs::write(&key, LEDGER_KEY)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    Ok(settings)
}

/// Where it is looked: often at first, then after every tenth.
fn steps(calls: u64) -> Vec<u64> {
    let first = [10_000, 20_000, 50_000, 100_000].into_iter().filter(|step| *step < calls / 10);
    first.chain((1..=10).map(|tenth| calls * tenth / 10)).collect()
}

/// A company that has made so many calls by now. Nothing listens and nobody asks: its world is all that is wanted.
fn company(calls: u64, months: u32) -> Simulator {
    let days = u64::from(months) * 365 / 12;
    // Of seven days five are workdays, and the others have six calls for a hundred of theirs; some to spare.
    let calls_per_day = calls * 7 * 100 / (days * 512) + 1;
    Simulator::in_process(Settings {
        calls_per_day: u32::try_from(calls_per_day * 102 / 100 + 1).unwrap_or(u32::MAX),
        days: u32::try_from(days).unwrap_or(u32::MAX),
        users: u32::try_from((calls_per_day * 2).clamp(100, 20_000)).unwrap_or(20_000),
        ..Settings::default()
    })
}

/// Stores the calls of these numbers until they are on disk and searchable.
fn grow(world: &World, path: &Path, numbers: std::ops::Range<u64>) -> Result<Took> {
    let folder = Folder::new(path);
    let (began, cpu_before) = (Instant::now(), cpu_s()?);
    let mut writer = ArchiveWriter::open_or_create(&folder, Timestamp::now())?;
    writer.sign_with(Some(&PrivateKey::parse(LEDGER_KEY)?), Timestamp::now())?.trouble()?;
    let mut follower = Follower::start(&folder);
    let dictionary = writer.dictionary()?;
    let next = AtomicU64::new(numbers.start);
    // What making the calls takes is the company's, not the archive's.
    let making_s = Mutex::new(0.0);
    let failed = Mutex::new(None);
    let (ready, inbox) = mpsc::sync_channel(BATCH);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (ready, next, making_s, failed, dictionary) =
                (ready.clone(), &next, &making_s, &failed, dictionary.as_ref());
            let end = numbers.end;
            scope.spawn(move || {
                let prepared = || -> Result<()> {
                    let mut frames = FrameWriter::new(dictionary)?;
                    loop {
                        let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                        if first >= end {
                            return Ok(());
                        }
                        let before = thread_cpu_s()?;
                        let made = (first..end.min(first + CHUNK)).filter_map(|n| world.bodies(n));
                        let documents: Vec<Document> = made.map(document).collect();
                        if let Ok(mut making_s) = making_s.lock() {
                            *making_s += thread_cpu_s()? - before;
                        }
                        for document in &documents {
                            if ready.send(Prepared::new(document, &mut frames)?).is_err() {
                                return Ok(());
                            }
                        }
                    }
                };
                if let (Err(error), Ok(mut failed)) = (prepared().map_err(|error| error.to_string()), failed.lock()) {
                    *failed = Some(error);
                }
            });
        }
        drop(ready);
        let mut prepared = inbox.iter();
        loop {
            let batch: Vec<Prepared> = prepared.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            keep(&mut writer, &mut follower, batch)?;
        }
    })
    .map_err(|error: callvault::archive::Error| error)?;
    if let Ok(Some(error)) = failed.into_inner() {
        return Err(error.into());
    }
    follower.finish()?;
    writer.checkpoint()?;
    let making_s = making_s.into_inner().unwrap_or_default();
    Ok(Took {
        calls: numbers.end - numbers.start,
        wall_s: began.elapsed().as_secs_f64(),
        cpu_s: cpu_s()? - cpu_before - making_s,
        sealing_cpu_s: 0.0,
        storing_bytes: 0,
        sealing_bytes: 0,
    })
}

/// Seals the months that are over when the last of so many calls begins, and says what that took.
fn seal(world: &World, path: &Path, calls: u64) -> Result<f64> {
    let before = cpu_s()?;
    let folder = Folder::new(path);
    let now = world.bodies(calls - 1).map_or(Timestamp(0), |bodies| bodies.start);
    let mut writer = ArchiveWriter::open(&folder, now)?;
    writer.sign_with(Some(&PrivateKey::parse(LEDGER_KEY)?), now)?.trouble()?;
    let due = seal::due(&Archive::open(&folder)?, seal::Ask::default(), now, &Policy::default())?;
    seal::seal(&mut writer, &due, seal::LEVEL, now, &mut |_| ControlFlow::Continue(()))?;
    writer.checkpoint()?;
    Ok(cpu_s()? - before)
}

fn keep(writer: &mut ArchiveWriter, follower: &mut Follower, batch: Vec<Prepared>) -> callvault::archive::Result<()> {
    let mut news = Vec::new();
    for (kept, Prepared { key, derived, .. }) in writer.keep(&batch)?.into_iter().zip(batch) {
        if let Kept::Stored { record_id, seq, version, newest: true, first } = kept {
            news.push(News { record_id, seq, id: key.id, version, first, derived });
        }
    }
    follower.send_all(news);
    Ok(())
}

/// A call as it would have been fetched an hour after its last version appeared.
fn document(bodies: Bodies) -> Document {
    let received = bodies.visible + Age::hours(1);
    let url = format!("https://graph.microsoft.com/v1.0/communications/callRecords/{}", bodies.id);
    // As random as an id of a request is: it does not compress.
    let request = |n: u32| Some(uuid::Uuid::new_v4().to_string()).filter(|_| n < 2);
    let part = |n, what, url, body: String| Part::new(what, url, request(n), received, body.into_bytes());
    Document {
        key: RecordKey::call(bodies.id),
        version: Version(bodies.version),
        parts: vec![
            part(0, What::Participants, format!("{url}/participants_v2"), bodies.participants),
            part(1, What::Record, format!("{url}?$expand=sessions($expand=segments)"), bodies.record),
        ],
    }
}
