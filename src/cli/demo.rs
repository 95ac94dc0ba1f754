//! `demo`: the whole round on simulated data, in one command, with nothing to set up.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::SecretString;
use tokio::{runtime::Runtime, sync::watch};

use crate::{
    cli::{
        Context,
        access::Act,
        config::{Config, File, GraphFile, LedgerFile},
        exit::{Code, Failure, Result},
        export,
        progress::Progress,
        query, show, status, sync, to_stdout, usage, verify,
    },
    model::{
        filter::{Filter, Selection},
        id::RecordKey,
        kind::Kind,
        time::{Age, Timestamp},
    },
    simulate::{ExpectedCall, Limits, LogKind, Person, Planted, Settings, Simulator},
    sync::round::Round,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The same seed gives the same company
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
}

/// A month of a small company: some 1,000 calls.
const USERS: u32 = 40;
const CALLS_PER_DAY: u32 = 50;
/// Graph's budgets times this, on both sides, so that nobody waits for throttling in a demo.
const HURRY: u32 = 20;
/// Simulated time between the two syncs: corrections arrive, and new calls.
const LATER: Age = Age::hours(5);

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    let folder = folder(context)?;
    let simulator = Simulator::start(Settings {
        seed: args.seed,
        users: USERS,
        calls_per_day: CALLS_PER_DAY,
        limits: Limits::scaled(HURRY as usize),
        start_clock: Some(last_wednesday_afternoon(context.now)),
        ..Settings::default()
    })?;
    simulator.plant(corrected_meeting(&simulator));
    let demo = Demo { context: pointed_at(&simulator, &folder, context), simulator, runtime: super::runtime()? };
    demo.round(&folder)
}

/// Half past one on the latest Wednesday: in the middle of work, whenever the demo is run, so that the hours that follow bring
/// new calls and corrections.
fn last_wednesday_afternoon(now: Timestamp) -> Timestamp {
    // 1970 began on a Thursday: six days later, and every seven from there, is a Wednesday.
    let offset = Age::days(6) + Age::minutes(13 * 60 + 30);
    let week = Age::days(7);
    Timestamp((now - offset).0 - (now - offset).0.rem_euclid(week.0)) + offset
}

/// A meeting that Graph shows at first with one session, and an hour later with both: what telemetry that comes late does.
fn corrected_meeting(simulator: &Simulator) -> Planted {
    let now = simulator.now();
    Planted::meeting("5f0c8d2e-6b1a-4c39-9e57-2d8b7a41c0f6", now - Age::hours(2))
        .participants(2)
        .sessions(1)
        .version(2, now + Age::hours(1))
        .sessions(2)
}

/// The command line of a step, as one would type it.
fn step(title: &str, typed: &str) -> Result<()> {
    to_stdout(|out| writeln!(out, "\n# {title}\n$ callvault {typed}"))
}

/// Only a folder that is named, or a fresh one, is used: never the user's own archive.
fn folder(context: &Context) -> Result<PathBuf> {
    if !context.config.archive_is_named {
        let fresh = tempfile::Builder::new().prefix("callvault-demo-").tempdir()?;
        return Ok(fresh.keep());
    }
    let folder = context.config.archive.clone();
    if context.folder().exists() {
        return Err(usage(format!("{} holds an archive already", folder.display()))
            .hint("name a folder that does not exist, or leave --archive out for a fresh one"));
    }
    Ok(folder)
}

fn pointed_at(simulator: &Simulator, folder: &Path, context: &Context) -> Context {
    let env = super::Env {
        tenant_id: Some(simulator.tenant_id().to_owned()),
        client_id: Some(simulator.client_id().to_owned()),
        client_secret: Some(SecretString::from(simulator.client_secret().to_owned())),
        authority_host: Some(simulator.url()),
        graph_endpoint: Some(simulator.url()),
        ..super::Env::default()
    };
    let graph = GraphFile {
        requests_per_20s: Some(1490 * HURRY),
        record_requests_per_20s: Some(10 * HURRY),
        record_pages_per_5min: Some(50 * HURRY),
        ..GraphFile::default()
    };
    let ledger = LedgerFile { key: Some(folder.with_extension("key")), ..LedgerFile::default() };
    Context {
        act: Act::default(),
        config: Config::of_demo(folder.to_path_buf(), env, File { graph, ledger, ..File::default() }),
        quiet: context.quiet,
        log_format: context.log_format,
        bars: context.bars.clone(),
        now: simulator.now(),
    }
}

struct Demo {
    context: Context,
    simulator: Simulator,
    runtime: Runtime,
}

