//! The Graph client: bodies of call records out of Microsoft Graph, byte for byte, at a pace that Graph allows.
//!
//! Graph's HTTP is spoken here alone. Nothing that Graph adds or leaves out inside a record makes a request fail: read is only what
//! decides on the next request. A record is given out whole or not at all. Secrets and tokens leave only in the requests that
//! need them, only to the hosts set, and only over TLS (or to this machine itself).

pub mod alert;
pub mod budget;
pub mod cloud;
pub mod credential;
pub mod error;
pub mod retry;
pub mod timestamp;
pub mod transport;

mod calls;
mod claims;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod pace;
mod page;
mod post;
mod probe;
mod refusal;
mod request;
mod rows;
pub mod subscriptions;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use reqwest::header;
use secrecy::ExposeSecret;
use tokio::{
    task,
    time::{Instant, sleep_until},
};
use url::Url;
use uuid::Uuid;

pub use crate::graph::{
    calls::Whole,
    claims::Claims,
    cloud::Cloud,
    credential::Credential,
    error::{Error, Refusal, Result},
    page::Page,
    probe::{IMPATIENT, Reached},
    rows::Rows,
    transport::Transport,
};
use crate::{
    graph::{
        budget::{Budget, Rates, RecordBudget, Turn},
        page::{Gist, Shape},
        request::{Answer, Exchange, Fault, Http},
        retry::{Advice, Limits, Outcome, Tries},
        token::{Token, Tokens},
    },
    model::{
        event::{Event, Observer, Wait},
        time::{Age, Timestamp},
    },
};

/// A local clock that is wrong by more is worth telling: Graph's comes in whole seconds, and answers take their time.
pub const CLOCK_TOLERANCE: Age = Age::minutes(1);
/// Bodies above this are read off the async threads: a megabyte takes some milliseconds.
const LONG_BODY_BYTES: usize = 128 * 1024;

/// Everything that a client has to be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where tokens come from.
    pub login_host: Url,
    /// Where records come from, without a version.
    pub graph_host: Url,
    /// The tenant's id or one of its domain names; managed identities and the Azure command line know theirs.
    pub tenant_id: Option<String>,
    /// The app's; for a managed identity that of a user-assigned one.
    pub client_id: Option<String>,
    pub credential: Credential,
    /// How errors name the proxy that the environment sets: without its password.
    pub proxy: Option<String>,
    pub rates: Rates,
    pub limits: Limits,
    /// For one request, from connecting to the last byte.
    pub timeout: Duration,
    /// The most pages that one collection may have.
    pub page_limit: usize,
    /// The longest body that is taken, decompressed.
    pub max_body_bytes: usize,
    pub transport: Transport,
    /// What back-off is thrown with: the same seed waits the same; none is chance.
    pub dice_seed: Option<u64>,
}

impl Settings {
    /// The settings of a cloud, with Graph's documented figures.
    ///
    /// # Errors
    /// Only when the table of clouds is wrong.
    pub fn new(cloud: Cloud, credential: Credential) -> Result<Self> {
        Ok(Self {
            login_host: cloud::parse_host(cloud.login_host())?,
            graph_host: cloud::parse_host(cloud.graph_host())?,
            tenant_id: None,
            client_id: None,
            credential,
            proxy: None,
            rates: Rates::default(),
            limits: Limits::default(),
            timeout: Duration::from_secs(2 * 60),
            page_limit: 2_000,
            max_body_bytes: 64 * 1024 * 1024,
            transport: Transport::Network,
            dice_seed: None,
        })
    }
}

/// What a client has done so far. Signing in is not counted: Graph does not see it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub requests: u64,
    /// Those of the requests that repeat one that failed in passing.
    pub retries: u64,
    /// Time for which Graph's 429s stopped all requests.
    pub throttled_s: f64,
}

