//! `sync`: pulls what is due.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    archive::{
        Archive, ArchiveWriter,
        coverage::{Facts, coverage},
    },
    cli::{
        Context, ask,
        exit::{Code, Failure, Result},
        outlook,
        progress::Progress,
        to_stdout, usage,
    },
    follow::Follower,
    graph,
    model::{
        event::{Event, Observer},
        id::RecordKey,
        retention::Retention,
        source::Source,
        time::{Age, Span, Timestamp, subtract},
    },
    reindex,
    sync::{self, Reach, SourceReport, outlook::Outlook, plan::Ask, scribe::Scribe},
};

/// How long a service leaves the youngest days of a log alone: their rows come a day or two late anyway.
const LOG_PAUSE: Age = Age::hours(1);

/// Pull whatever is due and not yet covered
#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Only these sources, separated by commas: calls, pstn, direct-routing, blocked-users, dial-out, sms, people
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub source: Vec<String>,
    /// Only calls that started at or after
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only calls that started before
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Go on as a service
    #[arg(long)]
    pub watch: bool,
    /// How often a service looks
    #[arg(long, value_name = "AGE", default_value = "15m", requires = "watch")]
    pub interval: Age,
    /// Say what would be listed, ask Graph for nothing
    #[arg(long, conflicts_with = "watch")]
    pub dry_run: bool,
    /// Format of the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
}

/// What one round is to do.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub ask: Ask,
    /// Sources asked for by name; none means all that the permissions allow.
    pub named: Vec<Source>,
    /// Whether records that failed lately wait for their time.
    pub due_only: bool,
    pub reach: Reach,
    /// Records on the to-do list that are made due first.
    pub asked_for: Vec<RecordKey>,
}

/// The contract's summary of a run.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub sources: Vec<SourceReport>,
    pub left_out: Vec<LeftOut>,
    pub requests: u64,
    pub retries: u64,
    pub throttled_s: f64,
    pub elapsed_s: f64,
    /// Spans that passed Graph's retention uncovered since the run before.
    pub newly_lost: Vec<Span>,
    /// Of sources that are still far behind: what will and what will not be had in time at the rate of this run.
    pub outlook: Vec<Outlook>,
}

/// A source that was not pulled, because it cannot be.
#[derive(Debug, Serialize)]
pub(super) struct LeftOut {
    pub source: &'static str,
    pub why: String,
}

