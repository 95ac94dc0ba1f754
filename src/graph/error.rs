//! What can go wrong between us and Graph: each variant names its address, and carries what the other side said about it.
//!
//! No variant ever holds a secret, a token or a skip token.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::model::id::Version;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest piece of a foreign body that is shown to a person.
const SHOWN_CHARS: usize = 400;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{address}' cannot be a host of Graph: {reason}")]
    Host { address: String, reason: String },
    #[error("plain http is accepted for loopback addresses only, not for {url}")]
    Insecure { url: String },
    #[error("'{tenant}' is not a tenant: expected its id or its domain name")]
    Tenant { tenant: String },
    #[error("the HTTP client cannot start: {cause}")]
    Setup { cause: String },
    /// What the app would sign in with is not there or not usable; `what` names the file.
    #[error("{what}")]
    Credential { what: String, hint: String },
    /// Whoever gives out tokens refused to. `aadsts` is the number by which Microsoft documents the reason.
    #[error("sign-in is refused: {meaning} ({error}, {})", told(*.aadsts, .message))]
    Unauthorised { error: String, aadsts: Option<u32>, message: String, meaning: &'static str, hint: String },
    /// Graph answered 401 to a token that was a moment old.
    #[error("Graph refuses a fresh token, perhaps one of another cloud: {refusal}")]
    TokenRefused { refusal: Refusal },
    #[error("Graph refuses {url} for lack of the permission {permission}: {refusal}")]
    Forbidden { url: String, permission: &'static str, refusal: Refusal },
    /// Graph does not have it: too old, too young, or never there. The caller knows which.
    #[error("Graph does not have {url}: {refusal}")]
    NotFound { url: String, refusal: Refusal },
    /// A next link kept from earlier is not good any more; the listing starts again.
    #[error("the next link {url} is not good any more: {refusal}")]
    LinkExpired { url: String, refusal: Refusal },
    /// An answer that is final, or that did not pass in the time allowed.
    #[error("{url} answered {status}: {refusal}")]
    Status { status: u16, url: String, refusal: Refusal },
    /// No answer, or one that broke off.
    #[error("no whole answer from {url}: {cause}")]
    Transport { url: String, cause: String },
    /// A proxy stands between, and this did not come through.
    #[error("no whole answer from {url} through the proxy {proxy}: {cause}")]
    Proxy { proxy: String, url: String, cause: String },
    #[error("the TLS certificate of {url} is not trusted: {cause}")]
    Untrusted { url: String, cause: String },
    /// A 200 whose body is not what was asked for.
    #[error("the answer of {url} is not usable: {reason}")]
    Malformed { url: String, request_id: Option<String>, reason: String },
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    #[error("the next link {link} is not followed: {reason}")]
    LinkRefused { link: String, reason: &'static str },
    #[error("{id} was answered in version {got}, though version {wanted} is known")]
    Stale { id: String, wanted: Version, got: Version },
    #[error("{id} changed each time while it was read; last seen in version {version}")]
    Changing { id: String, version: Version },
    #[error("asked for {asked}, Graph answered with {got}")]
    OtherRecord { asked: String, got: String },
}

impl Error {
    /// Credentials, consent or permission: nothing that waiting mends.
    #[must_use]
    pub fn is_unauthorised(&self) -> bool {
        matches!(
            self,
            Self::Credential { .. } | Self::Unauthorised { .. } | Self::TokenRefused { .. } | Self::Forbidden { .. }
        )
    }

    /// The address, the tenant or this machine's set-up is wrong: nothing was sent, and waiting mends nothing.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Host { .. }
                | Self::Insecure { .. }
                | Self::Tenant { .. }
                | Self::Setup { .. }
                | Self::Untrusted { .. }
        )
    }

    /// What to do about it, where that depends on what happened.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Credential { hint, .. } | Self::Unauthorised { hint, .. } => Some(hint.clone()),
            Self::Forbidden { permission, .. } => {
                Some(format!("grant the application permission {permission} to the app, with admin consent"))
            }
            Self::TokenRefused { .. } => Some("check that tenant, cloud and Graph endpoint belong together".to_owned()),
            Self::Setup { .. } => {
                Some("install the system's CA certificates, or name a PEM file of them with SSL_CERT_FILE".to_owned())
            }
            Self::Untrusted { .. } => Some(
                "if your organisation reads TLS on the way, name a PEM file with its CA certificate (and all others \
                 that are needed) with SSL_CERT_FILE, or a folder with SSL_CERT_DIR"
                    .to_owned(),
            ),
            Self::Proxy { .. } => {
                Some("check HTTPS_PROXY; hosts that need no proxy are named with NO_PROXY".to_owned())
            }
            _ => None,
        }
    }

    /// Graph asked us to slow down for longer than we try.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        matches!(self, Self::Status { status: 429, .. })
    }

    /// Graph looked at the request and will not answer it, however often it is asked: no outage, and no throttling.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Status { status, .. } => (400..500).contains(status) && ![408, 429].contains(status),
            _ => false,
        }
    }

    /// Whether asking with this link can never succeed, as far as the answer shows.
    pub(super) fn is_dead_link(&self) -> bool {
        match self {
            Self::LinkRefused { .. } | Self::NotFound { .. } => true,
            Self::Status { status, .. } => matches!(status, 400 | 405 | 406 | 409 | 412 | 414 | 501),
            _ => false,
        }
    }
}

