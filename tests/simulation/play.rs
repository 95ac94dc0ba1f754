//! Plays a scenario: time passes, somebody syncs, processes die, and in the end the oracle looks at the archive.

use std::{
    fmt,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use callvault::{
    archive::{self, Archive, ArchiveWriter, Folder, signing::Signing},
    cli::exit::{Code, Failure},
    follow,
    graph::{self, Cloud, Credential},
    model::{
        event::{Event, Observer},
        source::Source,
        time::{Age, Timestamp},
    },
    proof::note::PrivateKey,
    seal,
    simulate::{Settings, Simulator},
    sync::{
        self,
        plan::Ask,
        round::{self, Setup, Summary},
    },
};
use tokio::{
    sync::{Notify, watch},
    task,
    time::sleep,
};

use crate::{
    oracle::Oracle,
    rows::PAUSE,
    scenario::{Round, Scenario, Sky},
    telephony,
    wire::{Exchange, Wire},
};

/// Who signs every ledger of a simulation: a key from the documentation of Go's package note.
const LEDGER_KEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

/// What was played.
#[derive(Default)]
pub(crate) struct Played {
    pub(crate) seeds: u64,
    days: i64,
    rounds: u64,
    died: u64,
    /// Rounds that said themselves that they did not get everything.
    incomplete: u64,
    requests: u64,
    /// Answers that the weather spoilt, and requests refused for coming too fast.
    faults: u64,
    versions: u64,
    lost: u64,
    /// Files of months that were over.
    sealed: u64,
    /// All that happened, as text.
    pub(crate) story: String,
}

impl Played {
    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.days += other.days;
        self.rounds += other.rounds;
        self.died += other.died;
        self.incomplete += other.incomplete;
        self.requests += other.requests;
        self.faults += other.faults;
        self.versions += other.versions;
        self.lost += other.lost;
        self.sealed += other.sealed;
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, days, rounds, died, incomplete, requests, faults, versions, lost, sealed, .. } = self;
        let (years, tenths) = (days * 10 / 365 / 10, days * 10 / 365 % 10);
        write!(
            f,
            "{seeds} seeds, {days} days ({years}.{tenths} years), {rounds} rounds ({died} died, {incomplete} incomplete), \
             {requests} requests, {faults} faults, {versions} versions kept, \
             {lost} records truly lost and told, {sealed} months sealed"
        )
    }
}

/// How one round went, as far as somebody outside can tell.
pub(crate) struct Went {
    pub(crate) begun: Timestamp,
    pub(crate) ended: Timestamp,
    /// `None`: the process died.
    pub(crate) outcome: Option<Result<Summary, Code>>,
    /// Ids of records that it said it could not get.
    pub(crate) failed: Vec<String>,
    pub(crate) log: Vec<Exchange>,
    pub(crate) asks: Option<(Timestamp, Timestamp)>,
    pub(crate) as_service: bool,
    /// Whether nothing went wrong on the way meanwhile.
    pub(crate) calm: bool,
}

impl Went {
    /// Whether the process died or was stopped, so that an answer on its way may not have been taken in.
    pub(crate) fn broke_off(&self) -> bool {
        let stopped = |summary: &Summary| summary.sources.iter().any(|report| report.stopped);
        match &self.outcome {
            None => true,
            Some(outcome) => outcome.as_ref().is_ok_and(stopped),
        }
    }
}

/// Counts events, and lets the process die or be stopped after some.
struct Watcher {
    events: AtomicU64,
    round: Round,
    failed: Mutex<Vec<String>>,
    dies: Notify,
    stop: watch::Sender<bool>,
}

impl Observer for Watcher {
    fn event(&self, event: &Event) {
        let events = self.events.fetch_add(1, Ordering::Relaxed);
        if let Event::Failed { key, .. } = event {
            self.failed.lock().unwrap().push(key.id.clone());
        }
        if self.round.dies_after == Some(events) {
            self.dies.notify_one();
        }
        if self.round.stops_after == Some(events) {
            self.stop.send(true).ok();
        }
    }
}

pub(crate) fn play(scenario: &Scenario, aloud: bool) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let folder = scratch();
    runtime.block_on(weeks(scenario, folder.path(), aloud))
}

/// A folder in memory where there is one: what is tested here is not the disk.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

