//! What a sync has before it, as people and scripts are told: in full by `sync --dry-run`, in short where a sync has much to catch up.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    archive::{
        Archive,
        coverage::{Facts, coverage},
    },
    cli::{
        Context,
        exit::{Code, Result},
        show::Format,
        to_stdout,
    },
    model::{
        relisting::Policy,
        source::Source,
        time::{Age, Span, Timestamp, union},
    },
    sync::{
        outlook::{self, Outlook},
        plan::Ask,
    },
};

/// A sync that is behind by less says nothing of it.
const GAPS_MIN: Age = Age::days(1);
const QUEUED_MIN: u64 = 2_000;
/// Spans that are listed one by one.
const SPANS_MAX: usize = 8;

/// What `sync --dry-run` prints.
#[derive(Debug, Serialize)]
struct DryRun {
    policy: Told,
    /// Requests that leave in a second at the most.
    requests_per_s: f64,
    requests: u64,
    seconds: f64,
    sources: Vec<Outlook>,
}

/// How often time is listed again, as it is set.
#[derive(Debug, Serialize)]
struct Told {
    relist_factor: f64,
    age_min_s: f64,
    sweep_margin_s: f64,
    list_all_rows: u64,
    /// How often an hour of calls is listed in its life at the most.
    listings_max: u32,
}

/// Tells the plan as it stands in the archive, without a word to Graph.
pub(super) fn dry_run(named: &[Source], ask: Ask, format: Format, context: &Context) -> Result<Code> {
    let archive = context.folder().exists().then(|| context.archive()).transpose()?;
    let now = archive.as_ref().map_or(Ok(context.now), |archive| context.graph_now(archive))?;
    let policy = context.config.policy()?;
    let pace = pace(context);
    let cloud = context.config.cloud()?;
    let is_meant =
        |source: &Source| source.is_of_events() && cloud.has(*source) && (named.is_empty() || named.contains(source));
    let read = |source| outlook::read(archive.as_ref(), source, now, (&ask, &policy, pace));
    let sources = Source::ALL.into_iter().filter(is_meant).map(read).collect::<std::result::Result<Vec<_>, _>>()?;
    let dry_run = DryRun {
        policy: Told {
            relist_factor: policy.factor,
            age_min_s: policy.age_min.as_seconds_f64(),
            sweep_margin_s: policy.sweep_margin.as_seconds_f64(),
            list_all_rows: policy.list_all_rows,
            listings_max: policy.listings_max(Source::Calls),
        },
        requests_per_s: pace,
        requests: sources.iter().map(|source| source.requests).sum(),
        seconds: sources.iter().map(|source| source.seconds).sum(),
        sources,
    };
    to_stdout(|out| {
        if format == Format::Json {
            serde_json::to_writer(&mut *out, &dry_run)?;
            return writeln!(out);
        }
        text(&dry_run, &policy, now, out)
    })?;
    Ok(Code::Done)
}

fn text(dry_run: &DryRun, policy: &Policy, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "listed again at {} times the age (from {}), swept {} before Graph forgets, at most {} listings an hour of calls; all where there are at most {} records",
        policy.factor,
        lasting(policy.age_min.as_seconds_f64()),
        lasting(policy.sweep_margin.as_seconds_f64()),
        dry_run.policy.listings_max,
        policy.list_all_rows
    )?;
    for outlook in &dry_run.sources {
        writeln!(
            out,
            "{}: {} windows to list, {} records still to fetch, {} {} requests, {} at {:.1} a second",
            outlook.source,
            outlook.windows.len(),
            outlook.queued,
            if outlook.is_estimate { "about" } else { "at least" },
            outlook.requests,
            lasting(outlook.seconds),
            dry_run.requests_per_s
        )?;
        // Windows that touch are one span to a person.
        spans("to list", &union(outlook.windows.clone()), "", out)?;
        for risk in outlook.at_risk.iter().take(SPANS_MAX) {
            let left_h = ((risk.deadline - now).as_seconds_f64() / 3600.0).max(0.0);
            writeln!(out, "  at risk    {}: {left_h:.0} hours left", range(Span::new(risk.from, risk.to)))?;
        }
        spans("too late", &outlook.too_late, " (gone before its turn comes at this pace)", out)?;
    }
    writeln!(out, "{} requests in all, {}", dry_run.requests, lasting(dry_run.seconds))
}

/// What a sync that is far behind has before it: the sources that are archived and lack a day or more, or thousands of records.
pub(super) fn before(
    archive: &Archive,
    (named, ask, now): (&[Source], &Ask, Timestamp),
    policy: &Policy,
    requests_per_s: f64,
) -> Result<Vec<Outlook>> {
    let mut behind = Vec::new();
    let is_meant = |source: &Source| source.is_of_events() && (named.is_empty() || named.contains(source));
    for source in Source::ALL.into_iter().filter(is_meant) {
        let facts: Facts = archive.facts(source)?;
        if !facts.listings.iter().any(|listing| listing.listed.is_some()) {
            continue;
        }
        let gaps = coverage(source, &facts, now, &policy.retention).gaps;
        let missing: i64 = gaps.iter().map(|gap| (gap.to - gap.from).0).sum();
        if Age(missing) >= GAPS_MIN || archive.queued(source.kind())? >= QUEUED_MIN {
            behind.push(outlook::read(Some(archive), source, now, (ask, policy, requests_per_s))?);
        }
    }
    Ok(behind)
}

/// Says in a few lines what will and what will not be had.
pub(super) fn told(outlook: &Outlook, requests_per_s: f64) -> Vec<String> {
    let source = outlook.source;
    let oldest = outlook.in_time.first().map_or_else(String::new, |first| {
        format!(", from {} on, the oldest first and today in between", first.from.to_seconds_text())
    });
    let mut lines = vec![format!(
        "{source} is behind: about {} requests, {} at {requests_per_s:.1} a second{oldest}",
        outlook.requests,
        lasting(outlook.seconds)
    )];
    let late = outlook.too_late.iter().take(SPANS_MAX);
    lines.extend(late.map(|span| {
        format!("{source}: {} will NOT be had at this rate: Graph forgets it before its turn comes", range(*span))
    }));
    lines
}

/// Requests that leave in a second at the most.
pub(super) fn pace(context: &Context) -> f64 {
    let app = context.config.app_allowance();
    f64::from(app.requests.max(1)) / app.window.as_secs_f64()
}

fn spans(name: &str, spans: &[Span], remark: &str, out: &mut dyn Write) -> io::Result<()> {
    for span in spans.iter().take(SPANS_MAX) {
        writeln!(out, "  {name:<10} {}{remark}", range(*span))?;
    }
    if spans.len() > SPANS_MAX {
        writeln!(out, "  {name:<10} … and {} spans more; --format json lists all", spans.len() - SPANS_MAX)?;
    }
    Ok(())
}

fn range(span: Span) -> String {
    format!("{} to {}", span.from.to_seconds_text(), span.to.to_seconds_text())
}

/// A time for people: `12 s`, `7 min`, `3.5 h`, `2.1 d`.
fn lasting(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}
