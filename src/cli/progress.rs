//! What a terminal shows while a sync works: one line, made of events.

use std::{
    io::IsTerminal,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::model::event::{Event, Observer, Wait};

/// The progress line; draws nothing where stderr is no terminal.
pub struct Progress {
    bar: ProgressBar,
    state: Mutex<State>,
}

struct State {
    begun: Instant,
    windows: usize,
    windows_done: usize,
    requests: u64,
    listed: u64,
    wanted: u64,
    fetched: u64,
    unchanged: u64,
    failed: u64,
    throttled_until: Option<Instant>,
    stopping: bool,
}

impl Progress {
    #[must_use]
    pub fn new(bars: &MultiProgress, quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let bar = if shown { bars.add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        let state = State {
            begun: Instant::now(),
            windows: 0,
            windows_done: 0,
            requests: 0,
            listed: 0,
            wanted: 0,
            fetched: 0,
            unchanged: 0,
            failed: 0,
            throttled_until: None,
            stopping: false,
        };
        Self { bar, state: Mutex::new(state) }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event) {
        let Ok(mut state) = self.state.lock() else { return };
        state.take(event);
        self.bar.set_message(state.line());
    }
}

impl State {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Requested => self.requests += 1,
            Event::Waiting { why: Wait::Throttled, wait, .. } => {
                self.throttled_until = Some(Instant::now() + wait.to_duration());
            }
            Event::Planned { windows, .. } => self.windows += windows,
            Event::Listed { rows, wanted, .. } => {
                self.listed += *rows as u64;
                self.wanted += *wanted as u64;
                self.unchanged += (*rows - *wanted) as u64;
            }
            Event::Covered { .. } | Event::WindowFailed { .. } => self.windows_done += 1,
            Event::Kept { .. } => self.fetched += 1,
            Event::Unchanged { .. } => self.unchanged += 1,
            Event::Failed { .. } | Event::Lost { .. } => self.failed += 1,
            Event::Stopping => self.stopping = true,
            Event::SignedIn | Event::Waiting { .. } | Event::Indexed { .. } => {}
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    fn line(&self) -> String {
        let elapsed_s = self.begun.elapsed().as_secs_f64().max(0.001);
        let mut line = format!(
            "windows {}/{}  listed {}  fetched {}  unchanged {}  failed {}  {:.0} requests/s",
            self.windows_done,
            self.windows,
            self.listed,
            self.fetched,
            self.unchanged,
            self.failed,
            self.requests as f64 / elapsed_s,
        );
        if let Some(wait) = self.throttled_until.and_then(|until| until.checked_duration_since(Instant::now())) {
            line.push_str(&format!("  waiting on throttle {:.0} s", wait.as_secs_f64()));
        } else if self.fetched > 0 && self.windows_done == self.windows {
            let left = self.wanted.saturating_sub(self.fetched + self.failed) as f64;
            line.push_str(&format!("  {:.0} s left", left / (self.fetched as f64 / elapsed_s)));
        }
        if self.stopping {
            line.push_str("  stopping: finishing what is in hand");
        }
        line
    }
}
