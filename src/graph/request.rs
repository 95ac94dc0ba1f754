//! One exchange: a request out, and what came back as it came.
//!
//! Nothing here repeats a request or follows a redirect: each exchange is one that Graph counts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::{ClientBuilder, RequestBuilder, Response, header};
use rustls::CertificateError;
use tokio::time::sleep;
use url::Url;

use crate::{
    graph::{
        Deed, Settings,
        error::{Error, Refusal, Result, shown},
        retry::{Advice, Limits, Outcome},
        transport::{Raw, Transport, in_process},
    },
    model::{
        event::{Event, Observer, Wait},
        time::{Age, Timestamp},
    },
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// What is spoken to without TLS is this machine, or the next wire: it answers soon or not at all.
const NEAR_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Graph computes a page before it sends the first byte of it.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    /// The sender's clock.
    pub(super) date: Option<Timestamp>,
    pub(super) retry_after: Option<Duration>,
    /// What a 401 asks to be shown.
    pub(super) challenge: Option<String>,
    pub(super) received: Timestamp,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer, or none that can be used.
#[derive(Debug)]
pub(super) enum Fault {
    NoAnswer {
        cause: String,
    },
    /// The proxy is there to be asked, and does not let the request through.
    ProxyRefuses {
        cause: String,
    },
    /// The other side's certificate is not one that this machine trusts.
    Untrusted {
        cause: String,
    },
    Unusable {
        reason: String,
        request_id: Option<String>,
    },
    TooLarge,
}

pub(super) type Exchange = std::result::Result<Answer, Fault>;

/// The connection to all hosts.
pub(super) struct Http {
    /// For https: with the system's certificates and proxies; none where nothing speaks TLS.
    tls: Option<reqwest::Client>,
    /// For plain http, which goes to this machine or the next wire: never through a proxy, and without certificates to load.
    plain: reqwest::Client,
    transport: Transport,
    timeout: Duration,
    /// What back-off is thrown with.
    dice: Mutex<StdRng>,
    pub(super) limits: Limits,
    pub(super) observer: Arc<dyn Observer>,
    max_body_bytes: usize,
    /// The proxy as it may be shown, without its password.
    proxy: Option<String>,
}

impl Http {
    /// `hosts` are all hosts that will ever be spoken to.
    pub(super) fn new<'a>(
        hosts: impl IntoIterator<Item = &'a Url>,
        settings: &Settings,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let &Settings { timeout, max_body_bytes, limits, .. } = settings;
        let build = |builder: ClientBuilder| builder.build().map_err(|error| Error::Setup { cause: chain(&error) });
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("callvault/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(SILENCE_TIMEOUT.min(timeout))
                .timeout(timeout)
                .http2_adaptive_window(true)
                .gzip(true)
        };
        let speaks_tls = hosts.into_iter().any(|host| host.scheme() == "https");
        let tls = speaks_tls.then(|| build(builder())).transpose()?;
        let plain = build(builder().no_proxy().tls_certs_only([]).connect_timeout(NEAR_CONNECT_TIMEOUT))?;
        let dice = settings.dice_seed.map_or_else(rand::make_rng, StdRng::seed_from_u64);
        Ok(Self {
            tls,
            plain,
            transport: settings.transport.clone(),
            timeout,
            dice: Mutex::new(dice),
            limits,
            observer,
            max_body_bytes,
            proxy: settings.proxy.clone(),
        })
    }

    pub(super) fn get(&self, url: &Url) -> RequestBuilder {
        self.client(url).get(url.clone())
    }

    pub(super) fn begin(&self, deed: Deed<'_>, url: &Url) -> RequestBuilder {
        let client = self.client(url);
        let with = |request: RequestBuilder, body: &str| {
            request.header(header::CONTENT_TYPE, "application/json").body(body.to_owned())
        };
        match deed {
            Deed::Get => client.get(url.clone()),
            Deed::Post(None) => client.post(url.clone()),
            Deed::Post(Some(body)) => with(client.post(url.clone()), body),
            Deed::Patch(body) => with(client.patch(url.clone()), body),
            Deed::Delete => client.delete(url.clone()),
        }
    }

    pub(super) fn post(&self, url: &Url) -> RequestBuilder {
        self.client(url).post(url.clone())
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        self.tls.as_ref().filter(|_| url.scheme() == "https").unwrap_or(&self.plain)
    }

    /// Sends a request once and reads its answer to the end.
    pub(super) async fn exchange(&self, request: RequestBuilder) -> Exchange {
        let Raw { status, headers, body } = match &self.transport {
            Transport::Network => self.over_network(request).await?,
            Transport::InProcess(service) => in_process(service, request, self.timeout).await?,
        };
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text(header::DATE.as_str()).and_then(Timestamp::parse_http);
        let retry_after = text(header::RETRY_AFTER.as_str()).and_then(|wait| parse_retry_after(wait, date));
        let request_id = text("request-id").map(str::to_owned);
        let challenge = text(header::WWW_AUTHENTICATE.as_str()).map(str::to_owned);
        Ok(Answer { status, request_id, date, retry_after, challenge, received: Timestamp::now(), body })
    }

    async fn over_network(&self, request: RequestBuilder) -> Result<Raw, Fault> {
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        Ok(Raw { status, headers, body: self.read(response).await? })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > self.max_body_bytes {
                return Err(Fault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// A throw from [0, 1).
    pub(super) fn random(&self) -> f64 {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// Says that a request waits, and why; the caller waits.
    pub(super) fn report(&self, why: Wait, wait: Duration, attempt: u32, url: &Url, cause: String) {
        let url = shown(url);
        tracing::info!(?why, wait_s = wait.as_secs_f64(), attempt, %url, %cause, "waiting before the next request");
        self.observer.event(&Event::Waiting { why, wait: Age::from(wait), attempt, url, cause });
    }

    /// Says that a request failed in passing and waits.
    pub(super) async fn wait_after(&self, exchange: &Exchange, wait: Duration, attempt: u32, url: &Url) {
        self.report(Wait::Failed, wait, attempt, url, cause(exchange));
        sleep(wait).await;
    }

    /// The error that an exchange ends in.
    pub(super) fn failure(&self, exchange: Exchange, verdict: Advice, url: &Url, permission: &'static str) -> Error {
        let url = shown(url);
        let answer = match exchange {
            Ok(answer) => answer,
            Err(Fault::NoAnswer { cause } | Fault::ProxyRefuses { cause }) => return self.no_answer(url, cause),
            Err(Fault::Untrusted { cause }) => return Error::Untrusted { url, cause },
            Err(Fault::Unusable { reason, request_id }) => return Error::Malformed { url, request_id, reason },
            Err(Fault::TooLarge) => return Error::TooLarge { url, limit: self.max_body_bytes },
        };
        let refusal = Refusal::read(&answer.body, answer.request_id);
        match verdict {
            Advice::Unauthorised => Error::TokenRefused { refusal },
            Advice::Forbidden => Error::Forbidden { url, permission, refusal },
            Advice::Gone => Error::NotFound { url, refusal },
            _ => Error::Status { status: answer.status, url, refusal },
        }
    }
}

impl Http {
    /// A fault on the way names the proxy, which may well be what is wrong.
    fn no_answer(&self, url: String, cause: String) -> Error {
        match &self.proxy {
            Some(proxy) if is_of_proxy(&cause) => Error::Proxy { proxy: proxy.clone(), url, cause },
            _ => Error::Transport { url, cause },
        }
    }
}

/// What `retry` needs to know of an exchange.
pub(super) fn outcome(exchange: &Exchange) -> Outcome {
    match exchange {
        Ok(answer) => Outcome::Status { status: answer.status, retry_after: answer.retry_after },
        Err(Fault::NoAnswer { .. }) => Outcome::NoAnswer,
        Err(Fault::ProxyRefuses { .. } | Fault::Untrusted { .. }) => Outcome::Barred,
        Err(Fault::Unusable { .. }) => Outcome::Unusable,
        Err(Fault::TooLarge) => Outcome::TooLarge,
    }
}

/// What an exchange that is not wanted has to say for itself.
pub(super) fn cause(exchange: &Exchange) -> String {
    match exchange {
        Ok(answer) => format!("{} {}", answer.status, Refusal::read(&answer.body, answer.request_id.clone())),
        Err(Fault::NoAnswer { cause } | Fault::ProxyRefuses { cause } | Fault::Untrusted { cause }) => cause.clone(),
        Err(Fault::Unusable { reason, .. }) => reason.clone(),
        Err(Fault::TooLarge) => "too large".to_owned(),
    }
}

/// Reads `Retry-After`: seconds, or a date, which counts from the sender's own clock.
pub(super) fn parse_retry_after(text: &str, date: Option<Timestamp>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = Timestamp::parse_http(text)?;
    Some((until - date.unwrap_or_else(Timestamp::now)).to_duration())
}

fn no_answer(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let cause = chain(&error);
    if let Some(reason) = untrusted(&error) {
        Fault::Untrusted { cause: reason }
    } else if ["tunnel error: unsuccessful", "proxy authorization required"].iter().any(|text| cause.contains(text)) {
        Fault::ProxyRefuses { cause }
    } else {
        Fault::NoAnswer { cause }
    }
}

/// Whether the error is one of the way through a proxy; the HTTP library says it in words alone.
fn is_of_proxy(cause: &str) -> bool {
    cause.contains("tunnel error") || cause.contains("SOCKS error")
}

fn distrust(reason: &CertificateError) -> String {
    use CertificateError as Reason;
    match reason {
        Reason::UnknownIssuer | Reason::BadSignature => "its issuer is not known here".to_owned(),
        Reason::Expired | Reason::ExpiredContext { .. } => "it has expired by this machine's clock".to_owned(),
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => {
            "it is not valid yet by this machine's clock".to_owned()
        }
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => "it is for another host".to_owned(),
        other => other.to_string(),
    }
}

/// Why the other side's certificate is not accepted, if that is the trouble.
fn untrusted(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref::<rustls::Error>() {
            return Some(distrust(reason));
        }
        // An I/O error hides the error that it carries from `source`.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = carried.map(|error| error as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// An error with all that it came from, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_comes_as_seconds_or_as_a_date_by_the_senders_clock() {
        let date = Timestamp::parse("2026-11-23T12:00:00Z");
        let read = |text| parse_retry_after(text, date).map(|wait| wait.as_secs());
        assert_eq!(read("10"), Some(10));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("Mon, 23 Nov 2026 12:01:30 GMT"), Some(90));
        assert_eq!(read("Mon, 23 Nov 2026 11:00:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }

    #[tokio::test]
    async fn a_proxy_that_is_not_there_is_named_and_may_come_back() {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        // Nobody listens on port 1.
        let proxy = reqwest::Proxy::https("http://127.0.0.1:1").unwrap();
        let builder = reqwest::Client::builder().proxy(proxy).tls_certs_only([]);
        let sent = builder.build().unwrap().get("https://graph.example/v1.0").send().await;
        let fault = no_answer(sent.unwrap_err());
        let Fault::NoAnswer { cause } = &fault else { panic!("{fault:?}") };
        assert!(is_of_proxy(cause), "{cause}");
        assert_eq!(outcome(&Err(fault)), Outcome::NoAnswer);
    }
}
