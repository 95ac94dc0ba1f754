//! Change notifications and lifecycle notifications, as Graph posts them or as a queue has kept them.
//!
//! They are hints: of a record they bring the id and nothing else. Read is whatever makes sense, and what does not is counted.
//!
//! Source: Graph, "Set up notifications for changes in resource data", "Reduce missing subscriptions and change notifications" (2026-08).

use serde_json::Value;

use crate::model::time::Age;

/// Documents of a queue may lie in one another; no further down than this.
const DEPTH_MAX: u32 = 8;
/// What comes before the id of a record in `resource`.
const COLLECTION: &str = "communications/callRecords";
/// How long before the word that notifications were missed they may have been: Graph tries for up to four hours.
pub const MISSED_BEFORE: Age = Age::hours(4);
/// Longer ids are none of Graph's.
const ID_BYTES_MAX: usize = 200;

/// One item of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub subscription_id: String,
    /// What the subscription was made with: the only sign that Graph sends it. A secret.
    pub client_state: Option<String>,
    pub tenant_id: Option<String>,
    pub news: News,
}

/// What an item says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A call record was made or has a new version.
    Changed {
        id: String,
    },
    Lifecycle(Lifecycle),
    /// The message by which Graph tests an event hub.
    Test,
    /// Of something else than a call record, or of a form that nobody knows.
    Unknown,
}

/// What Graph says about a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Deliveries stop unless it is renewed.
    ReauthorizationRequired,
    SubscriptionRemoved,
    Missed,
}

/// Reads the body of a request: `{"value": […]}`.
///
/// # Errors
/// One line: it is no JSON, or not of this form.
pub fn batch(body: &[u8]) -> Result<Vec<Notification>, String> {
    let document: Value = serde_json::from_slice(body).map_err(|error| format!("it is no JSON: {error}"))?;
    match document.get("value") {
        Some(Value::Array(items)) => Ok(items.iter().map(notification).collect()),
        _ => Err("it has no array 'value'".to_owned()),
    }
}

/// Finds the notifications of a document of whatever form: a batch, one item, or what a queue wrote around them, also as text in text.
#[must_use]
pub fn anywhere(document: &Value) -> Vec<Notification> {
    let mut found = Vec::new();
    look(document, DEPTH_MAX, &mut found);
    found
}

fn look(value: &Value, depth: u32, found: &mut Vec<Notification>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Object(members) if members.contains_key("subscriptionId") => found.push(notification(value)),
        Value::Object(members) => members.values().for_each(|value| look(value, depth, found)),
        Value::Array(items) => items.iter().for_each(|item| look(item, depth, found)),
        Value::String(text) if text.contains("subscriptionId") => {
            if let Ok(inner) = serde_json::from_str::<Value>(text) {
                look(&inner, depth, found);
            }
        }
        Value::String(text) => {
            // The body of a message, as several tools write it down.
            use base64::{Engine, prelude::BASE64_STANDARD};
            let Ok(bytes) = BASE64_STANDARD.decode(text.trim()) else { return };
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice::<Value>(&bytes) {
                look(&inner, depth, found);
            }
        }
        _ => {}
    }
}

fn notification(item: &Value) -> Notification {
    let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    Notification {
        subscription_id: text("subscriptionId").unwrap_or_default(),
        client_state: text("clientState"),
        tenant_id: text("tenantId"),
        news: news(item),
    }
}

