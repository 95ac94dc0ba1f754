//! A receiver of notifications, of a few lines: takes what comes, or misbehaves as told.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    model::time::{Age, Timestamp},
    simulate::{Notifications, Settings, Simulator, tests::Asker},
};

/// How a validation is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    Good,
    Slow,
    /// The token as it stands in the URL.
    StillEncoded,
    WithMore,
    Html,
    Accepted,
}

#[derive(Debug)]
pub(super) struct Taken {
    pub(super) manners: Manners,
    /// So many of the next POSTs get 503.
    pub(super) refusals: u32,
    /// Path and query of each validation.
    pub(super) validations: Vec<String>,
    /// Path and items of each POST that was accepted.
    pub(super) posts: Vec<(String, Vec<Value>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) url: String,
    taken: Arc<Mutex<Taken>>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let taken = Taken { manners: Manners::Good, refusals: 0, validations: Vec::new(), posts: Vec::new() };
        let taken = Arc::new(Mutex::new(taken));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(taken.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, taken }
    }

    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap()
    }

    /// The items that came to `path`.
    pub(super) fn items(&self, path: &str) -> Vec<Value> {
        let taken = self.taken();
        taken.posts.iter().filter(|(at, _)| at == path).flat_map(|(_, items)| items.clone()).collect()
    }

    /// Change and record of each item that came to `/notify`.
    pub(super) fn told(&self) -> Vec<(String, String)> {
        let items = self.items("/notify");
        items.iter().map(|item| (super::text(&item["changeType"]), record_of(item))).collect()
    }

    /// What makes a subscription of this receiver to all records, for a day.
    pub(super) fn wish(&self, now: Timestamp) -> Value {
        json!({
            "changeType": "updated",
            "notificationUrl": format!("{}/notify", self.url),
            "lifecycleNotificationUrl": format!("{}/lifecycle", self.url),
            "resource": "/communications/callRecords",
            "expirationDateTime": now + Age::days(1),
            "clientState": "a secret <&\"> ä",
        })
    }

    /// Subscribes to all records and gives the id.
    pub(super) async fn subscribe(&self, asker: &Asker<'_>, changes: &[(&str, &str)]) -> String {
        let mut wish = self.wish(asker.simulator.now());
        for (name, value) in changes {
            wish[*name] = (*value).into();
        }
        let (status, body) = asker.send(Method::POST, "/v1.0/subscriptions", &wish).await;
        assert_eq!(status, 201, "{body}");
        super::text(&body["id"])
    }
}

pub(super) fn record_of(item: &Value) -> String {
    let resource = super::text(&item["resource"]);
    resource.trim_end_matches("')").rsplit(['/', '\'']).next().unwrap().to_owned()
}

async fn receive(State(taken): State<Arc<Mutex<Taken>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let is_text = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/plain; charset=utf-8");
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let Some((_, token)) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "validationToken")
    else {
        return accept(&taken, &path, &body);
    };
    assert!(is_text && body.is_empty());
    let manners = taken.lock().unwrap().manners;
    let raw = query.rsplit('=').next().unwrap().to_owned();
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];
    taken.lock().unwrap().validations.push(format!("{path}?{query}"));
    match manners {
        Manners::Good => (plain, token.into_owned()).into_response(),
        Manners::Slow => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            (plain, token.into_owned()).into_response()
        }
        Manners::StillEncoded => (plain, raw).into_response(),
        Manners::WithMore => (plain, format!("{token}\n")).into_response(),
        Manners::Html => ([(header::CONTENT_TYPE, "text/html")], token.into_owned()).into_response(),
        Manners::Accepted => (StatusCode::ACCEPTED, plain, token.into_owned()).into_response(),
    }
}

fn accept(taken: &Mutex<Taken>, path: &str, body: &Bytes) -> Response {
    let mut taken = taken.lock().unwrap();
    if taken.refusals > 0 {
        taken.refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    taken.posts.push((path.to_owned(), body["value"].as_array().unwrap().clone()));
    StatusCode::ACCEPTED.into_response()
}

impl Asker<'_> {
    /// Status and body, null when there is none.
    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.simulator.url())).bearer_auth(&self.token);
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }
}

/// A world without calls of its own whose deliveries are soon done with.
pub(super) fn soon() -> Notifications {
    Notifications {
        answer_within: Duration::from_millis(400),
        retry_pause: Duration::from_millis(20),
        retry_pause_max: Duration::from_millis(80),
        ..Notifications::default()
    }
}

pub(super) fn quiet(notifications: Notifications) -> Settings {
    Settings { notifications, ..super::empty() }
}

/// Waits until `is_so`, at most ten seconds.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("in vain: {what}");
}

/// Lets time pass and what is due by then go out.
pub(super) async fn pass(simulator: &Simulator, by: Age) {
    simulator.advance(by);
    // One tick takes what is due from the desk; the next one that nothing is left of it.
    tokio::time::sleep(Duration::from_millis(80)).await;
}
