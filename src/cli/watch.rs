//! `sync --watch`: rounds as a service, each when something is due.
//!
//! A round says when the next piece of work is due; the service sleeps until then. It outlives what may pass, an outage, a secret that is
//! being renewed, somebody else who writes: then it waits longer from failure to failure, up to its interval.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Runtime,
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    archive::{
        Archive, Folder,
        folder::Lock,
        inbox::{Inbox, Missed},
    },
    cli::{
        Context,
        alert::Alerts,
        config::Config,
        exit::{Code, Result},
        progress::Progress,
        show::Format,
        signals, sync, usage,
    },
    model::{
        event::Observer,
        source::Source,
        time::{Age, Timestamp},
    },
    sync::{
        Reach,
        plan::Ask,
        round::{Round, Summary},
    },
};

/// How often a service looks for new calls.
pub(in crate::cli) const INTERVAL: Age = Age::minutes(15);
/// How long it leaves the youngest days of a log alone: their rows come a day or two late anyway.
const LOG_PAUSE: Age = Age::hours(1);
/// Graph tells its time in whole seconds: only after one more is what is due surely due by its clock.
const DATE_STEP: Age = Age::seconds(1);
/// Longest wait after the first of several rounds that failed.
const FAILED_FIRST: Age = Age::seconds(15);
/// A nap is cut into pieces so that a machine that slept is noticed.
const PIECE: Duration = Duration::from_secs(10);
/// How often today's calls have their turn while weeks are caught up, where notifications are to be quick.
const KEEP_UP: Age = Age::minutes(5);
/// How often the inbox is looked into, and whether another service has come.
const LOOK: Duration = Duration::from_secs(1);
/// How long a service waits before it tries again to have its turn with the archive, and how often before it gives up.
const TURN: Age = Age::seconds(2);
const TURNS_MAX: u32 = 60;
/// A meeting may go on for 30 hours, and its record takes two more to appear.
const LONGEST_CALL: Age = Age::hours(36);
/// Graph has nothing that began earlier.
const SWEEP_MAX: Age = Age::days(29);

/// A service with receiver, or one without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `sync --watch`: whoever receives notifications leaves the work to it.
    Watch,
    /// `listen`: stands back where another writes.
    Listen,
}

/// What is done next.
enum Task {
    /// Time in which notifications may have been missed is listed first.
    Sweep(Vec<Missed>),
    /// Whatever is due.
    Due,
    /// What notifications brought.
    Hints,
}

pub(super) fn run(round: &Round, interval: Option<Age>, format: Format, context: &Context) -> Result<Code> {
    let runtime = super::runtime()?;
    let progress = Arc::new(Progress::new(&context.bars, context.quiet));
    let (stop_sender, stop) = watch::channel(false);
    runtime.spawn(signals::stop_on_signal(stop_sender, progress.clone()));
    let woken = Arc::default();
    Service::new(runtime, stop, progress, woken, Role::Watch, context)?.serve(round, interval, format, context)
}

/// Why a nap ended.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    Due,
    HungUp,
    Stopped,
}

/// Rounds again and again.
pub(super) struct Service {
    runtime: Runtime,
    stop: watch::Receiver<bool>,
    hang_ups: watch::Receiver<u64>,
    progress: Arc<Progress>,
    config: Config,
    role: Role,
    /// Told when something came into the inbox, by whoever is in this process; others are asked every second.
    arrived: Arc<Notify>,
    inbox: Option<Inbox>,
    /// Of two services beside a receiver the first is it; the second works when it is its turn.
    lock: Option<Lock>,
    is_first: bool,
    alerts: Alerts,
    /// Rounds in a row that something failed in.
    failures: u32,
    /// Rounds in a row that another writer was in the way of.
    refused: u32,
}

