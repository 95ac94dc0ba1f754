//! What reads bytes of Graph and of the login host, for [`crate::fuzzing`]: each function panics when a promise is broken.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::{
    graph::{
        claims::Claims,
        cloud,
        error::{Refusal, excerpt, shown},
        page::{Links, Shape, check_link, elements, gist, rows},
        refusal::Refused,
        request::parse_retry_after,
        retry::{Advice, Limits, Outcome, Tries, advice},
        token::{roles, token_of},
    },
    model::{raw, time::Timestamp},
};

const HOME: &str = "https://graph.microsoft.com";
const FROM: &str = "https://graph.microsoft.com/v1.0/communications/callRecords?$top=60";

/// A page of a listing: every element is counted, and none is taken for another.
pub(crate) fn list_page(body: &[u8]) {
    let cut = elements(body);
    let read = rows(body);
    assert_eq!(cut.is_ok(), read.is_ok());
    if let (Ok(cut), Ok((rows, unnamed))) = (cut, read) {
        assert_eq!(rows.len() + unnamed, cut.len());
        for element in cut {
            raw::check(element).unwrap_or_else(|error| panic!("{element} is cut wrongly: {error}"));
        }
        assert!(rows.iter().all(|row| !row.id.trim().is_empty()));
    }
    for shape in [Shape::Collection, Shape::Record { expanded: None }, Shape::Record { expanded: Some("sessions") }] {
        if let Err(reason) = gist(body, shape) {
            assert!(!reason.contains('\n'), "{reason} is more than one line");
        }
    }
}

/// Next links, one a line: whatever is followed leads home, and the following ends.
pub(crate) fn next_link(text: &str) {
    let home = cloud::parse_host(HOME).expect("a host");
    let first = home.join(FROM).expect("an address");
    let mut links = Links::new(&home, &first, 8);
    let mut from = first.clone();
    for (n, link) in text.lines().enumerate() {
        if let Ok(url) = check_link(&home, &from, link) {
            assert_stays(&home, &url);
        }
        match links.follow(&from, link) {
            Ok(url) => {
                assert!(n < 8 || url != first, "{url} is followed for ever");
                assert_stays(&home, &url);
                from = url;
            }
            // What is said of a link goes into a log, its token does not.
            Err(error) => {
                let told = error.to_string();
                let is_address = from.join(link).is_ok_and(|url| url.path().contains("s3cret") || is_odd(&url));
                assert!(is_address || !told.contains("s3cret"), "{told}");
            }
        }
        if let Ok(host) = cloud::parse_host(link) {
            assert!(host.scheme() == "https" || cloud::is_loopback(&host), "{host} is spoken to without TLS");
            assert!(host.username().is_empty() && host.password().is_none());
        }
    }
}

/// Whether the secret of the seeds is no skip token's value here.
fn is_odd(url: &Url) -> bool {
    let is_token = |name: &str| name.to_ascii_lowercase().contains("token");
    let pairs = url.query().unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    url.host_str().is_some_and(|host| host.contains("s3cret"))
        || url.scheme().contains("s3cret")
        || url.cannot_be_a_base()
        || pairs
            .into_iter()
            .any(|(name, value)| name.contains("s3cret") || (!is_token(name) && value.contains("s3cret")))
}

fn assert_stays(home: &Url, url: &Url) {
    assert_eq!((url.scheme(), url.host_str(), url.port_or_known_default()), ("https", home.host_str(), Some(443)));
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    let _ = shown(url);
}

/// `Retry-After` on the first line, the sender's `Date` on the second.
pub(crate) fn retry_after(text: &str) {
    let (wait, date) = text.split_once('\n').unwrap_or((text, ""));
    let date = Timestamp::parse_http(date).unwrap_or(Timestamp(0));
    let retry_after = parse_retry_after(wait, Some(date));
    let limits = Limits::default();
    for (status, attempt) in [(429, 1), (503, 7), (503, u32::MAX)] {
        let tries = Tries { attempt, elapsed: Duration::from_secs(800), ..Tries::default() };
        if let Advice::Retry { wait, .. } = advice(Outcome::Status { status, retry_after }, tries, &limits, 0.5) {
            assert!(wait <= limits.retry_after_max && attempt < limits.attempts_max);
            assert!(retry_after.is_none_or(|asked| asked == wait), "Retry-After is not obeyed");
        }
    }
}

/// What a login host, or Graph, says instead of a good answer; and what it gives as a token.
pub(crate) fn sign_in(body: &[u8]) {
    let refusal = Refusal::read(body, None);
    assert_is_a_line(&refusal.to_string());
    if let Some(said) = Refused::read(body) {
        let reason = said.reason();
        assert!(!reason.meaning.is_empty() && !reason.hint.is_empty());
        assert_is_a_line(&said.told());
        let _ = said.passes();
    }
    let asked = Instant::now();
    for now in [Timestamp(0), Timestamp(1_800_000_000_000_000_000)] {
        if let Some(token) = token_of(body, now, asked) {
            assert!(token.renew_at >= asked && token.renew_at <= asked + Duration::from_secs(24 * 3600));
        }
    }
    if let Ok(token) = std::str::from_utf8(body) {
        let claims = Claims::read(token).unwrap_or_default();
        assert!(claims.roles.is_empty() || claims.roles == roles(token));
        assert_is_a_line(&excerpt(token));
    }
}

/// Foreign words go into messages: on one line, without what steers a terminal, and not for ever.
fn assert_is_a_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.chars().count() < 2000, "{text}");
}
