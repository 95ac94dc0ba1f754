//! Subscriptions: what one may be, and those that there are.

use std::collections::BTreeMap;

use serde_json::Value;
use url::{Host, Url};

use crate::{
    model::time::{Age, Timestamp},
    simulate::watched::Watched,
};

const LIFE_MAX: Age = Age::minutes(4230);
const LIFE_MIN: Age = Age::minutes(45);
/// Above this life a subscription must say where its lifecycle events go.
const LIFE_WITHOUT_LIFECYCLE_MAX: Age = Age::hours(1);
/// Of an organisation.
pub(super) const QUOTA: usize = 100;
const CLIENT_STATE_MAX: usize = 128;
const TLS_VERSIONS: [&str; 4] = ["v1_0", "v1_1", "v1_2", "v1_3"];

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Its first version appeared.
    Created,
    /// Any version appeared, the first among them.
    Updated,
}

impl Change {
    pub(super) fn name(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Updated => "updated",
        }
    }

    /// The changes that a version is.
    fn of(edition: usize) -> &'static [Change] {
        if edition == 0 { &[Change::Created, Change::Updated] } else { &[Change::Updated] }
    }
}

/// A subscription as it is asked for: all about it is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    /// As it was written.
    pub(super) resource: String,
    pub(super) watched: Watched,
    /// Rising, each once.
    pub(super) changes: Vec<Change>,
    pub(super) notification_url: String,
    pub(super) lifecycle_url: Option<String>,
    pub(super) client_state: Option<String>,
    pub(super) expiry: Timestamp,
    pub(super) tls_version: String,
}

/// A subscription.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    /// What was asked for, with what was changed since.
    pub(super) draft: Draft,
    pub(super) made: Timestamp,
    /// When its life, the present one, began.
    pub(super) renewed: Timestamp,
    /// Since when an answer to `reauthorizationRequired` is waited for.
    pub(super) asked: Option<Timestamp>,
    /// Whether it was asked in this life: once is enough.
    pub(super) was_asked: bool,
}

/// What a test may know of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionView {
    pub id: String,
    pub resource: String,
    /// `created`, `updated` or `created,updated`.
    pub change_type: String,
    pub notification_url: String,
    pub lifecycle_url: Option<String>,
    pub expiry: Timestamp,
    /// Whether deliveries are held for want of reauthorization.
    pub is_held: bool,
}

impl Draft {
    /// Reads the body of a request; the error is the message of a 400.
    pub(super) fn of(body: &Value, now: Timestamp) -> Result<Self, String> {
        let required = |name| text(body, name)?.ok_or_else(|| missing(name));
        let changes = read_changes(required("changeType")?)?;
        let resource = required("resource")?.to_owned();
        let watched = Watched::of(&resource)?;
        let notification_url = read_url("notificationUrl", required("notificationUrl")?)?;
        let expiry = read_expiry(required("expirationDateTime")?, now)?;
        let lifecycle_url = text(body, "lifecycleNotificationUrl")?;
        let lifecycle_url = lifecycle_url.map(|url| read_url("lifecycleNotificationUrl", url)).transpose()?;
        if lifecycle_url.is_none() && expiry - now > LIFE_WITHOUT_LIFECYCLE_MAX {
            return Err(
                "lifecycleNotificationUrl is a required property for subscription creation on this resource when the expirationDateTime value is set to greater than 1 hour."
                    .to_owned(),
            );
        }
        let client_state = text(body, "clientState")?.map(str::to_owned);
        if client_state.as_ref().is_some_and(|state| state.chars().count() > CLIENT_STATE_MAX) {
            return Err(format!("The clientState exceeds the maximum length of {CLIENT_STATE_MAX} characters."));
        }
        if body.get("includeResourceData").and_then(Value::as_bool) == Some(true) {
            return Err("Resource data cannot be included in notifications for this resource.".to_owned());
        }
        let tls_version = text(body, "latestSupportedTlsVersion")?.unwrap_or("v1_2").to_owned();
        if !TLS_VERSIONS.contains(&tls_version.as_str()) {
            return Err(format!("Invalid value '{tls_version}' for latestSupportedTlsVersion."));
        }
        Ok(Self { resource, watched, changes, notification_url, lifecycle_url, client_state, expiry, tls_version })
    }

