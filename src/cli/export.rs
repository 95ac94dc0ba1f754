//! `export`: records out of the archive, every byte checked on the way.

use std::{
    io::{self, IsTerminal},
    ops::ControlFlow,
    path::PathBuf,
};

use crate::{
    cli::{
        Context,
        ask::FilterArgs,
        exit::{Code, Failure, Result},
        package::{self, Asked, ProfileArg, encrypted::Recipients},
        query, usage,
    },
    export::{self, Ask, Error, Report},
    model::{filter::Sort, kind::Kind},
    tables::Rows,
};

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Format: ndjson carries the archived JSON, a line each; csv, parquet and xlsx are tables with one row a record, and with a
    /// log's own columns where --kind names one log
    #[arg(long, value_enum, value_name = "FORMAT", required_unless_present = "package")]
    pub format: Option<Format>,
    /// Write to this file instead of stdout; it appears once it is complete
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Make an audit package: a folder with records, bodies as received, tables, report and proofs that verify --package checks
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "output", "rows"])]
    pub package: Option<PathBuf>,
    /// All records about a person, in any part and of any kind, with the directory's own of them: named like a participant
    #[arg(long, value_name = "WHO")]
    pub person: Option<String>,
    // clap forgets that a package is required where what was given conflicts with one: hence both.
    /// How much of the records a package shows
    #[arg(long, value_enum, default_value_t, value_name = "PROFILE", requires = "package", conflicts_with = "format")]
    pub profile: ProfileArg,
    /// File with the secret key of a pseudonymised package's tokens
    #[arg(long, value_name = "FILE", requires = "package", conflicts_with = "format")]
    pub token_key: Option<PathBuf>,
    #[command(flatten)]
    pub recipients: Recipients,
    /// Which versions of each record
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub versions: Versions,
    /// What a row of a table is; all but records are parts of calls
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub rows: RowsArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Ndjson,
    Csv,
    Parquet,
    Xlsx,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RowsArg {
    #[default]
    Records,
    Sessions,
    Segments,
    Streams,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Versions {
    All,
    #[default]
    Latest,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    if args.person.as_ref().is_some_and(|person| person.trim().is_empty()) {
        return Err(usage("--person is empty: name somebody by id, UPN, display name or phone number"));
    }
    let rows = match args.rows {
        RowsArg::Records => Rows::Records,
        RowsArg::Sessions => Rows::Sessions,
        RowsArg::Segments => Rows::Segments,
        RowsArg::Streams => Rows::Streams,
    };
    let versions = match args.versions {
        Versions::All => export::Versions::All,
        Versions::Latest => export::Versions::Latest,
    };
    let mut selection = args.filter.selection(Sort::Newest, None, context.now)?;
    if let Some(folder) = &args.package {
        let person = args.person.as_deref();
        let token_key = args.token_key.as_deref();
        let recipients = &args.recipients;
        let asked = Asked { folder, person, versions, profile: args.profile, token_key, recipients };
        return package::make(&asked, selection, context);
    }
    let format = format(args)?;
    if rows != Rows::Records {
        only_calls(&mut selection.filter.kinds, rows)?;
    }
    let ask = Ask { selection, format, rows, versions, person: args.person.clone() };
    let archive = context.archive()?;
    archive.require_rows()?;
    package::who_is_meant(&archive, args.person.as_deref(), context)?;
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
    context.act.count(report.records);
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

fn format(args: &Args) -> Result<export::Format> {
    let Some(format) = args.format else { return Err(usage("--format: say which")) };
    let format = match format {
        Format::Ndjson if args.rows != RowsArg::Records => {
            return Err(usage("--rows: ndjson has a record a line; tables are csv, parquet and xlsx"));
        }
        Format::Ndjson => return Ok(export::Format::Ndjson),
        Format::Csv => return Ok(export::Format::Csv),
        #[cfg(feature = "parquet")]
        Format::Parquet => export::Format::Parquet,
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => return Err(usage("--format: this build has no parquet (it was left out at compile time)")),
        Format::Xlsx => export::Format::Xlsx,
    };
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(usage("--format: this one is not for a terminal; give --output FILE, or pipe it on"));
    }
    Ok(format)
}

/// Sessions and what is in them are parts of calls.
fn only_calls(kinds: &mut Vec<Kind>, rows: Rows) -> Result<()> {
    if !kinds.is_empty() && !kinds.contains(&Kind::Call) {
        return Err(usage(format!("--rows {}: only calls have {0}, and --kind leaves them out", rows.name())));
    }
    *kinds = vec![Kind::Call];
    Ok(())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_broken_pipe() {
            return Failure::new(Code::Done, error.to_string());
        }
        match error {
            Error::Query(error) => error.into(),
            Error::Archive(error) => error.into(),
            Error::Package(error @ crate::package::Error::File { .. }) => {
                Failure::from(error).hint("nothing was left behind; mend the cause and export again")
            }
            Error::Package(error) => error.into(),
            Error::Unproven { .. } => Failure::new(Code::Incomplete, error.to_string())
                .hint("the next sync signs one; try again when none is at work"),
            Error::NotSearched(_) => {
                Failure::new(Code::Incomplete, error.to_string()).hint("let the index catch up with: callvault reindex")
            }
            other => Failure::new(Code::Unexpected, other.to_string())
                .hint("nothing was left behind; mend the cause and export again"),
        }
    }
}
