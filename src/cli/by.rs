//! `query --by`: records in groups.

use std::{
    borrow::Cow,
    cmp::Reverse,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use crate::{
    cli::{
        Context,
        exit::{Code, Result},
        query::{Args, Format, SortArg, told},
        render::bars::{self, Canvas},
        searched, to_stdout, usage,
    },
    model::{
        filter::Selection,
        group::{By, Group},
    },
    query,
    tables::csv::neutral,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ByArg {
    /// Everybody who took part, in any role
    Participant,
    Organizer,
    /// call, pstn, direct-routing, …
    Kind,
    Type,
    Modality,
    /// Of the start, in UTC
    Month,
    /// Of ISO 8601, from Monday on
    Week,
    Day,
    Hour,
    Weekday,
    /// All days together
    HourOfDay,
    /// Programs
    Agent,
    Platform,
    /// Machines
    Device,
    /// At what stage calls failed
    Stage,
    /// Why calls failed
    Reason,
}

impl ByArg {
    fn by(self) -> By {
        match self {
            ByArg::Participant => By::Participant,
            ByArg::Organizer => By::Organizer,
            ByArg::Kind => By::Kind,
            ByArg::Type => By::Type,
            ByArg::Modality => By::Modality,
            ByArg::Month => By::Month,
            ByArg::Week => By::Week,
            ByArg::Day => By::Day,
            ByArg::Hour => By::Hour,
            ByArg::Weekday => By::Weekday,
            ByArg::HourOfDay => By::HourOfDay,
            ByArg::Agent => By::Agent,
            ByArg::Platform => By::Platform,
            ByArg::Device => By::Device,
            ByArg::Stage => By::Stage,
            ByArg::Reason => By::Reason,
        }
    }

    fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// A group as machines read it. `id`, `upn` and `phone` are there of people alone.
#[derive(Serialize)]
struct Line<'a> {
    by: &'a str,
    group: Option<&'a str>,
    #[serde(flatten)]
    person: Option<Whom<'a>>,
    count: u64,
    minutes: f64,
    failures: u64,
}

#[derive(Serialize)]
struct Whom<'a> {
    id: Option<&'a str>,
    upn: Option<&'a str>,
    phone: Option<&'a str>,
}

pub(super) fn run(arg: ByArg, args: &Args, selection: &Selection, context: &Context) -> Result<Code> {
    let order = Order::of(args.sort, arg)?;
    let archive = context.archive()?;
    archive.require_rows()?;
    let (mut groups, reach) = query::Reader::new(&archive).groups(selection, arg.by())?;
    let n_groups = groups.len();
    order.sort(&mut groups);
    groups.truncate(selection.limit.unwrap_or(usize::MAX));
    if args.count {
        to_stdout(|out| writeln!(out, "{n_groups}"))?;
    } else {
        to_stdout(|out| write(&groups, arg, args.format, context, out))?;
        if groups.is_empty() {
            context.note("no record matches");
        } else if groups.len() < n_groups {
            context.note(&format!("{} of {n_groups} groups are shown; --limit 0 shows all", groups.len()));
        }
    }
    searched::told(&archive, selection, context)?;
    Ok(told(reach, context))
}

fn write(groups: &[Group], arg: ByArg, format: Format, context: &Context, out: &mut dyn Write) -> io::Result<()> {
    let by = arg.name();
    let lines = groups.iter().map(|group| line(&by, arg.by(), group));
    match format {
        Format::Table if groups.is_empty() => Ok(()),
        Format::Table => {
            let stdout = io::stdout();
            let canvas = stdout.is_terminal().then(|| Canvas::of_terminal(!context.config.no_color()));
            bars::groups(groups, arg.by(), &by, canvas, out)
        }
        Format::Json => {
            for (n, line) in lines.enumerate() {
                out.write_all(if n == 0 { b"[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &line)?;
            }
            out.write_all(if groups.is_empty() { b"[]\n" } else { b"\n]\n" })
        }
        Format::Ndjson => {
            for line in lines {
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        }
        Format::Csv => csv(lines, arg.by().is_person(), out),
    }
}

fn line<'a>(name: &'a str, by: By, group: &'a Group) -> Line<'a> {
    let person = group.person.as_ref();
    Line {
        by: name,
        group: group.name.as_deref(),
        person: by.is_person().then(|| Whom {
            id: person.and_then(|person| person.id.as_deref()),
            upn: person.and_then(|person| person.upn.as_deref()),
            phone: person.and_then(|person| person.phone.as_deref()),
        }),
        count: group.sum.records,
        minutes: group.sum.minutes(),
        failures: group.sum.failures,
    }
}

fn csv<'a>(lines: impl Iterator<Item = Line<'a>>, is_person: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let whom: &[&str] = if is_person { &["id", "upn", "phone"] } else { &[] };
    writer
        .write_record([&["by", "group"], whom, &["count", "minutes", "failures"]].concat())
        .map_err(io::Error::from)?;
    for line in lines {
        let text = |text: Option<&'a str>| text.map_or(Cow::Borrowed(""), neutral);
        let mut cells = vec![Cow::Borrowed(line.by), text(line.group)];
        cells.extend(line.person.iter().flat_map(|whom| [text(whom.id), text(whom.upn), text(whom.phone)]));
        cells.extend([line.count.to_string(), line.minutes.to_string(), line.failures.to_string()].map(Cow::Owned));
        writer.write_record(cells.iter().map(|cell| cell.as_bytes())).map_err(io::Error::from)?;
    }
    writer.flush()
}

/// The order of groups. Those that have nothing of what is asked for come last, but where the order goes by figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Newest,
    Oldest,
    Count,
    Minutes,
    Failures,
    Name,
}

impl Order {
    /// Days go from the newest back like records do, what comes round goes round, all else by number.
    fn of(sort: Option<SortArg>, arg: ByArg) -> Result<Self> {
        let by = arg.by();
        Ok(match sort {
            None | Some(SortArg::Newest) if by.is_time() => Order::Newest,
            Some(SortArg::Oldest) if by.is_time() => Order::Oldest,
            None if by.is_round() => Order::Oldest,
            None | Some(SortArg::Count) => Order::Count,
            Some(SortArg::Minutes | SortArg::Longest) => Order::Minutes,
            Some(SortArg::Failures) => Order::Failures,
            Some(SortArg::Name) => Order::Name,
            Some(SortArg::Newest | SortArg::Oldest | SortArg::Relevance) => {
                let also = if by.is_time() { "newest, oldest, " } else { "" };
                return Err(usage(format!(
                    "--sort: groups by {} are sorted by {also}count, minutes, failures or name",
                    arg.name()
                )));
            }
        })
    }

    fn sort(self, groups: &mut [Group]) {
        let name = |group: &Group| group.name.clone();
        let is_none = |group: &Group| group.name.is_none();
        match self {
            Order::Newest => groups.sort_by_key(|group| (is_none(group), Reverse(group.place))),
            Order::Oldest => groups.sort_by_key(|group| (is_none(group), group.place)),
            Order::Count => groups.sort_by_cached_key(|group| (Reverse(group.sum.records), name(group))),
            Order::Minutes => groups.sort_by_cached_key(|group| (Reverse(group.sum.duration_ns), name(group))),
            Order::Failures => {
                groups.sort_by_cached_key(|group| (Reverse((group.sum.failures, group.sum.records)), name(group)));
            }
            Order::Name => groups.sort_by_cached_key(|group| (is_none(group), name(group))),
        }
    }
}