async fn weeks(scenario: &Scenario, folder: &Path, aloud: bool) -> Played {
    let simulator = Simulator::in_process(Settings {
        seed: scenario.seed,
        users: telephony::PEOPLE,
        calls_per_day: 0,
        days: 1,
        start_clock: Some(scenario.began),
        limits: scenario.limits,
        page_sizes: scenario.page_sizes,
        skip_token_life: scenario.skip_token_life,
        delta_token_life: scenario.telephony.as_ref().and_then(|telephony| telephony.delta_token_life),
        ..Settings::default()
    });
    if let Some(telephony) = &scenario.telephony {
        telephony.plant(&simulator);
    }
    for call in &scenario.calls {
        simulator.plant(call.planted());
    }
    let wire = Wire::new(simulator, scenario.seed);
    let folder = Folder::new(&folder.join("archive"));
    let mut played = Played { seeds: 1, ..Played::default() };
    let mut oracle = Oracle::new(scenario);
    let mut skies = scenario.skies.iter().peekable();
    let mut calm = true;
    for round in &scenario.rounds {
        let late = round.at - wire.simulator.now();
        if late > Age::default() {
            sleep(late.to_duration()).await;
        }
        while let Some((_, sky)) = skies.next_if(|(from, _)| *from <= wire.simulator.now()) {
            wire.set_down(matches!(sky, Sky::Down));
            calm = false;
            let (code, times) = if let Sky::Refused(code, times) = sky { (*code, *times) } else { (0, 0) };
            wire.simulator.refuse_sign_in(code, times);
            if let Sky::Weather(weather) = sky {
                calm = weather.chances.is_empty();
                wire.simulator.set_weather(weather.clone());
            }
        }
        let went = one(scenario, *round, &wire, &folder, calm).await;
        let told = match &went.outcome {
            None => "died".to_owned(),
            Some(Err(code)) => format!("{code:?}"),
            Some(Ok(summary)) => {
                format!("{:?} {:?} lost {:?}", Code::of_round(summary), summary.sources, summary.newly_lost)
            }
        };
        let line = format!("{} to {}: {} requests; {told}\n", went.begun, went.ended, went.log.len());
        if aloud {
            print!("{line}");
        }
        played.story += &line;
        played.rounds += 1;
        played.died += u64::from(went.outcome.is_none());
        played.incomplete += u64::from(went.outcome.as_ref().is_some_and(|outcome| {
            outcome.as_ref().map_or(true, |summary| Code::of_round(summary) == Code::Incomplete)
        }));
        played.requests += went.log.len() as u64;
        oracle.heard(&went);
        if scenario.seed.is_multiple_of(2) && played.rounds.is_multiple_of(20) && folder.exists() {
            // Every other time somebody stops it: what was begun is gone on with the next time.
            let stops_after = (played.rounds / 20).is_multiple_of(2).then_some(scenario.seed % 7);
            played.sealed += seal_due(&folder, wire.simulator.now(), stops_after);
        }
        if played.rounds.is_multiple_of(25) {
            oracle.judge_coverage(&folder, wire.simulator.now());
        }
    }
    if folder.exists() {
        // What `sync` does at its end and the rounds here leave for now.
        if scenario.seed.is_multiple_of(2) {
            played.sealed += seal_due(&folder, wire.simulator.now(), None);
        }
        let _lock = ArchiveWriter::open(&folder, wire.simulator.now()).unwrap();
        follow::catch_up(&Archive::open(&folder).unwrap()).unwrap();
    }
    oracle.judge(&folder, wire.simulator.world(), wire.simulator.now());
    played.days = (wire.simulator.now() - scenario.began).0 / Age::days(1).0;
    (played.versions, played.lost) = oracle.found();
    let counts = wire.simulator.requests();
    played.faults = counts.faults + counts.refused_429;
    played
}

fn sign(writer: &mut ArchiveWriter, now: Timestamp) -> archive::Result<Signing> {
    writer.sign_with(Some(&PrivateKey::parse(LEDGER_KEY).unwrap()), now)
}

