//! `status`: what is covered, what is missing, what is lost.

use std::{
    io::{self, IsTerminal, Write},
    mem::ManuallyDrop,
};

use crate::{
    archive::{
        bucket::{Bucket, State, StateSpan},
        sealed::table::Amount,
    },
    cli::{
        Context,
        exit::{Code, Result},
        render::{calendar::calendar, plain, size},
        to_stdout,
    },
    model::{
        source::Source,
        time::{Age, Span, Timestamp},
    },
    status::{self, SourceStatus, Status, Stretch, View},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these sources, separated by commas: calls, pstn, direct-routing, blocked-users, dial-out, sms, people
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub source: Vec<String>,
    /// So many days in the calendar and the buckets
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
    /// Tell of each bucket (an hour of call starts, a day of a log) when it was listed, what it has, and when it is due again
    #[arg(long)]
    pub buckets: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
}

impl Default for Args {
    fn default() -> Self {
        Self { source: Vec::new(), days: DAYS, buckets: false, format: super::show::Format::default() }
    }
}

/// Graph's memory of calls, the day of today, and the one that the first of them began in.
const DAYS: u32 = 32;
/// Ids of lost records that are told.
const IDS_MAX: usize = 8;

/// Spans of a sort that are listed one by one; of more, the first and the number are told.
const SPANS_MAX: usize = 8;

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    // The program ends with the answer: to take apart what SQLite holds in memory would be a twentieth of its time.
    let archive = ManuallyDrop::new(context.archive()?);
    let named = super::sync::sources(&args.source)?;
    let now = context.graph_now(&archive)?;
    let shown = Span::new(now - Age::days(i64::from(args.days) - 1), now);
    let view = View {
        sources: if named.is_empty() { Source::ALL.to_vec() } else { named },
        buckets: args.buckets.then_some(shown),
    };
    let mut status = status::status(&archive, now, &context.config.policy()?, &view)?;
    status.clock_off_s = Some((now - context.now).whole_seconds()).filter(|seconds| *seconds != 0);
    to_stdout(|out| {
        if args.format == super::show::Format::Json {
            serde_json::to_writer_pretty(&mut *out, &status)?;
            return writeln!(out);
        }
        writeln!(out, "archive {}", archive.folder().path().display())?;
        let in_colour = io::stdout().is_terminal() && !context.config.no_color();
        text(&status, now, out)?;
        days(&status, shown, in_colour, out)?;
        status.sources.iter().try_for_each(|source| buckets(source, out))?;
        notifications(&status, out)?;
        runs(&status, out)
    })?;
    Ok(match (status.has_lost(), status.is_incomplete()) {
        (true, _) => Code::Lost,
        (false, true) => Code::Incomplete,
        (false, false) => Code::Done,
    })
}

fn text(status: &Status, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "ledger {} entries; database {}, index {}, sealed {}",
        status.head,
        size(status.sizes.database_bytes),
        size(status.sizes.index_bytes),
        size(status.sizes.sealed_bytes)
    )?;
    sealed(status, out)?;
    for source in &status.sources {
        source_text(source, now, out)?;
    }
    Ok(())
}

/// One line over all sealed months.
fn sealed(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let (Some(first), Some(last)) = (status.sealed.first(), status.sealed.last()) else { return Ok(()) };
    let amount = status.sealed.iter().fold(Amount::default(), |sum, one| sum.with(one.amount));
    let bytes = status.sealed.iter().map(|one| one.bytes).sum();
    let files = if status.sealed.len() == 1 { "file" } else { "files" };
    writeln!(
        out,
        "sealed {} to {} in {} {files}: {} versions, {} of bodies in {}",
        first.month,
        last.month,
        status.sealed.len(),
        amount.versions,
        size(amount.raw_bytes),
        size(bytes)
    )
}

fn notifications(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let Some(facts) = &status.notifications else { return Ok(()) };
    write!(out, "notifications: {} ids wait", facts.waiting)?;
    if let Some(notified) = facts.notified {
        write!(out, ", the last came {}", notified.to_seconds_text())?;
    }
    match (facts.expires, facts.keeping_failed) {
        (Some(expires), None) => write!(out, "; subscribed until {}", expires.to_seconds_text())?,
        (Some(expires), Some(_)) => write!(out, "; subscribed until {}, NOT renewed", expires.to_seconds_text())?,
        (None, _) => write!(out, "; there is NO subscription")?,
    }
    writeln!(out)
}

fn runs(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    for run in &status.runs {
        let ended = run.ended.map_or_else(
            || "has not ended".to_owned(),
            |ended| {
                format!("took {:.1} s, exit code {}", (ended - run.begun).as_seconds_f64(), run.exit_code.unwrap_or(0))
            },
        );
        writeln!(out, "run {} at {}: {ended}", run.command, run.begun.to_seconds_text())?;
    }
    Ok(())
}

