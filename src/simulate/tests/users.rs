//! People over real HTTP: the list, one of them, and what changed.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    model::time::Age,
    simulate::{
        Fault, LogKind, PageSizes, Settings, Simulator, Weather,
        tests::{Asker, empty, ids, json as body_of, logs, start, text},
    },
};

const SELECT: &str = "$select=id,displayName,userPrincipalName,mail,otherMails,department,businessPhones,mobilePhone,accountEnabled,createdDateTime";

/// All users of a round of the delta, and the link to the next round.
async fn round(asker: &Asker<'_>, url: &str) -> (Vec<Value>, String) {
    let mut page = asker.read(url).await;
    let mut users = page["value"].as_array().unwrap().clone();
    while let Some(next) = page["@odata.nextLink"].as_str() {
        assert!(page.get("@odata.deltaLink").is_none());
        page = asker.read(next).await;
        users.extend(page["value"].as_array().unwrap().clone());
    }
    (users, text(&page["@odata.deltaLink"]))
}

fn small_pages() -> Settings {
    Settings { page_sizes: PageSizes { users: 7, ..PageSizes::default() }, ..empty() }
}

#[tokio::test]
async fn a_delta_tells_everybody_once_and_then_what_changed() {
    let simulator = Simulator::start(small_pages()).unwrap();
    let asker = Asker::new(&simulator).await;
    let people = simulator.world().people();
    let (users, link) = round(&asker, &format!("/v1.0/users/delta?{SELECT}")).await;
    assert_eq!(ids(&users.clone().into()), people.iter().map(|person| person.id.clone()).collect::<Vec<_>>());
    assert!(users.iter().all(|user| user.as_object().unwrap().len() == 10), "{}", users[0]);
    assert_eq!(simulator.requests().users_delta, 6);
    let (nothing, link) = round(&asker, &link).await;
    assert!(nothing.is_empty());

    simulator.advance(Age::hours(1));
    simulator.rename_user(&people[3].id, "Ada Byron", "ada.byron@contoso.com", None, simulator.now());
    simulator.delete_user(&people[5].id, simulator.now());
    simulator.delete_user_for_good(&people[6].id, simulator.now());
    simulator.rename_user(&people[8].id, "Later", "later@contoso.com", None, simulator.now() + Age::days(1));
    assert!(!simulator.delete_user("nobody", simulator.now()));
    let (changed, next) = round(&asker, &link).await;
    assert_eq!(changed.len(), 3);
    assert_eq!(
        (&changed[0]["id"], &changed[0]["displayName"], &changed[0]["userPrincipalName"], &changed[0]["mail"]),
        (&json!(people[3].id), &json!("Ada Byron"), &json!("ada.byron@contoso.com"), &Value::Null)
    );
    assert_eq!(changed[0]["businessPhones"], json!([people[3].phone]));
    assert_eq!(changed[1], json!({"id": people[5].id, "@removed": {"reason": "changed"}}));
    assert_eq!(changed[2], json!({"id": people[6].id, "@removed": {"reason": "deleted"}}));
    assert_eq!(round(&asker, &link).await.0, changed, "a link tells the same each time");
    assert!(round(&asker, &next).await.0.is_empty());
    simulator.advance(Age::days(2));
    assert_eq!(round(&asker, &next).await.0[0]["displayName"], "Later");
    // What a test plants into the past was told to nobody yet.
    simulator.rename_user(&people[9].id, "Earlier", "earlier@contoso.com", None, start() - Age::days(9));
    let (_, link) = round(&asker, &next).await;
    assert!(round(&asker, &next).await.0.iter().any(|user| user["displayName"] == "Earlier"));
    assert!(round(&asker, &link).await.0.is_empty());
    let (fresh, _) = round(&asker, "/v1.0/users/delta?$select=displayName").await;
    assert_eq!(fresh.len(), people.len() - 2);
    assert!(fresh.iter().all(|user| user.as_object().unwrap().len() == 2), "the id comes by itself: {}", fresh[0]);
}

#[tokio::test]
async fn a_change_while_pages_are_read_is_told_in_the_next_round() {
    let simulator = Simulator::start(small_pages()).unwrap();
    let asker = Asker::new(&simulator).await;
    let people = simulator.world().people();
    let first = asker.read("/v1.0/users/delta?$select=displayName").await;
    simulator.advance(Age::minutes(1));
    simulator.rename_user(&people[2].id, "Renamed", "renamed@contoso.com", None, simulator.now());
    simulator.rename_user(&people[20].id, "Renamed too", "renamed2@contoso.com", None, simulator.now());
    let (rest, link) = round(&asker, first["@odata.nextLink"].as_str().unwrap()).await;
    assert_eq!(rest.len() + 7, people.len());
    assert!(rest.iter().all(|user| user["displayName"] != "Renamed too"), "a round is of one moment");
    assert_eq!(round(&asker, &link).await.0.len(), 2);
}

