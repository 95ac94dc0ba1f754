//! The command line: one file a command; the doc comments of commands and arguments are the help. Results go to stdout, all else to stderr.

mod checkpoint;
pub mod config;
pub mod env;
pub mod exit;
pub mod log;
pub mod progress;
pub mod render;

mod access;
mod alert;
mod ask;
mod by;
mod credential;
mod demo;
mod doctor;
mod export;
mod failures;
mod hold;
mod init;
mod journal;
mod key;
mod ledger_key;
mod listen;
mod memory;
mod outlook;
mod package;
mod paper;
mod program;
mod query;
mod reindex;
mod retention;
mod retry;
mod seal;
mod searched;
mod show;
mod signals;
mod simulate;
mod sql;
mod statements;
mod status;
mod sync;
mod verify;
mod watch;
mod whole;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
};

use clap::{Parser, Subcommand, error::ErrorKind};
use indicatif::MultiProgress;
use tokio::runtime::{Builder, Runtime};

use crate::{
    archive::{Archive, Folder},
    cli::{
        access::Act,
        config::Config,
        env::Env,
        exit::{Code, Failure, Result},
        log::LogFormat,
    },
    model::time::{Age, Timestamp},
};

/// Keeps an organisation's Microsoft Teams call records for years, whole and provably so
#[derive(Debug, Parser)]
#[command(name = "callvault", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
struct Args {
    /// Folder of the archive [env: CALLVAULT_ARCHIVE] [default: callvault in the user's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Config file [env: CALLVAULT_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Microsoft cloud: global, usgov-l4, usgov-l5, china [env: CALLVAULT_CLOUD] [default: global]
    #[arg(long, global = true, value_name = "NAME")]
    cloud: Option<String>,
    /// Log more: what is waited for; twice: every request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log errors only, show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Format of log lines
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// Each with its line of help. What a command takes is made when it is the one asked for.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    /// Write a config file, and print the commands that register the app
    Init(init::Args),
    /// Check the set-up: settings, sign-in, permissions, clock, archive; say how to mend what is wrong
    Doctor(doctor::Args),
    /// Pull whatever is due and not yet covered
    Sync(sync::Args),
    /// Receive change notifications: calls are in the archive minutes after Graph knows them
    ///
    /// Serves an address that Graph posts notifications to, keeps the subscription that brings them, and does all that sync --watch does; the
    /// lists remain what proves that nothing is missing. Beside a running sync --watch it only receives.
    Listen(listen::Args),
    /// Search the archive
    Query(query::Args),
    /// Show one record
    Show(show::Args),
    /// Ask the archive in SQL, for reading only
    ///
    /// The tables and views are those of docs/schema.md; raw(ID) and raw(ID, VERSION) give the archived JSON of any version. Without
    /// QUERY, statements come from stdin; on a terminal, .help tells what else there is
    Sql(sql::Args),
    /// Export records
    Export(export::Args),
    /// Check that what is stored is what was archived: bodies, ledger, rows, index
    Verify(verify::Args),
    /// Show who asked the archive what: every query, show, export, verification, hold and disposal
    Journal(journal::Args),
    /// Show coverage, counts, sizes and the last runs
    Status(status::Args),
    /// List the records that are still to fetch, with attempts, last error, next try and deadline
    ///
    /// Ends with 3 when there are any.
    Failures(failures::Args),
    /// Fetch what is still to fetch, now: all of it, or the records named
    ///
    /// Lists nothing. Prints and ends as sync does.
    Retry(retry::Args),
    /// Make rows and search index again from the raw records
    Reindex(reindex::Args),
    /// Move the bodies of months that cannot change any more into files of their own, far smaller
    Seal(seal::Args),
    /// Keep records from being disposed of, for a matter
    Hold(hold::Args),
    /// Keep records for as long as rules say, then dispose of them
    Retention(retention::Args),
    /// Print the newest signed checkpoint of the ledger: kept elsewhere, it proves that nothing was changed or left out since
    Checkpoint(checkpoint::Args),
    /// Show the public key that the ledger's signatures are checked with; give it to whoever is to check
    Key(key::Args),
    /// Serve a simulated Microsoft Graph on loopback, for trying things out
    Simulate(simulate::Args),
    /// Try the whole round on a simulated month of a small company
    Demo(demo::Args),
    /// Print a completion script for a shell
    Completions(paper::CompletionsArgs),
    /// Print the manual page
    Man(paper::ManArgs),
}

