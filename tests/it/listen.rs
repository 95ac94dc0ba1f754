//! `listen`: notifications in, calls in the archive; and whatever goes wrong on the way.

use std::{fs, io::Write, net::TcpListener, process::Stdio, thread, time::Duration};

use callvault::{
    archive::{Folder, inbox},
    model::time::{Age, Span, Timestamp},
    simulate::{Forgery, Planted, Settings, Weather},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::{
    listening::{BY_NOTIFICATION, Listening, facts, free_port, holds, id, tally, wait_until},
    support::{Bench, ago, company, empty, end_of},
};

#[test]
fn a_call_is_in_the_archive_seconds_after_graph_knows_it_and_so_are_its_corrections() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))));
    wait_until("the call", || holds(&bench, &id(2), 1));
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))).version(2, Timestamp::now()));
    wait_until("its correction", || holds(&bench, &id(2), 2));
    let listed = bench.simulator.requests().list;
    bench.simulator.plant(Planted::meeting(id(3), ago(Age::hours(3))));
    wait_until("another call", || holds(&bench, &id(3), 1));
    assert_eq!(bench.simulator.requests().list, listed, "nothing was listed for it");
    listening.stops(0);
    bench.run("verify").ends_with(0);
    let status = bench.run("status").ends_with(0).text();
    assert!(status.contains("notifications: 0 ids wait, the last came "), "{status}");
    assert!(status.contains("; subscribed until "), "{status}");
}

#[test]
fn forged_notifications_are_refused_counted_and_never_fetched() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    let forged: Vec<String> = [Forgery::ClientState, Forgery::NoClientState, Forgery::Tenant, Forgery::Subscription]
        .into_iter()
        .map(|forgery| bench.simulator.forge_now(forgery))
        .collect();
    let refused = || {
        [inbox::Tally::WrongSecret, inbox::Tally::WrongTenant, inbox::Tally::UnknownSubscription]
            .map(|name| tally(&bench, name))
    };
    wait_until("all refused", || refused().iter().sum::<u64>() >= 4);
    assert_eq!(refused(), [2, 1, 1]);
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))));
    wait_until("a true one", || holds(&bench, &id(2), 1));
    for id in &forged {
        assert_eq!(bench.simulator.requests_for(id), 0, "{id}");
    }
    // One with all its papers but for a record that does not exist: asked for, and kept to be asked for again.
    let ghost = bench.simulator.forge_now(Forgery::Record);
    wait_until("it was asked for", || bench.simulator.requests_for(&ghost) > 0);
    wait_until("it waits", || bench.calls_status()["queued"] == 1);
    assert_eq!(bench.calls_status()["lost_records"].as_array().unwrap().len(), 0);
    listening.stops(0);
}

#[test]
fn what_is_announced_before_it_is_there_is_tried_again() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    bench.simulator.notify_now(&[id(2)]);
    wait_until("it was asked for", || bench.simulator.requests_for(&id(2)) > 0);
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))));
    wait_until("it is there", || holds(&bench, &id(2), 1));
    listening.stops(0);
    assert_eq!(bench.calls_status()["queued"], 0);
}

#[test]
fn a_hint_that_never_comes_true_is_given_up_without_a_word_of_loss() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    bench.sync();
    let line = format!(r#"{{"subscriptionId":"s","resource":"communications/callRecords/{}"}}"#, id(9));
    fs::write(bench.beside("dump"), line).unwrap();
    let dump = bench.beside("dump");
    bench.args(&["listen", "--from-file", dump.to_str().unwrap()]).ends_with(3);
    assert_eq!(bench.calls_status()["queued"], 1);
    // Coverage says what the lists have shown.
    let covered = bench.calls_status()["gaps"].clone();
    bench.simulator.advance(Age::days(4));
    bench.run("sync").ends_with(0);
    let status = bench.calls_status();
    assert_eq!((&status["queued"], &status["lost_records"]), (&0.into(), &serde_json::json!([])), "{covered}");
    bench.run("verify").ends_with(0);
}

