//! Answers in Graph's shape, whole or damaged on the way.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::{StreamExt, stream};

use crate::{
    model::time::{Age, Timestamp},
    simulate::{json::Json, tokens::CALL_RECORDS_ROLE, weather::Fault},
};

const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
const CUT_AFTER: Duration = Duration::from_millis(15);
const HTML: &str = "text/html; charset=utf-8";

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) retry_after: Option<String>,
    pub(super) content_type: &'static str,
    pub(super) delivery: Delivery,
}

/// How the body gets to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// The connection ends before the answer.
    Nothing,
    /// The connection ends half way through the body.
    Half,
    /// In four pieces over this time.
    Slowly(Duration),
}

/// Marks a body that must not be compressed: its length is a lie that has to arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uncompressed;

/// Who asked, when: goes into every answer.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub(super) now: Timestamp,
    pub(super) request_id: String,
    pub(super) client_request_id: String,
}

impl Answer {
    pub(super) fn ok(body: String) -> Self {
        Self { status: 200, body, retry_after: None, content_type: JSON, delivery: Delivery::Whole }
    }

    pub(super) fn error(status: u16, code: &str, message: &str, stamp: &Stamp) -> Self {
        let body = Json::new_with(|json| {
            json.raw("{\"error\":{\"code\":")
                .text(code)
                .raw(",\"message\":")
                .text(message)
                .raw(",\"innerError\":{\"date\":\"");
            json.raw(stamp.zoneless().as_str()).raw("\",\"request-id\":\"").raw(&stamp.request_id);
            json.raw("\",\"client-request-id\":").text(&stamp.client_request_id).raw("}}}");
        });
        Self { status, ..Self::ok(body) }
    }

    pub(super) fn throttled(retry_after: Option<String>, stamp: &Stamp) -> Self {
        let body = Json::new_with(|json| {
            json.raw("{\"error\":{\"code\":\"TooManyRequests\",\"innerError\":{\"code\":\"429\",\"date\":\"")
                .raw(&stamp.zoneless());
            json.raw("\",\"message\":\"Please retry after\",\"request-id\":\"").raw(&stamp.request_id);
            json.raw("\",\"status\":\"429\"},\"message\":\"Please retry again later.\"}}");
        });
        Self { status: 429, retry_after, ..Self::ok(body) }
    }

    /// What `status` says when a planted record answers nothing else.
    pub(super) fn bare(status: u16, stamp: &Stamp) -> Self {
        match status {
            404 => Self::not_found(stamp),
            403 => Self::forbidden(&[CALL_RECORDS_ROLE], stamp),
            429 => Self::throttled(Some("1".to_owned()), stamp),
            _ => Self::error(status, "UnknownError", "", stamp),
        }
    }

    pub(super) fn not_found(stamp: &Stamp) -> Self {
        let message = "Could not find the requested call record. Records about calls or online meetings that started more than 30 days ago are not available.";
        Self::error(404, "NotFound", message, stamp)
    }

    /// `roles` are those of which one was needed.
    pub(super) fn forbidden(roles: &[&str], stamp: &Stamp) -> Self {
        let message = format!(
            "Insufficient privileges to complete the operation. The application needs one of the roles: {}.",
            roles.join(", ")
        );
        // The directory says it in words of its own.
        let is_directory = roles.iter().any(|role| role.starts_with("User."));
        let code = if is_directory { "Authorization_RequestDenied" } else { "Forbidden" };
        Self::error(403, code, &message, stamp)
    }

    /// What Graph says of a path that it does not know, usually with 400.
    pub(super) fn no_segment(status: u16, segment: &str, stamp: &Stamp) -> Self {
        let code = if status == 404 { "NotFound" } else { "BadRequest" };
        Self::error(status, code, &format!("Resource not found for the segment '{segment}'."), stamp)
    }

