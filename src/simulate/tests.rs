//! The simulator over real HTTP, asked by a client of a few lines that shares nothing with the product's.

use std::{collections::HashMap, time::Duration};

use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{ExpectedCall, Limits, PageSizes, Planted, Rate, Settings, Simulator},
};

mod logs;
mod notifications;
mod receiver;
mod rows;
mod storms;
mod subscriptions;
mod users;

const LIST: &str = "/v1.0/communications/callRecords";

fn start() -> Timestamp {
    Timestamp::parse("2026-11-20T15:00:00Z").unwrap()
}

fn settings() -> Settings {
    Settings {
        users: 40,
        calls_per_day: 25,
        days: 10,
        start_clock: Some(start()),
        limits: Limits::off(),
        ..Settings::default()
    }
}

fn empty() -> Settings {
    Settings { calls_per_day: 0, ..settings() }
}

struct Asker<'a> {
    simulator: &'a Simulator,
    http: reqwest::Client,
    token: String,
}

impl<'a> Asker<'a> {
    async fn new(simulator: &'a Simulator) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let mut asker = Asker { simulator, http, token: String::new() };
        asker.renew().await;
        asker
    }

    async fn renew(&mut self) {
        let answer = self.log_in("contoso.com", &[]).await;
        self.token = json(answer).await["access_token"].as_str().unwrap().to_owned();
    }

    /// Gets a token whatever the weather does to it.
    async fn renew_in_storm(&mut self) {
        loop {
            let Ok(answer) = self.try_log_in("contoso.com", &[]).await else { continue };
            let Ok(body) = answer.bytes().await else { continue };
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let Some(token) = body["access_token"].as_str() {
                token.clone_into(&mut self.token);
                return;
            }
        }
    }

    /// Asks for a token with the right fields but those given.
    async fn log_in(&self, tenant: &str, changes: &[(&str, &str)]) -> Response {
        self.try_log_in(tenant, changes).await.unwrap()
    }

    async fn try_log_in(&self, tenant: &str, changes: &[(&str, &str)]) -> reqwest::Result<Response> {
        let mut form = HashMap::from([
            ("grant_type", "client_credentials"),
            ("client_id", self.simulator.client_id()),
            ("client_secret", self.simulator.client_secret()),
            ("scope", "https://graph.microsoft.com/.default"),
        ]);
        form.extend(changes.iter().copied());
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.simulator.url());
        self.http.post(url).form(&form).send().await
    }

    async fn try_get(&self, url: &str) -> reqwest::Result<Response> {
        let url = if url.starts_with("http") { url.to_owned() } else { format!("{}{url}", self.simulator.url()) };
        self.http.get(url).bearer_auth(&self.token).send().await
    }

    async fn get(&self, url: &str) -> Response {
        self.try_get(url).await.unwrap()
    }

    async fn read(&self, url: &str) -> Value {
        let answer = self.get(url).await;
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        json(answer).await
    }

    /// All items of a page and those behind it.
    async fn all(&self, url: &str) -> Vec<Value> {
        let mut page = self.read(url).await;
        let mut items = page["value"].as_array().unwrap().clone();
        while let Some(next) = page["@odata.nextLink"].as_str() {
            page = self.read(next).await;
            items.extend(page["value"].as_array().unwrap().clone());
        }
        items
    }

    /// A record with all its sessions and participants.
    async fn whole(&self, id: &str) -> Value {
        let mut record = self.read(&format!("{LIST}/{id}?$expand=sessions($expand=segments)")).await;
        let people = self.read(&format!("{LIST}/{id}?$select=participants_v2&$expand=participants_v2")).await;
        for (part, source) in [("sessions", record.clone()), ("participants_v2", people)] {
            let mut items = source[part].as_array().unwrap().clone();
            if let Some(next) = source[format!("{part}@odata.nextLink")].as_str() {
                items.extend(self.all(next).await);
            }
            record[part] = items.into();
        }
        record
    }
}