    pub(super) fn change_type(&self) -> String {
        self.changes.iter().map(|change| change.name()).collect::<Vec<_>>().join(",")
    }
}

impl Subscription {
    pub(super) fn new(id: String, draft: Draft, now: Timestamp) -> Self {
        Self { id, draft, made: now, renewed: now, asked: None, was_asked: false }
    }

    pub(super) fn expiry(&self) -> Timestamp {
        self.draft.expiry
    }

    /// Begins another life up to `expiry`.
    pub(super) fn renew(&mut self, expiry: Timestamp, now: Timestamp) {
        (self.draft.expiry, self.renewed) = (expiry, now);
        (self.asked, self.was_asked) = (None, false);
    }

    /// What it is told when a version appears.
    pub(super) fn wants(&self, edition: usize) -> impl Iterator<Item = Change> {
        Change::of(edition).iter().copied().filter(|change| self.draft.changes.contains(change))
    }

    pub(super) fn is_held(&self, now: Timestamp, patience: Age) -> bool {
        self.asked.is_some_and(|asked| now - asked > patience)
    }

    /// When it is asked to be reauthorized, `before` its end but not in the first half of its life.
    pub(super) fn asks_at(&self, before: Age) -> Timestamp {
        self.expiry() - before.min(Age((self.expiry() - self.renewed).0 / 2))
    }

    pub(super) fn view(&self, now: Timestamp, patience: Age) -> SubscriptionView {
        SubscriptionView {
            id: self.id.clone(),
            resource: self.draft.resource.clone(),
            change_type: self.draft.change_type(),
            notification_url: self.draft.notification_url.clone(),
            lifecycle_url: self.draft.lifecycle_url.clone(),
            expiry: self.expiry(),
            is_held: self.is_held(now, patience),
        }
    }
}

/// Why a subscription is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// This one has the same resource and changes.
    Exists(String),
    QuotaIsReached,
}

/// The subscriptions that there are, by id.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<String, Subscription>);

