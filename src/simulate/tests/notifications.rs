//! Notifications over real HTTP: what is told, to whom, and what goes wrong on the way.

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Method;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::json;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        Forgery, LifecycleEvent, Notifications, Planted, Settings, Simulator, TENANT_ID,
        tests::{
            Asker,
            receiver::{Receiver, pass, quiet, record_of, soon, until},
            settings, start, text,
        },
    },
};

fn id(number: u32) -> String {
    format!("3cf3bbc8-b21d-4f2e-bfd0-{number:012}")
}

/// A call of which the simulator tells `minutes` after the start.
fn call(number: u32, minutes: i64) -> Planted {
    Planted::meeting(id(number), start() - Age::hours(2)).visible_at(start() + Age::minutes(minutes))
}

fn told(change: &str, number: u32) -> (String, String) {
    (change.to_owned(), id(number))
}

#[tokio::test]
async fn each_version_is_told_to_those_who_asked_for_it() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, all) = (Asker::new(&simulator).await, Receiver::start().await);
    let subscription = all.subscribe(&asker, &[]).await;
    let (created, both, some) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    created.subscribe(&asker, &[("changeType", "created")]).await;
    both.subscribe(&asker, &[("changeType", "created,updated")]).await;
    let of_eve = "/communications/callRecords?$filter=participants/any(p:p/id eq 'eve')";
    some.subscribe(&asker, &[("resource", of_eve)]).await;
    simulator.plant(call(1, 5).version(2, start() + Age::minutes(70)));
    simulator.plant(call(2, 6).raw_participants([r#"{"id":"adam"}"#, r#"{"id":"eve"}"#]));
    // Visible before anybody subscribed, planted after: told at once.
    simulator.plant(call(3, -30));
    until("the planted one", || all.told().is_empty() && simulator.deliveries().waiting > 0).await;
    pass(&simulator, Age::minutes(10)).await;
    until("the first versions", || all.told().len() == 3).await;
    assert_eq!(all.told(), [told("updated", 3), told("updated", 1), told("updated", 2)]);
    pass(&simulator, Age::hours(1)).await;
    until("the second version", || all.told().len() == 4 && simulator.deliveries().waiting == 0).await;
    assert_eq!(all.told()[3], told("updated", 1));
    assert_eq!(created.told(), [told("created", 3), told("created", 1), told("created", 2)]);
    let mut of_both = both.told();
    of_both.sort();
    let mut expected = [created.told(), all.told()].concat();
    expected.sort();
    assert_eq!(of_both, expected);
    assert_eq!(some.told(), [told("updated", 2)]);
    let items = all.items("/notify");
    let expiry = Timestamp::parse(&text(&items[0]["subscriptionExpirationDateTime"])).unwrap();
    assert_eq!(
        expiry.as_second(),
        simulator.subscriptions().iter().find(|known| known.id == subscription).unwrap().expiry.as_second()
    );
    assert_eq!(
        items[1],
        json!({
            "subscriptionId": subscription,
            "clientState": "a secret <&\"> ä",
            "changeType": "updated",
            "resource": format!("communications/callRecords/{}", id(1)),
            "subscriptionExpirationDateTime": items[1]["subscriptionExpirationDateTime"],
            "resourceData": {
                "@odata.type": "#microsoft.graph.callrecord",
                "@odata.id": format!("communications/callRecords/{}", id(1)),
                "id": id(1),
            },
            "tenantId": TENANT_ID,
        })
    );
    let deliveries = simulator.deliveries();
    assert_eq!((deliveries.sent, deliveries.accepted, deliveries.refused, deliveries.lost), (15, 15, 0, 0));
}

#[tokio::test]
async fn a_day_of_calls_is_told_version_by_version_in_batches() {
    let notifications = Notifications { batch_max: 4, ..soon() };
    let simulator = Simulator::start(Settings { notifications, ..settings() }).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    receiver.subscribe(&asker, &[]).await;
    let from = simulator.now();
    pass(&simulator, Age::hours(20)).await;
    until("all", || simulator.deliveries().waiting == 0).await;
    let to = simulator.now() - Age::seconds(5);
    let world = simulator.world();
    let ids: HashSet<_> = world.expected(to).into_iter().map(|call| call.id).collect();
    let mut expected: Vec<_> = ids
        .iter()
        .flat_map(|id| {
            let seen = world.visible_versions(id, to).len() - world.visible_versions(id, from).len();
            std::iter::repeat_n(id.clone(), seen)
        })
        .collect();
    expected.sort();
    let mut told: Vec<_> = receiver.told().into_iter().map(|(_, id)| id).collect();
    told.sort();
    assert!(expected.len() > 5, "{}", expected.len());
    assert_eq!(told, expected);
    let sizes: Vec<_> = receiver.taken().posts.iter().map(|(_, items)| items.len()).collect();
    assert!(sizes.contains(&4) && sizes.iter().all(|size| *size <= 4), "{sizes:?}");
}

/// What comes of forty calls that become visible a minute after one another.
async fn forty(notifications: Notifications) -> (Simulator, Receiver) {
    let simulator = Simulator::start(quiet(notifications)).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    receiver.subscribe(&asker, &[]).await;
    for number in 0..40 {
        simulator.plant(call(number, 1 + i64::from(number)));
    }
    for _ in 0..42 {
        simulator.advance(Age::minutes(1));
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    (simulator, receiver)
}

#[tokio::test]
async fn notifications_are_dropped_doubled_and_late_by_the_same_chance_each_time() {
    let (simulator, receiver) = forty(Notifications { dropped: 0.3, ..soon() }).await;
    let deliveries = simulator.deliveries();
    assert!((4..24).contains(&deliveries.dropped), "{deliveries:?}");
    assert_eq!(receiver.told().len() as u64, 40 - deliveries.dropped);
    let told: HashSet<_> = receiver.told().into_iter().map(|(_, id)| id).collect();
    assert!(deliveries.dropped_ids.iter().all(|id| !told.contains(id)));
    let wild = Notifications { dropped: 0.3, doubled: 1.0, late: 0.5, late_by: Age::hours(3), ..soon() };
    let (simulator, receiver) = forty(wild).await;
    let wild = simulator.deliveries();
    assert_eq!(wild.dropped_ids, deliveries.dropped_ids);
    assert_eq!(wild.doubled, 40 - wild.dropped);
    assert!(wild.late > 3 && wild.waiting > wild.late, "{wild:?}");
    pass(&simulator, Age::hours(7)).await;
    until("the late ones", || simulator.deliveries().waiting == 0).await;
    let items = receiver.told();
    assert_eq!(items.len() as u64, 2 * wild.doubled);
    assert!(told.iter().all(|id| items.iter().filter(|(_, of)| of == id).count() == 2));
}

#[tokio::test]
async fn some_notifications_are_overtaken_by_the_next() {
    let (simulator, receiver) = forty(Notifications { out_of_order: 0.4, ..soon() }).await;
    pass(&simulator, Age::hours(2)).await;
    until("the last", || simulator.deliveries().waiting == 0).await;
    let told: Vec<_> = receiver.told().into_iter().map(|(_, id)| id).collect();
    let in_order: Vec<_> = (0..40).map(id).collect();
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(sorted, in_order);
    let behind = told.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(behind >= 4 && simulator.deliveries().overtaken > 4, "{behind}");
}

#[tokio::test]
async fn forged_notifications_are_wrong_in_one_thing_and_name_no_record() {
    let (simulator, receiver) = forty(Notifications { forged: 1.0, respelled: 0.5, ..soon() }).await;
    until("all", || simulator.deliveries().waiting == 0).await;
    let (deliveries, items) = (simulator.deliveries(), receiver.items("/notify"));
    assert_eq!((deliveries.forged, deliveries.accepted, items.len()), (40, 40, 80));
    let subscription = &simulator.subscriptions()[0].id;
    for (forgery, record) in &deliveries.forged_ids {
        let item = items.iter().find(|item| record_of(item) == *record).unwrap();
        let wrong: Vec<_> = [
            ("clientState", json!("a secret <&\"> ä")),
            ("tenantId", json!(TENANT_ID)),
            ("subscriptionId", json!(subscription)),
        ]
        .into_iter()
        .filter(|(name, right)| item[*name] != *right)
        .map(|(name, _)| name)
        .collect();
        let expected = match forgery {
            Forgery::ClientState | Forgery::NoClientState => vec!["clientState"],
            Forgery::Tenant => vec!["tenantId"],
            Forgery::Subscription => vec!["subscriptionId"],
            Forgery::Record => vec![],
        };
        assert_eq!((wrong, item["clientState"].is_null()), (expected, *forgery == Forgery::NoClientState));
        assert!(simulator.world().visible_versions(record, simulator.now()).is_empty());
    }
    for forgery in Forgery::ALL {
        assert!(deliveries.forged_ids.iter().any(|(of, _)| *of == forgery), "{forgery:?}");
    }
    assert!(items.iter().any(|item| item.get("resourceData").is_none()));
    let told: HashSet<_> = receiver.told().into_iter().map(|(_, id)| id).collect();
    assert!((0..40).map(id).all(|id| told.contains(&id)));
    // Among true ones and alone.
    let sizes: HashSet<_> = receiver.taken().posts.iter().map(|(_, items)| items.len()).collect();
    assert!(sizes.contains(&1) && sizes.contains(&2), "{sizes:?}");
    let record = simulator.forge_now(Forgery::ClientState);
    until("one by hand", || receiver.told().iter().any(|(_, id)| *id == record)).await;
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_for_four_hours() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    receiver.subscribe(&asker, &[]).await;
    receiver.taken().refusals = 3;
    simulator.notify_now(&[id(1), id(2)]);
    until("the fourth try", || receiver.told().len() == 2).await;
    until("its count", || simulator.deliveries().waiting == 0).await;
    let deliveries = simulator.deliveries();
    assert_eq!((deliveries.posts, deliveries.refused, deliveries.retried), (4, 3, 3));
    assert_eq!((deliveries.sent, deliveries.accepted, deliveries.lost), (2, 2, 0));
    receiver.taken().refusals = u32::MAX;
    simulator.notify_now(&[id(3)]);
    until("a try", || simulator.deliveries().refused > 4).await;
    assert_eq!(simulator.deliveries().lost, 0);
    simulator.advance(Age::hours(4));
    until("the end of trying", || simulator.deliveries().waiting == 0).await;
    assert_eq!(simulator.deliveries().lost, 1);
}

#[tokio::test]
async fn whoever_does_not_reauthorize_gets_nothing_until_he_does() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    let subscription = receiver.subscribe(&asker, &[]).await;
    pass(&simulator, Age::hours(21)).await;
    assert!(receiver.items("/lifecycle").is_empty());
    pass(&simulator, Age::hours(1)).await;
    until("the event", || !receiver.items("/lifecycle").is_empty()).await;
    let events = receiver.items("/lifecycle");
    let expected = json!({
        "subscriptionId": subscription,
        "subscriptionExpirationDateTime": events[0]["subscriptionExpirationDateTime"],
        "tenantId": TENANT_ID,
        "clientState": "a secret <&\"> ä",
        "lifecycleEvent": "reauthorizationRequired",
    });
    assert_eq!(events, [expected]);
    simulator.plant(Planted::meeting(id(1), start()).visible_at(simulator.now()));
    pass(&simulator, Age::minutes(1)).await;
    until("one that still comes", || receiver.told() == [told("updated", 1)]).await;
    pass(&simulator, Age::minutes(30)).await;
    assert!(simulator.subscriptions()[0].is_held);
    simulator.plant(Planted::meeting(id(2), start()).visible_at(simulator.now()));
    pass(&simulator, Age::minutes(1)).await;
    assert_eq!((receiver.told().len(), simulator.deliveries().waiting), (1, 1));
    let again = format!("/v1.0/subscriptions/{subscription}/reauthorize");
    assert_eq!(asker.send(Method::POST, &again, &json!({})).await.0, 200);
    until("the held one", || receiver.told().len() == 2).await;
    // It is asked once in a life; a new one begins with a new end.
    pass(&simulator, Age::minutes(10)).await;
    assert_eq!(receiver.items("/lifecycle").len(), 1);
    let expiry = json!({ "expirationDateTime": simulator.now() + Age::hours(8) });
    assert_eq!(asker.send(Method::PATCH, &format!("/v1.0/subscriptions/{subscription}"), &expiry).await.0, 200);
    pass(&simulator, Age::hours(6)).await;
    until("the next event", || receiver.items("/lifecycle").len() == 2).await;
}

#[tokio::test]
async fn lifecycle_events_come_by_hand_and_a_subscription_may_go_without_a_word() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    let first = receiver.subscribe(&asker, &[]).await;
    simulator.send_lifecycle(LifecycleEvent::Missed);
    simulator.send_lifecycle(LifecycleEvent::ReauthorizationRequired);
    let events =
        || -> Vec<_> { receiver.items("/lifecycle").iter().map(|item| text(&item["lifecycleEvent"])).collect() };
    until("two", || events().len() == 2).await;
    assert!(simulator.remove_subscription(&first, Some(LifecycleEvent::SubscriptionRemoved)));
    until("three", || events().len() == 3).await;
    assert_eq!(events().iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!(receiver.items("/lifecycle")[2]["subscriptionId"], first);
    let second = receiver.subscribe(&asker, &[]).await;
    assert_ne!(first, second);
    simulator.notify_now(&[id(1)]);
    until("what was sent before", || receiver.told().len() == 1).await;
    assert!(simulator.remove_subscription(&second, None) && !simulator.remove_subscription(&second, None));
    simulator.notify_now(&[id(2)]);
    pass(&simulator, Age::minutes(1)).await;
    assert_eq!((receiver.told().len(), events().len(), simulator.subscriptions().len()), (1, 3, 0));
}

#[tokio::test]
async fn a_fast_clock_tells_when_on_the_wall_a_version_became_visible() {
    let settings = Settings { clock_rate: 600, ..quiet(soon()) };
    let simulator = Simulator::start(settings).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    receiver.subscribe(&asker, &[]).await;
    // Half a second from now.
    let visible = simulator.now() + Age::minutes(5);
    simulator.plant(Planted::meeting(id(1), start() - Age::hours(2)).visible_at(visible));
    assert!(simulator.became_visible(&id(1)).is_empty());
    until("the notification", || !receiver.told().is_empty()).await;
    let received = Timestamp::now();
    let [(1, on_wall)] = simulator.became_visible(&id(1))[..] else { panic!() };
    let delay = received - on_wall;
    assert!((Age(0)..Age::seconds(5)).contains(&delay), "{delay:?}");
    let simulated = simulator.now() - visible;
    assert!((simulated.0 / 600 - (Timestamp::now() - on_wall).0).abs() < 300_000_000, "{simulated:?} {delay:?}");
    // Planted when it could be seen for long: visible from then on.
    let before = Timestamp::now();
    simulator.plant(Planted::meeting(id(2), start() - Age::hours(2)).visible_at(start() + Age::seconds(1)));
    assert!(simulator.became_visible(&id(2))[0].1 >= before);
}

#[tokio::test]
async fn a_receiver_may_have_a_name_and_a_certificate_of_a_private_authority() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["archive.contoso.com".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let mut bytes = [0; 4096];
            let Ok(read) = tls.read(&mut bytes) else { continue };
            let head = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let query = head.split(['?', ' ']).nth(2).unwrap_or_default();
            let token = url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, token)| token.into_owned());
            let body = token.unwrap_or_default();
            let length = body.len();
            let _ = write!(
                tls,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    for (authority, status) in [(Some(ca.as_ref().pem().into_bytes()), 201), (None, 400)] {
        let simulator = Simulator::start(Settings { notify_ca: authority, ..quiet(soon()) }).unwrap();
        let asker = Asker::new(&simulator).await;
        let url = format!("https://archive.contoso.com:{port}/notify");
        let wish = json!({
            "changeType": "updated",
            "notificationUrl": url,
            "lifecycleNotificationUrl": url,
            "resource": "/communications/callRecords",
            "expirationDateTime": simulator.now() + Age::days(1),
        });
        let (answered, body) = asker.send(Method::POST, "/v1.0/subscriptions", &wish).await;
        assert_eq!(answered, status, "{body}");
    }
}