fn source_text(source: &SourceStatus, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let counts = &source.counts;
    let in_files = if source.sealed_versions == 0 {
        String::new()
    } else {
        format!(", {} of them sealed", size(source.sealed_raw_bytes))
    };
    writeln!(
        out,
        "{}{}: {} records in {} versions; {} of bodies kept in {}{in_files}; {} still to fetch",
        source.source,
        if source.beta { " (beta)" } else { "" },
        counts.records,
        counts.versions,
        size(counts.raw_bytes),
        size(counts.frame_bytes),
        source.queued
    )?;
    spans("covered", &source.covered, "", out)?;
    spans("settling", &source.settling, " (more may still appear; read again)", out)?;
    spans("gap", &source.gaps, " (can still be had)", out)?;
    stretches("partial", source, State::Partial, out, |stretch| {
        format!(" (listed, {} still to fetch)", stretch.queued.unwrap_or(0))
    })?;
    stretches("at risk", source, State::AtRisk, out, |stretch| {
        let left_h = stretch.deadline.map_or(0.0, |deadline| (deadline - now).as_seconds_f64() / 3600.0);
        format!(": {:.0} hours left", left_h.max(0.0))
    })?;
    stretches("LOST", source, State::Lost, out, |stretch| match stretch.lost_records {
        Some(records @ 1..) => format!(" ({records} records that Graph listed and no longer gave)"),
        _ => " (past Graph's retention)".to_owned(),
    })?;
    for lost in source.lost_records.iter().take(IDS_MAX) {
        writeln!(
            out,
            "  LOST       {}, version {}, of {}",
            plain(&lost.id),
            lost.version,
            lost.start.to_seconds_text()
        )?;
    }
    more("LOST", source.lost_records.len(), IDS_MAX, "records", out)
}

fn stretches(
    name: &str,
    source: &SourceStatus,
    state: State,
    out: &mut dyn Write,
    remark: impl Fn(&Stretch) -> String,
) -> io::Result<()> {
    let of_state: Vec<&Stretch> = source.states.iter().filter(|stretch| stretch.state == state).collect();
    for stretch in of_state.iter().take(SPANS_MAX) {
        let [from, to] = [stretch.from, stretch.to].map(Timestamp::to_seconds_text);
        writeln!(out, "  {name:<10} {from} to {to}{}", remark(stretch))?;
    }
    more(name, of_state.len(), SPANS_MAX, "spans", out)
}

fn more(name: &str, count: usize, shown: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    if count > shown {
        writeln!(out, "  {name:<10} … and {} {what} more; --format json lists all", count - shown)?;
    }
    Ok(())
}

/// The calendar of the sources that are archived.
fn days(status: &Status, shown: Span, in_colour: bool, out: &mut dyn Write) -> io::Result<()> {
    // Of a log that was never had, which the organisation does not archive, there is nothing but one gap.
    let is_had = |source: &SourceStatus| source.states.iter().any(|stretch| stretch.state != State::Gap);
    let is_told = |source: &&SourceStatus| is_had(source) || source.source == Source::Calls.name();
    let states = |source: &SourceStatus| -> Vec<StateSpan> {
        let span = |stretch: &Stretch| StateSpan { state: stretch.state, span: Span::new(stretch.from, stretch.to) };
        source.states.iter().map(span).collect()
    };
    let told: Vec<(&str, Vec<StateSpan>)> =
        status.sources.iter().filter(is_told).map(|source| (source.source.as_str(), states(source))).collect();
    if told.is_empty() { Ok(()) } else { calendar(&told, shown, in_colour, out) }
}

fn buckets(source: &SourceStatus, out: &mut dyn Write) -> io::Result<()> {
    let Some(buckets) = &source.buckets else { return Ok(()) };
    writeln!(
        out,
        "{:<15} {:<20} {:<8} {:>7} {:>7} {:<20} {:<20} {:<20} DUE AGAIN",
        "BUCKETS OF", "FROM", "STATE", "RECORDS", "QUEUED", "FIRST LISTED", "LAST LISTED", "LAST CHANGED"
    )?;
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), Timestamp::to_seconds_text);
    let line = |bucket: &Bucket| {
        let state = bucket.state.map_or("-", State::name);
        let [first, last, changed, due] =
            [bucket.first_listed, bucket.last_listed, bucket.changed, bucket.due].map(time);
        let (from, records, queued) = (bucket.from.to_seconds_text(), bucket.records, bucket.queued);
        let name = &source.source;
        format!("{name:<15} {from:<20} {state:<8} {records:>7} {queued:>7} {first:<20} {last:<20} {changed:<20} {due}")
    };
    buckets.iter().try_for_each(|bucket| writeln!(out, "{}", line(bucket)))
}

fn spans(name: &str, spans: &[Span], remark: &str, out: &mut dyn Write) -> io::Result<()> {
    for span in spans.iter().take(SPANS_MAX) {
        writeln!(out, "  {name:<10} {} to {}{remark}", span.from.to_seconds_text(), span.to.to_seconds_text())?;
    }
    more(name, spans.len(), SPANS_MAX, "spans", out)
}