fn news(item: &Value) -> News {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    match text("lifecycleEvent") {
        Some("reauthorizationRequired") => return News::Lifecycle(Lifecycle::ReauthorizationRequired),
        Some("subscriptionRemoved") => return News::Lifecycle(Lifecycle::SubscriptionRemoved),
        Some("missed") => return News::Lifecycle(Lifecycle::Missed),
        Some(_) => return News::Unknown,
        None => {}
    }
    let resource = text("resource").unwrap_or_default();
    if resource == "NA" && text("changeType").is_some_and(|change| change.starts_with("Validation:")) {
        return News::Test;
    }
    let Some(in_path) = id_in(resource) else { return News::Unknown };
    let in_data = item.pointer("/resourceData/id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = in_data.unwrap_or(in_path);
    if is_id(id) { News::Changed { id: usual(id) } } else { News::Unknown }
}

/// The id in `communications/callRecords/{id}` or `communications/callRecords('{id}')`, whatever the case of the words; empty where the
/// path names the collection alone.
fn id_in(resource: &str) -> Option<&str> {
    let path = resource.trim_start_matches('/');
    let (collection, rest) = path.split_at_checked(COLLECTION.len())?;
    if !collection.eq_ignore_ascii_case(COLLECTION) {
        return None;
    }
    match rest.strip_prefix('/') {
        Some(id) => Some(id.split(['/', '?']).next().unwrap_or_default()),
        None if rest.is_empty() => Some(""),
        None => rest.strip_prefix("('")?.strip_suffix("')"),
    }
}

/// Graph spells GUIDs in small letters and takes them in any: by another spelling a record would be archived twice.
fn usual(id: &str) -> String {
    if id.len() == 36 && uuid::Uuid::try_parse(id).is_ok() { id.to_ascii_lowercase() } else { id.to_owned() }
}

/// It becomes part of a path: nothing in it may lead elsewhere.
fn is_id(id: &str) -> bool {
    let is_fit =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'=' | b':' | b'@');
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_fit) && id.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn news_of(item: &Value) -> News {
        let body = json!({ "value": [item] }).to_string();
        batch(body.as_bytes()).unwrap().remove(0).news
    }

    #[test]
    fn an_id_is_taken_from_the_data_or_the_path_in_any_spelling() {
        let id = "e523d2ed-2966-4b6b-925b-754a88034cc5";
        for resource in [
            format!("communications/callRecords/{id}"),
            format!("/communications/callrecords/{id}"),
            format!("communications/callRecords('{id}')"),
            format!("communications/callRecords/{id}?$expand=sessions"),
        ] {
            assert_eq!(news_of(&json!({ "resource": resource })), News::Changed { id: id.to_owned() }, "{resource}");
        }
        let data = json!({ "resource": "communications/callRecords", "resourceData": { "id": id } });
        assert_eq!(news_of(&data), News::Changed { id: id.to_owned() });
    }

    #[test]
    fn a_guid_is_one_id_in_whatever_case() {
        let id = "E523D2ED-2966-4B6B-925B-754A88034CC5";
        let item = json!({ "resource": format!("communications/callRecords/{id}") });
        assert_eq!(news_of(&item), News::Changed { id: id.to_lowercase() });
        // Any other may mean something by its case.
        let item = json!({ "resource": "communications/callRecords/Ab" });
        assert_eq!(news_of(&item), News::Changed { id: "Ab".into() });
    }

    #[test]
    fn what_is_no_call_record_or_would_lead_elsewhere_is_not_taken_for_one() {
        for resource in [
            "users/1",
            "communications/callRecords",
            "communications/callRecords/",
            "communications/callRecords/..",
            "communications/callRecords/a b",
            "communications/callRecords('../../users')",
            "communications/callRecordsX/1",
            "é",
        ] {
            assert_eq!(news_of(&json!({ "resource": resource })), News::Unknown, "{resource}");
        }
        assert_eq!(news_of(&json!({ "resource": "users/1", "resourceData": { "id": "x" } })), News::Unknown);
        assert_eq!(news_of(&json!(7)), News::Unknown);
        assert_eq!(news_of(&json!({ "lifecycleEvent": "paused" })), News::Unknown);
    }

    #[test]
    fn a_body_that_is_no_batch_is_told() {
        for (body, told) in [("", "no JSON"), ("{}", "'value'"), ("[]", "'value'"), (r#"{"value":3}"#, "'value'")] {
            assert!(batch(body.as_bytes()).unwrap_err().contains(told), "{body}");
        }
        assert_eq!(batch(br#"{"value":[]}"#).unwrap(), []);
    }

    #[test]
    fn queues_wrap_notifications_in_many_ways() {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let item = json!({ "subscriptionId": "s", "resource": "communications/callRecords/c1" });
        let batch = json!({ "value": [item, item] }).to_string();
        for (document, count) in [
            (item.clone(), 1),
            (json!([item, item, item]), 3),
            (json!({ "value": [item] }), 1),
            (json!([{ "Body": batch, "SequenceNumber": 1 }]), 2),
            (json!({ "messages": [{ "body": BASE64_STANDARD.encode(&batch) }] }), 2),
            (json!({ "body": "hello", "number": 5 }), 0),
        ] {
            assert_eq!(anywhere(&document).len(), count, "{document}");
        }
        let mut deep = item;
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert_eq!(anywhere(&deep).len(), 0);
    }

    #[test]
    fn the_message_that_tests_an_event_hub_is_no_change() {
        let test = json!({ "subscriptionId": "NA", "resource": "NA",
            "changeType": "Validation: Testing client application reachability for subscription Request-Id: 1" });
        assert_eq!(news_of(&test), News::Test);
    }
}