#[test]
fn what_was_missed_while_the_receiver_was_away_is_listed_first() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    let port = listening.port;
    listening.ends_by_kill();
    // Its subscription goes with its notifications: nobody ever sends them.
    let subscription = bench.simulator.subscriptions().remove(0).id;
    assert!(bench.simulator.remove_subscription(&subscription, None));
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(12))));
    let again = Listening::at(&bench, port, "http", BY_NOTIFICATION);
    wait_until("what was missed", || holds(&bench, &id(2), 1));
    wait_until("nothing is to be swept", || facts(&bench).missed == 0);
    again.stops(0);
}

#[test]
fn ids_that_were_answered_for_outlive_a_kill() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, "--receive-only");
    let ids: Vec<String> = (100..400).map(id).collect();
    bench.simulator.notify_now(&ids);
    wait_until("all are taken", || bench.simulator.deliveries().accepted == 300);
    listening.ends_by_kill();
    assert_eq!(facts(&bench).waiting, 300);
    for id in &ids {
        bench.simulator.plant(Planted::meeting(id.clone(), ago(Age::hours(40))));
    }
    bench.sync();
    assert_eq!(facts(&bench).waiting, 0);
    bench.assert_holds_the_world(Timestamp::now());
}

/// A process that is alone with an SQLite file moves its log into it and removes it when it closes it: the receiver must be seen to be there.
#[test]
fn what_is_answered_for_after_a_sync_had_the_inbox_is_there_for_the_next() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, "--receive-only");
    bench.sync();
    bench.simulator.notify_now(&[id(100)]);
    wait_until("it is taken", || bench.simulator.deliveries().accepted == 1);
    assert_eq!(facts(&bench).waiting, 1);
    listening.stops(0);
    assert_eq!(facts(&bench).waiting, 1);
}

#[test]
fn a_receiver_waits_calmly_while_another_writes() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    let mut writes = None;
    while writes.is_none() {
        writes = Folder::new(&bench.archive()).lock().ok();
    }
    bench.simulator.notify_now(&[id(2)]);
    wait_until("it has to wait", || listening.said("err").contains("another writer"));
    let before = listening.processor_time();
    thread::sleep(Duration::from_secs(5));
    let spent = listening.processor_time().saturating_sub(before);
    assert!(spent < Duration::from_secs(1), "{spent:?}");
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))));
    drop(writes);
    wait_until("the call", || holds(&bench, &id(2), 1));
    listening.stops(0);
}

#[test]
fn without_the_permission_ids_wait_calmly_and_missed_time_is_not_forgotten() {
    let bench = Bench::new(Settings { roles: vec!["CallRecord-PstnCalls.Read.All".into()], ..empty() });
    let mut inbox = inbox::Inbox::open_or_create(&Folder::new(&bench.archive())).unwrap();
    let now = Timestamp::now();
    inbox.add(&inbox::Delivery { ids: vec![id(1)], ..inbox::Delivery::default() }, now).unwrap();
    inbox.note_missed(Span::new(now - Age::hours(2), now), "away").unwrap();
    let mut watch = bench.program();
    watch.args(["sync", "--watch", "--interval", "1h"]);
    let reachable = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = Listening::of(&bench, reachable.local_addr().unwrap().port(), watch);
    let left_out = || service.said("err").matches("CallRecords.Read.All").count();
    wait_until("calls are left out", || left_out() > 0);
    thread::sleep(Duration::from_secs(5));
    assert!(left_out() < 4, "{}", service.said("err"));
    assert_eq!((facts(&bench).waiting, facts(&bench).missed), (1, 1));
    service.stops(0);
}

#[test]
fn a_receiver_stops_cleanly_with_ids_still_to_fetch() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    let long = Duration::from_secs(600);
    let slow = Weather::only(&[callvault::simulate::Fault::SlowBody], 1.0, 1);
    bench.simulator.set_weather(Weather { slow_body: long, in_a_row_max: 1000, ..slow });
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))));
    wait_until("it is asked for", || bench.simulator.requests_for(&id(2)) > 0);
    listening.stops(0);
    bench.simulator.set_weather(Weather::calm());
    assert!(!holds(&bench, &id(2), 1));
    bench.run("retry").ends_with(0);
    assert!(holds(&bench, &id(2), 1));
}

