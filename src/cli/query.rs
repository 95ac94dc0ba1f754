//! `query`: what the archive knows.

use std::{
    io::{self, Write},
    mem::ManuallyDrop,
    ops::ControlFlow,
};

use crate::{
    cli::{
        Context,
        ask::FilterArgs,
        by::{self, ByArg},
        exit::{Code, Failure, Result},
        render::{matched, table},
        searched, to_stdout, usage,
    },
    model::{
        filter::{Selection, Sort},
        hit::Hit,
        place::Place,
    },
    query::{self, Page, Reach},
    tables::{Row, Shape, Sink, Table, csv::Csv},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Order: of records newest (default), oldest, longest or relevance; of groups also count, minutes, failures or name
    #[arg(long, value_enum, value_name = "ORDER")]
    pub sort: Option<SortArg>,
    /// At most so many records or groups; 0 is no limit
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: usize,
    /// Go on after this place: the cursor that the page before ended with
    #[arg(long, value_name = "CURSOR", conflicts_with = "count")]
    pub after: Option<Place>,
    /// Count in groups: records, minutes and failures of each
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "after")]
    pub by: Option<ByArg>,
    /// Print only how many records (with --by, groups) there are
    #[arg(long)]
    pub count: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SortArg {
    Newest,
    Oldest,
    Longest,
    Relevance,
    /// Groups: most records first
    Count,
    /// Groups: most minutes first
    Minutes,
    /// Groups: most failures first
    Failures,
    /// Groups: by name
    Name,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
    Ndjson,
    Csv,
}

impl SortArg {
    /// The order of records; without a text, what matches best is what is newest.
    fn of_records(sort: Option<Self>, has_text: bool) -> Result<Sort> {
        Ok(match sort {
            Some(SortArg::Relevance) if has_text => Sort::Relevance,
            None | Some(SortArg::Newest | SortArg::Relevance) => Sort::Newest,
            Some(SortArg::Oldest) => Sort::Oldest,
            Some(SortArg::Longest) => Sort::Longest,
            Some(SortArg::Count | SortArg::Minutes | SortArg::Failures | SortArg::Name) => {
                return Err(usage(
                    "--sort count, minutes, failures and name are orders of groups: say of which with --by",
                ));
            }
        })
    }
}

/// So many records at most are read with a small memory for pages.
const FEW: usize = 500;
/// 50 calls of somebody took 5.7 ms so, and 7.5 with 8 MiB.
const FEW_PAGES_KIB: u16 = 512;

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let limit = Some(args.limit).filter(|limit| *limit > 0);
    let mut selection = args.filter.selection(Sort::Newest, limit, context.now)?;
    if let Some(by) = args.by {
        return by::run(by, args, &selection, context);
    }
    selection.sort = SortArg::of_records(args.sort, selection.text.is_some())?;
    selection.after = after(args.after, selection.sort)?;
    // The program ends with the answer: to take apart what SQLite holds in memory would be a twentieth of its time.
    let archive = ManuallyDrop::new(context.archive()?);
    if !args.count && limit.is_some_and(|limit| limit <= FEW) {
        archive.keep_few_pages(FEW_PAGES_KIB)?;
    }
    archive.require_rows()?;
    let reach = if args.count {
        let (count, reach) = query::Reader::new(&archive).count(&selection)?;
        to_stdout(|out| writeln!(out, "{count}"))?;
        reach
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let page = match args.format {
            Format::Table => table_of(&archive, &selection, context, &mut out)?,
            Format::Json => json(&archive, &selection, &mut out)?,
            Format::Ndjson => each(&archive, &selection, &mut |hit| {
                serde_json::to_writer(&mut out, hit)?;
                out.write_all(b"\n")
            })?,
            Format::Csv => {
                let shape = Shape::default();
                let mut csv = Table::new(shape, Csv::new(&mut out, &shape.columns())?);
                let page = each(&archive, &selection, &mut |hit| csv.row(&Row { hit, json: "" }))?;
                Box::new(csv).finish()?;
                page
            }
        };
        out.flush()?;
        if let Some(note) = more(&page) {
            context.note(&note);
        }
        page.reach
    };
    searched::told(&archive, &selection, context)?;
    Ok(told(reach, context))
}

/// The place to go on from, if it is one of this order.
fn after(after: Option<Place>, sort: Sort) -> Result<Option<Place>> {
    let name = |sort| match sort {
        Sort::Newest => "newest",
        Sort::Oldest => "oldest",
        Sort::Longest => "longest",
        Sort::Relevance => "relevance",
    };
    match after {
        Some(_) if sort == Sort::Relevance => Err(usage(
            "--after: by relevance there are no pages, for each sync changes how well a record matches; take a higher --limit",
        )),
        Some(place) if place.sort != sort => Err(usage(format!(
            "--after: this cursor is of --sort {}, and the order asked for is {}",
            name(place.sort),
            name(sort)
        ))),
        after => Ok(after),
    }
}

/// What to type for more than a page shows.
fn more(page: &Page) -> Option<String> {
    let shown = if page.n_hits == 1 { "1 record is".to_owned() } else { format!("{} records are", page.n_hits) };
    let rest = "--limit 0 shows all, --count says how many there are";
    page.has_more.then(|| match page.next {
        Some(next) => format!("{shown} shown; go on with --after {next}; {rest}"),
        None => format!("{shown} shown; {rest}"),
    })
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
) -> Result<Page> {
    let mut failed = None;
    // As its archive, it ends with the program.
    let reader = ManuallyDrop::new(query::Reader::new(archive));
    let page = reader.page(selection, &mut |hit| match on(&hit) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(page), |error| Err(Failure::from(error)))
}

fn json(archive: &crate::archive::Archive, selection: &Selection, out: &mut dyn Write) -> Result<Page> {
    let mut separator = "[\n";
    let page = each(archive, selection, &mut |hit| {
        out.write_all(separator.as_bytes())?;
        separator = ",\n";
        Ok(serde_json::to_writer(&mut *out, hit)?)
    })?;
    out.write_all(if separator == "[\n" { b"[]\n" } else { b"\n]\n" })?;
    Ok(page)
}

fn table_of(
    archive: &crate::archive::Archive,
    selection: &Selection,
    context: &Context,
    out: &mut dyn Write,
) -> Result<Page> {
    let mut hits = Vec::new();
    let page = each(archive, selection, &mut |hit| {
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
    Ok(page)
}
