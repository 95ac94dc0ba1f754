//! Asks a time-stamp authority over HTTP (RFC 3161, section 3.4). It is no part of Graph, but goes out the same door.

use std::time::Duration;

use url::{Host, Url};

use crate::graph::request::chain;

const LIMIT: Duration = Duration::from_secs(30);
/// An answer holds a signature and a few certificates.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Posts `query` to the authority at `url` and gives its answer.
///
/// # Errors
/// One line that names the authority: its address is not taken, it cannot be reached, or it refuses.
pub async fn ask(url: &str, query: Vec<u8>) -> Result<Vec<u8>, String> {
    let trouble = |what: String| format!("the time-stamp authority {url}: {what}");
    let address = Url::parse(url).map_err(|error| trouble(error.to_string()))?;
    let is_loopback = match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !(address.scheme() == "https" || address.scheme() == "http" && is_loopback) {
        return Err(trouble("plain http is taken of loopback addresses only".into()));
    }
    let client = reqwest::Client::builder().timeout(LIMIT).build().map_err(|error| trouble(chain(&error)))?;
    let request = client.post(address).header("Content-Type", "application/timestamp-query").body(query);
    let mut response = request.send().await.map_err(|error| trouble(chain(&error)))?;
    if !response.status().is_success() {
        return Err(trouble(format!("it answers {}", response.status())));
    }
    let mut answer = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| trouble(chain(&error)))? {
        if answer.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(trouble("its answer has no end".into()));
        }
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}
