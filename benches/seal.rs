//! What sealing costs and saves: bytes a record, CPU time to seal, to read one record, and to read all by start.
//!
//! `CALLVAULT_ARCHIVE=DIR cargo bench --bench seal`: an archive as `--bench store` leaves it with `CALLVAULT_KEEP`. It is copied, once for each
//! level (`CALLVAULT_LEVELS`, 9 and 19), into `CALLVAULT_SCRATCH` or the folder for temporary files. All its months are sealed,
//! whether they are over or not.

use std::{env, fs, ops::ControlFlow, path::Path, time::Instant};

use callvault::{
    archive::{Archive, ArchiveWriter, Folder, sealed::writing::Sealing},
    model::{
        filter::{Selection, Sort},
        id::Seq,
        kind::Kind,
        month::Month,
        time::Timestamp,
    },
};
use zstd::{bulk::Compressor, zstd_safe::CParameter};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// As in `archive::sealed`: so much of lines is in a frame.
const FRAME_BYTES: usize = 4 << 20;
/// Records that are read one by one.
const SINGLE: usize = 200;

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn main() -> Result<()> {
    let Some(archive) = env::var_os("CALLVAULT_ARCHIVE") else {
        println!("CALLVAULT_ARCHIVE names no archive");
        return Ok(());
    };
    let levels = env::var("CALLVAULT_LEVELS").unwrap_or_else(|_| "9,19".to_owned());
    for level in levels.split(',') {
        let scratch = match env::var_os("CALLVAULT_SCRATCH") {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        copy(Path::new(&archive), scratch.path())?;
        measure(&Folder::new(scratch.path()), level.trim().parse()?)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)?.flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its figures are the result")]
fn measure(folder: &Folder, level: i32) -> Result<()> {
    let now = Timestamp::now();
    let mut writer = ArchiveWriter::open(folder, now)?;
    writer.derive_missing(&mut |_| ControlFlow::Continue(()))?;
    let archive = Archive::open(folder)?;
    let seqs = by_start(&archive)?;
    let counts = archive.counts(Kind::Call)?;
    let each = |bytes: u64| bytes / counts.records.max(1);
    let database = archive.sizes().database_bytes;
    println!(
        "level {level}: {} records of {} bytes, frames of {} bytes",
        counts.records,
        each(counts.raw_bytes),
        each(counts.frame_bytes)
    );
    println!("  open: {}", reading(&archive, &seqs)?);
    let (bodies, bodies_cpu_s) = bodies_alone(&archive, &seqs, level)?;
    println!("  bodies alone, in frames of 4 MiB: {} bytes a record, {bodies_cpu_s:.1} CPU s", each(bodies));
    let began = cpu_s()?;
    let end = Month::of(now).next();
    for month in archive.months(end)? {
        let sealing = Sealing { month, kinds: Kind::HITS.to_vec(), level, now };
        writer.seal(&sealing, &mut |_| ControlFlow::Continue(()))?;
    }
    let sealed_s = cpu_s()? - began;
    let began = cpu_s()?;
    writer.give_back()?;
    let given_s = cpu_s()? - began;
    let volumes = archive.volumes()?;
    let bytes = volumes.iter().map(|volume| volume.bytes).sum();
    println!(
        "  sealed with envelopes: {} bytes a record in {} files, {sealed_s:.1} CPU s; database {} to {} bytes a record, {given_s:.1} CPU s to give back",
        each(bytes),
        volumes.len(),
        each(database),
        each(archive.sizes().database_bytes)
    );
    println!("  sealed: {}", reading(&archive, &seqs)?);
    Ok(())
}

/// Newest versions in the order in which `export` writes them.
fn by_start(archive: &Archive) -> Result<Vec<Seq>> {
    let mut seqs = Vec::new();
    archive.for_each(&Selection { sort: Sort::Oldest, ..Selection::default() }, &mut |hit| {
        seqs.push(hit.seq);
        ControlFlow::Continue(())
    })?;
    Ok(seqs)
}

/// All by start with one reader, and some of them each with a reader of its own.
#[expect(clippy::cast_precision_loss, reason = "figures to be looked at")]
fn reading(archive: &Archive, seqs: &[Seq]) -> Result<String> {
    let mut bytes = 0;
    let (began, mut reader) = (cpu_s()?, archive.version_reader());
    for seq in seqs {
        bytes += reader.read(*seq)?.json.len();
    }
    let all_s = cpu_s()? - began;
    let (began, wall) = (cpu_s()?, Instant::now());
    let single: Vec<Seq> = seqs.iter().step_by((seqs.len() / SINGLE).max(1)).copied().collect();
    for seq in &single {
        archive.version_reader().read(*seq)?;
    }
    let (cpu_s, wall_s) = (cpu_s()? - began, wall.elapsed().as_secs_f64());
    let each_ms = |seconds: f64| seconds / single.len() as f64 * 1000.0;
    Ok(format!(
        "all by start {:.0} MB/CPU s, {:.0} records/CPU s; one alone {:.2} CPU ms, {:.2} ms",
        bytes as f64 / 1e6 / all_s,
        seqs.len() as f64 / all_s,
        each_ms(cpu_s),
        each_ms(wall_s)
    ))
}

/// What bodies take without their envelopes, compressed as a sealed file is.
fn bodies_alone(archive: &Archive, seqs: &[Seq], level: i32) -> Result<(u64, f64)> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::WindowLog(23))?;
    let (mut reader, mut content, mut bytes, mut spent) = (archive.version_reader(), Vec::new(), 0, 0.0);
    for (n, seq) in seqs.iter().enumerate() {
        let bodies = reader.read(*seq)?.document.parts;
        let more: usize = bodies.iter().map(|part| part.body.len() + 1).sum();
        if content.len() + more > FRAME_BYTES && !content.is_empty() {
            let began = cpu_s()?;
            bytes += compressor.compress(&content)?.len() as u64;
            spent += cpu_s()? - began;
            content.clear();
        }
        for part in bodies {
            content.extend_from_slice(&part.body);
            content.push(b'\n');
        }
        if n + 1 == seqs.len() {
            bytes += compressor.compress(&content)?.len() as u64;
        }
    }
    Ok((bytes, spent))
}

/// CPU seconds of this process, in user and system mode, all threads.
fn cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // The 14th and 15th field, of which two stand before the bracket; in hundredths of a second on every Linux.
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<std::result::Result<f64, _>>()?;
    Ok(ticks / 100.0)
}
