//! `verify`: is what is stored what was archived?

use std::io::IsTerminal;

use indicatif::ProgressBar;

use crate::{
    cli::{
        Context,
        exit::{Code, Failure, Result},
        render::plain,
        to_stdout,
    },
    verify::{self, Ask, Error, Summary},
};

/// Check that what is stored is what was archived: bodies, ledger, rows, index
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Check structure, ledger and the newest versions only
    #[arg(long)]
    pub quick: bool,
    /// Format of the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let archive = context.archive()?;
    let shown = !context.quiet && std::io::stderr().is_terminal();
    let bar = if shown { context.bars.add(ProgressBar::new(0)) } else { ProgressBar::hidden() };
    let summary = verify::verify(&archive, Ask { quick: args.quick }, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    to_stdout(|out| {
        if args.format == super::show::Format::Json {
            serde_json::to_writer(&mut *out, &summary)?;
            return writeln!(out);
        }
        text(&summary, out)
    })?;
    Ok(if summary.is_whole() { Code::Done } else { Code::Integrity })
}

fn text(summary: &Summary, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    for finding in &summary.findings {
        writeln!(out, "{}", plain(&finding.to_string()))?;
    }
    if summary.findings_count > summary.findings.len() as u64 {
        writeln!(out, "… and {} findings more", summary.findings_count - summary.findings.len() as u64)?;
    }
    for note in &summary.notes {
        writeln!(out, "note: {note}")?;
    }
    let verdict = if summary.is_whole() { "whole" } else { "DAMAGED" };
    writeln!(
        out,
        "{verdict}: {} ledger entries, {} versions of {} records, {} bodies with {} bytes read again, {} records' rows and {} index documents compared, {} findings",
        summary.entries,
        summary.versions,
        summary.records,
        summary.bodies,
        summary.bytes,
        summary.rows,
        summary.documents,
        summary.findings_count
    )
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Archive(error) => error.into(),
            other => Failure::new(Code::Unexpected, other.to_string()),
        }
    }
}
