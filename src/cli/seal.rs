//! `seal`: months that cannot change any more, each into files of its own.

use std::{
    io::{IsTerminal, Write},
    ops::ControlFlow,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    archive::{
        Archive, ArchiveWriter,
        sealed::{
            table::Sealed,
            writing::{Progress, Step},
        },
    },
    cli::{
        Context, checkpoint,
        exit::{Code, Failure, Result},
        ledger_key,
        render::size,
        signals, to_stdout, usage,
    },
    model::{month::Month, relisting::Policy, source::Source, time::Timestamp},
    seal::{self, Ask, Due, LEVELS},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this month, such as 2026-09
    #[arg(long, value_name = "YYYY-MM")]
    pub month: Option<Month>,
    /// How hard to compress, 1 to 22: 9 is quick, 19 takes fifty times as long for a ninth less [default: 9]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(LEVELS))]
    pub level: Option<i32>,
    /// Say what would be sealed, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Format of the summary
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: super::show::Format,
}

#[derive(Serialize)]
struct Summary<'a> {
    due: &'a [Due],
    sealed: &'a [Sealed],
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<&'a str>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let policy = context.config.policy()?;
    let level = args.level.unwrap_or(context.config.seal()?.1);
    let ask = Ask { month: args.month, only_first: false };
    if args.dry_run {
        let archive = context.archive()?;
        archive.require_rows()?;
        let now = context.graph_now(&archive)?;
        let due = due(&archive, ask, now, &policy)?;
        print(&due, &[], None, args, context)?;
        return Ok(Code::Done);
    }
    // As a second writer, it touches nothing.
    let mut writer = ArchiveWriter::open(&context.folder(), context.now)?;
    let signing = ledger_key::signed(context, &mut writer, context.now)?;
    writer.derive_missing(&mut |_| ControlFlow::Continue(()))?;
    let archive = Archive::open(&context.folder())?;
    let now = context.graph_now(&archive)?;
    let due = due(&archive, ask, now, &policy)?;
    let run = writer.begin_run("seal", now)?;
    let runtime = super::runtime()?;
    let (stop_sender, stop) = watch::channel(false);
    let bar = Bar::new(context);
    runtime.spawn(signals::stop_on_signal(stop_sender, std::sync::Arc::new(())));
    let outcome = seal::seal(&mut writer, &due, level, now, &mut |progress| bar.told(progress, &stop));
    bar.bar.finish_and_clear();
    let outcome = outcome.map_err(Failure::from);
    let is_stopped = *stop.borrow();
    let (code, report) = match &outcome {
        Ok(sealed) => {
            let code = if is_stopped { Code::Incomplete } else { Code::Done };
            (code, serde_json::to_string(&Summary { due: &due, sealed, checkpoint: None }).unwrap_or_default())
        }
        Err(failure) => (failure.code, failure.message.clone()),
    };
    // On a full disk what went wrong is told, and not that it could not be noted.
    let noted = writer.end_run(run, (code as u8, &report), None, Timestamp::now());
    let given = checkpoint::give_out(&mut writer, context);
    let noted = noted.and_then(|()| writer.checkpoint());
    let sealed = outcome?;
    noted?;
    let given = given?;
    let code = if given.kept_back { code.max(Code::Incomplete) } else { code };
    print(&due, &sealed, given.for_stdout.as_deref(), args, context)?;
    if is_stopped {
        context.note("stopped before all was done; run the same command again to go on");
    }
    signing.trouble()?;
    Ok(code)
}

/// What is due; a month that was named and may still change is refused.
fn due(archive: &Archive, ask: Ask, now: Timestamp, policy: &Policy) -> Result<Vec<Due>> {
    let due = seal::due(archive, ask, now, policy)?;
    let Some(month) = ask.month.filter(|_| due.is_empty()) else { return Ok(due) };
    let kinds: Vec<_> = archive.open_amounts(month)?.into_iter().map(|(kind, _)| kind).collect();
    for source in Source::ALL.into_iter().filter(|source| kinds.contains(&source.kind())) {
        if let Some(why) = seal::still_changes(source, month, &archive.facts(source)?, now, policy) {
            return Err(usage(format!("--month {month}: {why}")));
        }
    }
    Ok(due)
}

fn print(due: &[Due], sealed: &[Sealed], checkpoint: Option<&str>, args: &Args, context: &Context) -> Result<()> {
    to_stdout(|out| {
        if args.format == super::show::Format::Json {
            serde_json::to_writer(&mut *out, &Summary { due, sealed, checkpoint })?;
            return writeln!(out);
        }
        if args.dry_run {
            for due in due {
                let amount = due.amount;
                writeln!(out, "{}: {} versions, {} of bodies", due.month, amount.versions, size(amount.raw_bytes))?;
            }
        }
        text(sealed, out)?;
        checkpoint.iter().try_for_each(|note| write!(out, "{note}"))
    })?;
    if due.is_empty() {
        context.note("nothing is to be sealed: every month that is over is sealed already");
    }
    Ok(())
}

/// One line for each file that was made.
pub(super) fn text(sealed: &[Sealed], out: &mut dyn Write) -> std::io::Result<()> {
    sealed.iter().try_for_each(|one| {
        let (amount, bytes) = (one.amount, size(one.bytes));
        writeln!(
            out,
            "sealed {}: {} versions, {} of bodies in {bytes}",
            one.file,
            amount.versions,
            size(amount.raw_bytes)
        )
    })
}

/// Seals what is due after a round of `sync`. The round's records are safe whatever comes of it.
pub(super) fn after_round(
    writer: &mut ArchiveWriter,
    now: Timestamp,
    stop: &watch::Receiver<bool>,
    context: &Context,
) -> Result<Vec<Sealed>> {
    let (when_due, level) = context.config.seal()?;
    if !when_due || *stop.borrow() {
        return Ok(Vec::new());
    }
    let archive = Archive::open(writer.folder())?;
    let due = seal::due(&archive, Ask { month: None, only_first: true }, now, &context.config.policy()?)?;
    let bar = Bar::new(context);
    let sealed = seal::seal(writer, &due, level, now, &mut |progress| bar.told(progress, stop));
    bar.bar.finish_and_clear();
    Ok(sealed?)
}

/// Shows how far it is, and passes a wish to stop on.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(context: &Context) -> Self {
        let shown = !context.quiet && std::io::stderr().is_terminal();
        let bar = if shown { context.bars.add(ProgressBar::new(0)) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    fn told(&self, progress: Progress, stop: &watch::Receiver<bool>) -> ControlFlow<()> {
        let doing = match progress.step {
            Step::Write => "writing",
            Step::ReadBack => "reading back",
            Step::Empty => "emptying frames of",
        };
        self.bar.set_message(format!("{doing} {}", progress.month));
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        if *stop.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
