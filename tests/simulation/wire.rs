//! What goes between client and simulator: a little late, and noted down. The notes are the oracle's, not the engine's.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
};
use callvault::{
    graph::transport::{Asked, Service, Told, Transport},
    model::time::Timestamp,
    simulate::{LogKind, Simulator},
};
use serde::Deserialize;
use serde_json::Value;

use crate::scenario::Dice;

/// The way to the simulator.
pub(crate) struct Wire {
    pub(crate) simulator: Simulator,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    down: bool,
    log: Vec<Exchange>,
}

/// A request to Graph or the login host and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// Simulated, when it was sent.
    pub(crate) at: Timestamp,
    pub(crate) url: String,
    /// 0: no answer, or half of one.
    pub(crate) status: u16,
    /// Of a page of a list, a log or the directory.
    pub(crate) page: Option<Page>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// Of the list of calls.
    pub(crate) rows: Vec<Row>,
    /// Of a log or the directory: the elements whole.
    pub(crate) items: Vec<Value>,
    pub(crate) next: Option<String>,
    /// The link for the changes to come.
    pub(crate) delta: Option<String>,
}

/// A page as it is written.
#[derive(Deserialize)]
struct Written<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) version: i64,
}

impl Exchange {
    pub(crate) fn is_list(&self) -> bool {
        self.url.contains("/communications/callRecords?")
    }

    /// Of the list or of a record.
    pub(crate) fn is_of_calls(&self) -> bool {
        self.is_list() || self.url.contains("/communications/callRecords/") && self.log().is_none()
    }

    pub(crate) fn is_of_people(&self) -> bool {
        self.url.contains("/users/delta")
    }

    /// The log that was asked.
    pub(crate) fn log(&self) -> Option<LogKind> {
        let name = self.url.split_once("/callRecords/get")?.1;
        LogKind::ALL.into_iter().find(|log| name.starts_with(&log.function()["get".len()..]))
    }

    fn read(&self, body: &[u8]) -> Option<Page> {
        if self.is_list() {
            let Written { value: rows, next, delta } = serde_json::from_slice(body).ok()?;
            return Some(Page { rows, next, delta, ..Page::default() });
        }
        if self.log().is_none() && !self.is_of_people() {
            return None;
        }
        let Written { value: items, next, delta } = serde_json::from_slice(body).ok()?;
        Some(Page { items, next, delta, ..Page::default() })
    }
}

impl Wire {
    pub(crate) fn new(simulator: Simulator, seed: u64) -> Arc<Self> {
        let state = State { dice: Dice::new(seed ^ 0x317e), down: false, log: Vec::new() };
        Arc::new(Self { simulator, state: Mutex::new(state) })
    }

    /// Takes the line down, or up again.
    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// What was said since this was asked last.
    pub(crate) fn take_log(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    pub(crate) fn transport(self: &Arc<Self>) -> Transport {
        let wire = Arc::clone(self);
        let service: Service = Arc::new(move |asked| {
            let wire = Arc::clone(&wire);
            Box::pin(async move { wire.exchange(asked).await })
        });
        Transport::InProcess(service)
    }

    async fn exchange(&self, asked: Asked) -> Result<Told, String> {
        let at = self.simulator.now();
        let [out, back] = [0; 2].map(|_| self.state.lock().unwrap().dice.between(1, 40).unsigned_abs());
        // Noted before it is sent: whoever asks may die or stop while it is on its way.
        let url = asked.url.to_string();
        let place = {
            let mut state = self.state.lock().unwrap();
            state.log.push(Exchange { at, url, status: 0, page: None });
            state.log.len() - 1
        };
        tokio::time::sleep(Duration::from_millis(out)).await;
        let told =
            if self.state.lock().unwrap().down { Err("nobody answers".to_owned()) } else { self.ask(asked).await };
        tokio::time::sleep(Duration::from_millis(back)).await;
        if let (Ok(told), Some(exchange)) = (&told, self.state.lock().unwrap().log.get_mut(place)) {
            exchange.status = told.status;
            if told.status == 200 {
                exchange.page = exchange.read(&told.body);
            }
        }
        told
    }

    async fn ask(&self, asked: Asked) -> Result<Told, String> {
        let mut request = Request::builder().method(asked.method.as_str()).uri(asked.url.as_str());
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        let response = self.simulator.answer(request.body(Body::from(asked.body)).unwrap()).await;
        let status = response.status().as_u16();
        let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| error.to_string())?;
        Ok(Told { status, headers, body: body.to_vec() })
    }
}
