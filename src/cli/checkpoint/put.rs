//! Where checkpoints go: a file, a folder, a program, a time-stamp authority. Only what lies elsewhere proves that an end was not cut off.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    archive::{ArchiveWriter, checkpoints::Stored},
    cli::{Context, exit::Result, program, whole},
    graph,
    model::id::Sha256,
    proof::timestamp,
};

/// Gives the newest checkpoint to whoever is to have it by the config file. What could not be done is told, and done with the next one.
pub(crate) fn give_out(writer: &mut ArchiveWriter, context: &Context) -> Result<Given> {
    let settings = context.config.ledger();
    let Some(newest) = writer.newest_checkpoint()? else { return Ok(Given::default()) };
    let mut failed = Vec::new();
    if let Some(path) = &settings.checkpoint_file
        && let Err(error) = to_file(path, &newest)
    {
        failed.push(format!("{}: {error}", path.display()));
    }
    if !settings.checkpoint_command.is_empty()
        && let Err(why) = program::feed(&settings.checkpoint_command, &newest.note, None)
    {
        failed.push(why);
    }
    if let Some(url) = settings.timestamp_url.as_ref().filter(|_| newest.timestamp.is_none()) {
        match stamped(url, &newest.note) {
            Ok(answer) => writer.set_timestamp(newest.size, &answer)?,
            Err(why) => failed.push(why),
        }
    }
    for why in &failed {
        context.note(&format!("the checkpoint over {} entries could not be given out: {why}", newest.size));
    }
    Ok(Given { kept_back: !failed.is_empty(), for_stdout: settings.checkpoint_stdout.then_some(newest.note) })
}

/// What became of a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Somebody who is to have it could not be given it.
    pub kept_back: bool,
    /// The note, where it is to stand in the command's own result.
    pub for_stdout: Option<String>,
}

/// An authority's answer about a note, which is about this note.
fn stamped(url: &str, note: &str) -> std::result::Result<Vec<u8>, String> {
    let trouble = |error: &dyn std::fmt::Display| format!("the time-stamp authority {url}: {error}");
    let (sha256, nonce) = (Sha256::of(note.as_bytes()).0, rand::random());
    let query = timestamp::request(&sha256, nonce).map_err(|error| trouble(&error))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| trouble(&error))?;
    let answer = runtime.block_on(graph::timestamp::ask(url, query))?;
    timestamp::check(&answer, &sha256, Some(nonce)).map_err(|error| trouble(&error))?;
    Ok(answer)
}

/// Into a folder each under its own name, never over another; else into one file, the newest.
fn to_file(path: &Path, newest: &Stored) -> io::Result<()> {
    let is_folder = path.is_dir();
    let target = if is_folder { path.join(name(newest.size)) } else { path.to_path_buf() };
    if is_folder && target.exists() {
        return Ok(());
    }
    whole::write(&target, newest.note.as_bytes(), true)
}

pub(super) fn name(size: u64) -> String {
    format!("checkpoint-{size:012}.txt")
}

/// The files that [`give_out`] has put there.
pub(crate) fn put(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return if path.is_file() { vec![path.to_path_buf()] } else { Vec::new() };
    };
    let is_one = |path: &PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        stem.starts_with("checkpoint-") && path.extension().is_some_and(|extension| extension == "txt")
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_one).collect();
    files.sort();
    files
}