/// What every command is given.
pub(crate) struct Context {
    pub config: Config,
    pub quiet: bool,
    pub log_format: LogFormat,
    pub bars: MultiProgress,
    /// What of this command goes into the journal of accesses.
    act: Act,
    /// The wall clock when the command began.
    pub now: Timestamp,
}

impl Context {
    /// The same with other settings, now.
    fn with(&self, config: Config) -> Self {
        let (quiet, log_format, bars) = (self.quiet, self.log_format, self.bars.clone());
        Self { config, quiet, log_format, bars, act: Act::default(), now: Timestamp::now() }
    }

    fn folder(&self) -> Folder {
        Folder::new(&self.config.archive)
    }

    fn archive(&self) -> Result<Archive> {
        Ok(Archive::open(&self.folder())?)
    }

    /// Graph's time, for what is reckoned without asking Graph; tells when that is not what this machine's clock says.
    fn graph_now(&self, archive: &Archive) -> Result<Timestamp> {
        let now = archive.graph_now(self.now)?;
        if now != self.now {
            self.note(&clock_told(now - self.now));
        }
        Ok(now)
    }

    /// Says something as [`Self::note`] does, from a task.
    fn note_taker(&self) -> impl Fn(&str) + Send + 'static {
        let own = self.with(self.config.clone());
        move |text| own.note(text)
    }

    /// Says something on stderr that is neither result nor log.
    fn note(&self, text: &str) {
        if self.log_format == LogFormat::Json {
            // Whoever reads JSON lines from stderr reads nothing else.
            tracing::warn!("{text}");
        } else if !self.quiet {
            let _ = self.bars.suspend(|| writeln!(io::stderr(), "{text}"));
        }
    }
}

/// What requests and their answers run on. Answers are read on as many more threads as there are processors: each thread that allocates
/// keeps memory of its own, and more of them do not get done sooner.
fn runtime() -> io::Result<Runtime> {
    let processors = thread::available_parallelism().map_or(2, usize::from);
    Builder::new_multi_thread().enable_all().max_blocking_threads(2 * processors).build()
}

fn clock_told(off: Age) -> String {
    format!("{}; deadlines are reckoned by Microsoft's", crate::doctor::clock_words(off))
}

/// Runs the program: everything but what must stand in `main`.
#[must_use]
pub fn main() -> ExitCode {
    // Call records are personal data: what this program makes, nobody else reads.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    keep_memory_private();
    outlive_the_file_size_limit();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    match args.command {
        Command::Sync(_) | Command::Listen(_) | Command::Retry(_) => memory::keep_little(memory::Use::Fetches),
        Command::Export(_) | Command::Verify(_) | Command::Reindex(_) | Command::Seal(_) => {
            memory::keep_little(memory::Use::ReadsAll);
        }
        _ => {}
    }
    let outcome = run(args);
    match outcome {
        Ok(code) => code.into(),
        Err(failure) if failure.is_closed_pipe() => Code::Done.into(),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{failure}");
            failure.code.into()
        }
    }
}

/// Secrets, tokens and call records are in memory: no core file is to hold them, and no other process of the user to look.
fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    // Where it is not allowed the program still works, and this is a second wall at most.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// A write beyond the limit on file sizes is to fail with an error that can be told: left alone, its signal ends the program
/// without a word. That somebody takes note of it is enough.
fn outlive_the_file_size_limit() {
    // Where that is not possible the program still works, and dies at the limit as others do.
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), Arc::default());
}