impl Service {
    pub(super) fn new(
        runtime: Runtime,
        stop: watch::Receiver<bool>,
        progress: Arc<Progress>,
        arrived: Arc<Notify>,
        role: Role,
        context: &Context,
    ) -> Result<Self> {
        let (hang_up_sender, hang_ups) = watch::channel(0);
        runtime.spawn(signals::count_hang_ups(hang_up_sender));
        let config = context.config.clone();
        config.graph()?;
        Ok(Self {
            runtime,
            stop,
            hang_ups,
            progress,
            config,
            role,
            arrived,
            inbox: None,
            lock: None,
            is_first: true,
            alerts: Alerts::new(),
            failures: 0,
            refused: 0,
        })
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Goes on until a stop is asked for.
    pub(super) fn serve(
        &mut self,
        due: &Round,
        interval: Option<Age>,
        format: Format,
        context: &Context,
    ) -> Result<Code> {
        let mut nap = Nap::of(Age::default());
        loop {
            let context = context.with(self.config.clone());
            let interval = interval.or(context.config.interval()?).unwrap_or(INTERVAL);
            // One that is refused because another writes leaves nothing behind.
            let is_here_to_stay = !self.is_first || context.folder().has_receiver().unwrap_or(false);
            if self.role == Role::Watch && self.lock.is_none() && is_here_to_stay {
                self.lock = context.folder().lock_service().ok();
            }
            if self.stands_back() {
                // That one does it all.
                nap = Nap::of(TURN);
            } else {
                self.work(due, interval, format, &context, &mut nap)?;
                self.alerts.after_round(interval, &context);
            }
            match self.sleep(&nap) {
                Woken::Due => {}
                Woken::HungUp => {
                    self.reload(&context);
                    // With what was read, what is due may be due now.
                    nap = Nap::of(Age::default());
                }
                Woken::Stopped => {
                    self.progress.finish();
                    return Ok(Code::Done);
                }
            }
        }
    }

    /// Does what is next, and sets the nap after it.
    fn work(&mut self, due: &Round, interval: Age, format: Format, context: &Context, nap: &mut Nap) -> Result<()> {
        let task = self.next(nap);
        let round = match &task {
            Task::Sweep(missed) => sweep(missed, context),
            Task::Due => due.clone(),
            Task::Hints => Round { named: vec![Source::Calls], reach: Reach::Hints, ..Round::default() },
        };
        let outcome = self.round(&round, interval, context);
        let is_first = std::mem::take(&mut self.is_first);
        match outcome {
            Ok(summary) => {
                self.refused = 0;
                if did_something(&summary) {
                    sync::print(&summary, format, context)?;
                }
                // Where calls are left out, nothing that notifications bring was looked at: it waits like all that failed.
                let are_calls_left_out = self.inbox.is_some()
                    && summary.left_out.iter().any(|left_out| left_out.source == Source::Calls.name());
                let has_failed = are_calls_left_out || summary.sources.iter().any(|report| report.windows_failed > 0);
                let was_stopped = summary.sources.iter().any(|report| report.stopped);
                *nap = match task {
                    _ if has_failed => Nap::of(self.wait_after_failure(interval)),
                    Task::Due => Nap::of(summary.wait.clamp(Age::default(), interval) + DATE_STEP),
                    // What else is due was not looked at.
                    Task::Sweep(missed) => {
                        if !was_stopped {
                            self.swept(&missed, context);
                        }
                        Nap::of(Age::default())
                    }
                    Task::Hints => nap.at_most(summary.wait + DATE_STEP),
                };
                if !has_failed {
                    self.failures = 0;
                }
                Ok(())
            }
            Err(failure) if failure.code == Code::InUse && self.waits_for_its_turn(context) => {
                if self.refused == 0 {
                    context.note("another writer holds the archive; what is to be done waits until it is done");
                }
                self.refused += 1;
                (self.is_first, *nap) = (is_first, Nap::of(TURN));
                Ok(())
            }
            Err(failure) if is_first && failure.code != Code::Incomplete => Err(failure),
            Err(failure) => {
                context.note(&failure.to_string());
                *nap = Nap::of(self.wait_after_failure(interval));
                Ok(())
            }
        }
    }

    fn next(&mut self, nap: &Nap) -> Task {
        let missed = self.inbox().map(Inbox::missed).transpose();
        let missed = missed.unwrap_or_default().unwrap_or_default();
        let is_over = nap.left().is_none();
        // After a failure everything waits for its time.
        match (missed.is_empty(), is_over) {
            (false, _) if self.failures == 0 || is_over => Task::Sweep(missed),
            (_, true) => Task::Due,
            _ => Task::Hints,
        }
    }

    /// A receiver leaves all to a service beside it.
    fn stands_back(&self) -> bool {
        self.role == Role::Listen && Folder::new(&self.config.archive).is_served().unwrap_or(false)
    }

    /// A receiver stands back for everybody; a service waits until the receiver beside it has seen that it is there.
    fn waits_for_its_turn(&self, context: &Context) -> bool {
        match self.role {
            Role::Listen => true,
            Role::Watch => self.refused < TURNS_MAX && context.folder().has_receiver().unwrap_or(false),
        }
    }

    fn inbox(&mut self) -> Option<&Inbox> {
        if self.inbox.is_none() {
            // What cannot be read is told by whoever takes it over.
            self.inbox = Inbox::open_existing(&Folder::new(&self.config.archive)).ok().flatten();
        }
        self.inbox.as_ref()
    }

    fn swept(&mut self, missed: &[Missed], context: &Context) {
        let forgotten = self.inbox.as_mut().map_or(Ok(()), |inbox| inbox.swept(missed));
        if let Err(error) = forgotten {
            context.note(&format!("time that was listed will be listed again: {error}"));
        }
    }

    fn has_hints(&mut self) -> bool {
        // After a failure, and where another writes, they wait like all else.
        self.failures == 0 && self.refused == 0 && self.inbox().is_some_and(|inbox| inbox.has_work().unwrap_or(false))
    }

    /// One round; a receiver ends it early when a service has come to do the work.
    fn round(&self, round: &Round, interval: Age, context: &Context) -> Result<Summary> {
        let observer: Arc<dyn Observer> = self.progress.clone();
        let (stand_back, stop) = watch::channel(false);
        let (mut told, folder, role) = (self.stop.clone(), context.folder(), self.role);
        let watcher = self.runtime.spawn(async move {
            loop {
                let stopped = timeout(LOOK, told.wait_for(|stop| *stop)).await.is_ok();
                if stopped || role == Role::Listen && folder.is_served().unwrap_or(false) {
                    stand_back.send_replace(true);
                    return;
                }
            }
        });
        let mut setup = sync::setup(context, context.config.graph()?, stop, observer)?;
        setup.settings.due_only = true;
        setup.settings.policy.look = interval;
        setup.settings.policy.log_pause = LOG_PAUSE.max(interval);
        if self.inbox.is_some() {
            setup.settings.keep_up = KEEP_UP;
        }
        let outcome = sync::pull(&self.runtime, context, setup, round);
        watcher.abort();
        outcome
    }

    /// Longer from failure to failure, and never the same for two services that met the same outage.
    fn wait_after_failure(&mut self, interval: Age) -> Age {
        let longest = Age(FAILED_FIRST.0.saturating_mul(1 << self.failures.min(16))).min(interval);
        self.failures += 1;
        Age(rand::random_range(longest.0 / 2..=longest.0))
    }

    fn sleep(&mut self, nap: &Nap) -> Woken {
        while let Some(left) = nap.left() {
            if self.has_hints() && !*self.stop.borrow() && !self.stands_back() {
                return Woken::Due;
            }
            let (stop, hang_ups) = (&mut self.stop, &mut self.hang_ups);
            let arrived = &self.arrived;
            let piece = if self.inbox.is_some() { LOOK } else { PIECE };
            let woken = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    Ok(_) = stop.wait_for(|stop| *stop) => Some(Woken::Stopped),
                    Ok(()) = hang_ups.changed() => Some(Woken::HungUp),
                    () = arrived.notified() => None,
                    () = sleep(left.min(piece)) => None,
                }
            });
            if let Some(woken) = woken {
                return woken;
            }
        }
        if *self.stop.borrow() { Woken::Stopped } else { Woken::Due }
    }

    /// Takes the configuration as it is now, unless something is wrong with it.
    fn reload(&mut self, context: &Context) {
        let checked = self.config.again().and_then(|config| {
            if config.archive != self.config.archive {
                return Err(usage("another archive is named, and a service keeps the one it began with")
                    .hint("start it again to change the archive"));
            }
            config.graph()?;
            config.policy()?;
            config.interval()?;
            Ok(config)
        });
        match checked {
            Ok(config) => {
                self.config = config;
                self.failures = 0;
                context.note("the configuration was read again");
            }
            Err(failure) => context.note(&format!("{failure}\nthe configuration read before stays in force")),
        }
    }
}

