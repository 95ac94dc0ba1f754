//! How fast records are stored, from response bodies in memory until all is on disk and searchable, and what they take there.
//!
//! `cargo bench --bench store`; under `taskset -c 0` for one core. Environment:
//! - `CALLVAULT_CORPUS`: a file of call records with sessions and participants, one JSON object a line; without it, a few
//!   thousand records are simulated
//! - `CALLVAULT_KEEP`: stores once, into this folder, and leaves the archive there

use std::{
    env, fs,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
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
        kind::Kind,
        raw,
        time::Timestamp,
    },
    proof::note::PrivateKey,
};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Documents that are ready and wait for the writer.
const WAITING_MAX: usize = 64;

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn main() -> Result<()> {
    let corpus = match env::var_os("CALLVAULT_CORPUS") {
        Some(path) => read(Path::new(&path))?,
        None => simulated::corpus()?,
    };
    let raw_bytes: usize = corpus.iter().map(Document::raw_bytes).sum();
    println!("{} records, {} raw bytes a record", corpus.len(), raw_bytes / corpus.len().max(1));
    if let Some(kept) = env::var_os("CALLVAULT_KEEP") {
        println!("{}", store(&corpus, Path::new(&kept), 2, 256)?);
        return Ok(());
    }
    for (threads, batch) in [(1, 60), (1, 256), (2, 60), (2, 256)] {
        println!("{}", store(&corpus, tempfile::tempdir()?.path(), threads, batch)?);
    }
    Ok(())
}

/// Stores all of `corpus` with so many threads that prepare, beside writer and index, and as many versions a transaction.
fn store(corpus: &[Document], path: &Path, threads: usize, batch: usize) -> Result<String> {
    let folder = Folder::new(path);
    let began = Meter::start()?;
    let mut writer = ArchiveWriter::open_or_create(&folder, Timestamp::now())?;
    let key = PrivateKey::generate("bench")?;
    // Beside the archive, as the config file's would be: whoever goes on with it signs too.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.path().with_file_name("ledger.key"))?;
    file.write_all(key.to_text().as_bytes())?;
    writer.sign_with(Some(&key), Timestamp::now())?.trouble()?;
    let dictionary = writer.dictionary()?;
    let mut follower = Follower::start(&folder);
    let (ready, inbox) = mpsc::sync_channel(WAITING_MAX);
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (ready, next, failed, dictionary) = (ready.clone(), &next, &failed, dictionary.as_ref());
            scope.spawn(move || {
                let prepared = FrameWriter::new(dictionary).and_then(|mut frames| {
                    while let Some(document) = corpus.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if ready.send(Prepared::new(document, &mut frames)?).is_err() {
                            break;
                        }
                    }
                    Ok(())
                });
                if let (Err(error), Ok(mut failed)) = (prepared, failed.lock()) {
                    *failed = Some(error);
                }
            });
        }
        drop(ready);
        let mut prepared = inbox.iter();
        loop {
            let batch: Vec<Prepared> = prepared.by_ref().take(batch).collect();
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
    let spent = began.read()?;
    drop(writer);
    Ok(format!(
        "{threads} preparing, batches of {batch:>3}: {}; {}",
        rates(&spent, corpus.len()),
        sizes(&Archive::open(&folder)?)?
    ))
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

/// What something took.
struct Spent {
    wall_s: f64,
    cpu_s: f64,
}

struct Meter {
    wall: Instant,
    cpu_s: f64,
}

impl Meter {
    fn start() -> Result<Self> {
        Ok(Self { wall: Instant::now(), cpu_s: cpu_s()? })
    }

    fn read(&self) -> Result<Spent> {
        Ok(Spent { wall_s: self.wall.elapsed().as_secs_f64(), cpu_s: cpu_s()? - self.cpu_s })
    }
}

/// CPU seconds of this process, in user and system mode, all threads.
fn cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // The 14th and 15th field, of which two stand before the bracket; in hundredths of a second on every Linux.
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<std::result::Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "figures to be looked at")]
fn rates(spent: &Spent, records: usize) -> String {
    let per = |seconds: f64| records as f64 / seconds;
    format!("{:.0} records/s, {:.0} records/CPU s", per(spent.wall_s), per(spent.cpu_s))
}

#[expect(clippy::cast_precision_loss, reason = "figures to be looked at")]
fn sizes(archive: &Archive) -> Result<String> {
    let (counts, sizes) = (archive.counts(Kind::Call)?, archive.sizes());
    let each = |bytes: u64| bytes / counts.records.max(1);
    let whole = sizes.database_bytes + sizes.index_bytes;
    Ok(format!(
        "{} bytes a record on disk (frames {}, rows and the rest {}, index {}), {:.1} % of raw",
        each(whole),
        each(counts.frame_bytes),
        each(sizes.database_bytes.saturating_sub(counts.frame_bytes)),
        each(sizes.index_bytes),
        whole as f64 / counts.raw_bytes as f64 * 100.0
    ))
}

fn read(path: &Path) -> Result<Vec<Document>> {
    BufReader::new(File::open(path)?).lines().map(|line| document(&line?)).collect()
}

/// Takes an assembled record apart into the two bodies that Graph sends for it.
fn document(line: &str) -> Result<Document> {
    let members = raw::members(line)?;
    let text = |key| raw::value(&members, key).ok_or_else(|| format!("a record has no {key}").into());
    let text = |key| -> Result<&str> { text(key) };
    let id: String = serde_json::from_str(text("id")?)?;
    let participants = text("participants_v2")?;
    let record = line.replacen(&format!(",\"participants_v2\":{participants}"), "", 1);
    let url = format!("https://graph.microsoft.com/v1.0/communications/callRecords/{id}");
    let part = |what, url, body: String| {
        Part::new(what, url, Some(Uuid::new_v4().to_string()), Timestamp::now(), body.into_bytes())
    };
    Ok(Document {
        version: Version(text("version")?.parse()?),
        parts: vec![
            part(What::Participants, format!("{url}/participants_v2"), format!("{{\"value\":{participants}}}")),
            part(What::Record, format!("{url}?$expand=sessions($expand=segments)"), record),
        ],
        key: RecordKey::call(id),
    })
}

/// Records as the simulator's organisation has them, fetched by the program's own client.
mod simulated {
    use std::{sync::Arc, time::Duration};

    use callvault::{
        graph::{Client, Cloud, Credential, Settings, budget::Allowance, cloud::parse_host},
        model::document::Document,
        simulate::{self, Limits, Simulator},
    };
    use secrecy::SecretString;
    use tokio::runtime::Runtime;

    use super::Result;

    pub(super) fn corpus() -> Result<Vec<Document>> {
        let limits = Limits::scaled(1000);
        let simulator = Simulator::start(simulate::Settings { limits, ..simulate::Settings::default() })?;
        let secret = Credential::Secret(SecretString::from(simulator.client_secret().to_owned()));
        let mut settings = Settings::new(Cloud::Global, secret)?;
        settings.tenant_id = Some(simulator.tenant_id().to_owned());
        settings.client_id = Some(simulator.client_id().to_owned());
        settings.login_host = parse_host(&simulator.url())?;
        settings.graph_host = parse_host(&simulator.url())?;
        settings.rates.app = Allowance { requests: 1_500_000, window: Duration::from_secs(20) };
        let client = Client::new(settings, Arc::new(()))?;
        let runtime = Runtime::new()?;
        let calls = simulator.world().expected(simulator.now());
        calls.iter().map(|call| Ok(runtime.block_on(client.whole(&call.id, None))?.document)).collect()
    }
}
