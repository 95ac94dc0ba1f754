//! `retention`: how long records are kept, and disposing of them. Anything that destroys is shown first.

mod dispose;

use std::{io::Write, path::PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::{
    archive::{
        Archive, ArchiveWriter,
        policy::{Rule, Rules},
    },
    cli::{
        Context, access,
        exit::{Code, Failure, Result},
        hold, ledger_key,
        show::Format,
        to_stdout, usage,
    },
    model::{id::Seq, time::Timestamp},
    retain::{self, plan, rule},
};

/// Keep records for as long as rules say, then dispose of them
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the rules in force and what is due by them
    Show {
        /// Format of the answer
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Put the rules of the config file in force
    Set {
        /// Agree that something is kept for a shorter time than so far
        #[arg(long)]
        accept_shorter: bool,
    },
    /// Dispose of what no rule keeps any longer and no hold covers; without --yes say what that is
    Apply(dispose::ApplyArgs),
    /// Approve a plan, as a second person
    Approve {
        /// The plan's file
        #[arg(value_name = "FILE")]
        plan: PathBuf,
    },
    /// Dispose of every record in which somebody takes part; without --yes say what that is
    Erase(dispose::EraseArgs),
    /// Take what is left of disposals out of files, where that could not be finished
    Finish,
    /// Print the certificate of a disposal
    Certificate {
        /// The disposal's entry in the ledger
        #[arg(value_name = "ENTRY")]
        entry: i64,
    },
}

impl Args {
    /// What the journal of accesses calls it.
    pub(super) fn name(&self) -> &'static str {
        match self.command {
            Command::Show { .. } => "retention show",
            Command::Set { .. } => "retention set",
            Command::Apply(_) => "retention apply",
            Command::Approve { .. } => "retention approve",
            Command::Erase(_) => "retention erase",
            Command::Finish => "retention finish",
            Command::Certificate { .. } => "retention certificate",
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    match &args.command {
        Command::Show { format } => show(*format, context),
        Command::Set { accept_shorter } => set(*accept_shorter, context),
        Command::Apply(args) => dispose::apply(args, context),
        Command::Approve { plan } => dispose::approve(plan, context),
        Command::Erase(args) => dispose::erase(args, context),
        Command::Finish => finish(context),
        Command::Certificate { entry } => certificate(*entry, context),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    in_force: Option<&'a Rules>,
    /// Those of the config file, where they are others.
    config: Option<&'a [Rule]>,
    due: Option<std::collections::BTreeMap<&'a str, plan::OfKind>>,
    held: Option<u64>,
}

fn show(format: Format, context: &Context) -> Result<Code> {
    let config = context.config.rules()?;
    let archive = context.archive()?;
    let rules = archive.rules()?;
    let now = context.graph_now(&archive)?;
    let plan = rules.as_ref().map(|rules| plan::by_rules(&archive, rules, access::user().person(), now)).transpose()?;
    let differs = rules.as_ref().map_or(&[][..], |rules| &rules.rules) != config;
    let shown = Shown {
        in_force: rules.as_ref(),
        config: differs.then_some(&config[..]),
        due: plan.as_ref().map(plan::Plan::by_kind),
        held: plan.as_ref().map(|plan| plan.held.iter().map(|held| held.records).sum()),
    };
    to_stdout(|out| {
        if format == Format::Json {
            serde_json::to_writer(&mut *out, &shown)?;
            return writeln!(out);
        }
        match &rules {
            None => writeln!(out, "no rule is in force: everything is kept")?,
            Some(rules) => {
                let since = rules.since.to_seconds_text();
                writeln!(out, "rules in force, version {} of {since} (ledger entry {}):", rules.version, rules.seq)?;
                rules_text(&rules.rules, out)?;
            }
        }
        if let Some(plan) = &plan {
            dispose::text(plan, out)?;
        }
        if differs {
            writeln!(out, "the config file has other rules, which are not in force:")?;
            rules_text(&config, out)?;
        }
        Ok(())
    })?;
    if differs {
        context.note("put those of the config file in force with: callvault retention set");
    }
    Ok(Code::Done)
}

fn rules_text(rules: &[Rule], out: &mut dyn Write) -> std::io::Result<()> {
    if rules.is_empty() {
        writeln!(out, "  none: everything is kept")?;
    }
    rules.iter().try_for_each(|rule| {
        let of = rule.call_type.as_ref().map_or_else(String::new, |call_type| format!(" of type {call_type}"));
        writeln!(out, "  {}{of}: {} days from their end on", rule.kind, rule.keep_days)
    })
}

fn set(accept_shorter: bool, context: &Context) -> Result<Code> {
    let new = context.config.rules()?;
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let before = Archive::open(&context.folder())?.rules()?;
    let old = before.as_ref().map_or(&[][..], |rules| &rules.rules);
    if old == new {
        context.note("these rules are in force already");
        return Ok(Code::Done);
    }
    let shorter = rule::is_shorter(old, &new);
    // Where there was no rule so far, to make the first is what was asked for.
    if shorter && before.is_some() && !accept_shorter {
        return Err(usage("by these rules something is kept for a shorter time than so far")
            .hint("look at both with callvault retention show, then add --accept-shorter"));
    }
    let signing = ledger_key::signed(context, &mut writer, context.now)?;
    let seq = writer.set_rules(&new, shorter, access::user().person(), Timestamp::now())?;
    let code = hold::end(&mut writer, context)?;
    to_stdout(|out| {
        writeln!(out, "in force from now on, ledger entry {seq}:")?;
        rules_text(&new, out)
    })?;
    signing.trouble()?;
    Ok(code)
}

fn finish(context: &Context) -> Result<Code> {
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let signing = ledger_key::signed(context, &mut writer, context.now)?;
    retain::finish(&mut writer)?;
    let code = hold::end(&mut writer, context)?;
    signing.trouble()?;
    Ok(code)
}

fn certificate(entry: i64, context: &Context) -> Result<Code> {
    let kept = context.archive()?.certificate(Seq(entry))?;
    let (text, finished) =
        kept.ok_or_else(|| usage(format!("ledger entry {entry} is no disposal that has a certificate")))?;
    let mut certificate: serde_json::Value = serde_json::from_str(&text).map_err(std::io::Error::from)?;
    // As it is now, which may be later than the certificate.
    certificate["finished"] = finished.into();
    to_stdout(|out| {
        serde_json::to_writer_pretty(&mut *out, &certificate)?;
        writeln!(out)
    })?;
    if !finished {
        context.note("something of it is left in files: callvault retention finish takes it out");
        return Ok(Code::Incomplete);
    }
    Ok(Code::Done)
}

impl From<retain::Error> for Failure {
    fn from(error: retain::Error) -> Self {
        match error {
            retain::Error::Archive(error) => error.into(),
            retain::Error::Follow(error) => error.into(),
            retain::Error::Query(error) => error.into(),
            retain::Error::Usage(message) => usage(message),
        }
    }
}
