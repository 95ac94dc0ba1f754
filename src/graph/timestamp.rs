//! Asks a time-stamp authority over HTTP (RFC 3161, section 3.4).

use std::time::Duration;

use crate::graph::post::{Post, post};

const LIMIT: Duration = Duration::from_secs(30);
/// An answer holds a signature and a few certificates.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Posts `query` to the authority at `url` and gives its answer.
///
/// # Errors
/// One line that names the authority: its address is not taken, it cannot be reached, or it refuses.
pub async fn ask(url: &str, query: Vec<u8>) -> Result<Vec<u8>, String> {
    let (whom, content_type) = (format!("the time-stamp authority {url}"), "application/timestamp-query");
    post(Post { whom, url, content_type, body: query, limit: LIMIT, answer_bytes_max: ANSWER_BYTES_MAX }).await
}