impl Demo {
    fn round(mut self, folder: &Path) -> Result<Code> {
        to_stdout(|out| {
            writeln!(
                out,
                "A simulated Microsoft Graph serves a month of a company of {USERS} people on {}.",
                self.simulator.url()
            )?;
            writeln!(out, "The archive is made in {}", folder.display())
        })?;
        let first = self.sync("Pull the month, over HTTP: calls, the telephony logs, the people")?;
        let person = self.busiest()?;
        let renamed = self.rename(&person)?;
        self.simulator.advance(LATER);
        let second = self.sync("Five hours later: new calls, corrections of earlier ones, and somebody has married")?;

        let typed = format!("query --participant '{renamed}' --from 7d --limit 5");
        step("What did somebody take part in this week? Found under each name that was ever theirs", &typed)?;
        self.query(&query::Args { limit: 5, ..query_of(None, Some(&renamed), Some("7d")) })?;
        step(
            "Full text: failed calls from a headset, by a word of its name",
            "query 'device:jabra' --failed --limit 3",
        )?;
        let mut text = query_of(Some("device:jabra"), None, None);
        text.filter.failed = true;
        self.query(&query::Args { limit: 3, ..text })?;

        let call = self.corrected()?;
        step("One call, with its sessions, segments and quality", &format!("show {}", call.id))?;
        show::run(&show_of(&call.id, false), &self.context)?;
        step("Both of its versions are kept", &format!("show {} --versions", call.id))?;
        show::run(&show_of(&call.id, true), &self.context)?;

        self.logs()?;

        let package = folder.join("package-for-audit");
        step(
            "Everything about that person, for an audit",
            &format!("export --person '{renamed}' --package {}", package.display()),
        )?;
        let asked =
            export::Args { person: Some(renamed.clone()), package: Some(package.clone()), ..export::Args::default() };
        export::run(&asked, &self.context)?;
        step(
            "What the auditor does with it, without this archive",
            &format!("verify --package {}", package.display()),
        )?;
        let package_is_whole =
            verify::run(&verify::Args { package: Some(package), ..verify::Args::default() }, &self.context)?;

        step("Is what is stored what was archived?", "verify")?;
        let whole = verify::run(&verify::Args::default(), &self.context)?;
        step("What is covered, and what is missing?", "status")?;
        let state = status::run(&status::Args::default(), &self.context)?;
        self.compare()?;

        let name = &renamed;
        let folder = folder.display();
        to_stdout(|out| {
            writeln!(out, "\nThe archive stays in {folder}. Type next:")?;
            writeln!(out, "  callvault --archive {folder} query '{}'", name.split(' ').next().unwrap_or(name))?;
            writeln!(out, "  callvault --archive {folder} query --type groupCall --min-duration 30m --sort longest")?;
            writeln!(out, "  callvault --archive {folder} show {}", call.id)?;
            writeln!(
                out,
                "  sqlite3 {folder}/archive.db 'SELECT name, count(*) FROM participations GROUP BY name ORDER BY 2 DESC LIMIT 5'"
            )?;
            writeln!(out, "For your own tenant, which it tells you how to set up: callvault init")
        })?;
        Ok([first, second, package_is_whole, whole, state].into_iter().max().unwrap_or(Code::Done))
    }

    fn sync(&mut self, title: &str) -> Result<Code> {
        step(title, "sync")?;
        self.context.now = self.simulator.now();
        let (_sender, stop) = watch::channel(false);
        let progress = Arc::new(Progress::new(&self.context.bars, self.context.quiet));
        let graph = self.context.config.graph()?;
        let setup = sync::setup(&self.context, graph, stop, progress.clone())?;
        let summary = sync::pull(&self.runtime, &self.context, setup, &Round::default());
        progress.finish();
        let summary = summary?;
        sync::print(&summary, show::Format::Text, &self.context)?;
        Ok(Code::of_round(&summary))
    }

    fn query(&self, args: &query::Args) -> Result<Code> {
        query::run(args, &self.context)
    }

    /// The one who took part in most calls.
    fn busiest(&self) -> Result<Person> {
        let calls = self.simulator.world().expected(self.simulator.now());
        let count = |person: &&Person| calls.iter().filter(|call| call.participant_ids.contains(&person.id)).count();
        let busiest = self.simulator.world().people().iter().max_by_key(count).cloned();
        busiest.ok_or_else(|| Failure::new(Code::Unexpected, "the simulated company has no people"))
    }

