//! The two places that give tokens to a machine in Azure: App Service's endpoint and the instance metadata.
//!
//! Numbers come as text, the resource is a bare host, and each wants a header that a browser or a forwarded request does not
//! have.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
    routing::get,
};

use crate::simulate::{
    answer::Answer,
    counts::Sort,
    json::Json,
    routes::Server,
    tokens::{SignIn, SignInKind},
};

/// The path of App Service's endpoint; its host is the simulator's.
pub const APP_SERVICE_PATH: &str = "/msi/token";
const METADATA_PATH: &str = "/metadata/identity/oauth2/token";

/// The identities of the simulated machine.
#[derive(Clone, Debug)]
pub struct ManagedIdentity {
    pub system_assigned: bool,
    /// Client ids of user-assigned identities.
    pub user_assigned: Vec<String>,
    /// What App Service gives to its processes as `IDENTITY_HEADER`.
    pub header: String,
}

/// A machine and what its next requests meet.
#[derive(Debug)]
pub(super) struct Machine {
    identity: ManagedIdentity,
    trouble: Mutex<VecDeque<u16>>,
}

impl Machine {
    pub(super) fn new(identity: ManagedIdentity) -> Self {
        Self { identity, trouble: Mutex::default() }
    }

    pub(super) fn plan_trouble(&self, statuses: &[u16]) {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).extend(statuses);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    AppService,
    Metadata,
}

pub(super) fn routes() -> Router<Arc<Server>> {
    let app_service = |State(server): State<Arc<Server>>, headers: HeaderMap, RawQuery(query): RawQuery| async move {
        server.machine_token(Place::AppService, &headers, query.as_deref())
    };
    let metadata = |State(server): State<Arc<Server>>, headers: HeaderMap, RawQuery(query): RawQuery| async move {
        server.machine_token(Place::Metadata, &headers, query.as_deref())
    };
    Router::new().route(APP_SERVICE_PATH, get(app_service)).route(METADATA_PATH, get(metadata))
}

impl Server {
    fn machine_token(&self, place: Place, headers: &HeaderMap, query: Option<&str>) -> Response {
        let stamp = self.stamp(headers);
        self.count(Sort::Token, None);
        let planned = self.machine.trouble.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (Ok(answer) | Err(answer)) = match planned {
            Some(status) => Err(refused(place, status, "The service is not available for the moment")),
            None => self.machine_answer(place, headers, query.unwrap_or_default()),
        };
        answer.into_response(&stamp)
    }

    fn machine_answer(&self, place: Place, headers: &HeaderMap, query: &str) -> Result<Answer, Answer> {
        let identity = &self.machine.identity;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let parameters: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let parameter = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let version = match place {
            Place::AppService if header("x-identity-header") != Some(&identity.header) => {
                return Err(refused(place, 401, "The X-IDENTITY-HEADER is missing or wrong"));
            }
            Place::Metadata if header("metadata") != Some("true") => {
                return Err(refused(place, 400, "Required metadata header not specified"));
            }
            Place::AppService => "2019-08-01",
            Place::Metadata => "2018-02-01",
        };
        if parameter("api-version") != Some(version) {
            return Err(refused(place, 400, "The api-version is not supported"));
        }
        let resource = parameter("resource").unwrap_or_default();
        if !self.hosts(headers).iter().any(|host| host == resource) {
            return Err(refused(place, 400, "AADSTS500011: The resource principal was not found in the tenant"));
        }
        let client_id = parameter("client_id");
        let is_assigned = match client_id {
            None => identity.system_assigned,
            Some(id) => identity.user_assigned.iter().any(|known| known.eq_ignore_ascii_case(id)),
        };
        if !is_assigned {
            let message = match place {
                Place::AppService => "No User Assigned or Delegated Managed Identity found for specified ClientId",
                Place::Metadata => "Identity not found",
            };
            return Err(refused(place, 400, message));
        }
        let now = self.clock.now();
        let granted = self.login.grant(now);
        self.login.note(SignIn::new(SignInKind::ManagedIdentity, client_id.unwrap_or_default()));
        Ok(Answer::ok(Json::new_with(|json| {
            json.raw("{\"access_token\":\"").raw(&granted.token).raw("\",\"client_id\":");
            json.text(client_id.unwrap_or(&self.login.registration().client_id));
            json.raw(",\"expires_on\":\"").show(now.as_second() + granted.seconds);
            if place == Place::Metadata {
                json.raw("\",\"expires_in\":\"").show(granted.seconds);
                json.raw("\",\"ext_expires_in\":\"").show(granted.seconds);
                json.raw("\",\"not_before\":\"").show(now.as_second());
            }
            json.raw("\",\"resource\":").text(resource).raw(",\"token_type\":\"Bearer\"}");
        })))
    }
}

/// Each place has error bodies of its own.
fn refused(place: Place, status: u16, message: &str) -> Answer {
    let body = Json::new_with(|json| match place {
        Place::AppService => {
            json.raw("{\"statusCode\":").show(status).raw(",\"message\":").text(message).raw("}");
        }
        Place::Metadata => {
            json.raw("{\"error\":\"invalid_request\",\"error_description\":").text(message).raw("}");
        }
    });
    Answer { status, ..Answer::ok(body) }
}
