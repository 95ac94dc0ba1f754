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
    simulate::Simulator,
};
use serde::Deserialize;

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
    /// Of a page of the list.
    pub(crate) page: Option<ListPage>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ListPage {
    #[serde(rename = "value")]
    pub(crate) rows: Vec<Row>,
    #[serde(rename = "@odata.nextLink")]
    pub(crate) next: Option<String>,
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

    pub(crate) fn is_sign_in(&self) -> bool {
        self.url.contains("/oauth2/")
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
            if exchange.is_list() && told.status == 200 {
                exchange.page = serde_json::from_slice(&told.body).ok();
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
