//! `sync --watch`: rounds as a service, each when something is due.
//!
//! A round says when the next piece of work is due; the service sleeps until then. It outlives what may pass, an outage, a secret that is
//! being renewed, somebody else who writes: then it waits longer from failure to failure, up to its interval.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Runtime,
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    cli::{
        Context,
        config::Config,
        exit::{Code, Result},
        progress::Progress,
        show::Format,
        signals, sync, usage,
    },
    model::{
        event::Observer,
        time::{Age, Timestamp},
    },
    sync::round::{Round, Summary},
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

pub(super) fn run(round: &Round, interval: Option<Age>, format: Format, context: &Context) -> Result<Code> {
    let runtime = super::runtime()?;
    let (stop_sender, stop) = watch::channel(false);
    let (hang_up_sender, hang_ups) = watch::channel(0);
    let progress = Arc::new(Progress::new(&context.bars, context.quiet));
    runtime.spawn(signals::stop_on_signal(stop_sender, progress.clone()));
    runtime.spawn(signals::count_hang_ups(hang_up_sender));
    let mut service =
        Service { runtime, stop, hang_ups, progress, config: context.config.clone(), is_first: true, failures: 0 };
    service.config.graph()?;
    loop {
        let context = context.with(service.config.clone());
        let interval = interval.or(context.config.interval()?).unwrap_or(INTERVAL);
        let outcome = service.round(round, interval, &context);
        let is_first = std::mem::take(&mut service.is_first);
        let wait = match outcome {
            Ok(summary) => {
                if did_something(&summary) {
                    sync::print(&summary, format, &context)?;
                }
                service.wait_after(&summary, interval)
            }
            Err(failure) if is_first && failure.code != Code::Incomplete => return Err(failure),
            Err(failure) => {
                context.note(&failure.to_string());
                service.wait_after_failure(interval)
            }
        };
        match service.nap(wait) {
            Woken::Due => {}
            Woken::HungUp => service.reload(&context),
            Woken::Stopped => {
                service.progress.finish();
                return Ok(Code::Done);
            }
        }
    }
}

/// Why a nap ended.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    Due,
    HungUp,
    Stopped,
}

struct Service {
    runtime: Runtime,
    stop: watch::Receiver<bool>,
    hang_ups: watch::Receiver<u64>,
    progress: Arc<Progress>,
    config: Config,
    is_first: bool,
    /// Rounds in a row that something failed in.
    failures: u32,
}

impl Service {
    /// What is due, and nothing else.
    fn round(&self, round: &Round, interval: Age, context: &Context) -> Result<Summary> {
        let observer: Arc<dyn Observer> = self.progress.clone();
        let mut setup = sync::setup(context, context.config.graph()?, self.stop.clone(), observer)?;
        setup.settings.due_only = true;
        setup.settings.policy.look = interval;
        setup.settings.policy.log_pause = LOG_PAUSE.max(interval);
        sync::pull(&self.runtime, context, setup, round)
    }

    fn wait_after(&mut self, summary: &Summary, interval: Age) -> Age {
        let has_failed = summary.sources.iter().any(|report| report.windows_failed > 0);
        if has_failed {
            return self.wait_after_failure(interval);
        }
        self.failures = 0;
        summary.wait.clamp(Age::default(), interval) + DATE_STEP
    }

    /// Longer from failure to failure, and never the same for two services that met the same outage.
    fn wait_after_failure(&mut self, interval: Age) -> Age {
        let longest = Age(FAILED_FIRST.0.saturating_mul(1 << self.failures.min(16))).min(interval);
        self.failures += 1;
        Age(rand::random_range(longest.0 / 2..=longest.0))
    }

    fn nap(&mut self, wait: Age) -> Woken {
        let (stop, hang_ups) = (&mut self.stop, &mut self.hang_ups);
        self.runtime.block_on(async {
            let (begun, begun_by_wall) = (Instant::now(), Timestamp::now());
            while let Some(left) = left(wait.to_duration(), begun.elapsed(), Timestamp::now() - begun_by_wall) {
                tokio::select! {
                    biased;
                    Ok(_) = stop.wait_for(|stop| *stop) => return Woken::Stopped,
                    Ok(()) = hang_ups.changed() => return Woken::HungUp,
                    () = sleep(left.min(PIECE)) => {}
                }
            }
            if *stop.borrow() { Woken::Stopped } else { Woken::Due }
        })
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

/// What is left of `wait`; `None` when it is over. The runtime's clock stands still while a machine sleeps, the wall clock goes on; the wall
/// clock may be set back, the runtime's goes on. The one that got further counts.
fn left(wait: Duration, elapsed: Duration, by_wall: Age) -> Option<Duration> {
    let elapsed = elapsed.max(by_wall.max(Age::default()).to_duration());
    wait.checked_sub(elapsed).filter(|left| !left.is_zero())
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
