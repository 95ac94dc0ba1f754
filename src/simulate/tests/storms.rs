//! Faults of the weather and planted ones, as a client of call records meets them.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    model::time::Age,
    simulate::{
        Counts, Fault, PageSizes, Planted, PlantedFaults, Settings, Simulator, Weather,
        tests::{Asker, LIST, empty, settings, start, text},
    },
};

#[tokio::test]
async fn planted_failures_end_or_stay() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    simulator.plant(Planted::meeting("twice", start() - Age::hours(5)).failing(500, 2));
    simulator.plant(Planted::meeting("never", start() - Age::hours(6)).failing_forever(503));
    let mut statuses = Vec::new();
    for id in ["twice", "twice", "twice", "never", "never", "never"] {
        statuses.push(asker.get(&format!("{LIST}/{id}")).await.status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 200, 503, 503, 503]);
    simulator.trouble("never", PlantedFaults::default());
    assert_eq!(asker.get(&format!("{LIST}/never")).await.status(), StatusCode::OK);
}

/// One request in weather where only `fault` happens.
async fn in_weather(fault: Fault, url: &str) -> (Result<Value, String>, Counts) {
    let weather = Weather { in_a_row_max: 1, ..Weather::only(&[fault], 1.0, 1) };
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let young =
        Planted::meeting("a", start() - Age::hours(3)).sessions(2).version(2, start() - Age::hours(1)).sessions(9);
    simulator.plant(young);
    simulator.set_weather(weather);
    let body = match asker.try_get(url).await {
        Ok(answer) => answer.bytes().await.map_err(|_| "cut".to_owned()),
        Err(_) => Err("no answer".to_owned()),
    };
    let struck = body.map(|body| serde_json::from_slice(&body).unwrap_or_default());
    let again = asker.get(url).await;
    assert_eq!(again.status(), StatusCode::OK, "{fault:?} comes once");
    (struck, simulator.requests())
}

#[tokio::test]
async fn each_fault_does_what_its_name_says() {
    let record = format!("{LIST}/a?$expand=sessions($expand=segments)");
    for fault in [Fault::ThrottledSeconds, Fault::ThrottledDate, Fault::ThrottledBare] {
        let (body, counts) = in_weather(fault, &record).await;
        assert_eq!((body.unwrap()["error"]["code"].as_str(), counts.refused_429), (Some("TooManyRequests"), 1));
    }
    for (fault, code) in [
        (Fault::ServerError, "UnknownError"),
        (Fault::Unavailable, "ServiceUnavailable"),
        (Fault::GatewayTimeout, "GatewayTimeout"),
        (Fault::ErrorWith200, "UnknownError"),
        (Fault::NotFoundYet, "NotFound"),
    ] {
        assert_eq!(in_weather(fault, &record).await.0.unwrap()["error"]["code"], code);
    }
    assert_eq!(in_weather(Fault::BadGateway, &record).await.0, Ok(Value::Null), "not JSON");
    assert_eq!(in_weather(Fault::Reset, &record).await.0, Err("no answer".to_owned()));
    assert_eq!(in_weather(Fault::CutBody, &record).await.0, Err("cut".to_owned()));
    assert_eq!(in_weather(Fault::SlowBody, &record).await.0.unwrap()["version"], 2);
    assert_eq!(in_weather(Fault::LaggingReplica, &record).await.0.unwrap()["version"], 1);
    let empty = in_weather(Fault::EmptyPage, LIST).await.0.unwrap();
    assert!(empty["value"].as_array().unwrap().is_empty() && empty["@odata.nextLink"].is_string());
    let looped = in_weather(Fault::LinkLoop, &format!("{LIST}/a/sessions?$expand=segments")).await.0.unwrap();
    assert!(text(&looped["@odata.nextLink"]).ends_with("/a/sessions?$expand=segments"));
}

#[tokio::test]
async fn duplicates_across_pages_take_nothing_away() {
    let weather = Weather { in_a_row_max: 1, ..Weather::only(&[Fault::Duplicate], 0.9, 1) };
    let page_sizes = PageSizes { list: 10, ..PageSizes::default() };
    let simulator = Simulator::start(Settings { weather, page_sizes, ..settings() }).unwrap();
    let asker = Asker::new(&simulator).await;
    let mut listed: Vec<_> = asker.all(LIST).await.iter().map(|item| text(&item["id"])).collect();
    let with_doubles = listed.len();
    listed.sort();
    listed.dedup();
    assert!(with_doubles > listed.len());
    assert_eq!(listed.len(), simulator.world().expected(simulator.now()).len());
}

#[tokio::test]
async fn a_client_that_tries_again_gets_through_any_storm() {
    let simulator = Simulator::start(Settings { calls_per_day: 6, ..settings() }).unwrap();
    let mut asker = Asker::new(&simulator).await;
    simulator.set_weather(Weather { slow_body: Duration::from_millis(8), ..Weather::faults(0.4, 9) });
    for call in simulator.world().expected(simulator.now()) {
        let url = format!("{LIST}/{}?$expand=sessions($expand=segments)", call.id);
        let mut tries = 0;
        loop {
            tries += 1;
            assert!(tries <= 4, "{url}");
            let Ok(answer) = asker.try_get(&url).await else { continue };
            let status = answer.status();
            let Ok(body) = answer.bytes().await else { continue };
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            if status == StatusCode::OK && body["version"].as_i64() == Some(call.version) {
                break;
            }
            if status == StatusCode::UNAUTHORIZED {
                simulator.set_weather(Weather::faults(0.4, 9));
                asker.renew().await;
            }
        }
    }
    assert!(simulator.requests().faults > 10);
}

#[tokio::test]
async fn lists_may_stop_in_the_middle() {
    let page_sizes = PageSizes { list: 10, ..PageSizes::default() };
    let simulator = Simulator::start(Settings { page_sizes, ..settings() }).unwrap();
    let asker = Asker::new(&simulator).await;
    simulator.set_weather(Weather { list_pages_max: Some(2), ..Weather::calm() });
    let second = asker.read(asker.read(LIST).await["@odata.nextLink"].as_str().unwrap()).await;
    let third = second["@odata.nextLink"].as_str().unwrap();
    assert_eq!(asker.get(third).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    simulator.set_weather(Weather::calm());
    assert_eq!(asker.get(third).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_nested_link_may_lead_back_to_the_record() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    simulator.plant(Planted::meeting("a", start() - Age::hours(5)).sessions(61).meeting_fault(Fault::LinkLoop, 1));
    let url = format!("{LIST}/a?$expand=sessions($expand=segments)");
    let looped = asker.read(&url).await;
    assert_eq!(text(&looped["sessions@odata.nextLink"]), format!("{}{url}", simulator.url()));
    assert_eq!(asker.all(&format!("{LIST}/a/sessions?$expand=segments")).await.len(), 61, "the way round it");
}