async fn json(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn ids(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
}

/// What a body says, in the words of the truth.
fn told(record: &Value) -> ExpectedCall {
    let sessions = record["sessions"].as_array().unwrap();
    ExpectedCall {
        id: text(&record["id"]),
        version: record["version"].as_i64().unwrap(),
        start: Timestamp::parse(record["startDateTime"].as_str().unwrap()).unwrap(),
        end: Timestamp::parse(record["endDateTime"].as_str().unwrap()).unwrap(),
        call_type: text(&record["type"]),
        organizer_id: record["organizer_v2"]["id"].as_str().map(str::to_owned),
        session_ids: ids(&record["sessions"]),
        participant_ids: ids(&record["participants_v2"]),
        failed: sessions.iter().any(|session| !session["failureInfo"].is_null()),
        segments: sessions.iter().map(|session| session["segments"].as_array().unwrap().len()).sum(),
    }
}

#[tokio::test]
async fn everything_listed_and_read_to_the_end_is_what_the_world_expects() {
    let simulator = Simulator::start(settings()).unwrap();
    let asker = Asker::new(&simulator).await;
    let mut seen = Vec::new();
    for item in asker.all(LIST).await {
        assert!(item.get("sessions").is_none() && item["participants"] == Value::Array(Vec::new()));
        seen.push(told(&asker.whole(item["id"].as_str().unwrap()).await));
    }
    seen.sort_by(|one, other| (one.start, &one.id).cmp(&(other.start, &other.id)));
    let expected = simulator.world().expected(simulator.now());
    assert!(expected.len() > 150, "{}", expected.len());
    assert_eq!(seen, expected);
    let counts = simulator.requests();
    assert_eq!(counts.list, (expected.len() as u64).div_ceil(60));
    assert_eq!((counts.get, counts.participants), (expected.len() as u64, expected.len() as u64));
    assert_eq!(simulator.requests_for(&expected[0].id), 2);
}

#[tokio::test]
async fn windows_that_touch_list_every_call_once() {
    let simulator = Simulator::start(settings()).unwrap();
    let asker = Asker::new(&simulator).await;
    let mut listed = Vec::new();
    for hour in (0..11 * 24).step_by(7) {
        let from = (start() - Age::hours(11 * 24 - hour)).to_seconds_text();
        let to = (start() - Age::hours(11 * 24 - hour - 7)).to_seconds_text();
        let url = format!("{LIST}?$filter=startDateTime%20ge%20{from}%20and%20startDateTime%20lt%20{to}");
        listed.extend(asker.all(&url).await.iter().map(|item| text(&item["id"])));
    }
    listed.sort();
    let mut expected: Vec<_> = simulator.world().expected(simulator.now()).into_iter().map(|call| call.id).collect();
    expected.sort();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn lists_may_ask_for_one_participant() {
    let simulator = Simulator::start(settings()).unwrap();
    let asker = Asker::new(&simulator).await;
    let person = &simulator.world().people()[3];
    let url = format!("{LIST}?$filter=participants_v2/any(p:p/id%20eq%20'{}')", person.id);
    let expected = simulator.world().expected(simulator.now());
    let with_person = expected.iter().filter(|call| call.participant_ids.contains(&person.id)).count();
    assert!(with_person > 0);
    assert_eq!(asker.all(&url).await.len(), with_person);
}

#[tokio::test]
async fn a_planted_meeting_of_61_sessions_and_131_participants_has_nested_pages() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    simulator.plant(Planted::meeting("meeting-1", start() - Age::hours(3)).sessions(61).participants(131));
    let record = asker.read(&format!("{LIST}/meeting-1?$expand=sessions($expand=segments)")).await;
    assert_eq!(record["sessions"].as_array().unwrap().len(), 60);
    let next = record["sessions@odata.nextLink"].as_str().unwrap();
    let refused = asker.get(&format!("{next}&$expand=segments")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.text().await.unwrap().contains("Term 'segments)' is not valid"));
    let whole = asker.whole("meeting-1").await;
    assert_eq!(simulator.world().expected(simulator.now()), [told(&whole)]);
    assert_eq!((ids(&whole["sessions"]).len(), ids(&whole["participants_v2"]).len()), (61, 131));
    assert!(whole["sessions"].as_array().unwrap().iter().all(|session| session["segments"][0]["media"].is_array()));
    let fallback = asker.all(&format!("{LIST}/meeting-1/sessions?$expand=segments")).await;
    assert_eq!(Value::Array(fallback), whole["sessions"]);
    assert_eq!(Value::Array(asker.all(&format!("{LIST}/meeting-1/participants_v2")).await), whole["participants_v2"]);
    let counts = simulator.requests();
    assert_eq!((counts.sessions_page, counts.participants_page), (4, 2));
}

#[tokio::test]
async fn planted_members_arrive_letter_for_letter() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let odd = r#""unknownThing":{"a":1e-7, "b":-0.0,"c":9007199254740993}"#;
    let session = r#"{"id":"s1","segments":[],"strange":1.50}"#;
    simulator.plant(
        Planted::meeting("odd", start() - Age::hours(5))
            .extra_members(odd)
            .raw_sessions([session])
            .raw_participants([r#"{"id":"p1"}"#]),
    );
    let body = asker.get(&format!("{LIST}/odd?$expand=sessions($expand=segments)")).await.text().await.unwrap();
    assert!(body.contains(odd) && body.contains(session), "{body}");
}

#[tokio::test]
async fn a_call_appears_grows_and_expires_as_time_passes() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let call = Planted::meeting("grows", start() - Age::hours(1))
        .sessions(2)
        .version(2, start() + Age::minutes(65))
        .sessions(4)
        .version(5, start() + Age::days(2));
    simulator.plant(call);
    let url = format!("{LIST}/grows");
    let missing = asker.get(&url).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(json(missing).await["error"]["code"], "NotFound");
    assert!(asker.all(LIST).await.is_empty());
    for (wait, version, sessions) in [(Age::minutes(11), 1, 2), (Age::minutes(60), 2, 4), (Age::days(3), 5, 4)] {
        simulator.advance(wait);
        assert_eq!(asker.all(LIST).await[0]["version"], version);
        let record = asker.whole("grows").await;
        assert_eq!((record["version"].as_i64(), ids(&record["sessions"]).len()), (Some(version), sessions));
        assert_eq!(simulator.world().visible_versions("grows", simulator.now()).last(), Some(&version));
    }
    simulator.advance(Age::days(27));
    let gone = asker.get(&url).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert!(gone.text().await.unwrap().contains("more than 30 days ago"));
    assert!(asker.all(LIST).await.is_empty());
    assert_eq!(simulator.world().expected(simulator.now())[0].version, 5, "an archive keeps it");
}

#[tokio::test]
async fn the_world_goes_on_while_time_passes_and_the_date_tells() {
    let simulator = Simulator::start(settings()).unwrap();
    let asker = Asker::new(&simulator).await;
    let before = asker.all(LIST).await.len();
    simulator.advance(Age::days(5));
    let answer = asker.get(LIST).await;
    let date = Timestamp::parse_http(answer.headers()["date"].to_str().unwrap()).unwrap();
    assert!((simulator.now() - date) < Age::seconds(5) && date > start() + Age::days(4));
    assert!(asker.all(LIST).await.len() > before + 60);
}

#[tokio::test]
async fn the_login_host_names_what_is_wrong() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let tenant = simulator.tenant_id().to_owned();
    for (tenant, field, value, status, code) in [
        (&tenant, "client_secret", "wrong", 401, 7_000_215),
        (&tenant, "client_id", "00000000-0000-0000-0000-000000000000", 400, 700_016),
        (&"elsewhere.example".to_owned(), "client_secret", "any", 400, 90_002),
        (&tenant, "scope", "https://graph.microsoft.us/.default", 400, 1_002_012),
        (&tenant, "grant_type", "password", 400, 70_003),
    ] {
        let answer = asker.log_in(tenant, &[(field, value)]).await;
        assert_eq!(answer.status().as_u16(), status);
        let body = json(answer).await;
        assert_eq!(body["error_codes"][0], code, "{body}");
        assert!(text(&body["error_description"]).starts_with(&format!("AADSTS{code}: ")));
    }
    let own = format!("{}/.default", simulator.url());
    let answer = json(asker.log_in(&tenant, &[("scope", &own)]).await).await;
    assert_eq!((answer["token_type"].as_str(), answer["expires_in"].as_i64()), (Some("Bearer"), Some(3599)));
    assert_eq!(text(&answer["access_token"]).split('.').count(), 3);
}

