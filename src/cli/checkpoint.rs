//! `checkpoint`: the signed statement of how far the ledger goes; and where it is put so that nobody can take it back.

mod put;

use std::path::{Path, PathBuf};

use clap::Subcommand;

pub(super) use self::put::{Given, give_out, put};
use crate::{
    archive::{ArchiveWriter, signing::Signing},
    cli::{
        Context,
        exit::{Code, Result},
        ledger_key::{self, unsigned},
        to_stdout, usage, whole,
    },
    model::time::Timestamp,
    proof::{checkpoint::Checkpoint, note::Note},
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print all checkpoints that are kept, oldest first
    List,
    /// Write all that a time-stamp authority vouched for into a folder: each checkpoint, and the answer about it (RFC 3161) as .tsr
    Timestamps {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Print the proof that an older checkpoint is the beginning of the newest (RFC 6962): a hash a line
    Consistency {
        /// The older checkpoint
        #[arg(value_name = "FILE")]
        from: PathBuf,
    },
    /// Sign entries that were written without the key, after somebody has looked at them
    Sign {
        /// Why they are to be trusted; goes into the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    match &args.command {
        None => newest(context),
        Some(Command::List) => list(context),
        Some(Command::Timestamps { folder }) => timestamps(folder, context),
        Some(Command::Consistency { from }) => consistency(from, context),
        Some(Command::Sign { reason }) => sign(reason, context),
    }
}

fn newest(context: &Context) -> Result<Code> {
    let archive = context.archive()?;
    let stored = archive.checkpoint()?.ok_or_else(unsigned)?;
    to_stdout(|out| write!(out, "{}", stored.note))?;
    Ok(Code::Done)
}

fn list(context: &Context) -> Result<Code> {
    let checkpoints = context.archive()?.checkpoints()?;
    to_stdout(|out| {
        checkpoints.iter().try_for_each(|stored| {
            let kept = stored.kept.map_or_else(|| "newest".to_owned(), Timestamp::to_seconds_text);
            let stamped = if stored.timestamp.is_some() { ", time-stamped" } else { "" };
            writeln!(out, "# {kept}{stamped}\n{}", stored.note)
        })
    })?;
    Ok(Code::Done)
}

fn timestamps(folder: &Path, context: &Context) -> Result<Code> {
    let trouble = |path: &Path, error: std::io::Error| usage(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| trouble(folder, error))?;
    let mut written = 0;
    for stored in context.archive()?.checkpoints()? {
        let Some(answer) = &stored.timestamp else { continue };
        let path = folder.join(put::name(stored.size));
        for (path, bytes) in [(path.clone(), stored.note.as_bytes()), (path.with_extension("tsr"), answer)] {
            whole::write(&path, bytes, true).map_err(|error| trouble(&path, error))?;
        }
        written += 1;
    }
    if written == 0 {
        return Err(usage("no checkpoint is time-stamped")
            .hint("name an authority as [ledger] timestamp_url in the config file"));
    }
    context.note(&format!("{written} checkpoints with their time stamps written to {}", folder.display()));
    Ok(Code::Done)
}

fn consistency(from: &PathBuf, context: &Context) -> Result<Code> {
    use base64::{Engine, engine::general_purpose::STANDARD};

    let trouble = |what: String| usage(format!("the checkpoint {}: {what}", from.display()));
    let note = std::fs::read_to_string(from).map_err(|error| trouble(error.to_string()))?;
    let old = Note::parse(&note).and_then(|note| Checkpoint::of_note(&note));
    let old = old.map_err(|error| trouble(error.to_string()))?;
    let archive = context.archive()?;
    let newest = archive.checkpoint()?.ok_or_else(unsigned)?;
    if old.size > newest.size {
        return Err(trouble(format!("it covers {} entries, the newest {}", old.size, newest.size)));
    }
    let path = archive.consistency_path(old.size, newest.size)?;
    to_stdout(|out| path.iter().try_for_each(|hash| writeln!(out, "{}", STANDARD.encode(hash))))?;
    Ok(Code::Done)
}

fn sign(reason: &str, context: &Context) -> Result<Code> {
    if reason.trim().is_empty() {
        return Err(usage("--reason: say why the entries are to be trusted"));
    }
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let known = writer.ledger_key()?.map(|ledger| ledger.key);
    let key = ledger_key::at_hand(context, known.as_ref())?.ok_or_else(|| {
        usage("the ledger's key is not there").hint("put it back, or let another sign: callvault key replace --lost")
    })?;
    match writer.sign_with(Some(&key), context.now)? {
        Signing::Nobody | Signing::Signed => {
            context.note("every entry is signed already");
            return Ok(Code::Done);
        }
        Signing::Unsigned { .. } | Signing::Altered(_) => writer.sign_late(&key, reason, context.now)?,
        other => other.trouble()?,
    }
    writer.checkpoint()?;
    newest(context)
}
