//! Subscriptions over real HTTP: the validation, what is refused, renewing, the end.

use std::time::Duration;

use axum::{body::Body, extract::Request};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    model::time::Age,
    simulate::{
        Fault, Planted, Settings, Simulator, USERS_ROLE, Weather,
        tests::{
            Asker, ids,
            receiver::{Manners, Receiver, quiet, soon},
            text,
        },
    },
};

const PATH: &str = "/v1.0/subscriptions";

#[tokio::test]
async fn a_subscription_is_made_once_its_receiver_has_repeated_the_token() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    let mut wish = receiver.wish(simulator.now());
    wish["notificationUrl"] = format!("{}/notify?own=a%20b", receiver.url).into();
    let (status, made) = asker.send(Method::POST, PATH, &wish).await;
    assert_eq!(status, 201, "{made}");
    let validations = receiver.taken().validations.clone();
    assert!(validations[0].starts_with("/notify?own=a%20b&validationToken=Validation%3A+"), "{validations:?}");
    assert!(validations[0].contains("%2B") && validations[0].contains("%C3%A4"), "{validations:?}");
    assert!(validations[1].starts_with("/lifecycle?validationToken="), "{validations:?}");
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut expected = vec![
        "@odata.context",
        "applicationId",
        "changeType",
        "clientState",
        "creatorId",
        "encryptionCertificate",
        "encryptionCertificateId",
        "expirationDateTime",
        "id",
        "includeResourceData",
        "latestSupportedTlsVersion",
        "lifecycleNotificationUrl",
        "notificationQueryOptions",
        "notificationUrl",
        "notificationUrlAppId",
        "resource",
    ];
    expected.sort_unstable();
    assert_eq!(names(&made), expected);
    assert_eq!(made["clientState"], wish["clientState"]);
    assert_eq!(made["notificationUrl"], wish["notificationUrl"]);
    let read = asker.read(&format!("{PATH}/{}", text(&made["id"]))).await;
    assert_eq!(read["clientState"], Value::Null);
    assert_eq!(read["expirationDateTime"], made["expirationDateTime"]);
    let list = asker.read("/beta/subscriptions").await;
    assert_eq!(list["value"][0]["clientState"], Value::Null);
    assert_eq!(list["@odata.context"], "https://graph.microsoft.com/beta/$metadata#subscriptions");
    let [view] = &simulator.subscriptions()[..] else { panic!() };
    assert_eq!((&view.id, view.change_type.as_str()), (&text(&made["id"]), "updated"));
    assert_eq!((simulator.requests().subscriptions, simulator.requests().list), (3, 0));
}

#[tokio::test]
async fn a_receiver_that_answers_otherwise_gets_no_subscription() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    for (manners, message) in [
        (Manners::Slow, "Subscription validation request timed out."),
        (Manners::StillEncoded, "Response must exactly match validationToken query parameter."),
        (Manners::WithMore, "Response must exactly match validationToken query parameter."),
        (Manners::Html, "Response must exactly match validationToken query parameter."),
        (Manners::Accepted, "Notification endpoint must respond with 200 OK to validation request."),
    ] {
        receiver.taken().manners = manners;
        let (status, body) = asker.send(Method::POST, PATH, &receiver.wish(simulator.now())).await;
        assert_eq!((status, body["error"]["code"].as_str()), (400, Some("InvalidRequest")), "{manners:?}");
        assert!(text(&body["error"]["message"]).ends_with(message), "{manners:?} {body}");
        assert!(body["error"]["innerError"]["request-id"].is_string());
    }
    receiver.taken().manners = Manners::Good;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (member, url) in [
        ("notificationUrl", format!("http://{nobody}/")),
        ("lifecycleNotificationUrl", format!("http://{nobody}/")),
        // Another machine is never asked.
        ("notificationUrl", "https://192.0.2.1/notify".to_owned()),
    ] {
        let mut wish = receiver.wish(simulator.now());
        wish[member] = url.into();
        let (status, body) = asker.send(Method::POST, PATH, &wish).await;
        assert_eq!(status, 400);
        assert!(text(&body["error"]["message"]).ends_with("could not be reached."), "{body}");
    }
    assert!(simulator.subscriptions().is_empty());
}

