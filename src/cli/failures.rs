//! `failures`: what is still to fetch, and why it is.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use crate::{
    archive::{
        Archive,
        todo::{AT_ONCE, Place, Todo},
    },
    cli::{
        Context,
        exit::{Code, Result},
        render::plain,
        show::Format,
        sync::sources,
        to_stdout,
    },
    model::{
        id::Version,
        source::{Protocol, Source},
        time::{Age, Timestamp},
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of these sources, separated by commas; only calls are fetched one by one
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub source: Vec<String>,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// Rows read at a time.
const CHUNK: usize = 1000;

/// A record still to fetch.
#[derive(Debug, Serialize)]
struct Queued {
    source: &'static str,
    id: String,
    /// As listed; the archive may hold an older one.
    version: Version,
    start: Timestamp,
    /// Attempts that failed.
    attempts: u32,
    /// `None`: not tried yet.
    last_error: Option<String>,
    /// Before this a service leaves it alone; a `sync` and a `retry` do not.
    next_try: Timestamp,
    /// When Graph forgets it.
    deadline: Timestamp,
    hours_left: f64,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let named = sources(&args.source)?;
    let archive = context.archive()?;
    let retention = context.config.retention()?;
    let now = context.graph_now(&archive)?;
    let mut queued = Vec::new();
    for source in of_a_list(&named) {
        let retained = retention.certain(source);
        for todo in on_the_list(&archive, source)? {
            let deadline = todo.start + retained;
            queued.push(Queued {
                source: source.name(),
                id: todo.key.id,
                version: todo.want_version,
                start: todo.start,
                attempts: todo.attempts,
                last_error: todo.last_error,
                next_try: if todo.due <= AT_ONCE { now } else { todo.due },
                deadline,
                hours_left: hours(deadline - now),
            });
        }
    }
    queued.sort_by_key(|queued| queued.deadline);
    to_stdout(|out| match args.format {
        Format::Json => {
            serde_json::to_writer(&mut *out, &queued)?;
            writeln!(out)
        }
        Format::Text => text(&queued, out),
    })?;
    Ok(if queued.is_empty() { Code::Done } else { Code::Incomplete })
}

/// The sources that have a to-do list: rows of logs and people come whole.
pub(super) fn of_a_list(named: &[Source]) -> impl Iterator<Item = Source> {
    let is_meant = move |source: &Source| named.is_empty() || named.contains(source);
    Source::ALL.into_iter().filter(|source| source.protocol() == Protocol::Records).filter(is_meant)
}

/// All of a to-do list, by start.
pub(super) fn on_the_list(archive: &Archive, source: Source) -> Result<Vec<Todo>> {
    let mut place: Place = (Timestamp(i64::MIN), None);
    let mut todos = Vec::new();
    loop {
        let chunk = archive.todo_after(source.kind(), &place, CHUNK)?;
        let Some(last) = chunk.last() else { return Ok(todos) };
        place = (last.start, Some(last.key.clone()));
        todos.extend(chunk);
    }
}

fn text(queued: &[Queued], out: &mut dyn Write) -> io::Result<()> {
    if queued.is_empty() {
        return writeln!(out, "nothing is still to fetch");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["START (UTC)", "HOURS LEFT", "TRIED", "NEXT TRY (UTC)", "SOURCE", "ID", "LAST ERROR"]);
    let time = |time: Timestamp| time.to_seconds_text().replace('T', " ").replace('Z', "");
    for record in queued {
        table.add_row([
            Cell::new(time(record.start)),
            Cell::new(format!("{:.0}", record.hours_left)).set_alignment(CellAlignment::Right),
            Cell::new(record.attempts).set_alignment(CellAlignment::Right),
            Cell::new(time(record.next_try)),
            Cell::new(record.source),
            Cell::new(plain(&record.id)),
            Cell::new(record.last_error.as_ref().map_or_else(|| "-".into(), |error| plain(error))),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())
}

/// Hours to the tenth; none left is 0.
fn hours(age: Age) -> f64 {
    ((age.as_seconds_f64() / 360.0).round() / 10.0).max(0.0)
}