    /// The answer that a fault gives in place of the true one; `None` when the true one is needed to do harm to.
    pub(super) fn of_fault(fault: Fault, retry_after: Duration, stamp: &Stamp) -> Option<Self> {
        let seconds = retry_after.as_secs();
        let unknown = |status| Self::error(status, "UnknownError", "", stamp);
        Some(match fault {
            Fault::ThrottledSeconds => Self::throttled(Some(seconds.to_string()), stamp),
            Fault::ThrottledDate => {
                // HTTP dates have whole seconds: the next one, so that the wait is not shorter than meant.
                let until = stamp.now + Age::from(retry_after) + Age(999_999_999);
                Self::throttled(Some(until.to_http()), stamp)
            }
            Fault::ThrottledBare => Self::throttled(None, stamp),
            Fault::ServerError => unknown(500),
            Fault::BadGateway => {
                let body =
                    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
                        .to_owned();
                Self { status: 502, content_type: HTML, ..Self::ok(body) }
            }
            Fault::Unavailable => {
                let message = "The service is temporarily unavailable. Please retry after some time.";
                Self {
                    retry_after: Some(seconds.to_string()),
                    ..Self::error(503, "ServiceUnavailable", message, stamp)
                }
            }
            Fault::GatewayTimeout => Self::error(504, "GatewayTimeout", "The request timed out.", stamp),
            Fault::ErrorWith200 => Self { status: 200, ..unknown(500) },
            Fault::NotFoundYet => Self::not_found(stamp),
            Fault::TokenRevoked => {
                Self::error(401, "InvalidAuthenticationToken", "Access token has been revoked.", stamp)
            }
            Fault::Reset => Self { delivery: Delivery::Nothing, ..Self::ok(String::new()) },
            Fault::CutBody
            | Fault::SlowBody
            | Fault::EmptyPage
            | Fault::Duplicate
            | Fault::LinkLoop
            | Fault::LaggingReplica => {
                return None;
            }
        })
    }

    pub(super) fn into_response(self, stamp: &Stamp) -> Response {
        let length = self.body.len();
        let mut response = Response::new(deliver(self.body, self.delivery));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        put(headers, header::CONTENT_TYPE, self.content_type);
        put(headers, header::CACHE_CONTROL, "no-cache");
        put(headers, header::DATE, &stamp.now.to_http());
        put(headers, HeaderName::from_static("odata-version"), "4.0");
        put(headers, HeaderName::from_static("request-id"), &stamp.request_id);
        put(headers, HeaderName::from_static("client-request-id"), &stamp.client_request_id);
        put(
            headers,
            HeaderName::from_static("x-ms-ags-diagnostic"),
            "{\"ServerInfo\":{\"DataCenter\":\"Simulated\",\"Ring\":\"0\"}}",
        );
        if let Some(wait) = &self.retry_after {
            put(headers, header::RETRY_AFTER, wait);
        }
        if matches!(self.delivery, Delivery::Nothing | Delivery::Half) {
            put(headers, header::CONTENT_LENGTH, &length.max(1).to_string());
            response.extensions_mut().insert(Uncompressed);
        }
        response
    }
}

impl Stamp {
    /// The date of error bodies, which has no zone.
    fn zoneless(&self) -> String {
        self.now.to_seconds_text().trim_end_matches('Z').to_owned()
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // A value that cannot stand in a header (an odd client-request-id) is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn deliver(body: String, delivery: Delivery) -> Body {
    let bytes = Bytes::from(body);
    let broken = || io::Result::<Bytes>::Err(io::Error::from(io::ErrorKind::ConnectionReset));
    match delivery {
        Delivery::Whole => Body::from(bytes),
        Delivery::Nothing => Body::from_stream(stream::iter([broken()])),
        Delivery::Half => {
            let half = stream::once(async move { Ok(bytes.slice(..bytes.len() / 2)) });
            // Without the pause the error overtakes the bytes, which are still in the buffer.
            let end = stream::once(async move {
                tokio::time::sleep(CUT_AFTER).await;
                broken()
            });
            Body::from_stream(half.chain(end))
        }
        Delivery::Slowly(over) => {
            let step = bytes.len().div_ceil(4).max(1);
            let pieces: Vec<_> =
                (0..bytes.len()).step_by(step).map(|at| bytes.slice(at..(at + step).min(bytes.len()))).collect();
            Body::from_stream(stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(over / 4).await;
                io::Result::Ok(piece)
            }))
        }
    }
}
