//! What carries requests to the hosts: the network, or a service in this very process, called directly.
//!
//! Whatever is above one exchange (tokens, budgets, retries, pages) is the same for both. The second is for simulations in the
//! runtime's own time.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use reqwest::{
    RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::timeout;
use url::Url;

use crate::graph::request::Fault;

/// A request as it would go over the network.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub url: Url,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The answer to one.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Answers requests; `Err` says why there is no answer, or half of one.
pub type Service = Arc<dyn Fn(Asked) -> BoxFuture<'static, Result<Told, String>> + Send + Sync>;

#[derive(Clone, Default)]
pub enum Transport {
    #[default]
    Network,
    InProcess(Service),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Network => "Network",
            Transport::InProcess(_) => "InProcess",
        })
    }
}

/// What came back, before anything is read of it.
pub(super) struct Raw {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// One exchange with a service in this process.
pub(super) async fn in_process(service: &Service, request: RequestBuilder, patience: Duration) -> Result<Raw, Fault> {
    let no_answer = |cause: String| Fault::NoAnswer { cause };
    let request = request.build().map_err(|error| no_answer(error.without_url().to_string()))?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let asked = Asked {
        method: request.method().to_string(),
        url: request.url().clone(),
        headers: request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec(),
    };
    let late = |_| no_answer(format!("no answer within {} s", patience.as_secs()));
    let told = timeout(patience, service(asked)).await.map_err(late)?.map_err(no_answer)?;
    let header =
        |(name, value): (String, String)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?));
    Ok(Raw { status: told.status, headers: told.headers.into_iter().filter_map(header).collect(), body: told.body })
}
