//! Subscriptions to change notifications of call records.
//!
//! Source: Graph v1.0, "subscription resource type", "Create subscription", "Update subscription", "Delete subscription" (2026-08).

use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::{
    graph::{
        Ask, Client, Deed,
        budget::Turn,
        calls::next_cursor,
        error::{Error, Result, shown},
        page::{self, Gist, Shape, check_link},
        request::Answer,
    },
    model::{
        source::Source,
        time::{Age, Timestamp},
    },
};

/// All call records of the tenant.
pub const RESOURCE: &str = "/communications/callRecords";
/// The longest life of a subscription to call records: 4,230 minutes.
pub const LIFE_MAX: Age = Age::minutes(4230);
/// The first version of a record and every later one.
const CHANGE: &str = "updated";

/// A subscription as Graph shows it. The secret is in no answer but the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub id: String,
    pub resource: String,
    pub notification_url: String,
    pub expires: Timestamp,
}

impl Shown {
    /// Whether it is one to all call records.
    #[must_use]
    pub fn is_of_calls(&self) -> bool {
        self.resource.trim_matches('/').eq_ignore_ascii_case(RESOURCE.trim_matches('/'))
    }
}

/// What a subscription is made of.
#[derive(Clone)]
pub struct Wanted<'a> {
    pub notification_url: &'a str,
    pub lifecycle_url: &'a str,
    /// A secret of at most 128 characters that every notification brings.
    pub client_state: &'a str,
    /// At most [`LIFE_MAX`] from now.
    pub expires: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    id: String,
    resource: String,
    #[serde(default)]
    notification_url: Option<String>,
    expiration_date_time: String,
}

impl Client {
    /// The subscriptions of this app.
    pub async fn subscriptions(&self) -> Result<Vec<Shown>> {
        let first = self.below_host("/v1.0/subscriptions")?;
        let mut url = first.clone();
        let mut found = Vec::new();
        for _ in 0..self.shared.page_limit {
            let (answer, gist) = self.act(&url, Deed::Get, Shape::Collection).await?;
            let unusable =
                |reason| Error::Malformed { url: shown(&url), request_id: answer.request_id.clone(), reason };
            for element in page::elements(&answer.body).map_err(unusable)? {
                found.push(read(element.as_bytes(), &url, &answer)?);
            }
            match next_cursor(&url, gist.next) {
                Some(next) => url = check_link(&self.shared.graph_host, &first, &next.0)?,
                None => return Ok(found),
            }
        }
        Err(Error::Malformed { url: shown(&first), request_id: None, reason: "its pages have no end".into() })
    }

    /// Subscribes to all call records. Graph validates both addresses before it answers, so they have to be served by now.
    ///
    /// # Errors
    /// [`Error::Status`] 400 when an address cannot be validated, 409 when there is one already.
    pub async fn subscribe(&self, wanted: &Wanted<'_>) -> Result<Shown> {
        let Wanted { notification_url, lifecycle_url, client_state, expires } = wanted;
        let body = json!({
            "changeType": CHANGE,
            "notificationUrl": notification_url,
            "lifecycleNotificationUrl": lifecycle_url,
            "resource": RESOURCE,
            "expirationDateTime": expires.to_seconds_text(),
            "clientState": client_state,
            "latestSupportedTlsVersion": "v1_2",
        });
        let url = self.below_host("/v1.0/subscriptions")?;
        let (answer, _) = self.act(&url, Deed::Post(Some(&body.to_string())), Shape::Record { expanded: None }).await?;
        read(&answer.body, &url, &answer)
    }

    /// Lets a subscription live until `expires`; that also answers `reauthorizationRequired`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is gone, or Graph has a hiccup.
    pub async fn renew(&self, id: &str, expires: Timestamp) -> Result<Shown> {
        let url = self.subscription_url(id)?;
        let body = json!({ "expirationDateTime": expires.to_seconds_text() }).to_string();
        let (answer, _) = self.act(&url, Deed::Patch(&body), Shape::Record { expanded: None }).await?;
        read(&answer.body, &url, &answer)
    }

    /// Ends a subscription. One that is gone already is ended.
    pub async fn unsubscribe(&self, id: &str) -> Result<()> {
        match self.act(&self.subscription_url(id)?, Deed::Delete, Shape::Any).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn subscription_url(&self, id: &str) -> Result<Url> {
        let mut url = self.below_host("/v1.0/subscriptions")?;
        let address = url.to_string();
        let cannot = || Error::Host { address, reason: "it has no path".into() };
        url.path_segments_mut().map_err(|()| cannot())?.push(id);
        Ok(url)
    }

    async fn act(&self, url: &Url, deed: Deed<'_>, shape: Shape) -> Result<(Answer, Gist)> {
        let permission = Source::Calls.permission();
        self.get(&Ask { url, deed, shape, turn: Turn::First, permission, one_of_many: false }, None).await
    }
}

fn read(body: &[u8], url: &Url, answer: &Answer) -> Result<Shown> {
    let unusable = |reason| Error::Malformed { url: shown(url), request_id: answer.request_id.clone(), reason };
    let Body { id, resource, notification_url, expiration_date_time } =
        serde_json::from_slice(body).map_err(|error| unusable(error.to_string()))?;
    let expires = Timestamp::parse(&expiration_date_time).ok_or_else(|| unusable("no time of expiry".into()))?;
    Ok(Shown { id, resource, notification_url: notification_url.unwrap_or_default(), expires })
}