#[test]
fn beside_a_service_a_receiver_only_receives() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    let mut watch = bench.program();
    watch.args(["sync", "--watch", "--interval", "1h"]);
    let service = Listening::of(&bench, listening.port, watch);
    wait_until("a service", || Folder::new(&bench.archive()).is_served().unwrap());
    let before = listening.said("out");
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))));
    wait_until("the call", || holds(&bench, &id(2), 1));
    wait_until("the service says so", || service.said("out").contains("1 records fetched"));
    assert_eq!(listening.said("out"), before, "the receiver fetched nothing");
    service.stops(0);
    // Alone again, it does the work itself.
    bench.simulator.plant(Planted::meeting(id(3), ago(Age::hours(2))));
    wait_until("the next call", || holds(&bench, &id(3), 1));
    listening.stops(0);
}

#[test]
fn what_is_no_notification_gets_its_answer() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    let status = |answer: &str| answer.split(' ').nth(1).unwrap_or("nothing").to_owned();
    // The handshake gives back what it was given, as plain text.
    let echoed = listening.post("/calls?validationToken=Validation%3A+a%20%3Cb%3E%26%C3%A4", "", "");
    assert!(echoed.contains("text/plain") && echoed.contains("nosniff"), "{echoed}");
    assert_eq!(echoed.split("\r\n\r\n").nth(1).unwrap(), "Validation: a <b>&ä");
    let long = "x".repeat(5000);
    for (answer, code) in [
        (listening.post(&format!("/calls?validationToken={long}"), "", ""), "400"),
        (listening.post("/calls", "", "{"), "400"),
        (listening.post("/calls", "", ""), "400"),
        (listening.post("/calls", "", r#"{"value":[]}"#), "202"),
        (
            listening.post(
                "/calls",
                "",
                r#"{"value":[{"subscriptionId":"x","clientState":"y","resource":"communications/callRecords/z"}]}"#,
            ),
            "403",
        ),
        (listening.post("/calls", "", &" ".repeat((1 << 20) + 1)), "413"),
        (listening.ask("GET /calls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "405"),
        (
            listening.ask("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n"),
            "404",
        ),
        (listening.ask("rubbish\r\n\r\n"), "400"),
        (listening.ask("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "200"),
    ] {
        assert_eq!(status(&answer), code, "{answer}");
    }
    assert_eq!(facts(&bench).waiting, 0);
    listening.stops(0);
}

#[test]
fn a_receiver_that_cannot_be_set_up_says_what_is_wrong() {
    let bench = Bench::new(empty());
    for (arguments, told) in [
        ("", "--public-url"),
        ("--public-url nonsense", "--public-url"),
        ("--public-url http://calls.example/", "https"),
        ("--public-url https://user:pw@calls.example/", "password"),
        ("--public-url https://calls.example/ --bind everywhere", "--bind"),
        ("--public-url https://calls.example/ --bind 0.0.0.0:0", "TLS"),
        ("--public-url https://calls.example/ --tls-cert none.pem", "--tls-key"),
        ("--public-url https://calls.example/ --bind 127.0.0.1:0 --tls-cert none.pem --tls-key none.pem", "none.pem"),
        ("--from-file none.json", "none.json"),
        ("--unsubscribe", "receiver"),
    ] {
        bench.run(&format!("listen {arguments}")).ends_with(2).telling(told);
    }
    let config = bench.beside("config.toml");
    fs::write(&config, format!("[listen]\nclient_state = \"{}\"\n", "x".repeat(129))).unwrap();
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    bench.run("listen --public-url https://calls.example/ --bind 127.0.0.1:0").ends_with(2).telling("client_state");
    fs::write(&config, crate::support::CONFIG).unwrap();
    bench.simulator.refuse_sign_in(7_000_215, 9);
    bench.run("listen --public-url https://calls.example/ --bind 127.0.0.1:0").ends_with(4).telling("secret");
    assert!(!bench.archive().exists());
}

#[test]
fn what_queues_have_kept_is_taken_from_a_file_or_a_pipe() {
    let bench = Bench::new(empty());
    for number in 1..=4 {
        bench.simulator.plant(Planted::meeting(id(number), ago(Age::hours(40))));
    }
    let item = |number| {
        let tenant = bench.simulator.tenant_id();
        format!(
            r#"{{"subscriptionId":"s","tenantId":"{tenant}","changeType":"updated","resource":"communications/callRecords/{}"}}"#,
            id(number)
        )
    };
    let quoted = serde_json::to_string(&format!(r#"{{"value":[{}]}}"#, item(3))).unwrap();
    let foreign =
        format!(r#"{{"subscriptionId":"s","tenantId":"elsewhere","resource":"communications/callRecords/{}"}}"#, id(4));
    let dump = format!("{{\"value\":[{},{}]}}\n{}\n[{{\"Body\":{quoted}}}]\n{foreign}\n", item(1), item(1), item(2));
    fs::write(bench.beside("dump"), &dump).unwrap();
    let ran = bench.args(&["listen", "--from-file", bench.beside("dump").to_str().unwrap()]).ends_with(0);
    assert!(ran.stderr.contains("4 notifications in 4 documents; 1 of other tenants"), "{}", ran.stderr);
    assert!((1..=3).all(|number| holds(&bench, &id(number), 1)));
    assert!(!holds(&bench, &id(4), 1));

    fs::write(bench.beside("dump"), format!("{}\n{{\"value\":", item(4))).unwrap();
    bench.args(&["listen", "--from-file", bench.beside("dump").to_str().unwrap()]).ends_with(2).telling("document 2");
    // What came before it is queued.
    let mut program = bench.program();
    let mut piped = program
        .args(["listen", "--from-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // While the pipe lasts.
    let mut pipe = piped.stdin.take().unwrap();
    bench.simulator.plant(Planted::meeting(id(5), ago(Age::hours(40))));
    pipe.write_all(format!("{}\n", item(5)).as_bytes()).unwrap();
    wait_until("it is fetched", || holds(&bench, &id(5), 1));
    pipe.write_all(item(1).as_bytes()).unwrap();
    drop(pipe);
    assert_eq!(end_of(&mut piped, "listen").code(), Some(0));
    assert!(holds(&bench, &id(4), 1));
}

#[test]
fn graph_reaches_a_receiver_with_a_certificate_of_its_own() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let pems = || {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        (leaf.pem(), key.serialize_pem())
    };
    let bench = Bench::new(Settings { notify_ca: Some(ca.pem().into_bytes()), ..empty() });
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let (chain, key) = pems();
    fs::write(bench.beside("chain.pem"), chain).unwrap();
    fs::write(bench.beside("key.pem"), key).unwrap();
    let files = format!(
        "--tls-cert {} --tls-key {} {BY_NOTIFICATION}",
        bench.beside("chain.pem").display(),
        bench.beside("key.pem").display()
    );
    let listening = Listening::at(&bench, free_port(), "https", &files);
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    bench.simulator.plant(Planted::meeting(id(2), ago(Age::hours(2))));
    wait_until("the call", || holds(&bench, &id(2), 1));
    listening.stops(0);
}

#[test]
fn whatever_is_not_delivered_the_lists_bring() {
    let mut settings = Settings { calls_per_day: 40, ..company(40, 2) };
    settings.notifications.dropped = 0.5;
    settings.notifications.doubled = 0.2;
    settings.notifications.forged = 0.2;
    settings.notifications.respelled = 0.5;
    let bench = Bench::new(settings);
    let listening = Listening::start(&bench, "--interval 2s");
    wait_until("the first round", || listening.said("out").contains(" requests, "));
    // Half a day passes in steps, calls become visible and are told or not.
    for _ in 0..12 {
        bench.simulator.advance(Age::hours(1));
        thread::sleep(Duration::from_millis(200));
    }
    wait_until("all is sent", || bench.simulator.deliveries().waiting == 0);
    listening.stops(0);
    let began = bench.simulator.now();
    let ran = bench.run("sync");
    // What was announced with all its papers and never existed is still asked for.
    let is_ghost = |(forgery, _): &(Forgery, String)| *forgery == Forgery::Record;
    let ghosts = bench.simulator.deliveries().forged_ids.iter().any(is_ghost);
    ran.ends_with(if ghosts { 3 } else { 0 });
    bench.assert_holds_the_world(began);
    assert!(bench.simulator.deliveries().dropped > 0 && bench.simulator.deliveries().accepted > 0);
    for (forgery, id) in bench.simulator.deliveries().forged_ids {
        if forgery != Forgery::Record {
            assert_eq!(bench.simulator.requests_for(&id), 0, "{forgery:?}");
        }
    }
}