    /// Gives somebody another family name, as the directory learns it between the two syncs.
    fn rename(&self, person: &Person) -> Result<String> {
        let given = person.name.split(' ').next().unwrap_or(&person.name);
        let name = format!("{given} Vance");
        let (_, domain) = person.upn.split_once('@').unwrap_or((&person.upn, "contoso.com"));
        let upn = format!("vance.{}@{domain}", &person.id[..4]);
        if self.simulator.rename_user(&person.id, &name, &upn, Some(&upn), self.simulator.now()) {
            return Ok(name);
        }
        Err(Failure::new(Code::Unexpected, format!("the simulated company has nobody called {}", person.name)))
    }

    /// The latest of each log, and a row with the call that it belongs to.
    fn logs(&self) -> Result<()> {
        for kind in Kind::HITS.into_iter().filter(|kind| *kind != Kind::Call) {
            step(&format!("The latest of a log: {kind}"), &format!("query --kind {kind} --limit 1"))?;
            let mut latest = query_of(None, None, None);
            latest.filter.kind.push(kind);
            self.query(&query::Args { limit: 1, ..latest })?;
        }
        let archive = self.context.archive()?;
        let filter = Filter { kinds: vec![Kind::DirectRouting], ..Filter::default() };
        let rows = Selection { filter, ..Selection::default() };
        let mut linked = None;
        archive.for_each(&rows, &mut |hit| {
            let has_link =
                archive.links(&RecordKey { kind: hit.kind, id: hit.id.clone() }).is_ok_and(|l| !l.is_empty());
            linked = has_link.then_some(hit.id);
            if linked.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(id) = linked {
            step("A row of the direct routing log, and the call that it belongs to", &format!("show {id}"))?;
            show::run(&show_of(&id, false), &self.context)?;
        }
        Ok(())
    }

    /// The latest small meeting of which both syncs brought a version.
    fn corrected(&self) -> Result<ExpectedCall> {
        let archive = self.context.archive()?;
        let calls = self.simulator.world().expected(self.simulator.now());
        let mut best = None;
        for call in calls {
            let held = archive.versions(&RecordKey::call(call.id.clone()))?.len();
            let rank = (held.min(2), usize::from((3..=5).contains(&call.session_ids.len())), call.start);
            if best.as_ref().is_none_or(|(other, _)| rank > *other) {
                best = Some((rank, call));
            }
        }
        best.map(|(_, call)| call).ok_or_else(|| Failure::new(Code::Unexpected, "the simulated company made no calls"))
    }

    /// The simulator knows what is true: it is asked last.
    fn compare(&self) -> Result<()> {
        let archive = self.context.archive()?;
        let expected = self.simulator.world().expected(self.context.now);
        let mut missing = 0;
        for call in &expected {
            let versions = archive.versions(&RecordKey::call(call.id.clone()))?;
            missing += usize::from(versions.iter().all(|version| version.version.0 < call.version));
        }
        let mut rows = 0;
        for (log, kind) in EVENT_LOGS {
            let shown = self.simulator.world().expected_rows(log, self.context.now).len() as u64;
            let held = archive.count(&archive.wanted(&Filter { kinds: vec![kind], ..Filter::default() })?, None)?;
            rows += shown;
            missing += usize::try_from(shown.abs_diff(held)).unwrap_or(usize::MAX);
        }
        let verdict =
            if missing == 0 { "the archive holds each, in its last version" } else { "the archive LACKS some" };
        to_stdout(|out| {
            writeln!(
                out,
                "\nThe simulated company had {} calls and {rows} rows of logs that Graph showed: {verdict}.",
                expected.len()
            )
        })?;
        if missing == 0 {
            return Ok(());
        }
        Err(Failure::new(Code::Unexpected, format!("{missing} records are missing in the archive")))
    }
}

/// The logs whose rows the simulator counts; the dial-out report is a sum, and has none.
const EVENT_LOGS: [(LogKind, Kind); 4] = [
    (LogKind::Pstn, Kind::Pstn),
    (LogKind::DirectRouting, Kind::DirectRouting),
    (LogKind::Sms, Kind::Sms),
    (LogKind::BlockedUsers, Kind::BlockedUser),
];

fn query_of(text: Option<&str>, participant: Option<&str>, from: Option<&str>) -> query::Args {
    let filter = super::ask::FilterArgs {
        text: text.map(str::to_owned),
        participant: participant.map(str::to_owned).into_iter().collect(),
        from: from.map(str::to_owned),
        ..super::ask::FilterArgs::default()
    };
    query::Args { filter, sort: None, limit: 50, after: None, by: None, count: false, format: query::Format::Table }
}

fn show_of(id: &str, versions: bool) -> show::Args {
    show::Args { id: id.to_owned(), raw: false, version: None, versions, links: false, format: show::Format::Text }
}
