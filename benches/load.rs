//! Whether storing a call costs the same at the end of a large tenant as at its beginning.
//!
//! `cargo bench --bench load`. A simulated tenant serves its calls as fast as they are asked for; the
//! program, a process of its own, pulls them into an empty archive, and is looked at twice a second from outside (`/proc`, the archive's counters). The
//! run is cut into ten parts of as many calls each. Environment:
//! - `CALLVAULT_CALLS`: calls of the tenant (default 20,000)
//! - `CALLVAULT_FOLDER`: where the archive is made; it stays there (default: a folder of its own that goes)

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use callvault::{
    archive::{Archive, Folder},
    model::kind::Kind,
    simulate::{Limits, Settings, Simulator},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PARTS: u64 = 10;
const LOOK: Duration = Duration::from_millis(500);
/// More than is ever asked for.
const REQUESTS_PER_20S: u32 = 4_000_000;

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn main() -> Result<()> {
    let calls: u64 = env::var("CALLVAULT_CALLS").map_or(Ok(20_000), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let folder = env::var_os("CALLVAULT_FOLDER").map_or_else(|| scratch.path().to_path_buf(), PathBuf::from);
    fs::create_dir_all(&folder)?;
    let tenant = Tenant::start(calls)?;
    let archive = folder.join("archive");
    let mut sync = tenant.program(&folder, &archive)?.spawn()?;
    let looks = watch(&mut sync, &archive)?;

    let last = looks.last().ok_or("it ended before anybody looked")?;
    println!("| calls | calls/s | CPU ms a call | memory MiB | its most so far | MiB read, written | archive MiB |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let parts: Vec<Part> = parts(&looks).collect();
    for part in &parts {
        println!("{part}");
    }
    let (Some(first), Some(second), Some(end)) = (parts.first(), parts.get(1), parts.last()) else {
        return Err("too few looks: take more calls".into());
    };
    println!(
        "{} calls in {:.0} s, {:.0} a second, {:.2} CPU ms each; {:.0} B each on disk; the last part against the first: {:.2} times the rate, \
         {:.2} times the CPU, {:.2} times the memory (against the second {:.2}, {:.2}, {:.2})",
        last.calls,
        last.at.as_secs_f64(),
        as_f64(last.calls) / last.at.as_secs_f64(),
        last.cpu.as_secs_f64() * 1e3 / as_f64(last.calls),
        as_f64(last.archive_bytes) / as_f64(last.calls),
        end.rate() / first.rate(),
        end.cpu_ms() / first.cpu_ms(),
        as_f64(end.to.resident_bytes) / as_f64(first.to.resident_bytes),
        end.rate() / second.rate(),
        end.cpu_ms() / second.cpu_ms(),
        as_f64(end.to.resident_bytes) / as_f64(second.to.resident_bytes),
    );
    Ok(())
}

/// A simulated tenant that refuses nothing.
struct Tenant(Simulator);

impl Tenant {
    fn start(calls: u64) -> Result<Self> {
        let calls = u32::try_from(calls)?;
        Ok(Self(Simulator::start(Settings {
            // Of 28 days 20 are workdays, and the others have six calls for a hundred of theirs.
            calls_per_day: u32::try_from(u64::from(calls) * 100 / 2048)?,
            days: 28,
            users: (calls / 50).clamp(100, 20_000),
            limits: Limits::off(),
            ..Settings::default()
        })?))
    }

    #[expect(clippy::disallowed_methods, reason = "a file of a moment")]
    fn program(&self, folder: &Path, archive: &Path) -> Result<Command> {
        let config = folder.join("config.toml");
        fs::write(&config, format!("[graph]\nrequests_per_20s = {REQUESTS_PER_20S}\n"))?;
        let mut program = Command::new(env!("CARGO_BIN_EXE_callvault"));
        program
            .env_clear()
            .env("HOME", folder)
            .env("AZURE_TENANT_ID", self.0.tenant_id())
            .env("AZURE_CLIENT_ID", self.0.client_id())
            .env("AZURE_CLIENT_SECRET", self.0.client_secret())
            .env("AZURE_AUTHORITY_HOST", self.0.url())
            .env("CALLVAULT_GRAPH_ENDPOINT", self.0.url());
        program
            .arg("--quiet")
            .arg("--archive")
            .arg(archive)
            .arg("--config")
            .arg(config)
            .args(["sync", "--source", "calls"]);
        program.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(program)
    }
}

/// What there is to see at a moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    calls: u64,
    cpu: Duration,
    resident_bytes: u64,
    most_resident_bytes: u64,
    read_bytes: u64,
    written_bytes: u64,
    archive_bytes: u64,
}

/// Looks until the program has ended.
fn watch(sync: &mut Child, folder: &Path) -> Result<Vec<Look>> {
    let began = Instant::now();
    let folder = Folder::new(folder);
    let mut archive = None;
    let mut looks: Vec<Look> = Vec::new();
    while sync.try_wait()?.is_none() {
        sleep(LOOK);
        // The archive and its tables come into being while we wait.
        archive = archive.or_else(|| Archive::open(&folder).ok());
        let Some(open) = &archive else { continue };
        let calls = open.counts(Kind::Call)?.records;
        let Some(look) = look(sync.id(), began.elapsed(), calls, open.sizes()) else { break };
        looks.push(look);
    }
    if !sync.wait()?.success() {
        return Err("the sync failed".into());
    }
    Ok(looks)
}

fn look(pid: u32, at: Duration, calls: u64, sizes: callvault::archive::stats::Sizes) -> Option<Look> {
    let proc = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let (stat, status, io) = (proc("stat")?, proc("status")?, proc("io")?);
    // Behind the name, which may hold anything: state, then twelve fields up to the times in hundredths of a second.
    let ticks: u64 =
        stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    let number = |text: &str, name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Look {
        at,
        calls,
        cpu: Duration::from_millis(ticks * 10),
        resident_bytes: number(&status, "VmRSS:")? * 1024,
        most_resident_bytes: number(&status, "VmHWM:")? * 1024,
        read_bytes: number(&io, "read_bytes:")?,
        written_bytes: number(&io, "write_bytes:")?,
        archive_bytes: sizes.database_bytes + sizes.index_bytes,
    })
}

/// A tenth of the run.
struct Part {
    from: Look,
    to: Look,
}

fn parts(looks: &[Look]) -> impl Iterator<Item = Part> {
    let all = looks.last().map_or(0, |look| look.calls);
    let beginning = Look {
        at: Duration::ZERO,
        calls: 0,
        cpu: Duration::ZERO,
        resident_bytes: 0,
        most_resident_bytes: 0,
        read_bytes: 0,
        written_bytes: 0,
        archive_bytes: 0,
    };
    // Until the first call is there, lists are read.
    let first = looks.iter().take_while(|look| look.calls == 0).last().copied().unwrap_or(beginning);
    let reached = move |part: u64| looks.iter().find(|look| look.calls >= all * part / PARTS).copied();
    let ends: Vec<Look> = std::iter::once(first).chain((1..=PARTS).filter_map(reached)).collect();
    ends.windows(2)
        .map(|ends| Part { from: ends[0], to: ends[1] })
        .filter(|part| part.calls() > 0)
        .collect::<Vec<_>>()
        .into_iter()
}

impl Part {
    fn calls(&self) -> u64 {
        self.to.calls - self.from.calls
    }

    fn rate(&self) -> f64 {
        as_f64(self.calls()) / self.to.at.saturating_sub(self.from.at).as_secs_f64()
    }

    fn cpu_ms(&self) -> f64 {
        self.to.cpu.saturating_sub(self.from.cpu).as_secs_f64() * 1e3 / as_f64(self.calls())
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| as_f64(bytes) / 1024.0 / 1024.0;
        write!(
            f,
            "| to {} | {:.0} | {:.3} | {:.0} | {:.0} | {:.0}, {:.0} | {:.0} |",
            self.to.calls,
            self.rate(),
            self.cpu_ms(),
            mib(self.to.resident_bytes),
            mib(self.to.most_resident_bytes),
            mib(self.to.read_bytes - self.from.read_bytes),
            mib(self.to.written_bytes - self.from.written_bytes),
            mib(self.to.archive_bytes),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures to be looked at")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
