//! One POST to somebody who is no part of Graph, but is reached through the same door: a time-stamp authority, a webhook.

use std::time::Duration;

use url::{Host, Url};

use crate::graph::request::chain;

/// What is posted, and to whom.
pub(super) struct Post<'a> {
    /// How errors name whoever is at `url`, which may be a secret.
    pub(super) whom: String,
    pub(super) url: &'a str,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) limit: Duration,
    pub(super) answer_bytes_max: usize,
}

/// Posts over https, or over http to a loopback address, and gives the answer.
///
/// # Errors
/// One line that begins with `whom`: the address is not taken, it cannot be reached, or it refuses. Redirections are refusals.
pub(super) async fn post(post: Post<'_>) -> Result<Vec<u8>, String> {
    let Post { whom, url, content_type, body, limit, answer_bytes_max } = post;
    let trouble = |what: String| format!("{whom}: {what}");
    let address = Url::parse(url).map_err(|error| trouble(error.to_string()))?;
    if !is_taken(&address) {
        return Err(trouble("plain http is taken of loopback addresses only".into()));
    }
    // Without its address, which errors would repeat.
    let failed = |error: reqwest::Error| trouble(chain(&error.without_url()));
    let client = reqwest::Client::builder().timeout(limit).redirect(reqwest::redirect::Policy::none()).build();
    let request = client.map_err(failed)?.post(address).header("Content-Type", content_type).body(body);
    let mut response = request.send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(trouble(format!("it answers {}", response.status())));
    }
    let mut answer = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if answer.len() + piece.len() > answer_bytes_max {
            return Err(trouble("its answer has no end".into()));
        }
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}

fn is_taken(address: &Url) -> bool {
    let is_loopback = match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    address.scheme() == "https" || address.scheme() == "http" && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_could_read_on_the_way_goes_to_this_machine_alone() {
        let taken = |url: &str| is_taken(&Url::parse(url).unwrap());
        for url in ["https://hooks.example.com/x", "http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost/"] {
            assert!(taken(url), "{url}");
        }
        for url in
            ["http://hooks.example.com/x", "http://192.0.2.1/", "ftp://localhost/", "http://localhost.example.com/"]
        {
            assert!(!taken(url), "{url}");
        }
    }
}