impl Subscriptions {
    /// Forgets those whose end has come.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, subscription| subscription.expiry() > now);
    }

    pub(super) fn objection(&self, draft: &Draft) -> Option<Objection> {
        let is_same =
            |known: &&Subscription| known.draft.watched == draft.watched && known.draft.changes == draft.changes;
        let exists = self.0.values().find(is_same).map(|known| Objection::Exists(known.id.clone()));
        exists.or_else(|| (self.0.len() >= QUOTA).then_some(Objection::QuotaIsReached))
    }

    pub(super) fn insert(&mut self, subscription: Subscription) {
        self.0.insert(subscription.id.clone(), subscription);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Subscription> {
        self.0.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Subscription> {
        self.0.get_mut(id)
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Subscription> {
        self.0.remove(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.0.values()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

pub(super) fn missing(name: &str) -> String {
    format!("Missing required property '{name}'.")
}

/// A member that is text, or is not there.
pub(super) fn text<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, String> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("Cannot convert the value of property '{name}' to the expected type 'Edm.String'.")),
    }
}

fn read_changes(text: &str) -> Result<Vec<Change>, String> {
    let read = |word: &str| match word.trim() {
        "created" => Ok(Change::Created),
        "updated" => Ok(Change::Updated),
        _ => Err(format!("The changeType '{text}' is not supported for this resource.")),
    };
    let mut changes = text.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
    changes.sort();
    changes.dedup();
    Ok(changes)
}

/// The end of a life: not too far away, and raised when too near.
pub(super) fn read_expiry(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let asked = Timestamp::parse(text).ok_or_else(|| {
        format!(
            "Cannot convert the literal '{text}' of 'expirationDateTime' to the expected type 'Edm.DateTimeOffset'."
        )
    })?;
    if asked - now > LIFE_MAX {
        let most = LIFE_MAX.whole_seconds() / 60;
        return Err(format!("Subscription expiration can only be {most} minutes in the future."));
    }
    Ok(asked.max(now + LIFE_MIN))
}

/// Where notifications may go: over https, and without it on this machine, as there may be no TLS before a test's receiver.
pub(super) fn read_url(name: &str, text: &str) -> Result<String, String> {
    let refused = || format!("The {name} must be a valid HTTPS URL: '{text}'.");
    let url = Url::parse(text).map_err(|_| refused())?;
    let is_allowed = match url.scheme() {
        "https" => url.host().is_some(),
        "http" => is_loopback(&url),
        _ => false,
    };
    if is_allowed { Ok(text.to_owned()) } else { Err(refused()) }
}

/// Whether a URL names this machine by an address of its own or as `localhost`.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-20T15:00:00Z").unwrap()
    }

    fn asked(changes: &[(&str, Value)]) -> Result<Draft, String> {
        let mut body = json!({
            "changeType": "updated",
            "notificationUrl": "https://archive.contoso.com/graph/notify",
            "lifecycleNotificationUrl": "https://archive.contoso.com/graph/lifecycle",
            "resource": "/communications/callRecords",
            "expirationDateTime": "2026-11-21T15:00:00.0000000Z",
            "clientState": "s".repeat(128),
        });
        for (name, value) in changes {
            body[*name] = value.clone();
        }
        Draft::of(&body, now())
    }

    #[test]
    fn what_may_be_subscribed_to() {
        let draft = asked(&[]).unwrap();
        assert_eq!((draft.expiry - now(), draft.tls_version.as_str()), (Age::days(1), "v1_2"));
        assert_eq!(
            asked(&[("changeType", json!("updated, created,updated"))]).unwrap().change_type(),
            "created,updated"
        );
        let soon = asked(&[("expirationDateTime", json!("2026-11-20T15:01:00Z"))]).unwrap();
        assert_eq!(soon.expiry - now(), Age::minutes(45));
        let longest = now() + Age::minutes(4230);
        assert!(asked(&[("expirationDateTime", json!(longest))]).is_ok());
        let hour = [("lifecycleNotificationUrl", json!(null)), ("expirationDateTime", json!(now() + Age::hours(1)))];
        assert!(asked(&hour).is_ok());
        for url in ["http://127.0.0.1:9/a?b=c", "http://localhost:9", "http://[::1]:9", "https://a.example"] {
            assert!(asked(&[("notificationUrl", json!(url))]).is_ok(), "{url}");
        }
        for (name, wrong) in [
            ("changeType", json!("deleted")),
            ("changeType", json!("created,deleted")),
            ("changeType", json!("")),
            ("changeType", json!(null)),
            ("resource", json!("/communications/callrecord")),
            ("resource", json!(null)),
            ("resource", json!(7)),
            ("notificationUrl", json!("http://archive.contoso.com/notify")),
            ("notificationUrl", json!("archive")),
            ("notificationUrl", json!("ftp://127.0.0.1/")),
            ("lifecycleNotificationUrl", json!("http://archive.contoso.com/lifecycle")),
            ("lifecycleNotificationUrl", json!(null)),
            ("expirationDateTime", json!(longest + Age(1))),
            ("expirationDateTime", json!("tomorrow")),
            ("expirationDateTime", json!(null)),
            ("clientState", json!("s".repeat(129))),
            ("includeResourceData", json!(true)),
            ("latestSupportedTlsVersion", json!("v0_9")),
        ] {
            assert!(asked(&[(name, wrong.clone())]).is_err(), "{name} {wrong}");
        }
    }
}
