//! The smallest requests that tell whether a host is there and whether a source can be had. Nothing of their answers is kept.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::{
    graph::{
        Client,
        error::Result,
        request,
        retry::{Advice, Limits},
    },
    model::{
        source::{Protocol, Source},
        time::{Age, Span, Timestamp},
    },
};

/// A host that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    pub status: u16,
    pub took: Duration,
    /// How far its clock is ahead of this machine's (behind: negative), to a second or two; `None` when it told no time.
    pub ahead: Option<Age>,
}

/// For somebody who waits: two tries, and no long waits between them.
pub const IMPATIENT: Limits = Limits {
    attempts_max: 2,
    record_attempts_max: 2,
    total_max: Duration::from_secs(20),
    retry_after_max: Duration::from_secs(5),
    base: Duration::from_millis(500),
    cap: Duration::from_secs(2),
};

impl Client {
    /// Asks a host for its front page, once and without a token. Any answer will do.
    ///
    /// # Errors
    /// What keeps answers from coming: no route, a proxy, a certificate.
    pub async fn reach(&self, host: &Url) -> Result<Reached> {
        let http = &self.shared.http;
        let asked = Instant::now();
        let exchange = http.exchange(http.get(host)).await;
        match exchange {
            Ok(request::Answer { status, date, received, .. }) => {
                Ok(Reached { status, took: asked.elapsed(), ahead: date.map(|date| date - received) })
            }
            fault => Err(http.failure(fault, Advice::GiveUp, host, "")),
        }
    }

    /// Asks for as little of `source` as Graph gives, about a time whose records it shows by now: a minute of calls, an hour of a
    /// log, the first page of ids of people. Returns how many rows came.
    ///
    /// # Errors
    /// Those of [`Client::list`], [`Client::log`] and [`Client::people`].
    pub async fn probe(&self, source: Source, now: Timestamp) -> Result<usize> {
        match source.protocol() {
            Protocol::Records => {
                let to = (now - Age::hours(3)).floor_to(Age::minutes(1));
                Ok(self.list(Span::new(to - Age::minutes(1), to), None).await?.rows.len())
            }
            Protocol::Log(_) => {
                let from = (now - Age::days(4)).floor_to(Age::days(1));
                Ok(self.log(source, Span::new(from, from + Age::hours(1)), None).await?.rows.len())
            }
            Protocol::Delta => {
                let first = self.below_host(&format!("{}?$select=id", source.path()))?;
                Ok(self.rows(source, &first, None).await?.rows.len())
            }
        }
    }
}
