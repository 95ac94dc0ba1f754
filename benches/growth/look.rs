//! What is seen of an archive at a moment: what questions take in this process and in one of their own, memory, bytes.

use std::{
    fmt, fs,
    ops::ControlFlow,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use callvault::{
    archive::{Archive, Folder},
    model::{
        filter::{Filter, Selection, Sort},
        time::{Age, Timestamp},
    },
    query,
    simulate::World,
};

use crate::Result;

/// Questions of each sort that this process asks, and processes for each sort.
const WARM: usize = 1000;
const COLD: usize = 40;
/// What everybody knows of the market leader's headsets: a word that nearly half of all calls have.
const TEXT: &str = "device:jabra";

/// What storing the calls since the last look took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) calls: u64,
    pub(crate) wall_s: f64,
    /// Without making the calls.
    pub(crate) cpu_s: f64,
    /// Of months that were over by then: another number of calls, as a rule.
    pub(crate) sealing_cpu_s: f64,
    /// The most that this process had in memory while it stored, and while it sealed.
    pub(crate) storing_bytes: u64,
    pub(crate) sealing_bytes: u64,
}

/// The most memory that this process has, looked at twenty times a second.
pub(crate) struct Most(Arc<AtomicU64>);

impl Most {
    pub(crate) fn watched() -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&most);
        thread::spawn(move || {
            loop {
                watched.fetch_max(memory_bytes().unwrap_or_default(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self(most)
    }

    /// The most since it was asked last.
    pub(crate) fn since(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// What a question took, in milliseconds.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "units come last")]
pub(crate) struct Asked {
    pub(crate) cpu_ms: f64,
    /// Wall time of the median, and of one in a hundred.
    pub(crate) median_ms: f64,
    pub(crate) late_ms: f64,
}

/// Memory of a process for each, in KiB as the kernel counts it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peaks([u64; Peaks::COMMANDS.len()]);

impl Peaks {
    /// `reindex` last: it leaves another index than the one that grew.
    const COMMANDS: [(&'static str, &'static [&'static str]); 5] = [
        ("query by key", &["query", "--participant", "+44 20 7946 0000", "--limit", "50"]),
        ("query by text", &["query", TEXT, "--limit", "50"]),
        ("export", &["export", "--format", "ndjson", "--output", "/dev/null"]),
        ("verify", &["verify"]),
        ("reindex", &["reindex"]),
    ];

    /// Needs GNU time, without which nothing is told: a child begins with the peak of who forked it, so a small program is to do that.
    fn of(path: &Path, settings: &Path) -> Result<Option<Self>> {
        let mut peaks = [0; Self::COMMANDS.len()];
        for (peak, (what, words)) in peaks.iter_mut().zip(Self::COMMANDS) {
            let file = tempfile::NamedTempFile::new()?;
            let mut command = Command::new("time");
            command.args(["-q", "-f", "%M", "-o"]).arg(file.path()).arg(env!("CARGO_BIN_EXE_callvault"));
            command.arg("--archive").arg(path).args(words).env("HOME", path).env("CALLVAULT_CONFIG", settings);
            // A command sets for itself what it wants of memory.
            command.env_remove("MALLOC_ARENA_MAX");
            let Ok(ended) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() else {
                return Ok(None);
            };
            if !ended.success() {
                return Err(format!("{what} ends with {ended}").into());
            }
            *peak = fs::read_to_string(file.path())?.trim().parse()?;
        }
        Ok(Some(Self(peaks)))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) calls: u64,
    pub(crate) took: Took,
    pub(crate) warm_key: Asked,
    pub(crate) warm_text: Asked,
    pub(crate) cold_key_ms: f64,
    pub(crate) cold_text_ms: f64,
    pub(crate) cold_status_ms: f64,
    /// What commands take at most, at the looks that are compared and where it can be told.
    pub(crate) peaks: Option<Peaks>,
    pub(crate) database_bytes: u64,
    pub(crate) sealed_bytes: u64,
    pub(crate) index_bytes: u64,
}

impl Look {
    pub(crate) const TITLES: &'static str = "| calls | stored a CPU s, a s; sealing CPU s | warm by key: CPU ms, median, 99 of 100 | warm by text | cold CPU ms: key, text, status | memory MiB: storing, sealing | \
         MiB: database, sealed, index | B a call |\n| --- | --- | --- | --- | --- | --- | --- | --- |";

    pub(crate) fn at(world: &World, path: &Path, calls: u64, took: Took) -> Result<Self> {
        let folder = Folder::new(path);
        let archive = Archive::open(&folder)?;
        let last = world.bodies(calls - 1).map_or(Timestamp(0), |bodies| bodies.start);
        let first = world.bodies(0).map_or(Timestamp(0), |bodies| bodies.start);
        // Weeks all over the time that there is, and people of all sorts.
        let weeks = (0..WARM).map(|n| first + Age(part_of((last - first).0, n)));
        let people = world.people();
        let by_key: Vec<Selection> = (weeks.enumerate())
            .map(|(n, from)| Selection {
                filter: Filter {
                    participants: vec![people[n * 7919 % people.len()].upn.clone()],
                    from: Some(from),
                    to: Some(from + Age::days(7)),
                    ..Filter::default()
                },
                limit: Some(50),
                ..Selection::default()
            })
            .collect();
        let by_text =
            Selection { text: Some(TEXT.into()), sort: Sort::Newest, limit: Some(50), ..Selection::default() };
        let sizes = archive.sizes();
        Ok(Self {
            calls,
            took,
            warm_key: ask(&archive, &by_key)?,
            warm_text: ask(&archive, &vec![by_text; WARM / 4])?,
            cold_key_ms: cold(path, &mut |n, command| {
                let Filter { participants, from, to, .. } = &by_key[n].filter;
                command.arg("query").arg("--participant").args(participants);
                for (flag, time) in [("--from", from), ("--to", to)] {
                    command.args(time.map(|time| [flag.to_owned(), time.to_string()]).into_iter().flatten());
                }
            })?,
            cold_text_ms: cold(path, &mut |_, command| _ = command.args(["query", TEXT]))?,
            cold_status_ms: cold(path, &mut |_, command| _ = command.arg("status"))?,
            peaks: None,
            database_bytes: sizes.database_bytes,
            sealed_bytes: bytes_under(&path.join("sealed")),
            index_bytes: sizes.index_bytes,
        })
    }

    /// What commands take: minutes in a large archive, so not at every look.
    pub(crate) fn with_peaks(self, path: &Path, settings: &Path) -> Result<Self> {
        Ok(Self { peaks: Peaks::of(path, settings)?, ..self })
    }

    pub(crate) fn stored_a_cpu_s(&self) -> f64 {
        as_f64(self.took.calls) / self.took.cpu_s
    }

    pub(crate) fn bytes_a_call(&self) -> f64 {
        as_f64(self.all_bytes()) / as_f64(self.calls)
    }

    pub(crate) fn all_bytes(&self) -> u64 {
        self.database_bytes + self.sealed_bytes + self.index_bytes
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { took, warm_key, warm_text, .. } = self;
        let mib = |bytes: u64| bytes >> 20;
        let warm = |asked: &Asked| format!("{:.2}, {:.2}, {:.2}", asked.cpu_ms, asked.median_ms, asked.late_ms);
        write!(
            f,
            "| {} | {:.0}, {:.0}; {:.1} | {} | {} | {:.1}, {:.1}, {:.1} | {}, {} | {}, {}, {} | {:.0} |",
            self.calls,
            self.stored_a_cpu_s(),
            as_f64(took.calls) / took.wall_s,
            took.sealing_cpu_s,
            warm(warm_key),
            warm(warm_text),
            self.cold_key_ms,
            self.cold_text_ms,
            self.cold_status_ms,
            mib(took.storing_bytes),
            mib(took.sealing_bytes),
            mib(self.database_bytes),
            mib(self.sealed_bytes),
            mib(self.index_bytes),
            self.bytes_a_call(),
        )
    }
}

/// The last look beside the one at a tenth of it, and whether that is a straight line.
pub(crate) fn verdicts(looks: &[Look]) -> Vec<String> {
    let Some(last) = looks.last() else { return Vec::new() };
    let Some(tenth) = looks.iter().find(|look| look.calls >= last.calls / 10) else { return Vec::new() };
    let told = |what: &str, ratio: f64, is_met: bool, target: &str| {
        format!(
            "{what}: {ratio:.2} times what it was at {} calls; {} ({target})",
            tenth.calls,
            if is_met { "met" } else { "NOT met" }
        )
    };
    let ratio = |of: fn(&Look) -> f64| of(last) / of(tenth);
    let stored = ratio(Look::stored_a_cpu_s);
    let key = ratio(|look| look.cold_key_ms);
    let text = ratio(|look| look.cold_text_ms);
    let warm_key = ratio(|look| look.warm_key.cpu_ms);
    let warm_text = ratio(|look| look.warm_text.cpu_ms);
    let disk = ratio(Look::bytes_a_call);
    let storing = ratio(|look| as_f64(look.took.storing_bytes));
    let sealing = ratio(|look| as_f64(look.took.sealing_bytes));
    let mut verdicts = vec![
        told("stored a CPU second", stored, stored >= 0.95, "at least 0.95"),
        told("cold question by key", key, key <= 1.2, "at most 1.2"),
        told("warm question by key", warm_key, warm_key <= 1.2, "at most 1.2"),
        told("cold question by text", text, text <= 1.3, "at most 1.3"),
        told("warm question by text", warm_text, warm_text <= 1.3, "at most 1.3"),
        told("bytes a call", disk, (0.97..=1.03).contains(&disk), "within 3 %"),
        told("memory of who stores", storing, storing <= 1.1, "at most 1.1"),
        told("memory of who seals", sealing, sealing <= 1.1, "at most 1.1"),
    ];
    if let (Some(Peaks(peaks)), Some(Peaks(before))) = (last.peaks, tenth.peaks) {
        for (((what, _), peak), before) in Peaks::COMMANDS.into_iter().zip(peaks).zip(before) {
            let ratio = as_f64(peak) / as_f64(before);
            let what = format!("memory of {what}, {before} and {peak} KiB");
            verdicts.push(told(&what, ratio, ratio <= 1.1, "at most 1.1"));
        }
    }
    verdicts
}

fn ask(archive: &Archive, selections: &[Selection]) -> Result<Asked> {
    // One for all: it keeps the index open from one question to the next.
    let reader = query::Reader::new(archive);
    let answer = |selection| reader.for_each(selection, &mut |_| ControlFlow::Continue(()));
    for selection in selections.iter().take(3) {
        answer(selection)?;
    }
    let cpu_before = thread_cpu_s()?;
    let mut waits_ms = Vec::with_capacity(selections.len());
    for selection in selections {
        let began = Instant::now();
        answer(selection)?;
        waits_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let cpu_ms = (thread_cpu_s()? - cpu_before) * 1e3 / as_f64(selections.len() as u64);
    waits_ms.sort_by(f64::total_cmp);
    let late = (waits_ms.len() * 99 / 100).min(waits_ms.len() - 1);
    Ok(Asked { cpu_ms, median_ms: waits_ms[waits_ms.len() / 2], late_ms: waits_ms[late] })
}

/// CPU milliseconds of a process of its own, in the mean: the kernel counts those of ended children in hundredths of a second.
fn cold(path: &Path, line: &mut dyn FnMut(usize, &mut Command)) -> Result<f64> {
    let before = children_cpu_s()?;
    for n in 0..COLD {
        let mut command = Command::new(env!("CARGO_BIN_EXE_callvault"));
        command.arg("--archive").arg(path).env_clear().env("HOME", path);
        line(n, &mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    }
    Ok((children_cpu_s()? - before) * 1e3 / as_f64(COLD as u64))
}

/// A part of `whole` that differs from `n` to `n` and has no order.
fn part_of(whole: i64, n: usize) -> i64 {
    const OF: i64 = 1009;
    whole / OF * (i64::try_from(n).unwrap_or(0) * 611 % OF)
}

/// CPU seconds of this process, in user and system mode, all threads.
pub(crate) fn cpu_s() -> Result<f64> {
    stat_s(11)
}

fn children_cpu_s() -> Result<f64> {
    stat_s(13)
}

/// Two fields of `/proc/self/stat`, counted behind the name: hundredths of a second on every Linux.
fn stat_s(first: usize) -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(first).take(2).map(str::parse::<f64>).sum::<std::result::Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// CPU seconds of the calling thread.
pub(crate) fn thread_cpu_s() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns: f64 = text.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(ns / 1e9)
}

/// What this process has in memory of its own: not what it has mapped of the archive's files.
fn memory_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(kib << 10)
}

fn bytes_under(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            entry.metadata().map_or(0, |meta| if meta.is_dir() { bytes_under(&entry.path()) } else { meta.len() })
        })
        .sum()
}

#[expect(clippy::cast_precision_loss, reason = "figures to be looked at")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}
