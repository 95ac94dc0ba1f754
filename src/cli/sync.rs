//! `sync`: pulls what is due.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::watch};

use crate::{
    archive::Archive,
    cli::{
        Context, ask, checkpoint,
        exit::{Code, Failure, Result},
        ledger_key, outlook,
        progress::Progress,
        signals, to_stdout, usage,
    },
    graph,
    model::{event::Observer, relisting::Policy, source::Source, time::Age},
    sync::{
        self, Reach,
        plan::Ask,
        round::{Round, Setup, Summary},
    },
};

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
    /// How often a service looks for new calls; what is due in between is done when it is due [default: 15m]
    #[arg(long, value_name = "AGE", requires = "watch")]
    pub interval: Option<Age>,
    /// Say what would be listed, ask Graph for nothing
    #[arg(long, conflicts_with = "watch")]
    pub dry_run: bool,
    /// Format of the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
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
    let round = Round { ask, named, ..Round::default() };
    if !args.watch {
        return once(&round, args.format, context);
    }
    super::watch::run(&round, args.interval, args.format, context)
}

/// One round and its summary.
pub(super) fn once(round: &Round, format: super::show::Format, context: &Context) -> Result<Code> {
    let settings = context.config.graph()?;
    let runtime = super::runtime()?;
    let (stop_sender, stop) = watch::channel(false);
    let progress = Arc::new(Progress::new(&context.bars, context.quiet));
    runtime.spawn(signals::stop_on_signal(stop_sender, progress.clone()));
    let setup = setup(context, settings, stop, progress.clone())?;
    let outcome = pull(&runtime, context, setup, round);
    progress.finish();
    let summary = outcome?;
    print(&summary, format, context)?;
    Ok(Code::of_round(&summary))
}

/// How a round works by the configuration.
pub(super) fn setup(
    context: &Context,
    graph: graph::Settings,
    stop: watch::Receiver<bool>,
    observer: Arc<dyn Observer>,
) -> Result<Setup> {
    let mut settings = sync::Settings { policy: context.config.policy()?, ..sync::Settings::default() };
    settings.concurrency = context.config.concurrency().unwrap_or(settings.concurrency);
    let (folder, cloud) = (context.folder(), context.config.cloud()?);
    let own = context.with(context.config.clone());
    let sign = Box::new(move |writer: &mut _, now| ledger_key::signed(&own, writer, now));
    Ok(Setup { folder, cloud, graph, settings, sign, local_now: context.now, stop, observer })
}

/// One round, noted in the archive with its exit code.
pub(super) fn pull(runtime: &Runtime, context: &Context, setup: Setup, round: &Round) -> Result<Summary> {
    let stop = setup.stop.clone();
    let (policy, pace, begun) = (setup.settings.policy, outlook::pace(context), Instant::now());
    // A second writer is refused, and touches nothing before.
    if !context.folder().is_in_use().unwrap_or(true) {
        for line in behind(context, round, &policy, pace).iter().flat_map(|behind| outlook::told(behind, pace)) {
            context.note(&line);
        }
    }
    let (outcome, mut closing) = runtime.block_on(sync::round::round(setup, round))?;
    match outcome {
        Ok(mut summary) => {
            for left_out in &summary.left_out {
                context.note(&Failure::of_left_out(&left_out.error).to_string());
            }
            if let Some(seconds) = summary.clock_off_s {
                context.note(&super::clock_told(Age::seconds(seconds)));
            }
            summary.outlook = behind(context, round, &policy, measured(summary.requests, begun.elapsed(), pace));
            let (writer, now) = closing.writer();
            let sealed = match round.reach {
                Reach::Everything => super::seal::after_round(writer, now, &stop, context),
                Reach::Queue | Reach::AskedFor | Reach::Hints => Ok(Vec::new()),
            };
            if let Ok(sealed) = &sealed {
                summary.sealed.clone_from(sealed);
            }
            let report = serde_json::to_string(&summary).unwrap_or_default();
            let code = sealed.as_ref().map_or_else(|failure| failure.code, |_| Code::of_round(&summary));
            let mut given = Ok(checkpoint::Given::default());
            closing.end(code as u8, &report, &mut |writer| given = checkpoint::give_out(writer, context))?;
            let given = given?;
            (summary.checkpoint_kept_back, summary.checkpoint) = (given.kept_back, given.for_stdout);
            sealed.map(|_| summary)
        }
        Err(error) => {
            let failure = Failure::from(error);
            // What stopped the round is told before anything that was wrong already.
            let mut give_out = |writer: &mut _| drop(checkpoint::give_out(writer, context));
            let _ = closing.end(failure.code as u8, &failure.message, &mut give_out);
            Err(failure)
        }
    }
}

/// The sources that are far behind, as the archive stands. Who asks for a span knows what is missing beside it.
fn behind(context: &Context, round: &Round, policy: &Policy, requests_per_s: f64) -> Vec<sync::outlook::Outlook> {
    let is_whole = round.reach == Reach::Everything && round.ask == Ask::default();
    if !is_whole || !context.folder().exists() {
        return Vec::new();
    }
    // Damage is told by whoever meets it: it must not keep new records out.
    let Ok(archive) = Archive::open(&context.folder()) else { return Vec::new() };
    let Ok(now) = archive.graph_now(context.now) else { return Vec::new() };
    outlook::before(&archive, (&round.named, &round.ask, now), policy, requests_per_s).unwrap_or_default()
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
        if report.hinted > 0 {
            writeln!(out, "{}: {} were announced by notifications", report.source, report.hinted)?;
        }
        if report.unfounded > 0 {
            writeln!(
                out,
                "{}: {} that a notification alone announced are given up: Graph never had them",
                report.source, report.unfounded
            )?;
        }
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
    if !summary.left_out.is_empty() {
        let sources: Vec<_> = summary.left_out.iter().map(|left_out| left_out.source).collect();
        writeln!(out, "left out: {}", sources.join(", "))?;
    }
    for span in &summary.newly_lost {
        writeln!(
            out,
            "LOST: {} to {} passed Graph's retention uncovered",
            span.from.to_seconds_text(),
            span.to.to_seconds_text()
        )?;
    }
    super::seal::text(&summary.sealed, out)?;
    for behind in &summary.outlook {
        let rate = f64::from(u32::try_from(behind.requests).unwrap_or(u32::MAX)) / behind.seconds.max(0.001);
        outlook::told(behind, rate).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    writeln!(
        out,
        "{} requests, {} of them again, {:.1} s stopped by throttling, {:.1} s in all",
        summary.requests, summary.retries, summary.throttled_s, summary.elapsed_s
    )?;
    summary.checkpoint.iter().try_for_each(|note| write!(out, "{note}"))
}