/// Seals months that are over, as `callvault seal` does; `stops_after` so many times that it told how far it is.
fn seal_due(folder: &Folder, now: Timestamp, stops_after: Option<u64>) -> u64 {
    let mut writer = ArchiveWriter::open(folder, now).unwrap();
    sign(&mut writer, now).unwrap().trouble().unwrap();
    writer.derive_missing(&mut |_| ControlFlow::Continue(())).unwrap();
    let archive = Archive::open(folder).unwrap();
    let due = seal::due(&archive, seal::Ask::default(), now, &sync::Settings::default().policy).unwrap();
    let mut told = 0;
    let sealed = seal::seal(&mut writer, &due, 1, now, &mut |_| {
        told += 1;
        if stops_after.is_some_and(|after| told > after) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    sealed.unwrap().len() as u64
}

/// A round to its end, when nothing is wrong with the process.
pub(crate) async fn calm_round(wire: &Arc<Wire>, folder: &Folder, graph: graph::Settings) -> Summary {
    let (_stop, stopped) = watch::channel(false);
    let settings = sync::Settings { follows: false, in_place: true, ..sync::Settings::default() };
    let local_now = wire.simulator.now();
    let (folder, cloud, observer) = (folder.clone(), Cloud::Global, Arc::new(()));
    let setup = Setup { folder, cloud, graph, settings, sign: Box::new(sign), local_now, stop: stopped, observer };
    let (outcome, closing) = round::round(setup, &round::Round::default()).await.unwrap();
    closing.end(0, "", &mut |_| {}).unwrap();
    outcome.unwrap()
}

/// One round, as `callvault sync` does it, to its end or its death.
async fn one(scenario: &Scenario, round: Round, wire: &Arc<Wire>, folder: &Folder, calm: bool) -> Went {
    let (stop, stopped) = watch::channel(false);
    let watcher =
        Arc::new(Watcher { events: AtomicU64::new(0), round, failed: Mutex::default(), dies: Notify::new(), stop });
    let begun = wire.simulator.now();
    let mut settings = sync::Settings {
        concurrency: scenario.concurrency,
        due_only: round.as_service,
        follows: round.follows,
        in_place: true,
        ..sync::Settings::default()
    };
    if scenario.doubling {
        settings.policy.list_all_rows = 0;
    }
    if round.as_service {
        settings.policy.log_pause = PAUSE;
    }
    let setup = Setup {
        folder: folder.clone(),
        cloud: Cloud::Global,
        graph: client(wire, begun),
        settings,
        sign: Box::new(sign),
        local_now: begun + round.skew,
        stop: stopped,
        observer: watcher.clone(),
    };
    let (from, to) = (round.asks.map(|asks| asks.0), round.asks.map(|asks| asks.1));
    let named = scenario.telephony.as_ref().map_or_else(|| vec![Source::Calls], |telephony| telephony.named.clone());
    let asked = round::Round { ask: Ask { from, to }, named, ..round::Round::default() };
    let outcome = tokio::select! {
        biased;
        () = watcher.dies.notified() => None,
        ended = round::round(setup, &asked) => Some(ended),
    };
    let outcome = match outcome {
        // What was spawned is dropped with its turn.
        None => {
            for _ in 0..100 {
                task::yield_now().await;
            }
            None
        }
        Some(Err(error)) => Some(Err(Failure::from(error).code)),
        Some(Ok((Ok(summary), closing))) => {
            closing.end(Code::of_round(&summary) as u8, "", &mut |_| {}).unwrap();
            Some(Ok(summary))
        }
        Some(Ok((Err(error), closing))) => {
            let failure = Failure::from(error);
            closing.end(failure.code as u8, &failure.message, &mut |_| {}).unwrap();
            Some(Err(failure.code))
        }
    };
    let failed = watcher.failed.lock().unwrap().clone();
    let ended = wire.simulator.now();
    let log = wire.take_log();
    Went { begun, ended, outcome, failed, log, asks: round.asks, as_service: round.as_service, calm }
}

pub(crate) fn client(wire: &Arc<Wire>, now: Timestamp) -> graph::Settings {
    let secret = wire.simulator.client_secret().to_owned().into();
    let host: url::Url = wire.simulator.url().parse().unwrap();
    graph::Settings {
        login_host: host.clone(),
        graph_host: host,
        tenant_id: Some(wire.simulator.tenant_id().to_owned()),
        client_id: Some(wire.simulator.client_id().to_owned()),
        transport: wire.transport(),
        dice_seed: Some(now.0.unsigned_abs()),
        ..graph::Settings::new(Cloud::Global, Credential::Secret(secret)).unwrap()
    }
}