/// A client of one tenant's Graph. Cloning is cheap, and all clones share budget and token.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    graph_host: Url,
    page_limit: usize,
    http: Http,
    tokens: Tokens,
    budget: Budget,
    requests: AtomicU64,
    retries: AtomicU64,
    /// Graph's clock as last seen, and when that was.
    clock: Mutex<Option<(Timestamp, Instant)>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("graph_host", &self.shared.graph_host.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When a host is plain http to anything but this machine, or the tenant is no tenant.
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Result<Self> {
        cloud::check_host(&settings.login_host)?;
        cloud::check_host(&settings.graph_host)?;
        let tokens = Tokens::new(&settings)?;
        let http = Http::new([tokens.url(), &settings.graph_host], &settings, observer)?;
        let Settings { graph_host, rates, .. } = settings;
        Ok(Self {
            shared: Arc::new(Shared {
                graph_host,
                page_limit: settings.page_limit,
                http,
                tokens,
                budget: Budget::new(rates),
                requests: AtomicU64::new(0),
                retries: AtomicU64::new(0),
                clock: Mutex::new(None),
            }),
        })
    }

    /// Gets a token, unless a good one is there, and tells which application permissions it says it carries; none when it cannot
    /// be read, which means nothing.
    ///
    /// # Errors
    /// [`Error::Unauthorised`] when the login host refuses.
    pub async fn sign_in(&self) -> Result<Vec<String>> {
        let token = self.shared.tokens.get(&self.shared.http).await?;
        // Work is planned by Microsoft's clock, and it is planned before Graph is asked for anything.
        let mut clock = self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *clock = clock.or(token.clock);
        drop(clock);
        Ok(token.roles.clone())
    }

    /// Graph's clock, and until it has answered the login host's: the last `Date`, to the second, and the time since.
    #[must_use]
    pub fn server_time(&self) -> Option<Timestamp> {
        let seen = *self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner);
        seen.map(|(date, at)| date + Age::from(at.elapsed()))
    }

    #[must_use]
    pub fn requests(&self) -> Totals {
        Totals {
            requests: self.shared.requests.load(Ordering::Relaxed),
            retries: self.shared.retries.load(Ordering::Relaxed),
            throttled_s: self.shared.budget.throttled_so_far(Instant::now()).as_secs_f64(),
        }
    }

    /// Asks until there is an answer that holds what was asked for, or none is to be had.
    async fn get(&self, ask: &Ask<'_>, mut record: Option<&mut RecordBudget>) -> Result<(Answer, Gist)> {
        let shared = &*self.shared;
        let mut tries = Tries::default();
        let mut first_sent = None;
        loop {
            let token = shared.tokens.get(&shared.http).await?;
            if let Some(record) = record.as_deref_mut() {
                shared.wait_for(record, ask, tries.attempt + 1).await;
            }
            let slot = shared.budget.slot().await;
            let sent = slot.at;
            tries.attempt += 1;
            shared.count(tries.attempt);
            let exchange = self.exchange(ask, &token).await;
            drop(slot);
            let answered = Instant::now();
            if let Some(record) = record.as_deref_mut() {
                record.note(ask.turn, answered);
            }
            tries.elapsed = answered - *first_sent.get_or_insert(sent);
            let exchange = match exchange {
                Ok((answer, Some(gist))) => return Ok((answer, gist)),
                Ok((answer, None)) => Ok(answer),
                Err(fault) => Err(fault),
            };
            let outcome = request::outcome(&exchange);
            match retry::advice(outcome, tries, &ask.limits(shared.http.limits, outcome), shared.http.random()) {
                Advice::Renew => {
                    tracing::info!("Graph answered 401; getting a new token");
                    shared.tokens.drop_refused(&token).await;
                    tries.renewed = true;
                }
                Advice::Retry { wait, throttled: true } => {
                    let cause = request::cause(&exchange);
                    shared.http.report(Wait::Throttled, wait, tries.attempt, ask.url, cause);
                    // No wait of its own: the budget lets nothing pass until then, and one after another from then on.
                    shared.budget.throttled(sent, wait, shared.http.random());
                }
                Advice::Retry { wait, throttled: false } => {
                    shared.http.wait_after(&exchange, wait, tries.attempt, ask.url).await;
                }
                verdict => {
                    shared.obey_last_wait(&exchange, sent);
                    return Err(shared.http.failure(exchange, verdict, ask.url, ask.permission));
                }
            }
        }
    }

    /// One exchange with Graph. An answer of success comes with its gist, and is a fault when it has none.
    async fn exchange(&self, ask: &Ask<'_>, token: &Token) -> Result<(Answer, Option<Gist>), Fault> {
        let http = &self.shared.http;
        let request = http
            .begin(ask.deed, ask.url)
            .bearer_auth(token.secret.expose_secret())
            .header(header::ACCEPT, "application/json")
            .header("prefer", "include-unknown-enum-members")
            .header("client-request-id", Uuid::new_v4().to_string());
        let answer = http.exchange(request).await?;
        tracing::debug!(url = %error::shown(ask.url), status = answer.status, bytes = answer.body.len(), "answered");
        if let Some(date) = answer.date {
            *self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
        }
        if !(200..300).contains(&answer.status) {
            return Ok((answer, None));
        }
        let request_id = answer.request_id.clone();
        let (answer, gist) = read(answer, ask.shape).await;
        gist.map(|gist| (answer, Some(gist))).map_err(|reason| Fault::Unusable { reason, request_id })
    }
}

