//! The receiver: a server that answers Graph's validations and takes its notifications.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Query, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot, watch},
    time::{Instant, timeout},
};

use crate::{
    archive::inbox::{Delivery, Inbox, Secrets, Tally},
    httpd::{self, Certificate},
    model::{notification, time::Timestamp},
    web::{
        confine::{Confined, confine},
        desk::Desk,
        receive::judge,
    },
};

/// The longest body that is taken; Graph's batches have some hundred items of 600 bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Graph waits ten seconds for an answer, and calls a receiver slow long before.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);
const WRITE_TIME_MAX: Duration = Duration::from_secs(4);
/// Requests in hand at a time; what comes beyond is sent again by Graph.
const IN_HAND_MAX: usize = 512;
/// The longest validation token that is given back.
const TOKEN_BYTES_MAX: usize = 4096;
/// How long open requests may go on after the word to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long what is looked up for an answer may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(20);

/// What a receiver needs.
pub struct Setup {
    pub listener: TcpListener,
    pub certificate: Option<Certificate>,
    pub inbox: Inbox,
    /// None until it is known.
    pub tenant_id: watch::Receiver<Option<String>>,
    pub secrets: watch::Receiver<Secrets>,
    /// Requests of a second that are taken.
    pub requests_per_s: u64,
    /// Who looks up what the pages about this service say.
    pub questions: mpsc::Sender<Question>,
}

/// A page about this service, for those on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/metrics`, for Prometheus.
    Metrics,
    /// `/healthz`.
    Health,
}

/// Asks for a page.
pub struct Question {
    pub page: Page,
    pub answer: oneshot::Sender<Told>,
}

/// A page's contents.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

/// A running receiver.
pub struct Receiver {
    pub address: SocketAddr,
    pub confined: Confined,
    /// Told whenever something came that somebody should look at.
    pub arrived: Arc<Notify>,
    ended: watch::Receiver<bool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Receiver {
    /// Starts one; connections are accepted when this returns.
    ///
    /// # Errors
    /// When the system gives no thread, or the inbox cannot be kept open.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let address = setup.listener.local_addr()?;
        setup.inbox.keep_log().map_err(io::Error::other)?;
        let arrived = Arc::new(Notify::new());
        let (stop, told) = oneshot::channel::<()>();
        let (confined_sender, confined) = std::sync::mpsc::channel();
        let notify = arrived.clone();
        let (end, ended) = watch::channel(false);
        let serve = move || {
            // Told however it ends.
            let _end = End(end);
            // Before the first thread of the runtime: they inherit it.
            let _ = confined_sender.send(confine());
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("receiver")
                .enable_all()
                .build()?;
            runtime.block_on(run(setup, notify, told))
        };
        let thread = thread::Builder::new().name("receiver".to_owned()).spawn(serve)?;
        let confined = confined.recv().map_err(io::Error::other)?;
        Ok(Self { address, confined, arrived, ended, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns when it has ended, which by itself it should not.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ended = self.ended.clone();
        async move {
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    /// Takes no more, answers what is in hand, and ends.
    ///
    /// # Errors
    /// What ended it before.
    pub fn stop(mut self) -> io::Result<()> {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the receiver ended unexpectedly")))
    }
}

struct End(watch::Sender<bool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

#[derive(Clone)]
struct Counter {
    desk: Desk,
    tenant_id: watch::Receiver<Option<String>>,
    secrets: watch::Receiver<Secrets>,
    questions: mpsc::Sender<Question>,
    in_hand: Arc<Semaphore>,
    rate: Arc<Rate>,
}

async fn run(setup: Setup, arrived: Arc<Notify>, stop: oneshot::Receiver<()>) -> io::Result<()> {
    let Setup { listener, certificate, inbox, tenant_id, secrets, requests_per_s, questions } = setup;
    let (desk, writing) = Desk::start(inbox, arrived);
    let in_hand = Arc::new(Semaphore::new(IN_HAND_MAX));
    let rate = Arc::new(Rate::new(requests_per_s));
    let counter = Counter { desk, tenant_id, secrets, questions, in_hand, rate };
    let router = Router::new().fallback(answer).with_state(counter);
    let stop = async move {
        let _ = stop.await;
    };
    let served = httpd::serve_all(listener, certificate, router, stop, GRACE).await;
    // The router and with it the last way to the desk are gone: what was handed in is written.
    let _ = tokio::task::spawn_blocking(move || writing.join()).await;
    served
}

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "validationToken")]
    validation_token: Option<String>,
}

async fn answer(
    State(counter): State<Counter>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    let (Ok(_turn), true) = (counter.in_hand.try_acquire(), counter.rate.take()) else {
        counter.desk.note(counted(Tally::Limited));
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "too many requests\n").into_response();
    };
    let is_near = client.ip().to_canonical().is_loopback() && !is_forwarded(request.headers());
    let page = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => Some(Page::Metrics),
        (&Method::GET, "/healthz") => Some(Page::Health),
        _ => None,
    };
    if let Some(page) = page {
        // What these say is nobody's business out there.
        return if is_near { tell(&counter.questions, page).await } else { StatusCode::NOT_FOUND.into_response() };
    }
    if request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
    }
    match asked.map(|Query(Asked { validation_token })| validation_token) {
        Ok(Some(token)) => counter.validated(token),
        Ok(None) => counter.take(request.into_body()).await,
        Err(_) => counter.malformed("the query cannot be read\n"),
    }
}