#[tokio::test]
async fn without_the_permission_nothing_is_subscribed_to() {
    let settings = Settings { roles: vec![USERS_ROLE.to_owned()], ..quiet(soon()) };
    let simulator = Simulator::start(settings).unwrap();
    let (mut asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    let wish = receiver.wish(simulator.now());
    let (status, body) = asker.send(Method::POST, PATH, &wish).await;
    assert_eq!((status, body["error"]["code"].as_str()), (403, Some("ExtensionError")));
    asker.token = "nonsense".to_owned();
    assert_eq!(asker.send(Method::POST, PATH, &wish).await.0, 401);
    assert!(receiver.taken().validations.is_empty());
}

#[tokio::test]
async fn the_same_is_not_subscribed_to_twice_nor_more_than_a_hundred() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    let first = receiver.subscribe(&asker, &[]).await;
    let mut wish = receiver.wish(simulator.now());
    wish["resource"] = "communications/callRecords".into();
    let (status, body) = asker.send(Method::POST, PATH, &wish).await;
    assert_eq!((status, body["error"]["code"].as_str()), (409, Some("Conflict")));
    assert!(text(&body["error"]["message"]).contains(&first));
    receiver.subscribe(&asker, &[("changeType", "created")]).await;
    receiver.subscribe(&asker, &[("changeType", "created,updated")]).await;
    for number in 3..100 {
        let resource = format!("/communications/callRecords?$filter=participants/any(p:p/id eq '{number}')");
        receiver.subscribe(&asker, &[("resource", &resource)]).await;
    }
    wish["resource"] = "/communications/callRecords?$filter=participants/any(p:p/id eq '0')".into();
    let (status, body) = asker.send(Method::POST, PATH, &wish).await;
    assert_eq!(status, 403);
    assert!(text(&body["error"]["message"]).contains("quota of 100"), "{body}");
    let page = asker.read(PATH).await;
    assert_eq!((page["value"].as_array().unwrap().len(), page["@odata.nextLink"].is_string()), (20, true));
    let all = asker.all(PATH).await;
    let mut known: Vec<_> = simulator.subscriptions().into_iter().map(|view| view.id).collect();
    known.sort();
    assert_eq!(ids(&all.into()), known);
    assert_eq!(asker.get(&format!("{PATH}?$skiptoken=nonsense")).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_subscription_lives_until_its_end_unless_renewed() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    let one = format!("{PATH}/{}", receiver.subscribe(&asker, &[]).await);
    simulator.advance(Age::hours(23));
    let to = |age| json!({ "expirationDateTime": simulator.now() + age });
    let (status, body) = asker.send(Method::PATCH, &one, &to(Age::minutes(4231))).await;
    assert_eq!(status, 400);
    assert!(text(&body["error"]["message"]).contains("4230 minutes"), "{body}");
    for wrong in [json!({}), json!({ "lifecycleNotificationUrl": receiver.url }), json!([])] {
        assert_eq!(asker.send(Method::PATCH, &one, &wrong).await.0, 400, "{wrong}");
    }
    let (status, body) = asker.send(Method::PATCH, &one, &to(Age::days(2))).await;
    assert_eq!((status, &body["clientState"]), (200, &Value::Null));
    simulator.advance(Age::hours(47));
    assert_eq!(asker.get(&one).await.status(), StatusCode::OK);
    let elsewhere = json!({ "notificationUrl": format!("{}/elsewhere", receiver.url) });
    assert_eq!(asker.send(Method::PATCH, &one, &elsewhere).await.0, 200);
    assert!(receiver.taken().validations.last().unwrap().starts_with("/elsewhere?"));
    simulator.advance(Age::hours(1) + Age::minutes(1));
    let (status, body) = asker.send(Method::PATCH, &one, &to(Age::days(1))).await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("ResourceNotFound")));
    assert_eq!(asker.send(Method::POST, &format!("{one}/reauthorize"), &json!({})).await.0, 404);
    let two = format!("{PATH}/{}", receiver.subscribe(&asker, &[]).await);
    assert_eq!(asker.send(Method::POST, &format!("{two}/reauthorize"), &json!({})).await.0, 200);
    assert_eq!(asker.send(Method::PUT, &two, &json!({})).await.0, 405);
    assert_eq!(asker.send(Method::DELETE, &two, &json!({})).await, (204, Value::Null));
    assert_eq!(asker.send(Method::DELETE, &two, &json!({})).await.0, 404);
}

#[tokio::test]
async fn an_answer_may_be_lost_though_the_subscription_is_made() {
    let simulator = Simulator::start(quiet(soon())).unwrap();
    let (asker, receiver) = (Asker::new(&simulator).await, Receiver::start().await);
    simulator.set_weather(Weather::only(&[Fault::CutBody], 1.0, 1));
    let url = format!("{}{PATH}", simulator.url());
    let wish = receiver.wish(simulator.now()).to_string();
    let answer = asker.http.post(url).bearer_auth(&asker.token).body(wish).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert!(answer.bytes().await.is_err());
    simulator.set_weather(Weather::calm());
    assert_eq!(simulator.subscriptions().len(), 1);
    assert_eq!(asker.send(Method::POST, PATH, &receiver.wish(simulator.now())).await.0, 409);
    simulator.set_weather(Weather::only(&[Fault::Unavailable], 1.0, 1));
    assert_eq!(
        asker.send(Method::DELETE, &format!("{PATH}/{}", simulator.subscriptions()[0].id), &json!({})).await.0,
        503
    );
    assert_eq!(simulator.subscriptions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn in_process_a_subscription_is_made_and_nobody_is_asked_or_told() {
    let simulator = Simulator::in_process(quiet(soon()));
    let ask = async |path: &str, token: &str, body: String| {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        let answer = simulator.answer(request.body(Body::from(body)).unwrap()).await;
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope=https://graph.microsoft.com/.default",
        simulator.client_id(),
        simulator.client_secret()
    );
    let (_, granted) = ask("/contoso.com/oauth2/v2.0/token", "", form).await;
    let wish = json!({
        "changeType": "updated",
        "notificationUrl": "https://archive.contoso.com/notify",
        "resource": "/communications/callRecords",
        "expirationDateTime": simulator.now() + Age::hours(1),
    });
    let (status, made) = ask(PATH, &text(&granted["access_token"]), wish.to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    simulator.plant(Planted::meeting("3cf3bbc8-b21d-4f2e-bfd0-b13603ae6c65", simulator.now() - Age::hours(3)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((simulator.subscriptions().len(), simulator.deliveries().posts), (1, 0));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(simulator.subscriptions().is_empty());
}