/// A wait that has begun.
struct Nap {
    begun: Instant,
    by_wall: Timestamp,
    wait: Age,
}

impl Nap {
    fn of(wait: Age) -> Self {
        Self { begun: Instant::now(), by_wall: Timestamp::now(), wait }
    }

    /// What is left of it; `None` when it is over.
    fn left(&self) -> Option<Duration> {
        left(self.wait.to_duration(), self.begun.elapsed(), Timestamp::now() - self.by_wall)
    }

    /// The same, over `wait` from now at the latest.
    fn at_most(&self, wait: Age) -> Self {
        let left = Age::from(self.left().unwrap_or_default());
        Self::of(left.min(wait))
    }
}

/// What is left of `wait`; `None` when it is over. The runtime's clock stands still while a machine sleeps, the wall clock goes on; the wall
/// clock may be set back, the runtime's goes on. The one that got further counts.
fn left(wait: Duration, elapsed: Duration, by_wall: Age) -> Option<Duration> {
    let elapsed = elapsed.max(by_wall.max(Age::default()).to_duration());
    wait.checked_sub(elapsed).filter(|left| !left.is_zero())
}

/// The round that lists what notifications may have been missed of: calls that began long enough before, since a notification comes
/// after a call's end.
fn sweep(missed: &[Missed], context: &Context) -> Round {
    // The receiver's clock is this machine's; Graph goes by its own.
    let ahead = Archive::open(&context.folder()).and_then(|archive| archive.graph_now(context.now));
    let ahead = ahead.map_or(Age::default(), |now| now - context.now);
    let first = missed.iter().map(|missed| missed.span.from).min().unwrap_or(context.now);
    // What is older, the lists bring as they always do.
    let from = (first - LONGEST_CALL).max(context.now - SWEEP_MAX) + ahead;
    Round { ask: Ask { from: Some(from), to: None }, named: vec![Source::Calls], ..Round::default() }
}

/// Whether a round did more than look at the time.
fn did_something(summary: &Summary) -> bool {
    summary.requests > 1
        || summary.outlook.iter().any(|outlook| !outlook.too_late.is_empty())
        || !summary.newly_lost.is_empty()
        || !summary.sealed.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nap_is_over_by_the_clock_that_got_further() {
        let seconds = Duration::from_secs;
        let cases = [
            (0, Age::seconds(0), Some(900)),
            (300, Age::seconds(300), Some(600)),
            // The machine slept for hours.
            (20, Age::hours(5), None),
            // The wall clock was set back by a year.
            (300, Age::days(-365), Some(600)),
            (900, Age::days(-365), None),
        ];
        for (elapsed, by_wall, expected) in cases {
            assert_eq!(
                left(seconds(900), seconds(elapsed), by_wall),
                expected.map(seconds),
                "{elapsed} s, {by_wall:?}"
            );
        }
    }
}