fn refuse(error: &clap::Error) -> ExitCode {
    if error.use_stderr() || io::stdout().is_terminal() {
        let _ = error.print();
    } else {
        // Without colours, and in one piece: clap writes line by line.
        let _ = to_stdout(|out| write!(out, "{error}"));
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Done.into(),
        _ => Code::Usage.into(),
    }
}

fn run(args: Args) -> Result<Code> {
    let bars = MultiProgress::new();
    let verbosity = if args.quiet { -1 } else { i8::try_from(args.verbose).unwrap_or(2) };
    log::start(verbosity, args.log_format, &bars);
    let env = Env::read();
    if let Command::Init(init) = &args.command {
        // It writes the config file that all others read.
        return init::run(init, &init::Given { archive: args.archive, config: args.config, cloud: args.cloud, env });
    }
    let config = match (Config::resolve(args.archive, args.config, args.cloud, env), &args.command) {
        (Err(failure), Command::Doctor(doctor)) => return doctor::without_config(doctor, &failure),
        (resolved, _) => resolved?,
    };
    let context = Context {
        config,
        quiet: args.quiet,
        log_format: args.log_format,
        bars,
        act: Act::default(),
        now: Timestamp::now(),
    };
    // Who looks at records, or at who did, is noted.
    match accessed(&args.command) {
        Some(name) => access::noted(name, &context, || dispatch(args.command, &context)),
        None => dispatch(args.command, &context),
    }
}

/// What the journal of accesses calls a command; `None` of those that show nobody's data.
fn accessed(command: &Command) -> Option<&'static str> {
    match command {
        Command::Query(_) => Some("query"),
        Command::Show(args) if args.links => Some("links"),
        Command::Show(_) => Some("show"),
        Command::Sql(_) => Some("sql"),
        Command::Export(_) => Some("export"),
        // A package and a sealed folder are checked without an archive.
        Command::Verify(args) if args.package.is_some() || args.sealed.is_some() => None,
        Command::Verify(_) => Some("verify"),
        Command::Journal(_) => Some("journal"),
        Command::Hold(args) => Some(args.name()),
        Command::Retention(args) => Some(args.name()),
        _ => None,
    }
}

fn dispatch(command: Command, context: &Context) -> Result<Code> {
    match command {
        // Was run above.
        Command::Init(_) => Ok(Code::Done),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Sync(args) => sync::run(&args, context),
        Command::Listen(args) => listen::run(&args, context),
        Command::Query(args) => query::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Sql(args) => sql::run(&args, context),
        Command::Export(args) => export::run(&args, context),
        Command::Verify(args) => verify::run(&args, context),
        Command::Journal(args) => journal::run(&args, context),
        Command::Status(args) => status::run(&args, context),
        Command::Failures(args) => failures::run(&args, context),
        Command::Retry(args) => retry::run(&args, context),
        Command::Reindex(args) => reindex::run(&args, context),
        Command::Seal(args) => seal::run(&args, context),
        Command::Hold(args) => hold::run(&args, context),
        Command::Retention(args) => retention::run(&args, context),
        Command::Checkpoint(args) => checkpoint::run(&args, context),
        Command::Key(args) => key::run(&args, context),
        Command::Simulate(args) => simulate::run(&args, context),
        Command::Demo(args) => demo::run(&args, context),
        Command::Completions(args) => paper::completions(&args),
        Command::Man(args) => paper::man(&args),
    }
}

/// Writes to stdout through one buffer; a reader that went away ends the command quietly.
pub(crate) fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    write(&mut out)?;
    out.flush()?;
    Ok(())
}

/// A failure of usage: exit code 2.
pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, message)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_of_a_command_says_what_the_list_of_commands_says() {
        let about = |command: &clap::Command| {
            let texts = [command.get_about(), command.get_long_about()];
            texts.map(|text| text.map(ToString::to_string))
        };
        let mut whole = Args::command();
        whole.build();
        for listed in Args::command().get_subcommands() {
            let command = whole.find_subcommand(listed.get_name()).unwrap();
            assert!(listed.get_about().is_some(), "{}", listed.get_name());
            assert_eq!(about(command), about(listed), "{}", listed.get_name());
        }
    }
}