#[tokio::test]
async fn graph_wants_a_token_that_is_good() {
    let simulator = Simulator::start(Settings { token_life: Duration::from_millis(300), ..empty() }).unwrap();
    let mut asker = Asker::new(&simulator).await;
    assert_eq!(asker.get(LIST).await.status(), StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(350)).await;
    let refused = asker.get(LIST).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(json(refused).await["error"]["code"], "InvalidAuthenticationToken");
    asker.renew().await;
    assert_eq!(asker.get(LIST).await.status(), StatusCode::OK);
    simulator.revoke_tokens();
    assert_eq!(asker.get(LIST).await.status(), StatusCode::UNAUTHORIZED);
    asker.token = "nonsense".to_owned();
    assert_eq!(asker.get(LIST).await.status(), StatusCode::UNAUTHORIZED);

    let poor = Simulator::start(Settings { roles: vec!["User.Read.All".to_owned()], ..empty() }).unwrap();
    let asker = Asker::new(&poor).await;
    assert_eq!(asker.get(LIST).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn too_many_requests_are_refused_with_a_wait() {
    let app = Some(Rate { requests: 12, per: Duration::from_secs(3) });
    let simulator = Simulator::start(Settings { limits: Limits { app, ..Limits::documented() }, ..empty() }).unwrap();
    simulator.plant(Planted::meeting("a", start() - Age::hours(5)));
    let asker = Asker::new(&simulator).await;
    for _ in 0..10 {
        assert_eq!(asker.get(&format!("{LIST}/a")).await.status(), StatusCode::OK);
    }
    let record = asker.get(&format!("{LIST}/a/participants_v2")).await;
    assert_eq!(record.status(), StatusCode::TOO_MANY_REQUESTS, "ten of one record in 20 seconds");
    assert!((18..=20).contains(&wait_s(&record)));
    assert_eq!(asker.get(LIST).await.status(), StatusCode::OK);
    let all = asker.get(LIST).await;
    assert_eq!(all.status(), StatusCode::TOO_MANY_REQUESTS, "the thirteenth of the application");
    let wait_s = wait_s(&all);
    assert_eq!(json(all).await["error"]["code"], "TooManyRequests");
    tokio::time::sleep(Duration::from_secs(wait_s)).await;
    assert_eq!(asker.get(LIST).await.status(), StatusCode::OK);
    assert_eq!(simulator.requests().refused_429, 2);
}

fn wait_s(answer: &Response) -> u64 {
    answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_graph_does_not_offer_is_a_bad_request() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    simulator.plant(Planted::meeting("a", start() - Age::hours(5)));
    for url in ["?$top=5", "?$expand=sessions", "/a?$expand=sessions,participants_v2", "?$skiptoken=nonsense"] {
        let refused = asker.get(&format!("{LIST}{url}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{url}");
        let id = refused.headers()["request-id"].to_str().unwrap().to_owned();
        let body = json(refused).await;
        assert_eq!(
            (body["error"]["innerError"]["request-id"].as_str(), body["error"]["code"].as_str()),
            (Some(&*id), Some("BadRequest"))
        );
    }
    assert_eq!(asker.get("/v1.0/groups").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(asker.get(&format!("{LIST}/nobody")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn next_links_may_grow_old_and_pages_may_be_smaller() {
    let page_sizes = PageSizes { list: 5, ..PageSizes::default() };
    let life = Some(Age::hours(1));
    let simulator = Simulator::start(Settings { page_sizes, skip_token_life: life, ..settings() }).unwrap();
    let asker = Asker::new(&simulator).await;
    let page = asker.read(LIST).await;
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(page["value"].as_array().unwrap().len(), 5);
    assert_eq!(asker.get(next).await.status(), StatusCode::OK);
    simulator.advance(Age::hours(2));
    assert_eq!(asker.get(next).await.status(), StatusCode::BAD_REQUEST);
    let smaller = asker.http.get(format!("{}{LIST}", simulator.url())).header("Prefer", "odata.maxpagesize=2");
    let smaller = json(smaller.bearer_auth(&asker.token).send().await.unwrap()).await;
    assert_eq!(smaller["value"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn records_have_the_documented_members() {
    let simulator = Simulator::start(settings()).unwrap();
    let asker = Asker::new(&simulator).await;
    let expected = simulator.world().expected(simulator.now());
    for call in expected.iter().take(60) {
        let record = asker.whole(&call.id).await;
        for session in record["sessions"].as_array().unwrap() {
            for media in
                session["segments"].as_array().unwrap().iter().flat_map(|segment| segment["media"].as_array().unwrap())
            {
                for (part, members) in
                    [("callerNetwork", 26), ("calleeNetwork", 26), ("callerDevice", 21), ("calleeDevice", 21)]
                {
                    assert_eq!(media[part].as_object().unwrap().len(), members, "{}", media[part]);
                }
                for stream in media["streams"].as_array().unwrap() {
                    assert_eq!(stream.as_object().unwrap().len(), 30, "{stream}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_same_seed_writes_the_same_bytes_and_gzip_carries_them() {
    let mut bodies = Vec::new();
    for gzip in [true, false] {
        let simulator = Simulator::start(Settings { gzip, ..settings() }).unwrap();
        let asker = Asker::new(&simulator).await;
        let id = &simulator.world().expected(start())[5].id;
        let answer = asker.get(&format!("{LIST}/{id}?$expand=sessions($expand=segments)")).await;
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies[0] == bodies[1] && bodies[0].len() > 3000);
}

#[test]
fn a_simulator_stops_soon_and_frees_its_port() {
    let simulator = Simulator::start(empty()).unwrap();
    let port = simulator.url().rsplit(':').next().unwrap().parse().unwrap();
    simulator.stop();
    Simulator::start(Settings { port, ..empty() }).unwrap();
}

#[tokio::test]
async fn a_planted_call_is_replaced_by_one_of_the_same_id() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    simulator.plant(Planted::meeting("a", start() - Age::hours(5)));
    simulator.plant(Planted::meeting("a", start() - Age::hours(6)).sessions(7));
    assert_eq!(asker.all(LIST).await.len(), 1);
    assert_eq!(ids(&asker.whole("a").await["sessions"]).len(), 7);
}
