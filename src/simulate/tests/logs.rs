//! The five logs over real HTTP: what may be asked, and how it is answered.

use std::collections::HashSet;

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        CALL_RECORDS_ROLE, Fault, LogKind, PSTN_CALLS_ROLE, PageSizes, PlantedRow, Reshape, Settings, Simulator,
        USERS_BASIC_ROLE, USERS_ROLE, Weather,
        tests::{Asker, empty, json, settings, start, text},
    },
};

/// A small company with a month of logs behind it.
pub(super) fn company() -> Settings {
    Settings { calls_per_day: 50, days: 28, ..settings() }
}

/// A log's URL on beta.
pub(super) fn url(log: LogKind, from: Timestamp, to: Timestamp) -> String {
    format!("/beta/communications/callRecords/{}(fromDateTime={from},toDateTime={to})", log.function())
}

#[tokio::test]
async fn ranges_are_read_as_strictly_as_graph_does() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let of = |range: &str| format!("/v1.0/communications/callRecords/getPstnCalls({range})");
    for (range, status) in [
        ("fromDateTime=2026-08-01,toDateTime=2026-10-30", 200),
        ("fromDateTime=2026-08-01,toDateTime=2026-10-31", 406),
        ("fromDateTime=2026-08-02,toDateTime=2026-08-01", 400),
        ("fromDateTime=2026-08-01,toDateTime=tomorrow", 400),
        ("fromDateTime='2026-08-01',toDateTime='2026-08-02'", 400),
        ("fromDateTime=2026-08-01T00:00:00.1234567Z,toDateTime=2026-08-02T00:00:00Z", 200),
        ("fromDateTime%3D2026-08-01T00%3A00%3A00Z%2CtoDateTime%3D2026-08-02T02:00:00%2B02:00", 200),
        ("fromDateTime=2026-08-01,toDateTime=2030-01-01", 406),
        ("fromDateTime=2026-11-01,toDateTime=2027-01-01", 200),
    ] {
        let answer = asker.get(&of(range)).await;
        assert_eq!(answer.status().as_u16(), status, "{range}");
        let body = json(answer).await;
        assert!(status == 200 || body["error"]["innerError"]["request-id"].is_string(), "{body}");
    }
    let encoded = of("").replace('(', "%28").replace(')', "fromDateTime=2026-08-01,toDateTime=2026-08-02%29");
    assert_eq!(asker.get(&encoded).await.status(), StatusCode::OK);
    let good = of("fromDateTime=2026-08-01,toDateTime=2026-08-02");
    assert_eq!(asker.get(&format!("{good}?$filter=nonsense%20eq%201")).await.status(), StatusCode::OK);
    assert_eq!(asker.get(&format!("{good}?$top=5")).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn three_logs_are_in_beta_only() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    for log in LogKind::ALL {
        let beta = url(log, start() - Age::days(1), start());
        assert_eq!(asker.get(&beta).await.status(), StatusCode::OK);
        let answer = asker.get(&beta.replace("/beta/", "/v1.0/")).await;
        if log.is_beta_only() {
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
            let message = text(&json(answer).await["error"]["message"]);
            assert_eq!(message, format!("Resource not found for the segment '{}'.", log.function()));
        } else {
            assert_eq!(answer.status(), StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn beta_rows_say_more_of_the_same() {
    let simulator = Simulator::start(company()).unwrap();
    let asker = Asker::new(&simulator).await;
    for (log, more) in [
        (LogKind::Pstn, &["otherPartyCountryCode", "clientLocalIpV4Address", "administrativeUnitInfos"][..]),
        (LogKind::DirectRouting, &["userCountryCode", "transferorCorrelationId", "otherPartyCountryCode"][..]),
    ] {
        let beta = url(log, start() - Age::days(20), start());
        let (old, new) = (asker.all(&beta.replace("/beta/", "/v1.0/")).await, asker.all(&beta).await);
        assert!(old.len() == new.len() && old.len() > 20);
        for (old, new) in old.iter().zip(&new) {
            for (name, value) in old.as_object().unwrap() {
                assert_eq!(new.get(name), Some(value), "{name}");
            }
            assert!(more.iter().all(|name| old.get(*name).is_none() && new.get(*name).is_some()), "{old}");
        }
    }
}

#[tokio::test]
async fn a_row_on_the_edge_of_two_windows_is_in_both_where_the_end_belongs_to_the_range() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let midnight = start().floor_to(Age::days(1)) - Age::days(3);
    for (log, in_earlier) in
        [(LogKind::Pstn, 1), (LogKind::Sms, 1), (LogKind::DirectRouting, 0), (LogKind::BlockedUsers, 0)]
    {
        simulator.plant_row(PlantedRow::new(log, midnight));
        let earlier = asker.all(&url(log, midnight - Age::days(1), midnight)).await;
        let later = asker.all(&url(log, midnight, midnight + Age::days(1))).await;
        let after = asker.all(&url(log, midnight + Age(100), midnight + Age::days(1))).await;
        assert_eq!((earlier.len(), later.len(), after.len()), (in_earlier, 1, 0), "{log:?}");
    }
    simulator.plant_row(PlantedRow::new(LogKind::DialOut, midnight));
    assert!(asker.all(&url(LogKind::DialOut, midnight - Age::days(1), midnight)).await.is_empty());
    assert_eq!(asker.all(&url(LogKind::DialOut, midnight, midnight)).await.len(), 0);
    assert_eq!(asker.all(&url(LogKind::DialOut, midnight, midnight + Age::days(1))).await.len(), 1);
}

#[tokio::test]
async fn a_page_has_a_thousand_rows_and_counts_them() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let from = start() - Age::days(2);
    for place in 0..2003 {
        simulator.plant_row(PlantedRow::new(LogKind::Pstn, from + Age::minutes(place)).id(format!("row-{place}")));
    }
    let path = url(LogKind::Pstn, from, start() + Age::days(1)).replace("/beta/", "/v1.0/");
    let first = asker.read(&path).await;
    let link = text(&first["@odata.nextLink"]);
    assert_eq!(link, format!("{}{path}?$skip=1000", simulator.url()));
    assert!(
        text(&first["@odata.context"])
            .ends_with("/v1.0/$metadata#Collection(microsoft.graph.callRecords.pstnCallLogRow)")
    );
    let second = asker.read(&link).await;
    let third = asker.read(&text(&second["@odata.nextLink"])).await;
    let counts = [&first, &second, &third].map(|page| page["@odata.count"].as_i64().unwrap());
    assert_eq!((counts, third.get("@odata.nextLink")), ([1000, 1000, 3], None));
    let ids: Vec<_> = [first, second, third].iter().flat_map(|page| super::ids(&page["value"])).collect();
    assert_eq!(ids, (0..2003).map(|place| format!("row-{place}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_fit_together_wherever_they_are_cut() {
    let page_sizes = PageSizes { log: 3, ..PageSizes::default() };
    let simulator = Simulator::start(Settings { page_sizes, ..company() }).unwrap();
    let asker = Asker::new(&simulator).await;
    let path = url(LogKind::Pstn, start() - Age::days(28), start());
    let all = asker.all(&path).await;
    // In another order than a client would: the place of a page does not hang on the one before.
    for skip in (0..all.len()).rev().step_by(5) {
        let page = asker.read(&format!("{path}?$skip={skip}")).await;
        assert_eq!(page["value"][0], all[skip]);
    }
}

#[tokio::test]
async fn each_source_wants_its_permission() {
    let log = url(LogKind::Sms, start() - Age::days(1), start());
    let list = "/v1.0/communications/callRecords".to_owned();
    for (role, opened) in [
        (CALL_RECORDS_ROLE, [true, true, false]),
        (PSTN_CALLS_ROLE, [false, true, false]),
        (USERS_ROLE, [false, false, true]),
        (USERS_BASIC_ROLE, [false, false, true]),
        ("Mail.Read", [false, false, false]),
    ] {
        let simulator = Simulator::start(Settings { roles: vec![role.to_owned()], ..empty() }).unwrap();
        let asker = Asker::new(&simulator).await;
        for (path, opened) in [list.clone(), log.clone(), "/v1.0/users".to_owned()].iter().zip(opened) {
            let answer = asker.get(path).await;
            assert_eq!(answer.status().as_u16(), if opened { 200 } else { 403 }, "{role} {path}");
            let body = json(answer).await;
            assert!(opened || text(&body["error"]["message"]).contains("Read"), "{body}");
        }
    }
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    for path in [&list, &log, &"/v1.0/users".to_owned()] {
        assert_eq!(
            asker.get(path).await.status(),
            StatusCode::OK,
            "a simulator of its own accord grants what is wanted"
        );
    }
}

#[tokio::test]
async fn a_log_may_vanish_change_and_come_back() {
    let simulator = Simulator::start(Settings { gone: vec![(LogKind::Sms, 404)], ..company() }).unwrap();
    let asker = Asker::new(&simulator).await;
    let sms = url(LogKind::Sms, start() - Age::days(28), start());
    let pstn = url(LogKind::Pstn, start() - Age::days(28), start());
    assert_eq!(asker.get(&sms).await.status(), StatusCode::NOT_FOUND);
    simulator.set_gone(&[(LogKind::Pstn, 400)]);
    assert_eq!(asker.get(&sms).await.status(), StatusCode::OK);
    let gone = asker.get(&pstn).await;
    assert_eq!(gone.status(), StatusCode::BAD_REQUEST);
    assert!(text(&json(gone).await["error"]["message"]).contains("'getPstnCalls'"));
    simulator.set_gone(&[]);
    let usual = asker.all(&pstn).await;
    assert!(usual.iter().filter(|row| row["id"].is_string()).count() > 20);
    simulator.set_reshaped(&[(LogKind::Pstn, Reshape::WithoutId), (LogKind::Sms, Reshape::NoValue)]);
    let changed = asker.all(&pstn).await;
    assert!(changed.len() == usual.len() && changed.iter().all(|row| row.get("id").is_none()));
    assert!(asker.read(&sms).await.get("value").is_none());
    simulator.set_reshaped(&[(LogKind::Pstn, Reshape::UnknownMembers)]);
    assert!(asker.all(&pstn).await.iter().all(|row| row["billingDetail"].is_object() && row.get("charge").is_some()));
    assert_eq!(simulator.requests().of_log(LogKind::Pstn), 4);
    assert_eq!(simulator.requests().of_log(LogKind::Sms), 3);
}

#[tokio::test]
async fn a_client_that_tries_again_gets_every_row_through_any_storm() {
    let page_sizes = PageSizes { log: 5, ..PageSizes::default() };
    let simulator = Simulator::start(Settings { page_sizes, ..company() }).unwrap();
    let mut asker = Asker::new(&simulator).await;
    simulator.set_weather(Weather { slow_body: std::time::Duration::from_millis(8), ..Weather::faults(0.4, 9) });
    let first = format!("{}{}", simulator.url(), url(LogKind::Pstn, start() - Age::days(40), start()));
    let mut next = Some(first);
    let (mut seen, mut tries) = (HashSet::new(), 0);
    while let Some(link) = &next {
        tries += 1;
        assert!(tries < 300);
        let Ok(answer) = asker.try_get(link).await else { continue };
        if answer.status() == StatusCode::UNAUTHORIZED {
            asker.renew_in_storm().await;
            continue;
        }
        let (status, Ok(body)) = (answer.status(), answer.bytes().await) else { continue };
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(rows) = body["value"].as_array().filter(|_| status == StatusCode::OK) else { continue };
        seen.extend(rows.iter().map(ToString::to_string));
        // A page that leads to itself is asked for again.
        next = body["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(seen.len(), simulator.world().expected_rows(LogKind::Pstn, simulator.now()).len());
    assert!(simulator.requests().faults > 5, "{:?}", simulator.requests());
}

#[tokio::test]
async fn logs_may_stop_in_the_middle_or_be_refused_one_by_one() {
    let page_sizes = PageSizes { log: 10, ..PageSizes::default() };
    let simulator = Simulator::start(Settings { page_sizes, ..company() }).unwrap();
    let asker = Asker::new(&simulator).await;
    simulator.set_weather(Weather { log_pages_max: Some(2), ..Weather::calm() });
    let path = url(LogKind::Pstn, start() - Age::days(28), start());
    let second = asker.read(&text(&asker.read(&path).await["@odata.nextLink"])).await;
    let third = text(&second["@odata.nextLink"]);
    assert_eq!(asker.get(&third).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    simulator.set_weather(Weather::calm());
    assert_eq!(asker.get(&third).await.status(), StatusCode::OK);
    simulator.set_gone(&[(LogKind::Pstn, 403)]);
    assert_eq!(asker.get(&third).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(asker.get(&path.replace("PstnCalls", "DirectRoutingCalls")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn later_pages_may_grow_old() {
    let page_sizes = PageSizes { log: 5, ..PageSizes::default() };
    let life = Some(Age::hours(1));
    let simulator = Simulator::start(Settings { page_sizes, skip_token_life: life, ..company() }).unwrap();
    let asker = Asker::new(&simulator).await;
    let path = url(LogKind::DirectRouting, start() - Age::days(28), start());
    assert_eq!(asker.get(&format!("{path}?$skip=5")).await.status(), StatusCode::BAD_REQUEST, "nobody was given it");
    let next = text(&asker.read(&path).await["@odata.nextLink"]);
    assert_eq!(asker.get(&next).await.status(), StatusCode::OK);
    simulator.advance(Age::hours(2));
    assert_eq!(asker.get(&next).await.status(), StatusCode::BAD_REQUEST);
    asker.read(&path).await;
    assert_eq!(asker.get(&next).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn empty_pages_and_loops_befall_logs_too() {
    let simulator = Simulator::start(company()).unwrap();
    let asker = Asker::new(&simulator).await;
    let path = url(LogKind::Sms, start() - Age::days(28), start());
    let calm = asker.all(&path).await;
    for (fault, link) in [(Fault::EmptyPage, format!("{path}?$skip=0")), (Fault::LinkLoop, path.clone())] {
        simulator.set_weather(Weather { in_a_row_max: 1, ..Weather::only(&[fault], 1.0, 1) });
        let page = asker.read(&path).await;
        assert_eq!(text(&page["@odata.nextLink"]), format!("{}{link}", simulator.url()));
        assert_eq!(page["@odata.count"].as_u64(), Some(page["value"].as_array().unwrap().len() as u64));
        assert_eq!(asker.all(&format!("{path}?$skip=0")).await, calm);
    }
}
