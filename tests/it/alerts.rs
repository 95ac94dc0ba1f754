//! Alerts of a service: told once when something goes wrong, once when it is over, and nobody is held up by who does not listen.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{Fault, Planted, PlantedFaults},
};
use serde_json::Value;

use crate::{
    pages::{calls_alone, start, wait_until},
    support::{Bench, CONFIG, ago},
};

/// Where alerts are posted to.
struct Webhook {
    port: u16,
    /// The status of its answers; 0 gives none.
    status: Arc<AtomicU16>,
    /// What was posted, taken or not.
    posted: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Webhook {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (status, posted) = (Arc::new(AtomicU16::new(status)), Arc::default());
        let own = Self { port, status, posted };
        let (status, posted) = (own.status.clone(), own.posted.clone());
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                posted.lock().unwrap().push(request(&mut stream));
                match status.load(Ordering::SeqCst) {
                    // Open, and silent.
                    0 => kept.push(stream),
                    status => {
                        write!(stream, "HTTP/1.1 {status} Told\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                            .unwrap()
                    }
                }
            }
        });
        own
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/services/s3cr3t-path", self.port)
    }

    fn posted(&self) -> Vec<Value> {
        self.posted.lock().unwrap().iter().map(|(_, alert)| alert.clone()).collect()
    }
}

/// The head of a POST and its JSON.
fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|line| Some(line.strip_prefix("content-length: ")?.to_owned()));
            if body.len() >= length.unwrap().parse().unwrap() {
                return (head.to_owned(), serde_json::from_str(body).unwrap());
            }
        }
        let read = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..read]);
    }
}

/// An archive of which a record is at risk: Graph does not give it, and forgets it in less than a day.
fn at_risk() -> Bench {
    let bench = Bench::new(calls_alone());
    bench.simulator.plant(Planted::meeting("old", ago(Age::hours(700))));
    bench.simulator.plant(Planted::meeting("well", ago(Age::hours(40))));
    let for_ever = PlantedFaults { forever: true, fault: Some(Fault::Unavailable), ..PlantedFaults::default() };
    bench.simulator.trouble("old", for_ever);
    bench.run("sync").ends_with(3);
    bench
}

fn alert_by(bench: &Bench, settings: &str) {
    let path = bench.beside("config.toml");
    fs::write(&path, format!("{CONFIG}[alert]\n{settings}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn said(bench: &Bench, file: &str) -> String {
    fs::read_to_string(bench.beside(file)).unwrap_or_default()
}

/// Lets Graph give the record again, and has it fetched beside the service.
fn mend(bench: &Bench) {
    bench.simulator.trouble("old", PlantedFaults::default());
    wait_until("the record fetched", || bench.run("retry").status.code() == Some(0));
}

#[test]
fn what_goes_wrong_is_told_once_and_once_more_when_it_is_over() {
    let bench = at_risk();
    let (webhook, file) = (Webhook::start(200), bench.beside("alerts"));
    let command = format!("webhook = {:?}\ncommand = [\"sh\", \"-c\", \"cat >> {}\"]", webhook.url(), file.display());
    alert_by(&bench, &command);
    let lines =
        || -> Vec<Value> { said(&bench, "alerts").lines().map(|line| serde_json::from_str(line).unwrap()).collect() };

    let service = start(&bench, "sync --watch --interval 1s");
    wait_until("an alert", || webhook.posted().len() == 1 && lines().len() == 1);
    let alert = webhook.posted().remove(0);
    assert_eq!((alert["state"].as_str(), alert["what"].as_str()), (Some("begun"), Some("coverage_at_risk")));
    assert_eq!((alert["source"].as_str(), alert["archive"].as_str()), (Some("calls"), bench.archive().to_str()));
    assert!(alert["details"].as_str().unwrap().contains("hours left"), "{alert}");
    assert!(alert["text"].as_str().unwrap().contains("coverage at risk (calls)"), "{alert}");
    let since = Timestamp::parse(alert["since"].as_str().unwrap()).unwrap();
    assert!(since > ago(Age::minutes(5)));
    assert_eq!(lines(), [alert]);
    assert!(webhook.posted.lock().unwrap()[0].0.to_lowercase().contains("content-type: application/json"));
    wait_until("further rounds", || bench.archive().join("alerts.json").exists());
    drop(service);

    // A service that starts again has told it already.
    let before = bench.simulator.requests().token;
    let _service = start(&bench, "sync --watch --interval 1s");
    wait_until("rounds", || bench.simulator.requests().token >= before + 4);
    assert_eq!((webhook.posted().len(), lines().len()), (1, 1));
    mend(&bench);
    wait_until("word that it is over", || webhook.posted().len() == 2 && lines().len() == 2);
    let over = webhook.posted().remove(1);
    assert_eq!((over["state"].as_str(), over["what"].as_str()), (Some("over"), Some("coverage_at_risk")));
    assert_eq!(over["since"].as_str(), Some(since.to_string().as_str()));
    let before = bench.simulator.requests().token;
    wait_until("rounds", || bench.simulator.requests().token >= before + 3);
    assert_eq!(webhook.posted().len(), 2);
}

#[test]
fn an_alert_that_fails_is_told_and_tried_again_and_stops_nothing() {
    let bench = at_risk();
    let (webhook, file) = (Webhook::start(503), bench.beside("alerts"));
    let command = format!("webhook = {:?}\ncommand = [\"sh\", \"-c\", \"cat >> {}\"]", webhook.url(), file.display());
    alert_by(&bench, &command);
    let _service = start(&bench, "sync --watch --interval 1s");
    let failed = || said(&bench, "err").matches("the webhook at 127.0.0.1: it answers 503").count();
    wait_until("two tries", || failed() >= 2);
    assert!(!said(&bench, "err").contains("s3cr3t"), "{}", said(&bench, "err"));
    assert_eq!(said(&bench, "alerts").lines().count(), 1, "whoever took it is not told again");

    // One that never answers holds nobody up.
    webhook.status.store(0, Ordering::SeqCst);
    let tried = webhook.posted().len();
    wait_until("a silent try", || webhook.posted().len() > tried);
    let before = bench.simulator.requests().token;
    bench.simulator.plant(Planted::meeting("meanwhile", ago(Age::hours(20))));
    wait_until("rounds", || bench.simulator.requests().token >= before + 3);
    wait_until("the call", || bench.run("show meanwhile").status.success());

    webhook.status.store(204, Ordering::SeqCst);
    let tried = webhook.posted().len();
    wait_until("a try that is taken", || webhook.posted().len() > tried);
    thread::sleep(Duration::from_millis(500));
    let (so_far, before) = (webhook.posted().len(), bench.simulator.requests().token);
    wait_until("rounds", || bench.simulator.requests().token >= before + 3);
    assert_eq!(webhook.posted().len(), so_far);
}

#[test]
fn an_address_of_a_webhook_is_a_secret_and_goes_out_in_the_clear_to_this_machine_alone() {
    let bench = at_risk();
    alert_by(&bench, "webhook = \"http://hooks.example.com/s3cr3t-path\"");
    let service = start(&bench, "sync --watch --interval 1s");
    wait_until("a refusal", || {
        said(&bench, "err").contains("the webhook at hooks.example.com: plain http is taken of loopback addresses only")
    });
    assert!(!said(&bench, "err").contains("s3cr3t"), "{}", said(&bench, "err"));
    drop(service);
    fs::set_permissions(bench.beside("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    bench.run("status").ends_with(2).telling("others can read it");
}
