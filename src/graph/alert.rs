//! Posts an alert to a webhook.

use std::time::Duration;

use url::Url;

use crate::graph::post::{Post, post};

const LIMIT: Duration = Duration::from_secs(10);
/// What it answers is nobody's business but for its status.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Posts JSON to the webhook at `url`, which may be a secret: whoever knows it can post there.
///
/// # Errors
/// One line that names the webhook by its host alone.
pub async fn send(url: &str, json: Vec<u8>) -> Result<(), String> {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let whom = host.map_or_else(|| "the webhook".to_owned(), |host| format!("the webhook at {host}"));
    let (content_type, limit) = ("application/json", LIMIT);
    post(Post { whom, url, content_type, body: json, limit, answer_bytes_max: ANSWER_BYTES_MAX }).await.map(drop)
}