/// What a request does.
#[derive(Clone, Copy)]
enum Deed<'a> {
    Get,
    /// With a body of JSON, or without one.
    Post(Option<&'a str>),
    Patch(&'a str),
    Delete,
}

/// One request: what to ask and what the answer has to be.
struct Ask<'a> {
    url: &'a Url,
    deed: Deed<'a>,
    shape: Shape,
    turn: Turn,
    /// Without which Graph answers 403.
    permission: &'static str,
    /// Whether it is one of many, a record or a window: it comes again, and the others wait for its place.
    one_of_many: bool,
}

impl Ask<'_> {
    /// One of many that keeps failing must not hold a place for long: it is tried again another time, and others wait.
    fn limits(&self, limits: Limits, outcome: Outcome) -> Limits {
        let throttled = matches!(outcome, Outcome::Status { status: 429, .. });
        let attempts_max = if self.one_of_many && !throttled {
            limits.record_attempts_max.min(limits.attempts_max)
        } else {
            limits.attempts_max
        };
        Limits { attempts_max, ..limits }
    }
}

impl Shared {
    fn count(&self, attempt: u32) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if attempt > 1 {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        self.http.observer.event(&Event::Requested);
    }

    /// Waits until the record's own allowance has room.
    async fn wait_for(&self, record: &mut RecordBudget, ask: &Ask<'_>, attempt: u32) {
        let now = Instant::now();
        if let Some(due) = record.free_at(ask.turn, now) {
            let cause = "the record's own budget is spent".to_owned();
            self.http.report(Wait::RecordBudget, due - now, attempt, ask.url, cause);
            sleep_until(due).await;
        }
    }

    /// A 429 that ends this request still counts for all the others.
    fn obey_last_wait(&self, exchange: &Exchange, sent: Instant) {
        if let Ok(Answer { status: 429, retry_after, .. }) = exchange {
            let wait = retry_after.unwrap_or(self.http.limits.base);
            self.budget.throttled(sent, wait.min(self.http.limits.retry_after_max), self.http.random());
        }
    }
}

/// Reads what the body says; a long one on a thread that may take its time.
async fn read(mut answer: Answer, shape: Shape) -> (Answer, Result<Gist, String>) {
    if answer.body.len() < LONG_BODY_BYTES {
        let gist = page::gist(&answer.body, shape);
        return (answer, gist);
    }
    let body = std::mem::take(&mut answer.body);
    let reading = task::spawn_blocking(move || {
        let gist = page::gist(&body, shape);
        (body, gist)
    });
    match reading.await {
        Ok((body, gist)) => (Answer { body, ..answer }, gist),
        Err(stopped) => (answer, Err(format!("reading it stopped: {stopped}"))),
    }
}