/// Whether somebody stands between: then the near address is his.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

fn counted(tally: Tally) -> Delivery {
    let mut delivery = Delivery::default();
    delivery.count(tally);
    delivery
}

/// Serves the pages about this service to whoever reaches `listener`, until a stop is asked for.
pub async fn serve_pages(listener: TcpListener, questions: mpsc::Sender<Question>, mut stop: watch::Receiver<bool>) {
    let page = |page: Page| {
        let questions = questions.clone();
        axum::routing::get(move || async move { tell(&questions, page).await })
    };
    let router = Router::new().route("/metrics", page(Page::Metrics)).route("/healthz", page(Page::Health));
    let stop = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = httpd::serve_all(listener, None, router, stop, GRACE).await {
        tracing::error!(%error, "the pages about this service are served no more");
    }
}

async fn tell(questions: &mpsc::Sender<Question>, page: Page) -> Response {
    let (answer, told) = oneshot::channel();
    let unknown = || (StatusCode::SERVICE_UNAVAILABLE, "cannot be looked up now\n").into_response();
    if questions.send(Question { page, answer }).await.is_err() {
        return unknown();
    }
    match timeout(LOOK_UP_MAX, told).await {
        Ok(Ok(Told { status, content_type, body })) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
        }
        _ => unknown(),
    }
}

impl Counter {
    /// Gives the token back as it came, as text that no browser takes for anything else.
    fn validated(&self, token: String) -> Response {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return self.malformed("no validation token of this length is given back\n");
        }
        self.desk.note(counted(Tally::Validated));
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (headers, token).into_response()
    }

    /// Stores what a request brings; only then it is answered for.
    async fn take(&self, body: Body) -> Response {
        let body = match timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => {
                self.desk.note(counted(Tally::Malformed));
                return (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broke off\n").into_response();
            }
            Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n").into_response(),
        };
        let items = match notification::batch(&body) {
            Ok(items) => items,
            Err(what) => return self.malformed(&format!("the body is no batch of notifications: {what}\n")),
        };
        let tenant_id = self.tenant_id.borrow().clone();
        let judged = judge(items, &self.secrets.borrow(), tenant_id.as_deref(), Timestamp::now());
        if judged.refused {
            self.desk.note(judged.delivery);
            return (StatusCode::FORBIDDEN, "these notifications are not for this receiver\n").into_response();
        }
        match timeout(WRITE_TIME_MAX, self.desk.write(judged.delivery)).await {
            Ok(true) => StatusCode::ACCEPTED.into_response(),
            _ => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], "could not be stored\n")
                .into_response(),
        }
    }

    fn malformed(&self, what: &str) -> Response {
        self.desk.note(counted(Tally::Malformed));
        (StatusCode::BAD_REQUEST, what.to_owned()).into_response()
    }
}

/// So many requests a second and no more.
struct Rate {
    begun: Instant,
    per_s: u64,
    /// The second that is counted in the upper half, the requests of it in the lower.
    counted: AtomicU64,
}

impl Rate {
    fn new(per_s: u64) -> Self {
        Self { begun: Instant::now(), per_s: per_s.min(u64::from(u32::MAX)), counted: AtomicU64::new(0) }
    }

    fn take(&self) -> bool {
        let second = self.begun.elapsed().as_secs();
        let next = |counted: u64| {
            let times = if counted >> 32 == second { counted & u64::from(u32::MAX) } else { 0 };
            (times < self.per_s).then_some(second << 32 | (times + 1))
        };
        self.counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_by_the_second() {
        let rate = Rate::new(3);
        let taken = |rate: &Rate| (0..10).filter(|_| rate.take()).count();
        assert_eq!(taken(&rate), 3);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(&rate), 3);
    }
}
