//! Lists, and what the client does when Graph or the way to it has a bad day.

use std::io::{Read, Write};
use std::time::Duration;

use crate::{
    graph::{
        Error,
        budget::Allowance,
        tests::stand_in::{RECORDS, Reply, StandIn},
    },
    model::{
        event::Wait,
        id::Cursor,
        time::{Span, Timestamp},
    },
};

const LIST: &str =
    "?$filter=startDateTime%20ge%202026-11-01T00:00:00Z%20and%20startDateTime%20lt%202026-11-01T01:00:00Z";

fn span() -> Span {
    let at = |text| Timestamp::parse(text).unwrap();
    Span::new(at("2026-11-01T00:00:00Z"), at("2026-11-01T01:00:00Z"))
}

fn page(id: &str) -> Reply {
    Reply::ok(format!(r#"{{"value":[{{"id":"{id}","version":1}}]}}"#))
}

#[tokio::test]
async fn a_list_goes_on_with_its_links_as_they_stand() {
    let server = StandIn::start().await;
    let link = format!("{RECORDS}?$filter=startDateTime%20ge%20x&$skiptoken=A%2Bb%3d'(c)'");
    server.records(LIST, [Reply::ok(format!(r#"{{"@odata.nextLink":"HOME{link}","value":[]}}"#))]);
    let sent = link.replace('\'', "%27");
    server.script(format!("GET {sent}"), [page("b")]);
    let client = server.client();
    let first = client.list(span(), None).await.unwrap();
    assert!(first.rows.is_empty());
    assert_eq!(first.next, Some(Cursor(format!("{}{link}", server.home))));
    let second = client.list(span(), first.next.as_ref()).await.unwrap();
    assert_eq!((second.rows[0].id.as_str(), second.next), ("b", None));
}

#[tokio::test]
async fn links_to_elsewhere_are_not_followed_but_their_page_is_read() {
    let server = StandIn::start().await;
    let client = server.client();
    for link in ["https://evil.example/v1.0/x", "HOME/v1.0/$metadata#x", "https://["] {
        server.records(LIST, [Reply::ok(format!(r#"{{"value":[{{"id":"a"}}],"@odata.nextLink":"{link}"}}"#))]);
        let page = client.list(span(), None).await.unwrap();
        assert_eq!(page.rows[0].id, "a");
        let before = server.seen().len();
        let error = client.list(span(), page.next.as_ref()).await.unwrap_err();
        assert!(matches!(error, Error::LinkRefused { .. }), "{error}");
        assert_eq!(server.seen().len(), before, "nothing is sent");
    }
    let before = server.seen().len();
    let foreign = Cursor("http://127.0.0.1:1/v1.0/x?$skiptoken=hidden".into());
    let error = client.list(span(), Some(&foreign)).await.unwrap_err();
    assert!(!error.to_string().contains("hidden"), "{error}");
    assert_eq!(server.seen().len(), before, "nothing is sent");
}

#[tokio::test]
async fn a_link_that_has_expired_is_told_apart() {
    let server = StandIn::start().await;
    let client = server.client();
    for (status, path) in [(400, "/old"), (404, "/older"), (410, "/oldest")] {
        server.records(path, [Reply::refusal(status, "BadRequest")]);
        let cursor = Cursor(format!("{}{RECORDS}{path}", server.home));
        let error = client.list(span(), Some(&cursor)).await.unwrap_err();
        assert!(matches!(error, Error::LinkExpired { .. }), "{error}");
    }
    server.records(LIST, [Reply::refusal(400, "BadRequest")]);
    assert!(matches!(client.list(span(), None).await, Err(Error::Status { status: 400, .. })));
}

#[tokio::test]
async fn a_missing_permission_is_named_with_graphs_own_words() {
    let server = StandIn::start().await;
    server.records(LIST, [Reply::refusal(403, "Forbidden")]);
    let error = server.client().list(span(), None).await.unwrap_err();
    let told = error.to_string();
    for part in ["CallRecords.Read.All", "Forbidden: as told", "request-id h-403"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_passes_is_tried_again_and_each_wait_is_reported() {
    let server = StandIn::start().await;
    let whole = r#"{"value":[{"id":"a","version":1}]}"#;
    for broken in [
        Reply::refusal(503, "ServiceUnavailable"),
        Reply::refusal(500, "UnknownError"),
        Reply::ok(whole).cut(),
        Reply::ok(&whole[..20]),
        Reply::ok(r#"{"error":{"code":"UnknownError","message":""}}"#),
        Reply::ok("<html>sign in to the proxy</html>"),
    ] {
        server.records(LIST, [broken, page("a")]);
        let client = server.client();
        let before = server.waits().len();
        assert_eq!(client.list(span(), None).await.unwrap().rows.len(), 1);
        assert_eq!((client.requests().requests, client.requests().retries), (2, 1));
        let waits = server.waits();
        assert_eq!(waits.len(), before + 1);
        assert_eq!(waits[before].0, Wait::Failed);
        assert!(!waits[before].2.is_empty());
    }
}

#[tokio::test]
async fn tries_end_with_the_last_answer() {
    let server = StandIn::start().await;
    let client = server.client();
    server.records(LIST, [Reply::refusal(503, "ServiceUnavailable")]);
    let error = client.list(span(), None).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 503, .. }), "{error}");
    assert_eq!(server.asked().len(), 4);

    server.records(LIST, [Reply::ok(r#"{"value":["#)]);
    let error = client.list(span(), None).await.unwrap_err();
    assert!(matches!(&error, Error::Malformed { request_id, .. } if request_id.as_deref() == Some("h-200")), "{error}");

    server.records(LIST, [Reply::ok(r#"{"value":[]}"#).cut()]);
    assert!(matches!(client.list(span(), None).await, Err(Error::Transport { .. })));

    let mut settings = server.settings();
    settings.graph_host = url::Url::parse("http://127.0.0.1:9").unwrap();
    let error = server.client_with(settings).list(span(), None).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let server = StandIn::start().await;
    server.records(LIST, [Reply::ok(format!(r#"{{"value":[],"x":"{}"}}"#, "x".repeat(100_000)))]);
    let mut settings = server.settings();
    settings.max_body_bytes = 50_000;
    let error = server.client_with(settings).list(span(), None).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 50_000, .. }), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_no_answer_even_if_it_is_json() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            assert_ne!(connection.read(&mut [0; 4096]).unwrap(), 0);
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"value\":[]}").unwrap();
        }
    });
    let server = StandIn::start().await;
    let mut settings = server.settings();
    settings.graph_host = url::Url::parse(&format!("http://{address}")).unwrap();
    let error = server.client_with(settings).list(span(), None).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    assert_eq!(server.waits().len(), 3);
}

#[tokio::test]
async fn silence_ends_with_the_time_allowed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = StandIn::start().await;
    let mut settings = server.settings();
    settings.graph_host = url::Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    settings.timeout = Duration::from_millis(100);
    settings.limits.attempts_max = 2;
    let error = server.client_with(settings).list(span(), None).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    assert_eq!(server.waits().len(), 1);
}

#[tokio::test]
async fn retry_after_is_waited_for_in_seconds_and_as_a_date() {
    let server = StandIn::start().await;
    let date = |text: &str| Timestamp::parse(text).unwrap().to_http();
    let (now, later) = (date("2026-11-01T00:00:00Z"), date("2026-11-01T00:00:01Z"));
    let named = [
        (Reply::refusal(503, "Busy").header("retry-after", "1"), Wait::Failed),
        (Reply::refusal(429, "TooManyRequests").header("retry-after", "1"), Wait::Throttled),
        (Reply::refusal(429, "TooManyRequests").header("retry-after", later).header("date", now), Wait::Throttled),
    ];
    for (reply, why) in named {
        server.records(LIST, [reply, page("a")]);
        let client = server.client();
        let before = server.seen().len();
        client.list(span(), None).await.unwrap();
        let (said, wait, _) = server.waits().pop().unwrap();
        assert_eq!((said, wait), (why, Duration::from_secs(1)));
        let seen: Vec<_> = server.seen().into_iter().skip(before).filter(|seen| seen.line.contains(RECORDS)).collect();
        assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
        let throttled = client.requests().throttled_s;
        assert!(if why == Wait::Throttled { throttled > 0.99 } else { throttled == 0.0 }, "{throttled}");
    }
}

#[tokio::test]
async fn a_429_stops_all_requests_and_no_herd_follows() {
    let server = StandIn::start().await;
    server.records(LIST, [Reply::refusal(429, "TooManyRequests").header("retry-after", "1"), page("a")]);
    let mut settings = server.settings();
    settings.rates.app = Allowance { requests: 50, window: Duration::from_secs(1) };
    let client = server.client_with(settings);
    let lists = (0..20).map(|_| client.list(span(), None));
    for page in futures_util::future::join_all(lists).await {
        page.unwrap();
    }
    let times: Vec<_> = server.seen().iter().filter(|seen| seen.line.contains(RECORDS)).map(|seen| seen.at).collect();
    assert_eq!(times.len(), 21);
    let pause = times.windows(2).position(|pair| pair[1] - pair[0] > Duration::from_millis(900)).unwrap();
    assert!(pause < 10, "sent after the 429: {pause}");
    let after = &times[pause + 1..];
    // 50 a second less a fifth: 25 ms each. A busy machine may bring some late, but not all early.
    let spread = after[after.len() - 1] - after[0];
    assert!(spread >= Duration::from_millis(24) * u32::try_from(after.len() - 1).unwrap(), "{spread:?}");
    assert!((0.9..1.2).contains(&client.requests().throttled_s));
}

#[tokio::test]
async fn a_wait_longer_than_the_bound_fails_at_once_and_still_stops_the_others() {
    let server = StandIn::start().await;
    server.records(LIST, [Reply::refusal(429, "TooManyRequests").header("retry-after", "3600")]);
    let mut settings = server.settings();
    settings.limits.retry_after_max = Duration::from_millis(700);
    let client = server.client_with(settings);
    let error = client.list(span(), None).await.unwrap_err();
    assert!(error.is_throttled(), "{error}");
    client.list(span(), None).await.unwrap_err();
    let seen: Vec<_> = server.seen().into_iter().filter(|seen| seen.line.contains(RECORDS)).collect();
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(700));
}

#[tokio::test]
async fn graphs_clock_is_known_after_the_first_answer() {
    let server = StandIn::start().await;
    let date = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
    server.records(LIST, [page("a").header("date", date.to_http())]);
    let client = server.client();
    assert_eq!(client.server_time(), None);
    client.list(span(), None).await.unwrap();
    let time = client.server_time().unwrap();
    assert!(time >= date && (time - date).as_seconds_f64() < 5.0, "{time}");
}
