//! `key`: who signs the ledger.

use clap::Subcommand;

use crate::{
    archive::{ArchiveWriter, signing::Signing},
    cli::{
        Context,
        exit::{Code, Result},
        ledger_key, to_stdout, usage,
    },
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make another key and hand the ledger over to it; both sign that
    Replace {
        /// The present key is lost, so the new one signs alone; checks will say so for good
        #[arg(long, requires = "reason")]
        lost: bool,
        /// Why; goes into the ledger
        #[arg(long, value_name = "TEXT", requires = "lost")]
        reason: Option<String>,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    match &args.command {
        None => show(context),
        Some(Command::Replace { lost, reason }) => replace(lost.then_some(reason.as_deref()).flatten(), context),
    }
}

fn show(context: &Context) -> Result<Code> {
    let known = context.archive()?.ledger_key()?;
    let known = known.ok_or_else(ledger_key::unsigned)?;
    to_stdout(|out| writeln!(out, "{}", known.key))?;
    Ok(Code::Done)
}

/// `lost`: why the former is not there.
fn replace(lost: Option<&str>, context: &Context) -> Result<Code> {
    let path = context.config.ledger_key().ok_or_else(|| {
        usage("there is no place for the ledger's key").hint("name one as [ledger] key in the config file")
    })?;
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    // Ends a change that was cut short.
    let known = writer.ledger_key()?.map(|ledger| ledger.key);
    let present = ledger_key::at_hand(context, known.as_ref())?;
    // One that a replacing left behind that was cut short before the archive knew of it.
    let new_path = ledger_key::next_to(&path);
    let key = match ledger_key::read(&new_path)? {
        Some(key) => key,
        None => ledger_key::make(&new_path)?,
    };
    match lost {
        Some(reason) => {
            if present.zip(known).is_some_and(|(present, known)| present.public().is_same_key(&known)) {
                return Err(usage(format!("the key is not lost: {}", path.display()))
                    .hint("replace it without --lost, so that both sign"));
            }
            writer.sign_late(&key, reason, context.now)?;
        }
        None => match writer.sign_with(present.as_ref(), context.now)? {
            Signing::Signed => writer.replace_key(&key, context.now)?,
            Signing::Nobody => return Err(ledger_key::unsigned()),
            other => other.trouble()?,
        },
    }
    writer.checkpoint()?;
    ledger_key::put_in_place(&path)?;
    show(context)
}
