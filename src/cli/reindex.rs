//! `reindex`: everything derived, made again.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    archive::ArchiveWriter,
    cli::{
        Context,
        exit::{Code, Failure, Result},
        ledger_key, to_stdout,
    },
    model::time::Timestamp,
    reindex::{self, Error},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<Code> {
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let signing = ledger_key::signed(context, &mut writer, context.now)?;
    let run = writer.begin_run("reindex", context.now)?;
    let shown = !context.quiet && std::io::stderr().is_terminal();
    let bar = if shown { context.bars.add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
    bar.set_style(
        ProgressStyle::with_template("{spinner} rows of {pos} records")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let report = reindex::reindex(&mut writer, &mut |records| bar.set_position(records))?;
    bar.finish_and_clear();
    let line = format!("rows of {} records made again, {} put into the index", report.records, report.indexed);
    writer.end_run(run, (Code::Done as u8, &line), None, Timestamp::now())?;
    writer.checkpoint()?;
    to_stdout(|out| writeln!(out, "{line}"))?;
    signing.trouble()?;
    Ok(Code::Done)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Archive(error) => error.into(),
            Error::Follow(error) => error.into(),
            Error::Gone => Failure::new(Code::Unexpected, error.to_string()),
        }
    }
}