/// Graph's own words about a refusal; any of them may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    /// What Microsoft's support asks for.
    pub request_id: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => f.write_str("no reason given")?,
            (code, "") => f.write_str(code)?,
            ("", message) => f.write_str(message)?,
            (code, message) => write!(f, "{code}: {message}")?,
        }
        match &self.request_id {
            Some(id) => write!(f, " (request-id {id})"),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Words {
    code: serde_json::Value,
    message: serde_json::Value,
    #[serde(alias = "innererror")]
    #[serde(rename = "innerError")]
    inner: serde_json::Value,
}

impl Refusal {
    /// Reads the body of a refusal, whatever it is; `request_id` is the response header.
    pub(super) fn read(body: &[u8], request_id: Option<String>) -> Self {
        let Ok(ErrorBody { error }) = serde_json::from_slice(body) else {
            return Self { code: String::new(), message: excerpt(&String::from_utf8_lossy(body)), request_id };
        };
        let Ok(words) = serde_json::from_str::<Words>(error.get()) else {
            let code = serde_json::from_str::<String>(error.get()).unwrap_or_default();
            return Self { code: excerpt(&code), message: String::new(), request_id };
        };
        let text = |value: &serde_json::Value| excerpt(value.as_str().unwrap_or_default());
        let inner_id = words.inner.get("request-id").and_then(|id| id.as_str()).map(excerpt);
        Self { code: text(&words.code), message: text(&words.message), request_id: request_id.or(inner_id) }
    }
}

/// An address for people: without the values of skip tokens, which are keys to somebody's data while they live, and without
/// what somebody may have put before its host or behind a `#`.
pub(super) fn shown(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_fragment(None);
    // An address that can have neither has neither.
    let _ = (bare.set_username(""), bare.set_password(None));
    let Some(query) = url.query() else { return bare.to_string() };
    let shown: Vec<_> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("token") => format!("{name}=…"),
            _ => pair.to_owned(),
        })
        .collect();
    bare.set_query(None);
    format!("{bare}?{}", shown.join("&"))
}

/// The start of a foreign text, on one line.
pub(super) fn excerpt(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|character| !character.is_control());
    if let Some((end, _)) = line.char_indices().nth(SHOWN_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

fn told(aadsts: Option<u32>, message: &str) -> String {
    let number = aadsts.map(|number| format!("AADSTS{number}"));
    match number {
        Some(number) if !message.contains(&number) => format!("{number}: {message}"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_words_are_found_in_every_spelling() {
        let read = |body: &str| Refusal::read(body.as_bytes(), None).to_string();
        assert_eq!(
            read(
                r#"{"error":{"code":"NotFound","message":"gone\r\nnow","innerError":{"request-id":"r1"},"target":null}}"#
            ),
            "NotFound: gone now (request-id r1)"
        );
        assert_eq!(
            read(r#"{"error":{"code":"UnknownError","message":"","innererror":{"request-id":"r2"}}}"#),
            "UnknownError (request-id r2)"
        );
        assert_eq!(read(r#"{"error":{"code":null}}"#), "no reason given");
        assert_eq!(read(r#"{"error":"odd"}"#), "odd");
        assert_eq!(read("<html>Bad\n gateway</html>"), "<html>Bad gateway</html>");
        assert_eq!(read(""), "no reason given");
        let header =
            Refusal::read(br#"{"error":{"code":"a","innerError":{"request-id":"body"}}}"#, Some("header".into()));
        assert_eq!(header.to_string(), "a (request-id header)");
    }

    #[test]
    fn an_address_is_shown_without_its_skip_token() {
        let url =
            Url::parse("https://graph.microsoft.com/v1.0/x?$filter=a%20b&$skiptoken=secret&$SkipToken=2").unwrap();
        assert_eq!(shown(&url), "https://graph.microsoft.com/v1.0/x?$filter=a%20b&$skiptoken=…&$SkipToken=…");
        let odd = Url::parse("https://user:secret@graph.microsoft.com/v1.0/x#?$skiptoken=secret").unwrap();
        assert_eq!(shown(&odd), "https://graph.microsoft.com/v1.0/x");
    }
}
