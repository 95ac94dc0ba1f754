//! Faults by name and chance. The same seed gives the same storm: what meets a request depends on what it asks for and how
//! often that was asked before, not on the moment or on other requests.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::simulate::dice::{Dice, mix_text};

/// Something that goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 429 with `Retry-After` in seconds.
    ThrottledSeconds,
    /// 429 with `Retry-After` as an HTTP date of simulated time.
    ThrottledDate,
    /// 429 without `Retry-After`.
    ThrottledBare,
    /// 500, code `UnknownError` and no message.
    ServerError,
    /// 502 with a page of HTML, as a proxy sends it.
    BadGateway,
    /// 503 with `Retry-After`.
    Unavailable,
    /// 504.
    GatewayTimeout,
    /// The connection ends without an answer.
    Reset,
    /// The connection ends in the middle of the body, before `Content-Length`.
    CutBody,
    /// The body comes in pieces with pauses.
    SlowBody,
    /// 200 whose body is an error.
    ErrorWith200,
    /// A page without items and with a next link.
    EmptyPage,
    /// The next page begins with the last record of this one. Lists only.
    Duplicate,
    /// A next link that leads to the page it stands on. Befalls pages; planted, also the nested links of a record.
    LinkLoop,
    /// An older version of the record than the newest. Only records with several versions.
    LaggingReplica,
    /// 404 for a record whose newest version has just appeared.
    NotFoundYet,
    /// 401, and the token is worth nothing from now on. Only tokens that were used some twenty times.
    TokenRevoked,
}

impl Fault {
    pub const ALL: [Fault; 17] = [
        Fault::ThrottledSeconds,
        Fault::ThrottledDate,
        Fault::ThrottledBare,
        Fault::ServerError,
        Fault::BadGateway,
        Fault::Unavailable,
        Fault::GatewayTimeout,
        Fault::Reset,
        Fault::CutBody,
        Fault::SlowBody,
        Fault::ErrorWith200,
        Fault::EmptyPage,
        Fault::Duplicate,
        Fault::LinkLoop,
        Fault::LaggingReplica,
        Fault::NotFoundYet,
        Fault::TokenRevoked,
    ];

    /// How often it comes compared with the others.
    fn weight(self) -> f64 {
        match self {
            Fault::ThrottledSeconds => 3.0,
            Fault::ThrottledDate
            | Fault::ThrottledBare
            | Fault::ServerError
            | Fault::Unavailable
            | Fault::Reset
            | Fault::CutBody => 1.5,
            Fault::BadGateway | Fault::GatewayTimeout => 1.0,
            Fault::SlowBody
            | Fault::ErrorWith200
            | Fault::EmptyPage
            | Fault::Duplicate
            | Fault::LaggingReplica
            | Fault::NotFoundYet => 0.5,
            Fault::LinkLoop | Fault::TokenRevoked => 0.2,
        }
    }
}

/// What goes wrong, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    pub seed: u64,
    /// The chance of each fault for each request that it can befall.
    pub chances: Vec<(Fault, f64)>,
    /// After so many faults in a row what was asked for gets through.
    pub in_a_row_max: u32,
    /// Named in `Retry-After`, in whole seconds.
    pub retry_after: Duration,
    /// How long a slow body takes.
    pub slow_body: Duration,
    /// After this many list pages of the simulator's life every list answers 503: a sync stops in the middle.
    pub list_pages_max: Option<u64>,
    /// The same for the pages of the log functions, all logs together.
    pub log_pages_max: Option<u64>,
}

impl Weather {
    /// Nothing goes wrong.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            seed: 0,
            chances: Vec::new(),
            in_a_row_max: 2,
            retry_after: Duration::from_secs(1),
            slow_body: Duration::from_millis(300),
            list_pages_max: None,
            log_pages_max: None,
        }
    }

    /// Any fault, with `rate` as the chance that a request meets one at all.
    #[must_use]
    pub fn faults(rate: f64, seed: u64) -> Self {
        let sum: f64 = Fault::ALL.iter().map(|fault| fault.weight()).sum();
        let chances = Fault::ALL.map(|fault| (fault, rate * fault.weight() / sum)).to_vec();
        Self { seed, chances, ..Self::calm() }
    }

    /// Only these, each with the chance `rate`.
    #[must_use]
    pub fn only(faults: &[Fault], rate: f64, seed: u64) -> Self {
        Self { seed, chances: faults.iter().map(|fault| (*fault, rate)).collect(), ..Self::calm() }
    }
}

impl Default for Weather {
    fn default() -> Self {
        Self::calm()
    }
}

/// The weather and what it has done so far.
#[derive(Debug)]
pub(super) struct Sky(Mutex<State>);

#[derive(Debug)]
struct State {
    weather: Weather,
    asked: HashMap<u64, Asked>,
}

/// How often something was asked for, and how many of the last times in a row failed.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    times: u64,
    failed: u32,
}

impl Sky {
    pub(super) fn new(weather: Weather) -> Self {
        Self(Mutex::new(State { weather, asked: HashMap::new() }))
    }

    pub(super) fn change(&self, weather: Weather) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { weather, asked: HashMap::new() };
    }

    pub(super) fn look<T>(&self, at: impl FnOnce(&Weather) -> T) -> T {
        at(&self.0.lock().unwrap_or_else(PoisonError::into_inner).weather)
    }

    /// Throws for one request. `what` names what is asked for in the same words each time; a fault that `befalls` denies
    /// does not happen, nor does another in its place.
    pub(super) fn strike(&self, what: &str, befalls: impl FnOnce(Fault) -> bool) -> Option<Fault> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.weather.chances.is_empty() {
            return None;
        }
        let key = mix_text(what);
        let asked = state.asked.get(&key).copied().unwrap_or_default();
        let fault = state
            .weather
            .thrown(key, asked.times)
            .filter(|_| asked.failed < state.weather.in_a_row_max)
            .filter(|fault| befalls(*fault));
        let failed = if fault.is_some() { asked.failed + 1 } else { 0 };
        state.asked.insert(key, Asked { times: asked.times + 1, failed });
        fault
    }
}

impl Weather {
    fn thrown(&self, key: u64, times: u64) -> Option<Fault> {
        let mut left = Dice::of(self.seed, &[0x3ea, key, times]).unit();
        for (fault, chance) in &self.chances {
            if left < *chance {
                return Some(*fault);
            }
            left -= chance;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_storm_and_what_is_tried_often_gets_through() {
        let storm = |seed| {
            let sky = Sky::new(Weather::faults(0.5, seed));
            (0..200).map(|place| sky.strike(&format!("/{}", place % 20), |_| true)).collect::<Vec<_>>()
        };
        assert_eq!(storm(1), storm(1));
        assert_ne!(storm(1), storm(2));
        let sky = Sky::new(Weather::only(&[Fault::Reset], 1.0, 1));
        let tries: Vec<_> = (0..6).map(|_| sky.strike("/x", |_| true).is_some()).collect();
        assert_eq!(tries, [true, true, false, true, true, false]);
    }

    #[test]
    fn a_rate_is_the_share_of_requests_that_meet_a_fault() {
        let sky = Sky::new(Weather::faults(0.1, 3));
        let struck = (0..10_000).filter(|place| sky.strike(&place.to_string(), |_| true).is_some()).count();
        assert!((850..1150).contains(&struck), "{struck}");
    }
}
