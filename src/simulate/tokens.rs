//! The login host: client credentials with a secret or an assertion, answered or refused as Microsoft's does.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::Engine;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        assertions::{FederatedCredential, Verifier},
        dice::Dice,
        json::Json,
        people::{DOMAIN, TENANT_ID},
        refusals::{
            APP_NOT_FOUND, INVALID_SCOPE, NO_CREDENTIAL, NO_GRANT_TYPE, Refusal, TENANT_NOT_FOUND, UNSUPPORTED_GRANT,
            WRONG_SECRET,
        },
    },
};

/// The application that may ask.
pub const CLIENT_ID: &str = "24d3b144-21ae-4080-943f-7067b395b913";
/// Its secret.
pub const CLIENT_SECRET: &str = "sim8Q~callvault-simulator-secret-value00";
/// What an application needs to read call records.
pub const CALL_RECORDS_ROLE: &str = "CallRecords.Read.All";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// After so many uses a token may be revoked by the weather, so that a renewed one is good for a while.
const USES_BEFORE_REVOKED: u64 = 20;

/// Whom the login host knows and what its tokens are worth.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) tenant: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Certificates, as DER.
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) federated: Vec<FederatedCredential>,
    pub(super) roles: Vec<String>,
    pub(super) lifetime: Duration,
}

/// What became of a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    Good,
    WithoutRole,
    Expired,
    Unknown,
}

/// What a token was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInKind {
    Secret,
    Certificate,
    Federated,
    ManagedIdentity,
}

/// A token that was given.
#[derive(Clone, Debug)]
pub struct SignIn {
    pub kind: SignInKind,
    pub client_id: String,
    /// Of the assertion, if there was one; else null.
    pub header: Value,
    pub claims: Value,
}

impl SignIn {
    pub(super) fn new(kind: SignInKind, client_id: &str) -> Self {
        Self { kind, client_id: client_id.to_owned(), header: Value::Null, claims: Value::Null }
    }
}

/// A token and how long it works.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: String,
    pub(super) seconds: i64,
}

#[derive(Debug)]
pub(super) struct Login {
    registration: Registration,
    verifier: Verifier,
    sign_ins: Mutex<Vec<SignIn>>,
    /// What the next requests are refused with, and how many of them.
    planned: Mutex<Option<(u32, u32)>>,
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
        let verifier = Verifier::new(registration.certificates.clone(), registration.federated.clone());
        Self {
            registration,
            verifier,
            sign_ins: Mutex::default(),
            planned: Mutex::default(),
            issued: Mutex::default(),
            count: AtomicU64::new(0),
        }
    }

    /// Refuses the next requests for a token with this number.
    pub(super) fn plan_refusal(&self, code: u32, times: u32) {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, times));
    }

    pub(super) fn sign_ins(&self) -> Vec<SignIn> {
        self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, sign_in: SignIn) {
        self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner).push(sign_in);
    }

    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Answers a token request with the body of a 200. `hosts` are those for which a token may be asked, and under which the
    /// request may have come.
    pub(super) fn token(
        &self,
        tenant: &str,
        form: &[(String, String)],
        hosts: &[String],
        now: Timestamp,
    ) -> Result<String, Refusal> {
        if let Some(code) = self.planned_refusal() {
            return Err(Refusal::numbered(code));
        }
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
        let sign_in = match (field("client_secret"), field("client_assertion")) {
            (None, None) => return Err(NO_CREDENTIAL),
            (Some(secret), _) if secret != known.client_secret => return Err(WRONG_SECRET),
            (Some(_), _) => SignIn::new(SignInKind::Secret, &known.client_id),
            (None, Some(_)) if field("client_assertion_type") != Some(ASSERTION_TYPE) => return Err(NO_CREDENTIAL),
            (None, Some(assertion)) => {
                let addresses: Vec<_> = hosts.iter().map(|host| format!("{host}/{tenant}/oauth2/v2.0/token")).collect();
                let statement = self.verifier.check(assertion, &known.client_id, &addresses, now)?;
                let kind = if statement.is_federated { SignInKind::Federated } else { SignInKind::Certificate };
                let bare = SignIn::new(kind, &known.client_id);
                SignIn { header: statement.header, claims: statement.claims, ..bare }
            }
        };
        self.note(sign_in);
        Ok(self.issue(now))
    }

    fn planned_refusal(&self) -> Option<u32> {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let (code, times) = (*planned)?;
        *planned = (times > 1).then(|| (code, times - 1));
        (times > 0).then_some(code)
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
        let Granted { token, seconds } = self.grant(now);
        Json::new_with(|json| {
            json.raw("{\"token_type\":\"Bearer\",\"expires_in\":")
                .show(seconds)
                .raw(",\"ext_expires_in\":")
                .show(seconds);
            json.raw(",\"access_token\":\"").raw(&token).raw("\"}");
        })
    }

    pub(super) fn grant(&self, now: Timestamp) -> Granted {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let lifetime = self.registration.lifetime;
        let token = self.jwt(number, now, now + Age::from(lifetime));
        let expires = Instant::now() + lifetime;
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), Issued { expires, uses: 0 });
        Granted { token, seconds: lifetime.as_secs().try_into().unwrap_or(i64::MAX) }
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

/// The registration of a simulator that nobody told otherwise.
pub(super) fn default_registration() -> Registration {
    Registration {
        tenant: TENANT_ID.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        certificates: Vec::new(),
        federated: Vec::new(),
        roles: vec![CALL_RECORDS_ROLE.to_owned()],
        lifetime: Duration::from_secs(3599),
    }
}
