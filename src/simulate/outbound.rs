//! What the simulator itself sends: validations and notifications, to receivers on this machine.
//!
//! Any name leads to loopback, at the URL's port: a receiver may have the name and the certificate that it would have in earnest, and
//! nothing leaves the machine.

use std::{iter, net::Ipv4Addr, net::SocketAddr, sync::OnceLock, time::Duration};

use reqwest::{
    Certificate, Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
    redirect,
};
use url::{Host, Url};

/// The longest answer to a validation that is looked at.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// The way out.
#[derive(Debug)]
pub(super) struct Outbound {
    /// PEM of authorities trusted besides the system's.
    authorities: Option<Vec<u8>>,
    /// How long an answer is waited for.
    within: Duration,
    /// Without certificates to load.
    plain: OnceLock<Option<Client>>,
    tls: OnceLock<Option<Client>>,
}

/// Any name is this machine.
#[derive(Debug)]
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        // Port 0 is replaced by the URL's.
        let addresses: Addrs = Box::new(iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

impl Outbound {
    pub(super) fn new(authorities: Option<Vec<u8>>, within: Duration) -> Self {
        Self { authorities, within, plain: OnceLock::new(), tls: OnceLock::new() }
    }

    /// Asks whoever listens at `url` to repeat `token`. The error is Graph's message.
    pub(super) async fn validate(&self, url: &str, token: &str) -> Result<(), &'static str> {
        let unreachable = "Subscription validation request failed. Notification endpoint could not be reached.";
        let client = self.client(url).ok_or(unreachable)?;
        let mark = if url.contains('?') { '&' } else { '?' };
        let coded: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let request = client.post(format!("{url}{mark}validationToken={coded}"));
        let asked = async {
            let answer = request.header(CONTENT_TYPE, "text/plain; charset=utf-8").send().await?;
            let (status, content_type) = (answer.status(), content_type(&answer));
            Ok::<_, reqwest::Error>((status, content_type, body(answer).await?))
        };
        let (status, content_type, body) = match tokio::time::timeout(self.within, asked).await {
            Err(_) => return Err("Subscription validation request timed out."),
            Ok(Err(error)) if error.is_timeout() => return Err("Subscription validation request timed out."),
            Ok(Err(_)) => return Err(unreachable),
            Ok(Ok(answer)) => answer,
        };
        if status.as_u16() != 200 {
            return Err(
                "Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request.",
            );
        }
        if content_type != "text/plain" || body != token.as_bytes() {
            return Err(
                "Subscription validation request failed. Response must exactly match validationToken query parameter.",
            );
        }
        Ok(())
    }

    /// Sends a body of JSON; whether it was answered in time with 2xx.
    pub(super) async fn post(&self, url: &str, body: String) -> bool {
        let Some(client) = self.client(url) else { return false };
        let request = client.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8").body(body);
        let answer = tokio::time::timeout(self.within, request.send()).await;
        matches!(answer, Ok(Ok(answer)) if answer.status().is_success())
    }

    /// The client for a URL; none for addresses of other machines, and where no client can be made.
    fn client(&self, url: &str) -> Option<&Client> {
        let url = Url::parse(url).ok()?;
        let is_here = match url.host()? {
            Host::Domain(_) => true,
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let is_plain = url.scheme() == "http";
        let cell = if is_plain { &self.plain } else { &self.tls };
        cell.get_or_init(|| self.make_client(is_plain)).as_ref().filter(|_| is_here)
    }

    fn make_client(&self, is_plain: bool) -> Option<Client> {
        let builder = Client::builder()
            .no_proxy()
            .user_agent("callvault simulator")
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .dns_resolver(Loopback);
        let builder = match &self.authorities {
            _ if is_plain => builder.tls_certs_only([]),
            Some(pem) => builder.tls_certs_merge(Certificate::from_pem_bundle(pem).ok()?),
            None => builder,
        };
        builder.build().ok()
    }
}

/// The media type without its parameters.
fn content_type(answer: &Response) -> String {
    let value = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// An answer's body, as far as it may matter.
async fn body(mut answer: Response) -> reqwest::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_MAX_BYTES {
            break;
        }
    }
    Ok(bytes)
}