#[tokio::test]
async fn delta_links_grow_old_and_foreign_ones_are_unknown() {
    let simulator = Simulator::start(Settings { delta_token_life: Some(Age::days(7)), ..small_pages() }).unwrap();
    let asker = Asker::new(&simulator).await;
    let (_, link) = round(&asker, "/v1.0/users/delta?$select=id").await;
    assert_eq!(asker.get(&link).await.status(), StatusCode::OK);
    let elsewhere = Simulator::start(Settings { seed: 9, ..small_pages() }).unwrap();
    let (_, foreign) = round(&Asker::new(&elsewhere).await, "/v1.0/users/delta").await;
    let foreign = foreign.split_once("$deltatoken=").unwrap().1;
    simulator.advance(Age::days(8));
    for link in [&link, &format!("/v1.0/users/delta?$deltatoken={foreign}"), "/v1.0/users/delta?$deltatoken=latest"] {
        let answer = asker.get(link).await;
        assert_eq!(answer.status(), StatusCode::GONE, "{link}");
        assert_eq!(body_of(answer).await["error"]["code"], "syncStateNotFound");
    }
    let life = Settings { skip_token_life: Some(Age::hours(1)), ..small_pages() };
    let simulator = Simulator::start(life).unwrap();
    let asker = Asker::new(&simulator).await;
    let next = text(&asker.read("/v1.0/users/delta").await["@odata.nextLink"]);
    assert_eq!(asker.get(&next.replace("/users/delta", "/users")).await.status(), StatusCode::BAD_REQUEST);
    simulator.advance(Age::hours(2));
    assert_eq!(asker.get(&next).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn people_are_found_one_by_one_and_in_lists() {
    let simulator = Simulator::start(small_pages()).unwrap();
    let asker = Asker::new(&simulator).await;
    let people = simulator.world().people();
    let one = asker.read(&format!("/v1.0/users/{}?$select=id,displayName", people[1].id)).await;
    assert_eq!((one["id"].as_str(), one["displayName"].as_str()), (Some(&*people[1].id), Some(&*people[1].name)));
    assert!(text(&one["@odata.context"]).ends_with("#users(id,displayName)/$entity") && one.get("mail").is_none());
    assert_eq!(asker.read(&format!("/v1.0/users/{}", people[1].upn)).await["id"], one["id"]);
    assert_eq!(asker.all("/v1.0/users?$select=id&$top=11").await.len(), people.len());
    assert_eq!(simulator.requests().users, (people.len() as u64).div_ceil(11));
    simulator.delete_user(&people[1].id, simulator.now());
    for id in [people[1].id.as_str(), people[1].upn.as_str(), "b0000000-0000-4000-8000-000000000000"] {
        let answer = asker.get(&format!("/v1.0/users/{id}?$select=id")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(body_of(answer).await["error"]["code"], "Request_ResourceNotFound");
    }
    assert_eq!(simulator.requests().user, 5);
    assert_eq!(asker.all("/v1.0/users?$top=999").await.len(), people.len() - 1);
    for wrong in ["?$top=0", "?$top=1000", "?$select=shoeSize", "?$orderby=displayName", "/delta?$top=5"] {
        assert_eq!(asker.get(&format!("/v1.0/users{wrong}")).await.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn events_before_a_renaming_keep_the_old_name() {
    let simulator = Simulator::start(logs::company()).unwrap();
    let asker = Asker::new(&simulator).await;
    let rows = simulator.world().expected_rows(LogKind::DirectRouting, simulator.now());
    let callers: Vec<_> = rows.iter().filter_map(|row| row.user_id.clone()).collect();
    let busy = callers.iter().max_by_key(|id| callers.iter().filter(|other| other == id).count()).unwrap();
    let at = start() - Age::days(10);
    simulator.rename_user(busy, "New Name", "new.name@contoso.com", Some("new@contoso.com"), at);
    let of_busy = |rows: Vec<Value>| rows.into_iter().filter(|row| row["userId"].as_str() == Some(busy));
    let log = |from, to| logs::url(LogKind::DirectRouting, from, to);
    let old = of_busy(asker.all(&log(start() - Age::days(28), at)).await);
    assert!(old.filter(|row| row["userDisplayName"] == "New Name").count() == 0);
    let new: Vec<_> =
        of_busy(asker.all(&log(at, start())).await).filter(|row| !row["userDisplayName"].is_null()).collect();
    assert!(!new.is_empty() && new.iter().all(|row| row["userPrincipalName"] == "new.name@contoso.com"));

    let calls = simulator.world().expected(simulator.now());
    let calls = calls.iter().filter(|call| call.participant_ids.contains(busy));
    let (mut before, mut after) = (0, 0);
    for call in calls.rev().take(200) {
        let record = asker.whole(&call.id).await;
        let people = record["participants_v2"].as_array().unwrap().iter();
        let named = people.filter(|person| person["id"].as_str() == Some(busy));
        let is_new = named.clone().all(|person| person["identity"]["user"]["displayName"] == "New Name");
        assert_eq!(is_new, call.start >= at, "{}", call.start);
        *(if is_new { &mut after } else { &mut before }) += 1;
        let in_sessions = record["sessions"].to_string().contains("New Name");
        assert!(is_new || !in_sessions || call.end > at);
    }
    assert!(before > 5 && after > 5, "{before} {after}");
}

#[tokio::test]
async fn weather_befalls_people_too() {
    let simulator = Simulator::start(small_pages()).unwrap();
    let asker = Asker::new(&simulator).await;
    let calm = round(&asker, "/v1.0/users/delta?$select=id").await.0;
    for fault in [Fault::EmptyPage, Fault::Duplicate] {
        simulator.set_weather(Weather { in_a_row_max: 1, ..Weather::only(&[fault], 1.0, 1) });
        let mut seen = ids(&round(&asker, "/v1.0/users/delta?$select=id").await.0.into());
        assert!(fault == Fault::EmptyPage || seen.len() > calm.len());
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), calm.len());
    }
    simulator.set_weather(Weather { in_a_row_max: 1, ..Weather::only(&[Fault::ThrottledSeconds], 1.0, 1) });
    let url = format!("/v1.0/users/{}", simulator.world().people()[0].id);
    assert_eq!(asker.get(&url).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(asker.get(&url).await.status(), StatusCode::OK);
}
