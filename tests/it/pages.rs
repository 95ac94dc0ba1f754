//! `/metrics` and `/healthz` of `listen`: what they say is what is in the archive, and nobody out there is told.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use callvault::{
    model::time::Age,
    simulate::{CALL_RECORDS_ROLE, Planted, Settings},
};
use serde_json::Value;

use crate::{
    listening::free_port,
    support::{Bench, ago, empty},
};

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(100);
    while !is_so() {
        assert!(Instant::now() < patience, "it never came to this: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A world of calls alone: the logs are not permitted.
pub(crate) fn calls_alone() -> Settings {
    Settings { roles: vec![CALL_RECORDS_ROLE.to_owned()], ..empty() }
}

/// A running service, ended with the test.
pub(crate) struct Service(pub(crate) Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command; its words go into the files `out` and `err` beside the archive.
pub(crate) fn start(bench: &Bench, line: &str) -> Service {
    let file = |name: &str| Stdio::from(File::create(bench.beside(name)).unwrap());
    Service(bench.program().args(line.split(' ')).stdout(file("out")).stderr(file("err")).spawn().unwrap())
}

/// Starts a receiver at `port`, told to be at `public_url`.
pub(crate) fn listen(bench: &Bench, port: u16, public_url: &str) -> Service {
    start(bench, &format!("listen --bind 127.0.0.1:{port} --public-url {public_url}"))
}

/// An answer as it came: its head and its body.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The value of a metric, as it is written with its labels.
    fn metric(&self, name: &str) -> Option<f64> {
        let value = self.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(value.parse().unwrap())
    }
}

/// Asks as somebody on this machine would; `None` where nobody listens yet.
pub(crate) fn get(port: u16, path: &str, headers: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer { head: head.to_owned(), body: body.to_owned() })
}

fn page(port: u16, path: &str) -> Answer {
    get(port, path, "").unwrap()
}

#[test]
fn what_the_pages_say_is_what_is_in_the_archive() {
    let bench = Bench::new(calls_alone());
    bench.simulator.plant(Planted::meeting("m", ago(Age::hours(30))));
    let port = free_port();
    let _service = listen(&bench, port, &format!("http://localhost:{port}/graph"));
    wait_until("the call in the archive", || {
        get(port, "/metrics", "").is_some_and(|page| page.metric("callvault_records{source=\"calls\"}") == Some(1.0))
    });
    wait_until("a subscription", || page(port, "/metrics").metric("callvault_subscribed{}") == Some(1.0));
    wait_until("the first round's end", || {
        page(port, "/metrics").metric("callvault_last_run_exit_code{command=\"sync\"}") == Some(0.0)
    });
    let metrics = page(port, "/metrics");
    assert_eq!(metrics.status(), 200);
    assert!(
        metrics
            .head
            .to_lowercase()
            .contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(metrics.body.ends_with("# EOF\n"));
    let value = |name: &str| metrics.metric(name).unwrap_or_else(|| panic!("{name} is not in\n{}", metrics.body));
    let status = bench.calls_status();
    for (name, told) in [("records", "records"), ("versions", "versions"), ("records_queued", "queued")] {
        let name = format!("callvault_{name}{{source=\"calls\"}}");
        assert_eq!(Some(value(&name)), status[told].as_f64(), "{name}");
    }
    let newest = value("callvault_newest_record_age_seconds{source=\"calls\"}");
    assert!((108_000.0..108_200.0).contains(&newest), "{newest}");
    assert!(value("callvault_covered_lag_seconds{source=\"calls\"}") < 200.0);
    assert!(value("callvault_last_success_timestamp_seconds{source=\"calls\"}") > 1e9);
    assert!((60.0 * 3600.0..73.0 * 3600.0).contains(&value("callvault_subscription_expires_in_seconds{}")));
    assert!(value("callvault_size_bytes{part=\"database\"}") > 10_000.0);
    let both_addresses = Some(2.0);
    assert_eq!(metrics.metric("callvault_notifications_total{outcome=\"validated\"}"), both_addresses);
    assert_eq!(metrics.metric("callvault_healthy{}"), Some(1.0));
    let health = page(port, "/healthz");
    assert_eq!((health.status(), health.json()["status"].as_str()), (200, Some("ok")));

    // Whoever comes through a proxy is no neighbour.
    for header in
        ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "Via: 1.1 front", "X-Real-IP: 203.0.113.9"]
    {
        for path in ["/metrics", "/healthz"] {
            assert_eq!(get(port, path, &format!("{header}\r\n")).unwrap().status(), 404, "{path} {header}");
        }
    }
}

#[test]
fn an_archive_that_cannot_be_read_is_unhealthy_and_says_why() {
    let bench = Bench::new(calls_alone());
    let port = free_port();
    let _service = listen(&bench, port, &format!("http://localhost:{port}/graph"));
    let mut health = None;
    wait_until("health", || {
        health = get(port, "/healthz", "").filter(|page| page.json()["status"] == "ok");
        health.is_some()
    });
    // A round is over: what is written to the file now, nobody mends.
    wait_until("a round's end", || {
        page(port, "/metrics").metric("callvault_last_run_exit_code{command=\"sync\"}").is_some()
    });
    fs::write(bench.archive().join("archive.db"), "no database at all, and long enough to be looked at as one")
        .unwrap();
    wait_until("word of it", || page(port, "/healthz").status() == 503);
    let told = page(port, "/healthz").json();
    assert_eq!((told["status"].as_str(), told["wrong"][0]["what"].as_str()), (Some("wrong"), Some("unreadable")));
    assert_eq!(page(port, "/metrics").metric("callvault_healthy{}"), Some(0.0));
}
