//! A server on loopback that plays both hosts: it answers each address by script and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::Response,
};
use futures_util::stream;
use tower_http::compression::CompressionLayer;

use crate::{
    graph::{Client, Cloud, Credential, Settings, budget::Allowance, cloud, retry::Limits},
    model::event::{Event, Observer, Wait},
};

pub(super) const RECORDS: &str = "/v1.0/communications/callRecords";
pub(super) const TOKEN: &str = "POST /contoso.example/oauth2/v2.0/token";
pub(super) const SECRET: &str = "s3cr3t~value";

#[derive(Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    cut: bool,
}

impl Reply {
    /// `HOME` in the body becomes the server's own address.
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: false }
    }

    pub(super) fn ok(body: impl Into<String>) -> Self {
        Self::new(200, body)
    }

    pub(super) fn refusal(status: u16, code: &str) -> Self {
        let body = format!(
            r#"{{"error":{{"code":"{code}","message":"as told","innerError":{{"request-id":"r-{status}"}}}}}}"#
        );
        Self::new(status, body)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Breaks the connection off in the middle of the body.
    pub(super) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    fn into_response(self, home: &str) -> Response {
        let body = self.body.replace("HOME", home);
        let body = if self.cut {
            let half = Bytes::from(body[..body.len() / 2].to_owned());
            Body::from_stream(stream::iter([Ok(half), Err(std::io::Error::other("broken off"))]))
        } else {
            Body::from(body)
        };
        let builder = Response::builder().status(self.status).header("request-id", format!("h-{}", self.status));
        let builder = self.headers.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value));
        builder.body(body).unwrap()
    }
}

/// What was asked.
#[derive(Clone)]
pub(super) struct Seen {
    /// Method, path and query.
    pub(super) line: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
    pub(super) at: Instant,
}

#[derive(Default)]
struct Stage {
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    seen: Mutex<Vec<Seen>>,
    events: Mutex<Vec<Event>>,
}

impl Observer for Stage {
    fn event(&self, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
    }
}

pub(super) struct StandIn {
    pub(super) home: String,
    stage: Arc<Stage>,
}

impl StandIn {
    /// Serves, compressed where asked, until the test's runtime ends; gives out the tokens `token-1`, `token-2`, ….
    pub(super) async fn start() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let home = format!("http://{}", listener.local_addr().unwrap());
        let stage = Arc::new(Stage::default());
        let router = Router::new().fallback(answer).with_state((home.clone(), Arc::clone(&stage)));
        let router = router.layer(CompressionLayer::new());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let stand_in = Self { home, stage };
        stand_in.script(
            TOKEN,
            (1..=9).map(|n| {
                Reply::ok(format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"token-{n}"}}"#))
            }),
        );
        stand_in
    }

    /// Answers `line` (`GET /path?query`) with one reply after another; the last one stays.
    pub(super) fn script(&self, line: impl Into<String>, replies: impl IntoIterator<Item = Reply>) {
        self.stage.scripts.lock().unwrap().insert(line.into(), replies.into_iter().collect());
    }

    /// As `script`, for a GET below the call records.
    pub(super) fn records(&self, rest: &str, replies: impl IntoIterator<Item = Reply>) {
        self.script(format!("GET {RECORDS}{rest}"), replies);
    }

    /// Settings that do not slow a test down.
    pub(super) fn settings(&self) -> Settings {
        let secret = Credential::Secret(SECRET.to_owned().into());
        let mut settings = Settings::new(Cloud::Global, secret).unwrap();
        settings.tenant_id = Some("contoso.example".into());
        settings.client_id = Some("app".into());
        settings.login_host = cloud::parse_host(&self.home).unwrap();
        settings.graph_host = cloud::parse_host(&self.home).unwrap();
        settings.rates.app = Allowance { requests: 20_000, window: Duration::from_secs(20) };
        settings.limits = Limits { base: Duration::from_millis(5), attempts_max: 4, ..Limits::default() };
        settings
    }

    pub(super) fn client(&self) -> Client {
        self.client_with(self.settings())
    }

    pub(super) fn client_with(&self, settings: Settings) -> Client {
        Client::new(settings, Arc::clone(&self.stage) as Arc<dyn Observer>).unwrap()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.stage.seen.lock().unwrap().clone()
    }

    /// How often `line` was asked.
    pub(super) fn count(&self, line: &str) -> usize {
        self.seen().iter().filter(|seen| seen.line == line).count()
    }

    /// What was asked of Graph, below the call records, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        let below = format!("GET {RECORDS}");
        self.seen().iter().filter_map(|seen| seen.line.strip_prefix(&below).map(str::to_owned)).collect()
    }

    /// The waits reported, with their causes.
    pub(super) fn waits(&self) -> Vec<(Wait, Duration, String)> {
        let events = self.stage.events.lock().unwrap();
        let waits = events.iter().filter_map(|event| match event {
            Event::Waiting { why, wait, cause, .. } => Some((*why, wait.to_duration(), cause.clone())),
            _ => None,
        });
        waits.collect()
    }

    pub(super) fn events(&self, wanted: &Event) -> usize {
        self.stage.events.lock().unwrap().iter().filter(|event| *event == wanted).count()
    }
}

async fn answer(State((home, stage)): State<(String, Arc<Stage>)>, request: Request) -> Response {
    let at = Instant::now();
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    stage.seen.lock().unwrap().push(Seen { line: line.clone(), headers, body, at });
    let mut scripts = stage.scripts.lock().unwrap();
    let reply = match scripts.get_mut(&line) {
        Some(replies) if replies.len() > 1 => replies.pop_front(),
        Some(replies) => replies.front().cloned(),
        None => None,
    };
    reply.unwrap_or_else(|| Reply::refusal(404, "NotScripted")).into_response(&home)
}
