//! Answers about subscriptions: making one, with the validation of its receiver, listing, renewing, ending.

use axum::{body::Body, http::Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::simulate::{
    answer::{Answer, Stamp},
    cursor,
    dice::Dice,
    json::Json,
    notify::Notifier,
    query::options,
    resource::Subscribed,
    routes::{Asked, Server},
    subscriptions::{self, Draft, Objection, QUOTA, Subscription},
    weather::Fault,
};

const BODY_MAX_BYTES: usize = 64 * 1024;

/// Behind which subscription the next page of them begins.
#[derive(Serialize, Deserialize)]
struct Place {
    subscriptions_after: String,
}

impl Server {
    /// Answers a request about subscriptions by somebody who may make it.
    pub(super) async fn subscriptions(
        &self,
        target: &Subscribed,
        asked: &Asked,
        token: &str,
        body: Body,
    ) -> Result<Answer, Answer> {
        let stamp = &asked.stamp;
        let what = format!("{} {target:?}", asked.method);
        let fault = self.fault(&what, token, stamp, befalls)?;
        let (method, is_not) = (&asked.method, |allowed: &Method| asked.method != *allowed);
        match target {
            Subscribed::All if method == Method::POST => {
                let created = self.create(&read(body, stamp).await?, asked).await?;
                Ok(Answer { status: 201, ..self.delivered(created, fault) })
            }
            Subscribed::All if is_not(&Method::GET) => Err(not_allowed(stamp)),
            Subscribed::All => Ok(self.delivered(self.page_of_subscriptions(asked)?, fault)),
            Subscribed::One(id) if method == Method::GET => {
                let desk = self.notifier.desk(stamp.now);
                let known = desk.subscriptions.get(id).ok_or_else(|| no_subscription(stamp))?;
                Ok(self.delivered(self.one(known, asked, None), fault))
            }
            Subscribed::One(id) if method == Method::PATCH => {
                let renewed = self.renew(id, &read(body, stamp).await?, asked).await?;
                Ok(self.delivered(renewed, fault))
            }
            Subscribed::One(id) if method == Method::DELETE => {
                let is_removed = self.notifier.remove(id, None, stamp.now);
                if is_removed {
                    Ok(Answer { status: 204, ..Answer::ok(String::new()) })
                } else {
                    Err(no_subscription(stamp))
                }
            }
            Subscribed::Reauthorize(id) if method == Method::POST => {
                let mut desk = self.notifier.desk(stamp.now);
                desk.subscriptions.get_mut(id).ok_or_else(|| no_subscription(stamp))?.asked = None;
                Ok(Answer::ok(String::new()))
            }
            Subscribed::One(_) | Subscribed::Reauthorize(_) => Err(not_allowed(stamp)),
        }
    }

    async fn create(&self, body: &Value, asked: &Asked) -> Result<String, Answer> {
        let stamp = &asked.stamp;
        let draft = Draft::of(body, stamp.now).map_err(|message| invalid(&message, stamp))?;
        let objection = |notifier: &Notifier| notifier.desk(stamp.now).subscriptions.objection(&draft);
        if let Some(objection) = objection(&self.notifier) {
            return Err(refusal(&objection, stamp));
        }
        self.validate(&draft.notification_url, stamp).await?;
        if let Some(url) = &draft.lifecycle_url {
            self.validate(url, stamp).await?;
        }
        // Another one may have come between.
        if let Some(objection) = objection(&self.notifier) {
            return Err(refusal(&objection, stamp));
        }
        let client_state = draft.client_state.clone();
        let subscription = Subscription::new(self.dice().guid(), draft, self.clock.now());
        let text = self.one(&subscription, asked, client_state.as_deref());
        self.notifier.subscribe(subscription, &self.world, self.clock.now());
        Ok(text)
    }

    async fn renew(&self, id: &str, body: &Value, asked: &Asked) -> Result<String, Answer> {
        let stamp = &asked.stamp;
        let refuse = |message: String| invalid(&message, stamp);
        if self.notifier.desk(stamp.now).subscriptions.get(id).is_none() {
            return Err(no_subscription(stamp));
        }
        if body.get("lifecycleNotificationUrl").is_some() {
            return Err(refuse("The lifecycleNotificationUrl of a subscription cannot be changed.".to_owned()));
        }
        let expiry = subscriptions::text(body, "expirationDateTime").map_err(refuse)?;
        let expiry = expiry.map(|text| subscriptions::read_expiry(text, stamp.now)).transpose().map_err(refuse)?;
        let url = subscriptions::text(body, "notificationUrl").map_err(refuse)?;
        let url = url.map(|url| subscriptions::read_url("notificationUrl", url)).transpose().map_err(refuse)?;
        if expiry.is_none() && url.is_none() {
            return Err(refuse(subscriptions::missing("expirationDateTime")));
        }
        if let Some(url) = &url {
            self.validate(url, stamp).await?;
        }
        let now = self.clock.now();
        let mut desk = self.notifier.desk(now);
        let known = desk.subscriptions.get_mut(id).ok_or_else(|| no_subscription(stamp))?;
        if let Some(expiry) = expiry {
            known.renew(expiry, now);
        }
        if let Some(url) = url {
            known.draft.notification_url = url;
        }
        let text = self.one(known, asked, None);
        drop(desk);
        self.notifier.wake();
        Ok(text)
    }

    /// The handshake; one in process has nobody to ask.
    async fn validate(&self, url: &str, stamp: &Stamp) -> Result<(), Answer> {
        if !self.sends {
            return Ok(());
        }
        let token = format!(
            "Validation: Testing client application reachability for subscription Request-Id: {} <i>&\"50%+ä\"</i>",
            self.dice().guid()
        );
        self.notifier.outbound.validate(url, &token).await.map_err(|message| invalid(message, stamp))
    }

    fn page_of_subscriptions(&self, asked: &Asked) -> Result<String, Answer> {
        let (stamp, seed) = (&asked.stamp, self.world.seed());
        let mut after = String::new();
        for (name, value) in options(&asked.query) {
            match name.as_str() {
                "$skiptoken" => {
                    let place = cursor::decode::<Place>(seed, &value, stamp.now, self.skip_token_life);
                    let refused = || invalid("The skip token is not valid.", stamp);
                    after = place.ok_or_else(refused)?.0.subscriptions_after;
                }
                name if name.starts_with('$') => {
                    return Err(invalid(&format!("Query option '{name}' is not supported here."), stamp));
                }
                _ => {}
            }
        }
        let size = self.page_sizes.subscriptions;
        let size = asked.page_max.map_or(size, |max| max.min(size)).max(1);
        let desk = self.notifier.desk(stamp.now);
        let mut rest = desk.subscriptions.iter().filter(|known| known.id > after).peekable();
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let last = page.last().filter(|_| rest.peek().is_some());
        let link = last.map(|last| {
            let place = Place { subscriptions_after: last.id.clone() };
            format!("{}{}?$skiptoken={}", asked.host, asked.path, cursor::encode(seed, place, stamp.now, 0))
        });
        Ok(Json::new_with(|json| {
            json.raw("{\"@odata.context\":").text(&context(asked, "")).raw(",\"value\":[");
            json.list(page, |json, known| {
                json.raw("{");
                self.members(json, known, None);
                json.raw("}");
            });
            json.raw("]");
            if let Some(link) = &link {
                json.raw(",\"@odata.nextLink\":").text(link);
            }
            json.raw("}");
        }))
    }

    fn one(&self, subscription: &Subscription, asked: &Asked, client_state: Option<&str>) -> String {
        Json::new_with(|json| {
            json.raw("{\"@odata.context\":").text(&context(asked, "/$entity")).raw(",");
            self.members(json, subscription, client_state);
            json.raw("}");
        })
    }

    /// Only who makes a subscription is shown its secret, and that once.
    fn members(&self, json: &mut Json, subscription: &Subscription, client_state: Option<&str>) {
        let draft = &subscription.draft;
        let creator = Dice::of(self.world.seed(), &[0xc4ea]).guid();
        json.raw("\"id\":").text(&subscription.id).raw(",\"resource\":").text(&draft.resource);
        json.raw(",\"applicationId\":").text(&self.login.registration().client_id);
        json.raw(",\"changeType\":").text(&draft.change_type());
        json.raw(",\"clientState\":").text_or_null(client_state);
        json.raw(",\"notificationUrl\":").text(&draft.notification_url).raw(",\"notificationQueryOptions\":null");
        json.raw(",\"lifecycleNotificationUrl\":").text_or_null(draft.lifecycle_url.as_deref());
        json.raw(",\"expirationDateTime\":").time(subscription.expiry());
        json.raw(",\"creatorId\":").text(&creator).raw(",\"includeResourceData\":null");
        json.raw(",\"latestSupportedTlsVersion\":").text(&draft.tls_version);
        json.raw(",\"encryptionCertificate\":null,\"encryptionCertificateId\":null,\"notificationUrlAppId\":null");
    }
}

/// The faults that befall requests about subscriptions.
fn befalls(fault: Fault) -> bool {
    !matches!(fault, Fault::EmptyPage | Fault::Duplicate | Fault::LinkLoop | Fault::LaggingReplica | Fault::NotFoundYet)
}

/// The JSON of a request's body.
async fn read(body: Body, stamp: &Stamp) -> Result<Value, Answer> {
    let refused = || {
        let message = "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.";
        Answer::error(400, "BadRequest", message, stamp)
    };
    let bytes = axum::body::to_bytes(body, BODY_MAX_BYTES).await.map_err(|_| refused())?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object).ok_or_else(refused)
}