impl Summary {
    pub(super) fn code(&self) -> Code {
        let any = |test: fn(&SourceReport) -> bool| self.sources.iter().any(test);
        if any(|report| report.lost > 0) || !self.newly_lost.is_empty() {
            Code::Lost
        } else if any(|report| report.failed > 0 || report.windows_failed > 0 || report.stopped) {
            Code::Incomplete
        } else {
            Code::Done
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let named = sources(&args.source)?;
    let ask = Ask {
        from: ask::time("--from", args.from.as_deref(), context.now)?,
        to: ask::time("--to", args.to.as_deref(), context.now)?,
    };
    if ask.from.zip(ask.to).is_some_and(|(from, to)| to < from) {
        return Err(usage("--to is before --from"));
    }
    if args.dry_run {
        return outlook::dry_run(&named, ask, args.format, context);
    }
    let round = Round { ask, named, due_only: args.watch, ..Round::default() };
    if !args.watch {
        return once(&round, args.format, context);
    }
    let settings = context.config.graph()?;
    let runtime = Runtime::new()?;
    let (stop_sender, stop) = watch::channel(false);
    let progress = Arc::new(Progress::new(&context.bars, context.quiet));
    runtime.spawn(stop_on_signal(stop_sender, progress.clone()));
    let mut first_round = true;
    loop {
        let outcome = pull(&runtime, context, settings.clone(), &round, stop.clone(), progress.clone());
        match outcome {
            Ok(summary) => print(&summary, args.format, context)?,
            Err(failure) if first_round && failure.code != Code::Incomplete => return Err(failure),
            // A service outlives what may pass: an outage, a secret that is being renewed, a reindex beside it.
            Err(failure) => context.note(&failure.to_string()),
        }
        first_round = false;
        if runtime.block_on(stopped_within(stop.clone(), args.interval.to_duration())) {
            progress.finish();
            return Ok(Code::Done);
        }
    }
}

/// One round and its summary.
pub(super) fn once(round: &Round, format: super::show::Format, context: &Context) -> Result<Code> {
    let settings = context.config.graph()?;
    let runtime = Runtime::new()?;
    let (stop_sender, stop) = watch::channel(false);
    let progress = Arc::new(Progress::new(&context.bars, context.quiet));
    runtime.spawn(stop_on_signal(stop_sender, progress.clone()));
    let outcome = pull(&runtime, context, settings, round, stop, progress.clone());
    progress.finish();
    let summary = outcome?;
    print(&summary, format, context)?;
    Ok(summary.code())
}

/// One round: takes the writer's lock, signs in, syncs each source, lets the index catch up.
pub(super) fn pull(
    runtime: &Runtime,
    context: &Context,
    settings: graph::Settings,
    round: &Round,
    stop: watch::Receiver<bool>,
    observer: Arc<dyn Observer>,
) -> Result<Summary> {
    let begun = Instant::now();
    let policy = context.config.policy()?;
    let folder = context.folder();
    let local_now = Timestamp::now();
    let client = graph::Client::new(settings, observer.clone())?;
    // A wrong secret must not leave a folder behind, and a second writer must not bother the login host.
    let mut writer = folder.exists().then(|| ArchiveWriter::open(&folder, local_now)).transpose()?;
    let roles = runtime.block_on(client.sign_in())?;
    let now = client.server_time().unwrap_or(local_now);
    let mut writer = match writer.take() {
        Some(writer) => writer,
        None => ArchiveWriter::open_or_create(&folder, now)?,
    };
    // Damage in what is stored must not keep new records out; it is told at the end.
    let rows_made = reindex::derive_missing(&mut writer, &mut |_| ());
    writer.ask_for(&round.asked_for)?;
    let command = if round.reach == Reach::Everything { "sync" } else { "retry" };
    let run = writer.begin_run(command, now)?;
    let archive = Archive::open(&folder)?;
    let pace = outlook::pace(context);
    // Who asks for a span knows what is missing beside it.
    let is_whole = round.reach == Reach::Everything && round.ask == Ask::default();
    if is_whole {
        for behind in outlook::before(&archive, (&round.named, &round.ask, now), &policy, pace)? {
            for line in outlook::told(&behind, pace) {
                context.note(&line);
            }
        }
    }
    let (scribe, thread) = Scribe::start(writer, Some(Follower::start(&folder)));
    let mut settings = sync::Settings { policy, reach: round.reach, ..sync::Settings::default() };
    let retention = policy.retention;
    if round.due_only {
        settings.policy.log_pause = LOG_PAUSE;
    }
    settings.due_only = round.due_only;
    settings.concurrency = context.config.concurrency().unwrap_or(settings.concurrency);
    let work = sync::Context { graph: client.clone(), scribe, observer, stop, settings };

    let outcome = runtime.block_on(sync_sources(&work, &archive, &roles, round, local_now, context));
    drop(work);
    let (mut writer, follower) = thread.finish()?;
    let indexed = follower.map(Follower::finish).transpose();

    let pulled = match outcome {
        Ok(pulled) => pulled,
        Err(failure) => {
            writer.end_run(run, failure.code as u8, &failure.message, client.server_time().unwrap_or(local_now))?;
            return Err(failure);
        }
    };
    let totals = client.requests();
    let now = client.server_time().unwrap_or(local_now);
    let rate = measured(totals.requests, begun.elapsed(), pace);
    let outlook =
        if is_whole { outlook::before(&archive, (&round.named, &round.ask, now), &policy, rate)? } else { Vec::new() };
    let summary = Summary {
        outlook,
        newly_lost: newly_lost(&archive, &round.named, now, &retention)?,
        sources: pulled.reports,
        left_out: pulled.left_out,
        requests: totals.requests,
        retries: totals.retries,
        throttled_s: totals.throttled_s,
        elapsed_s: begun.elapsed().as_secs_f64(),
    };
    let report = serde_json::to_string(&summary).unwrap_or_default();
    writer.end_run(run, summary.code() as u8, &report, now)?;
    writer.checkpoint()?;
    // New records are safe at this point: what is wrong now is wrong with what was there, or with the index.
    rows_made?;
    indexed?;
    Ok(summary)
}

/// What the sources of a round came to.
#[derive(Default)]
struct Pulled {
    reports: Vec<SourceReport>,
    left_out: Vec<LeftOut>,
}

async fn sync_sources(
    work: &sync::Context,
    archive: &Archive,
    roles: &[String],
    Round { named, ask, .. }: &Round,
    local_now: Timestamp,
    context: &Context,
) -> Result<Pulled> {
    let cloud = context.config.cloud()?;
    let mut pulled = Pulled::default();
    for source in Source::ALL {
        if !named.is_empty() && !named.contains(&source) {
            continue;
        }
        let lacking = if !cloud.has(source) {
            Err(Failure::new(Code::Incomplete, format!("{source} is left out: the cloud {cloud} does not have it")))
        } else if !roles.is_empty() && !source.is_permitted(roles) {
            // A token whose roles can be read tells before the first request; else the first refusal does.
            Err(unpermitted(source))
        } else {
            match sync::sync(work, archive, source, ask, local_now).await {
                Ok(report) => Ok(report),
                Err(sync::Error::Graph(graph::Error::Forbidden { .. })) => Err(unpermitted(source)),
                Err(error @ sync::Error::NotServed { .. }) => {
                    let failure = Failure::from(error);
                    let message = format!("{source} is left out: {}", failure.message);
                    Err(Failure { message, ..failure })
                }
                Err(error) => return Err(error.into()),
            }
        };
        match lacking {
            Ok(report) => pulled.reports.push(report),
            Err(failure) if !named.is_empty() => return Err(failure),
            Err(failure) => {
                context.note(&failure.to_string());
                pulled.left_out.push(LeftOut { source: source.name(), why: failure.message });
            }
        }
    }
    Ok(pulled)
}

fn unpermitted(source: Source) -> Failure {
    let permission = source.permission();
    Failure::new(Code::Unauthorised, format!("{source} is left out: the app lacks the permission {permission}"))
        .hint(format!("grant it the application permission {permission}, with admin consent"))
}

/// What passed Graph's retention uncovered since the last run that could say so. Records lost one by one are in the report of
/// their own run.
fn newly_lost(archive: &Archive, named: &[Source], now: Timestamp, retention: &Retention) -> Result<Vec<Span>> {
    // Microsoft's clock comes in whole seconds and may seem to go back by one.
    let before = archive.last_reporting_sync()?.map(|ended| ended + Age::seconds(2));
    let mut lost = Vec::new();
    let meant = |source: &Source| source.is_of_events() && (named.is_empty() || named.contains(source));
    for source in Source::ALL.into_iter().filter(meant) {
        let facts = Facts { lost: Vec::new(), ..archive.facts(source)? };
        let spans = coverage(source, &facts, now, retention).lost;
        let known = before
            .map_or_else(Vec::new, |ended| vec![Span::new(Timestamp(i64::MIN), ended - retention.certain(source))]);
        lost.extend(subtract(&spans, &known));
    }
    Ok(lost)
}

pub(super) fn sources(names: &[String]) -> Result<Vec<Source>> {
    names
        .iter()
        .map(|name| {
            Source::ALL.into_iter().find(|source| source.name() == name).ok_or_else(|| {
                let known: Vec<_> = Source::ALL.iter().map(|source| source.name()).collect();
                usage(format!("--source: no such source '{name}'; there are {}", known.join(", ")))
            })
        })
        .collect()
}

pub(super) fn print(summary: &Summary, format: super::show::Format, context: &Context) -> Result<()> {
    to_stdout(|out| {
        if format == super::show::Format::Json {
            serde_json::to_writer(&mut *out, summary)?;
            return writeln!(out);
        }
        text(summary, out)
    })?;
    let stopped = summary.sources.iter().any(|report| report.stopped);
    let failed = summary.sources.iter().any(|report| report.failed > 0 || report.windows_failed > 0);
    if stopped {
        context.note("stopped before all was done; run the same command again to go on where it was");
    } else if failed {
        context.note("what failed stays on the list and is tried again by the next sync");
    }
    Ok(())
}

/// Requests a second: those of the run, where there were enough to tell.
fn measured(requests: u64, elapsed: Duration, pace: f64) -> f64 {
    let (elapsed_s, requests) = (elapsed.as_secs_f64(), f64::from(u32::try_from(requests).unwrap_or(u32::MAX)));
    if elapsed_s < 60.0 { pace } else { (requests / elapsed_s).clamp(pace / 1000.0, pace) }
}

fn text(summary: &Summary, out: &mut dyn Write) -> std::io::Result<()> {
    for report in &summary.sources {
        let beta = if report.beta { " (beta)" } else { "" };
        writeln!(
            out,
            "{}{beta}: {} windows listed with {} rows; {} records fetched, {} new versions stored, {} unchanged, {} failed",
            report.source,
            report.windows,
            report.listed,
            report.fetched,
            report.new_versions,
            report.unchanged,
            report.failed
        )?;
        if report.windows_failed > 0 {
            writeln!(out, "{}: {} windows could not be listed to their end", report.source, report.windows_failed)?;
        }
        if report.lost > 0 {
            writeln!(
                out,
                "{}: {} records are LOST: Graph listed them and has them no more",
                report.source, report.lost
            )?;
        }
    }
    for span in &summary.newly_lost {
        writeln!(
            out,
            "LOST: {} to {} passed Graph's retention uncovered",
            span.from.to_seconds_text(),
            span.to.to_seconds_text()
        )?;
    }
    for behind in &summary.outlook {
        let rate = f64::from(u32::try_from(behind.requests).unwrap_or(u32::MAX)) / behind.seconds.max(0.001);
        outlook::told(behind, rate).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    writeln!(
        out,
        "{} requests, {} of them again, {:.1} s stopped by throttling, {:.1} s in all",
        summary.requests, summary.retries, summary.throttled_s, summary.elapsed_s
    )
}

/// The first signal asks for a stop; the second ends the process at once, which loses nothing that was acknowledged.
async fn stop_on_signal(stop: watch::Sender<bool>, observer: Arc<dyn Observer>) {
    signalled().await;
    observer.event(&Event::Stopping);
    let _ = stop.send(true);
    signalled().await;
    std::process::exit(Code::Incomplete as i32);
}

async fn signalled() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Whether a stop was asked for before `wait` was over.
async fn stopped_within(mut stop: watch::Receiver<bool>, wait: Duration) -> bool {
    tokio::time::timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok()
}

/// Waits for Ctrl-C or a request to terminate.
pub(super) fn until_stopped() -> Result<()> {
    Runtime::new()?.block_on(signalled());
    Ok(())
}
