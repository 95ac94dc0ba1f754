//! The login host: client credentials with a secret, answered or refused as Microsoft's does.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::Engine;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        dice::Dice,
        json::Json,
        people::{DOMAIN, TENANT_ID},
    },
};

/// The application that may ask.
pub const CLIENT_ID: &str = "24d3b144-21ae-4080-943f-7067b395b913";
/// Its secret.
pub const CLIENT_SECRET: &str = "sim8Q~callvault-simulator-secret-value00";
/// What an application needs to read call records.
pub const CALL_RECORDS_ROLE: &str = "CallRecords.Read.All";

/// After so many uses a token may be revoked by the weather, so that a renewed one is good for a while.
const USES_BEFORE_REVOKED: u64 = 20;

/// Whom the login host knows and what its tokens are worth.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) tenant: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) roles: Vec<String>,
    pub(super) lifetime: Duration,
}

/// A refusal of the login host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    error: &'static str,
    code: u32,
    message: &'static str,
}

/// What became of a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    Good,
    WithoutRole,
    Expired,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Login {
    registration: Registration,
    issued: Mutex<HashMap<String, Issued>>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Issued {
    expires: Instant,
    uses: u64,
}

impl Login {
    pub(super) fn new(registration: Registration) -> Self {
        Self { registration, issued: Mutex::default(), count: AtomicU64::new(0) }
    }

    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Answers a token request with the body of a 200. `hosts` are those for which a token may be asked.
    pub(super) fn token(
        &self,
        tenant: &str,
        form: &[(String, String)],
        hosts: &[String],
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let known = &self.registration;
        if !tenant.eq_ignore_ascii_case(&known.tenant) && !tenant.eq_ignore_ascii_case(DOMAIN) {
            return Err(TENANT_NOT_FOUND);
        }
        match field("grant_type") {
            None => return Err(NO_GRANT_TYPE),
            Some("client_credentials") => {}
            Some(_) => return Err(UNSUPPORTED_GRANT),
        }
        if field("client_id").is_none_or(|id| !id.eq_ignore_ascii_case(&known.client_id)) {
            return Err(APP_NOT_FOUND);
        }
        let resource = field("scope").and_then(|scope| scope.strip_suffix("/.default"));
        if resource.is_none_or(|resource| !hosts.iter().any(|host| host == resource)) {
            return Err(INVALID_SCOPE);
        }
        match field("client_secret") {
            None => Err(NO_SECRET),
            Some(secret) if secret != known.client_secret => Err(WRONG_SECRET),
            Some(_) => Ok(self.issue(now)),
        }
    }

    /// Looks a token up and counts the use. It must carry one of `roles`, unless these are none.
    pub(super) fn check(&self, token: &str, roles: &[&str]) -> Bearer {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = issued.get_mut(token) else { return Bearer::Unknown };
        known.uses += 1;
        if known.expires <= Instant::now() {
            Bearer::Expired
        } else if roles.is_empty() || self.registration.roles.iter().any(|role| roles.contains(&role.as_str())) {
            Bearer::Good
        } else {
            Bearer::WithoutRole
        }
    }

    pub(super) fn may_be_revoked(&self, token: &str) -> bool {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.get(token).is_some_and(|known| known.uses > USES_BEFORE_REVOKED)
    }

    pub(super) fn revoke(&self, token: &str) {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    pub(super) fn revoke_all(&self) {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn issue(&self, now: Timestamp) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let seconds = self.registration.lifetime.as_secs();
        let token = self.jwt(number, now, now + Age::from(self.registration.lifetime));
        let expires = Instant::now() + self.registration.lifetime;
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), Issued { expires, uses: 0 });
        Json::new_with(|json| {
            json.raw("{\"token_type\":\"Bearer\",\"expires_in\":")
                .show(seconds)
                .raw(",\"ext_expires_in\":")
                .show(seconds);
            json.raw(",\"access_token\":\"").raw(&token).raw("\"}");
        })
    }

    /// Has a token's looks; the signature is noise, as nobody but Graph itself may check it.
    fn jwt(&self, number: u64, now: Timestamp, expiry: Timestamp) -> String {
        let mut dice = Dice::of(number, &[0x70c, now.as_second().unsigned_abs()]);
        let known = &self.registration;
        let header = format!(r#"{{"typ":"JWT","nonce":"{}","alg":"RS256","kid":"sim-key-1"}}"#, dice.hex());
        let claims = Json::new_with(|json| {
            json.raw("{\"aud\":\"https://graph.microsoft.com\",\"iss\":\"https://sts.windows.net/")
                .raw(&known.tenant)
                .raw("/\"");
            json.raw(",\"iat\":")
                .show(now.as_second())
                .raw(",\"nbf\":")
                .show(now.as_second())
                .raw(",\"exp\":")
                .show(expiry.as_second());
            json.raw(",\"app_displayname\":\"callvault simulator\",\"appid\":")
                .text(&known.client_id)
                .raw(",\"idtyp\":\"app\",\"roles\":[");
            json.list(&known.roles, |json, role| _ = json.text(role));
            json.raw("],\"tid\":").text(&known.tenant).raw(",\"uti\":\"").raw(&dice.hex()).raw("\",\"ver\":\"1.0\"}");
        });
        let code = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let signature: Vec<u8> = (0..32).flat_map(|_| dice.throw().to_le_bytes()).collect();
        format!("{}.{}.{}", code(header.as_bytes()), code(claims.as_bytes()), code(&signature))
    }
}

impl Refusal {
    pub(super) fn body(self, app: &str, now: Timestamp, dice: &mut Dice) -> String {
        let (trace, correlation) = (dice.guid(), dice.guid());
        let at = now.to_seconds_text().replace('T', " ");
        let message = self.message.replace("{app}", app);
        let description = format!(
            "AADSTS{}: {message}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {at}",
            self.code
        );
        Json::new_with(|json| {
            json.raw("{\"error\":\"").raw(self.error).raw("\",\"error_description\":").text(&description);
            json.raw(",\"error_codes\":[")
                .show(self.code)
                .raw("],\"timestamp\":\"")
                .raw(&at)
                .raw("\",\"trace_id\":\"")
                .raw(&trace);
            json.raw("\",\"correlation_id\":\"")
                .raw(&correlation)
                .raw("\",\"error_uri\":\"https://login.microsoftonline.com/error?code=");
            json.show(self.code).raw("\"}");
        })
    }
}

const WRONG_SECRET: Refusal = Refusal {
    status: 401,
    error: "invalid_client",
    code: 7_000_215,
    message: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'.",
};
const NO_SECRET: Refusal = Refusal {
    status: 401,
    error: "invalid_client",
    code: 7_000_218,
    message: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
};
const APP_NOT_FOUND: Refusal = Refusal {
    status: 400,
    error: "unauthorized_client",
    code: 700_016,
    message: "Application with identifier was not found in the directory 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
};
const TENANT_NOT_FOUND: Refusal = Refusal {
    status: 400,
    error: "invalid_request",
    code: 90_002,
    message: "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
};
const INVALID_SCOPE: Refusal = Refusal {
    status: 400,
    error: "invalid_scope",
    code: 1_002_012,
    message: "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
};
const UNSUPPORTED_GRANT: Refusal = Refusal {
    status: 400,
    error: "unsupported_grant_type",
    code: 70_003,
    message: "The app requested an unsupported grant type.",
};
const NO_GRANT_TYPE: Refusal = Refusal {
    status: 400,
    error: "invalid_request",
    code: 900_144,
    message: "The request body must contain the following parameter: 'grant_type'.",
};

/// The registration of a simulator that nobody told otherwise.
pub(super) fn default_registration() -> Registration {
    Registration {
        tenant: TENANT_ID.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        roles: vec![CALL_RECORDS_ROLE.to_owned()],
        lifetime: Duration::from_secs(3599),
    }
}
