//! What to do about an answer: one pure function, and the only place that gives a status a meaning.
//!
//! Tried again, at most `attempts_max` times and `total_max` long: 408, 429, every 5xx but 501, no answer or half an answer, and
//! a 200 that does not hold what was asked for. The wait is what `Retry-After` says, else exponential back-off with full jitter
//! (a random part of 0.5 s, 1 s, 2 s, … 60 s), so that many clients hit by one outage do not come back together. A 401 gets one
//! new token. Everything else is final.

use std::time::Duration;

/// How long and how often a request is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tries of one request, the first included.
    pub attempts_max: u32,
    /// The same for a request about one record that fails otherwise than by 429.
    pub record_attempts_max: u32,
    /// Time from the first try after which no further one begins.
    pub total_max: Duration,
    /// The longest `Retry-After` that is waited for; a longer one fails the request at once.
    pub retry_after_max: Duration,
    /// Upper bound of the first back-off; it doubles with each try.
    pub base: Duration,
    /// Upper bound of any back-off.
    pub cap: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts_max: 8,
            record_attempts_max: 5,
            total_max: Duration::from_secs(15 * 60),
            retry_after_max: Duration::from_secs(10 * 60),
            base: Duration::from_millis(500),
            cap: Duration::from_secs(60),
        }
    }
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer; for a 2xx, one that holds what was asked for.
    Status { status: u16, retry_after: Option<Duration> },
    /// A 2xx that does not: cut JSON, an `error` member, another shape.
    Unusable,
    /// No connection, a reset, a time-out, a body that broke off.
    NoAnswer,
    /// A body over the limit.
    TooLarge,
    /// A proxy or a certificate stands in the way: it stays there.
    Barred,
}

/// What was done for this request so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Tries made, the one just answered included.
    pub attempt: u32,
    /// Time since the first try was sent.
    pub elapsed: Duration,
    /// Whether a new token was asked for because of a 401.
    pub renewed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    Take,
    /// Get a new token and ask again.
    Renew,
    /// Ask again after the wait; `throttled` when it is not this request alone that came too fast.
    Retry {
        wait: Duration,
        throttled: bool,
    },
    Unauthorised,
    Forbidden,
    Gone,
    /// Final: asking again would bring the same.
    Refused,
    /// Worth another try, but the tries or the time are used up.
    GiveUp,
}

/// Decides on an answer; `random` is drawn from [0, 1).
#[must_use]
pub fn advice(outcome: Outcome, tries: Tries, limits: &Limits, random: f64) -> Advice {
    let (status, retry_after) = match outcome {
        Outcome::Status { status, retry_after } => (status, retry_after),
        Outcome::Unusable | Outcome::NoAnswer => return again(None, tries, limits, random, false),
        Outcome::TooLarge | Outcome::Barred => return Advice::Refused,
    };
    match status {
        200..=299 => Advice::Take,
        401 if tries.renewed => Advice::Unauthorised,
        401 => Advice::Renew,
        403 => Advice::Forbidden,
        404 | 410 => Advice::Gone,
        501 => Advice::Refused,
        408 | 429 | 500.. => again(retry_after, tries, limits, random, status == 429),
        _ => Advice::Refused,
    }
}

fn again(retry_after: Option<Duration>, tries: Tries, limits: &Limits, random: f64, throttled: bool) -> Advice {
    let wait = retry_after.unwrap_or_else(|| backoff(tries.attempt, limits, random));
    let too_long = retry_after.is_some_and(|wait| wait > limits.retry_after_max);
    if too_long || tries.attempt >= limits.attempts_max || tries.elapsed.saturating_add(wait) > limits.total_max {
        return Advice::GiveUp;
    }
    Advice::Retry { wait, throttled }
}

/// The wait after the `attempt`-th try (from 1) when nobody named one: anything from nothing to the doubled base, up to the cap.
#[must_use]
pub fn backoff(attempt: u32, limits: &Limits, random: f64) -> Duration {
    let doubled = limits.base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled.min(limits.cap).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn first_try() -> Tries {
        Tries { attempt: 1, ..Tries::default() }
    }

    fn status(status: u16) -> Outcome {
        Outcome::Status { status, retry_after: None }
    }

    #[test]
    fn every_status_has_one_meaning() {
        let limits = Limits::default();
        let retry = |throttled| Advice::Retry { wait: Duration::from_millis(250), throttled };
        let cases: &[(&[u16], Advice)] = &[
            (&[200, 204], Advice::Take),
            (&[401], Advice::Renew),
            (&[403], Advice::Forbidden),
            (&[404, 410], Advice::Gone),
            (&[301, 302, 400, 405, 406, 409, 412, 414, 501], Advice::Refused),
            (&[408, 500, 502, 503, 504, 509, 599], retry(false)),
            (&[429], retry(true)),
        ];
        for (statuses, expected) in cases {
            for code in *statuses {
                assert_eq!(advice(status(*code), first_try(), &limits, 0.5), *expected, "{code}");
            }
        }
        assert_eq!(advice(Outcome::NoAnswer, first_try(), &limits, 0.5), retry(false));
        assert_eq!(advice(Outcome::Unusable, first_try(), &limits, 0.5), retry(false));
        assert_eq!(advice(Outcome::TooLarge, first_try(), &limits, 0.5), Advice::Refused);
        assert_eq!(advice(Outcome::Barred, first_try(), &limits, 0.5), Advice::Refused);
    }

    #[test]
    fn a_second_401_is_the_last() {
        let tries = Tries { attempt: 2, renewed: true, ..Tries::default() };
        assert_eq!(advice(status(401), tries, &Limits::default(), 0.0), Advice::Unauthorised);
    }

    #[test]
    fn retry_after_is_obeyed_to_the_letter_up_to_its_bound() {
        let limits = Limits::default();
        let after = |seconds| Outcome::Status { status: 429, retry_after: Some(SECOND * seconds) };
        assert_eq!(advice(after(10), first_try(), &limits, 0.9), Advice::Retry { wait: SECOND * 10, throttled: true });
        assert_eq!(
            advice(after(0), first_try(), &limits, 0.9),
            Advice::Retry { wait: Duration::ZERO, throttled: true }
        );
        assert_eq!(
            advice(after(600), first_try(), &limits, 0.9),
            Advice::Retry { wait: SECOND * 600, throttled: true }
        );
        assert_eq!(advice(after(601), first_try(), &limits, 0.9), Advice::GiveUp);
    }

    #[test]
    fn tries_and_time_are_bounded() {
        let limits = Limits::default();
        let tries = |attempt, seconds| Tries { attempt, elapsed: SECOND * seconds, renewed: false };
        assert!(matches!(advice(status(503), tries(7, 0), &limits, 0.0), Advice::Retry { .. }));
        assert_eq!(advice(status(503), tries(8, 0), &limits, 0.0), Advice::GiveUp);
        assert_eq!(advice(status(503), tries(2, 901), &limits, 0.0), Advice::GiveUp);
        let long = Outcome::Status { status: 503, retry_after: Some(SECOND * 300) };
        assert_eq!(advice(long, tries(2, 601), &limits, 0.0), Advice::GiveUp);
    }

    #[test]
    fn back_off_doubles_to_its_cap_and_jitters_over_all_of_it() {
        let limits = Limits::default();
        let bounds: Vec<_> = (1..=9).map(|attempt| backoff(attempt, &limits, 1.0).as_millis()).collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff(5, &limits, 0.0), Duration::ZERO);
        assert_eq!(backoff(u32::MAX, &limits, 1.0), limits.cap);
    }
}
