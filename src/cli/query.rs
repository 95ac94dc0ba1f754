//! `query`: what the archive knows.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use crate::{
    cli::{
        Context,
        ask::FilterArgs,
        exit::{Code, Failure, Result},
        render::{matched, table},
        to_stdout,
    },
    model::{
        filter::{Selection, Sort},
        hit::Hit,
    },
    query::{self, Reach},
    tables::{Row, Shape, Sink, Table, csv::Csv},
};

/// Search the archive
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Order of the records
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    pub sort: SortArg,
    /// At most so many records; 0 is no limit
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: usize,
    /// Print only how many records there are
    #[arg(long)]
    pub count: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum SortArg {
    #[default]
    Newest,
    Oldest,
    Longest,
    Relevance,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
    Ndjson,
    Csv,
}

impl From<SortArg> for Sort {
    fn from(sort: SortArg) -> Self {
        match sort {
            SortArg::Newest => Sort::Newest,
            SortArg::Oldest => Sort::Oldest,
            SortArg::Longest => Sort::Longest,
            SortArg::Relevance => Sort::Relevance,
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let limit = Some(args.limit).filter(|limit| *limit > 0);
    let selection = args.filter.selection(args.sort.into(), limit, context.now)?;
    let archive = context.archive()?;
    archive.require_rows()?;
    let reach = if args.count {
        let (count, reach) = query::count(&archive, &selection)?;
        to_stdout(|out| writeln!(out, "{count}"))?;
        reach
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let reach = match args.format {
            Format::Table => table_of(&archive, &selection, context, &mut out)?,
            Format::Json => json(&archive, &selection, &mut out)?,
            Format::Ndjson => each(&archive, &selection, &mut |hit| {
                serde_json::to_writer(&mut out, hit)?;
                out.write_all(b"\n")
            })?,
            Format::Csv => {
                let shape = Shape::default();
                let mut csv = Table::new(shape, Csv::new(&mut out, &shape.columns())?);
                let reach = each(&archive, &selection, &mut |hit| csv.row(&Row { hit, json: "" }))?;
                Box::new(csv).finish()?;
                reach
            }
        };
        out.flush()?;
        reach
    };
    Ok(told(reach, context))
}

/// Says what an answer could not look at; the exit code tells it to scripts.
pub(super) fn told(reach: Reach, context: &Context) -> Code {
    if reach.is_whole() {
        return Code::Done;
    }
    if reach.versions_not_searched > 0 {
        context.note(&format!(
            "{} records were not searched for the text: the index is behind; catch up with: callvault reindex",
            reach.versions_not_searched
        ));
    }
    if reach.records_without_rows > 0 {
        context
            .note(&format!("{} records have no rows yet; go on with: callvault reindex", reach.records_without_rows));
    }
    Code::Incomplete
}

/// Hands each hit to `on`; an error of its ends the query.
fn each(
    archive: &crate::archive::Archive,
    selection: &Selection,
    on: &mut dyn FnMut(&Hit) -> io::Result<()>,
) -> Result<Reach> {
    let mut failed = None;
    let reach = query::for_each(archive, selection, &mut |hit| match on(&hit) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(reach), |error| Err(Failure::from(error)))
}

fn json(archive: &crate::archive::Archive, selection: &Selection, out: &mut dyn Write) -> Result<Reach> {
    let mut separator = "[\n";
    let reach = each(archive, selection, &mut |hit| {
        out.write_all(separator.as_bytes())?;
        separator = ",\n";
        Ok(serde_json::to_writer(&mut *out, hit)?)
    })?;
    out.write_all(if separator == "[\n" { b"[]\n" } else { b"\n]\n" })?;
    Ok(reach)
}

fn table_of(
    archive: &crate::archive::Archive,
    selection: &Selection,
    context: &Context,
    out: &mut dyn Write,
) -> Result<Reach> {
    let mut hits = Vec::new();
    let reach = each(archive, selection, &mut |hit| {
        hits.push(hit.clone());
        Ok(())
    })?;
    if hits.is_empty() {
        context.note("no record matches");
    } else {
        table::hits(&hits, out)?;
        for note in matched::notes(&hits) {
            context.note(&note);
        }
    }
    if selection.limit == Some(hits.len()) {
        let shown = if hits.len() == 1 { "one is".to_owned() } else { format!("the first {} are", hits.len()) };
        context.note(&format!("{shown} shown; --limit 0 shows all, --count says how many there are"));
    }
    Ok(reach)
}