fn invalid(message: &str, stamp: &Stamp) -> Answer {
    Answer::error(400, "InvalidRequest", message, stamp)
}

fn not_allowed(stamp: &Stamp) -> Answer {
    Answer::error(405, "MethodNotAllowed", "The method is not allowed for this resource.", stamp)
}

fn no_subscription(stamp: &Stamp) -> Answer {
    Answer::error(404, "ResourceNotFound", "The object was not found.", stamp)
}

fn refusal(objection: &Objection, stamp: &Stamp) -> Answer {
    match objection {
        Objection::Exists(id) => {
            let message = format!("Subscription {id} already exists for the requested resource and changeType.");
            Answer::error(409, "Conflict", &message, stamp)
        }
        Objection::QuotaIsReached => {
            let message = format!(
                "Operation: Create; Exception: [Status Code: Forbidden; Reason: The organization has reached its quota of {QUOTA} subscriptions to call records.]"
            );
            Answer::error(403, "ExtensionError", &message, stamp)
        }
    }
}

/// What somebody is told who may not subscribe.
pub(super) fn not_authorized(stamp: &Stamp) -> Answer {
    let message = "Operation: Create; Exception: [Status Code: Forbidden; Reason: The request is not authorized for this user or application.]";
    Answer::error(403, "ExtensionError", message, stamp)
}

fn context(asked: &Asked, end: &str) -> String {
    let version = if asked.path.starts_with("/beta/") { "beta" } else { "v1.0" };
    format!("https://graph.microsoft.com/{version}/$metadata#subscriptions{end}")
}
