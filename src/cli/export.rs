//! `export`: records out of the archive, every byte checked on the way.

use std::{io, ops::ControlFlow, path::PathBuf};

use crate::{
    cli::{
        Context,
        ask::FilterArgs,
        exit::{Code, Failure, Result},
        query, usage,
    },
    export::{self, Ask, Error, Report},
    model::filter::Sort,
};

/// Export records
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Format: ndjson carries the archived JSON, a line each; csv has one row a record, with a log's own columns where --kind
    /// names one log
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Format,
    /// Write to this file instead of stdout; it appears once it is complete
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which versions of each record
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub versions: Versions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Ndjson,
    Csv,
    /// Not in this release
    #[value(hide = true)]
    Parquet,
    /// Not in this release
    #[value(hide = true)]
    Xlsx,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Versions {
    All,
    #[default]
    Latest,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let format = match args.format {
        Format::Ndjson => export::Format::Ndjson,
        Format::Csv => export::Format::Csv,
        Format::Parquet | Format::Xlsx => return Err(usage("--format: this release exports ndjson and csv")),
    };
    let versions = match args.versions {
        Versions::All => export::Versions::All,
        Versions::Latest => export::Versions::Latest,
    };
    let ask = Ask { selection: args.filter.selection(Sort::Newest, None, context.now)?, format, versions };
    let archive = context.archive()?;
    archive.require_rows()?;
    let mut on = |_: &Report| ControlFlow::Continue(());
    let report = match &args.output {
        Some(path) => export::export_to_file(&archive, &ask, path, &mut on)?,
        None => {
            let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
            let report = export::export(&archive, &ask, &mut out, &mut on)?;
            io::Write::flush(&mut out)?;
            report
        }
    };
    if let Some(path) = &args.output {
        context.note(&format!(
            "{} records in {} versions written to {}",
            report.records,
            report.versions,
            path.display()
        ));
    }
    Ok(query::told(report.reach, context))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_broken_pipe() {
            return Failure::new(Code::Done, error.to_string());
        }
        match error {
            Error::Query(error) => error.into(),
            Error::Archive(error) => error.into(),
            other => Failure::new(Code::Unexpected, other.to_string())
                .hint("nothing was left behind; mend the cause and export again"),
        }
    }
}
