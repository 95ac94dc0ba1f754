//! Access tokens: asked for once, however many wait for one; renewed before they run out; never shown.
//!
//! Three ways lead to one: the login host's token endpoint with what the app shows (client credentials), a managed identity's
//! endpoint, and the Azure command line.

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use reqwest::{Body, RequestBuilder, header};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use url::Url;
use zeroize::Zeroize;

use crate::{
    graph::{
        Settings,
        credential::{self, Credential, Field, Occasion, azure_cli, managed::ManagedIdentity},
        error::{Error, Result, excerpt},
        refusal::{NO_MATCHING_FEDERATION, OUT_OF_TIME, Reason, Refused, UNKNOWN_CERTIFICATE},
        request::{Answer, Exchange, Fault, Http, outcome},
        retry::{Advice, Limits, Outcome, Tries, advice},
    },
    model::{
        event::Event,
        time::{Age, Timestamp},
    },
};

/// How long before its end a token is replaced; half its life when that is shorter.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// The life of a token that does not say how long it lives.
const LIFE_UNKNOWN: Duration = Duration::from_secs(10 * 60);
/// Managed identities get tokens for a day; nothing that claims to live longer is believed.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Tries of a managed identity's endpoint that does not answer at all: it is near, or it is not there.
const SILENT_TRIES_MAX: u32 = 3;
/// A clock that is wrong by less is not what an assertion fails for.
const CLOCK_TOLERANCE: Age = Age::minutes(4);

/// A token in use.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    /// What was granted, by the token's own unverified word; empty when it cannot be read.
    pub(super) roles: Vec<String>,
    /// Microsoft's clock when it was given, and when that was; none where a machine gave it that need not have the time.
    pub(super) clock: Option<(Timestamp, Instant)>,
    pub(super) renew_at: Instant,
}

/// Gets tokens and keeps the newest.
pub(super) struct Tokens {
    /// The token endpoint, or the managed identity's.
    url: Url,
    /// Graph's bare host.
    resource: String,
    tenant_id: Option<String>,
    client_id: String,
    credential: Credential,
    /// Held while a token is asked for, so that all who need one wait for the same.
    newest: Mutex<Option<Arc<Token>>>,
}

impl Tokens {
    /// Tenant and client id may be missing where no login host is asked.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let Settings { login_host, graph_host, tenant_id, client_id, credential, .. } = settings.clone();
        let is_tenant = |text: &str| {
            text.contains(|letter: char| letter.is_ascii_alphanumeric())
                && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'))
        };
        let not_a_tenant = || Error::Tenant { tenant: tenant_id.clone().unwrap_or_default() };
        if tenant_id.as_deref().is_some_and(|tenant| !is_tenant(tenant)) {
            return Err(not_a_tenant());
        }
        let url = match &credential {
            Credential::Managed(identity) => identity.url().clone(),
            Credential::AzureCli => login_host.clone(),
            Credential::Secret(_) | Credential::Certificate(_) | Credential::Federated(_) => {
                let tenant = tenant_id.as_deref().ok_or_else(not_a_tenant)?;
                let address = format!("{}/{tenant}/oauth2/v2.0/token", login_host.as_str().trim_end_matches('/'));
                Url::parse(&address).map_err(|_| not_a_tenant())?
            }
        };
        let resource = graph_host.origin().ascii_serialization();
        let client_id = client_id.unwrap_or_default();
        Ok(Self { url, resource, tenant_id, client_id, credential, newest: Mutex::new(None) })
    }

    /// Whom it asks.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// A token that is good for now.
    pub(super) async fn get(&self, http: &Http) -> Result<Arc<Token>> {
        let mut newest = self.newest.lock().await;
        if let Some(token) = newest.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(Arc::clone(token));
        }
        let token = match &self.credential {
            Credential::AzureCli => self.ask_azure_cli().await?,
            _ => self.ask(http).await?,
        };
        tracing::info!(credential = self.credential.name(), roles = ?token.roles, "signed in");
        http.observer.event(&Event::SignedIn);
        let token = Arc::new(token);
        *newest = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Drops `refused`, unless somebody else has replaced it already.
    pub(super) async fn drop_refused(&self, refused: &Arc<Token>) {
        let mut newest = self.newest.lock().await;
        if newest.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused)) {
            *newest = None;
        }
    }

    async fn ask(&self, http: &Http) -> Result<Token> {
        let started = Instant::now();
        // There is no token to renew here: a 401 is final.
        let mut tries = Tries { renewed: true, ..Tries::default() };
        loop {
            tries.attempt += 1;
            let asked = Instant::now();
            // Made anew for each try: an assertion is good once, and a federated token may have been renewed meanwhile.
            let fields = self.fields()?;
            let mut exchange = match &self.credential {
                Credential::Managed(identity) => identity.exchange(http, &self.resource).await?,
                _ => http.exchange(self.request(http, &fields)).await,
            };
            if let Ok(answer) = &mut exchange
                && !is_success(answer)
            {
                self.credential.scrub(&fields, &mut answer.body);
            }
            let exchange = match read_token(exchange, asked) {
                Ok(token) if self.credential.asks_login_host() => return Ok(token),
                Ok(token) => return Ok(Token { clock: None, ..token }),
                Err(exchange) => exchange,
            };
            tries.elapsed = started.elapsed();
            let outcome = self.outcome(&exchange);
            match advice(outcome, tries, &self.limits(http.limits, outcome), http.random()) {
                Advice::Retry { wait, .. } => http.wait_after(&exchange, wait, tries.attempt, &self.url).await,
                verdict => return Err(self.refused(http, exchange, verdict)),
            }
        }
    }

    async fn ask_azure_cli(&self) -> Result<Token> {
        let asked = Instant::now();
        let printed = azure_cli::ask(&self.resource, self.tenant_id.as_deref()).await?;
        token_of(&printed, Timestamp::now(), asked).ok_or_else(|| Error::Credential {
            what: "the Azure command line printed no token".to_owned(),
            hint: "look at what this prints: az account get-access-token --output json".to_owned(),
        })
    }

    /// The form of a request to the login host; empty for others.
    fn fields(&self) -> Result<Vec<Field>> {
        let occasion = Occasion { token_url: &self.url, client_id: &self.client_id, now: Timestamp::now() };
        let mut fields = vec![
            Field::public("client_id", &*self.client_id),
            Field::public("scope", format!("{}/.default", self.resource)),
            Field::public("grant_type", "client_credentials"),
        ];
        fields.extend(self.credential.fields(&occasion)?);
        Ok(fields)
    }

    fn request(&self, http: &Http, fields: &[Field]) -> RequestBuilder {
        let form = Bytes::from_owner(credential::form(fields));
        http.post(&self.url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Body::from(form))
    }

    /// A refusal that is meant for the moment only counts like a 503, whatever its status.
    fn outcome(&self, exchange: &Exchange) -> Outcome {
        let Ok(answer) = exchange else { return outcome(exchange) };
        // A machine's metadata is renewed now and then, and not found or gone for some seconds.
        let is_being_renewed = matches!(self.credential, Credential::Managed(_)) && [404, 410].contains(&answer.status);
        let passes = is_being_renewed || Refused::read(&answer.body).is_some_and(|said| said.passes());
        if !passes || answer.status == 429 {
            return outcome(exchange);
        }
        Outcome::Status { status: 503, retry_after: answer.retry_after }
    }

    fn limits(&self, limits: Limits, outcome: Outcome) -> Limits {
        let is_silent = matches!(self.credential, Credential::Managed(_)) && outcome == Outcome::NoAnswer;
        let is_last_resort = matches!(&self.credential, Credential::Managed(identity) if identity.is_last_resort());
        let attempts_max = if is_silent && is_last_resort {
            1
        } else if is_silent {
            SILENT_TRIES_MAX.min(limits.attempts_max)
        } else {
            limits.attempts_max
        };
        Limits { attempts_max, ..limits }
    }

    /// The error that a vain request ends in.
    fn refused(&self, http: &Http, exchange: Exchange, verdict: Advice) -> Error {
        if let Credential::Managed(identity) = &self.credential {
            return refused_by_machine(identity, http, exchange, verdict);
        }
        let Some((answer, said)) =
            exchange.as_ref().ok().and_then(|answer| Some((answer, Refused::read(&answer.body)?)))
        else {
            return http.failure(exchange, verdict, &self.url, "");
        };
        if said.passes() {
            let Reason { meaning, .. } = said.reason();
            tracing::warn!(aadsts = said.error_codes.first(), "{meaning}");
            return http.failure(exchange, verdict, &self.url, "");
        }
        let Reason { meaning, hint } = said.reason();
        let known = |code: &u32| self.particulars(*code, answer);
        let hint = said.error_codes.iter().find_map(known).unwrap_or_else(|| hint.to_owned());
        let aadsts = said.error_codes.first().copied();
        Error::Unauthorised { error: excerpt(&said.error), aadsts, message: said.told(), meaning, hint }
    }

    /// What only this run knows about a refusal by this number.
    fn particulars(&self, code: u32, answer: &Answer) -> Option<String> {
        match &self.credential {
            Credential::Certificate(file) if code == UNKNOWN_CERTIFICATE => {
                let (sha256, sha1) = file.thumbprints();
                Some(format!(
                    "upload the certificate to the app registration (Certificates & secrets); its thumbprint is \
                     {sha1} (SHA-1), {sha256} (SHA-256)"
                ))
            }
            Credential::Federated(file) if NO_MATCHING_FEDERATION.contains(&code) => {
                let told = file.told()?;
                Some(format!(
                    "the federated token has {told}; the app registration needs a federated credential with the same"
                ))
            }
            credential if code == OUT_OF_TIME => Some(match (clock_error(answer), credential) {
                (Some(told), _) => told,
                (None, Credential::Federated(_)) => {
                    "the clocks agree: the federated token has run out; check that its file is still renewed".to_owned()
                }
                (None, _) => return None,
            }),
            _ => None,
        }
    }
}

/// How wrong this machine's clock is by the login host's, if that is much.
fn clock_error(answer: &Answer) -> Option<String> {
    let theirs = answer.date?;
    let (behind, ahead) = (theirs - answer.received, answer.received - theirs);
    let (by, way) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    (by > CLOCK_TOLERANCE).then(|| {
        format!(
            "this machine's clock is {} s {way} the login host's ({} here, {} there); set it right",
            by.to_duration().as_secs(),
            answer.received.to_seconds_text(),
            theirs.to_seconds_text()
        )
    })
}

/// The error that a managed identity's endpoint leaves us with.
fn refused_by_machine(identity: &ManagedIdentity, http: &Http, exchange: Exchange, verdict: Advice) -> Error {
    match exchange {
        Err(_) | Ok(Answer { status: 400 | 404, .. }) if identity.is_last_resort() => Error::Credential {
            what: format!("no credential is set, and no managed identity is to be had at {}", identity.url()),
            hint: "set AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE in the environment; \
                   on a machine in Azure, assign an identity to it"
                .to_owned(),
        },
        Err(Fault::NoAnswer { cause }) => Error::Credential {
            what: format!("there is no managed identity: {} does not answer ({cause})", identity.url()),
            hint: if identity.is_metadata() {
                "only machines in Azure have one; elsewhere set AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or \
                 AZURE_FEDERATED_TOKEN_FILE"
                    .to_owned()
            } else {
                "IDENTITY_ENDPOINT is set by App Service and its kin, and by the agent of Azure Arc; unset it elsewhere"
                    .to_owned()
            },
        },
        // A 404 that stays is as final as a 400.
        Ok(answer) if (400..500).contains(&answer.status) && answer.status != 429 => {
            let said = Refused::read(&answer.body).unwrap_or_default();
            let error = if said.error.is_empty() { answer.status.to_string() } else { excerpt(&said.error) };
            let aadsts = said.error_codes.first().copied();
            let no_identity = || {
                let hint = format!(
                    "assign {} to it, or set AZURE_CLIENT_ID to one that is assigned; none is the system-assigned one",
                    identity.whose()
                );
                ("this machine has no such managed identity", hint)
            };
            let by_number = |_| (said.reason().meaning, said.reason().hint.to_owned());
            let (meaning, hint) = aadsts.map_or_else(no_identity, by_number);
            Error::Unauthorised { error, aadsts, message: said.told(), meaning, hint }
        }
        exchange => http.failure(exchange, verdict, identity.url(), ""),
    }
}

fn is_success(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

#[derive(Deserialize)]
struct Granted {
    #[serde(alias = "accessToken")]
    access_token: String,
    #[serde(default)]
    expires_in: serde_json::Value,
    /// Seconds since 1970, where there is no `expires_in`.
    #[serde(default)]
    expires_on: serde_json::Value,
}

/// The token of a good answer; any other exchange as it was.
fn read_token(exchange: Exchange, asked: Instant) -> Result<Token, Exchange> {
    let mut answer = match exchange {
        Ok(answer) if is_success(&answer) => answer,
        other => return Err(other),
    };
    let token = token_of(&answer.body, answer.date.unwrap_or(answer.received), asked);
    answer.body.zeroize();
    let Some(token) = token else {
        let reason = "the answer holds no token".to_owned();
        return Err(Err(Fault::Unusable { reason, request_id: answer.request_id }));
    };
    let clock = answer.date.map(|date| (date, Instant::now()));
    Ok(Token { clock, ..token })
}

pub(super) fn token_of(body: &[u8], now: Timestamp, asked: Instant) -> Option<Token> {
    let Granted { access_token, expires_in, expires_on } = serde_json::from_slice(body).ok()?;
    // A number, or a number as text: managed identities write it so.
    let number = |value: &serde_json::Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let seconds = number(&expires_in).or_else(|| Some(number(&expires_on)?.saturating_sub(now.as_second())));
    let life = seconds.map_or(LIFE_UNKNOWN, |seconds| Duration::from_secs(seconds.max(0).unsigned_abs())).min(LIFE_MAX);
    let margin = MARGIN.min(life / 2);
    let roles = roles(&access_token);
    Some(Token { secret: access_token.into(), roles, clock: None, renew_at: asked + life.saturating_sub(margin) })
}

/// The `roles` claim, not verified: it decides nothing, it only lets us say what is missing.
pub(super) fn roles(token: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Claims {
        roles: Vec<String>,
    }
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload.and_then(|json| serde_json::from_slice::<Claims>(&json).ok()).map(|claims| claims.roles).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_where_they_can_be() {
        let payload = URL_SAFE_NO_PAD.encode(br#"{"aud":"x","roles":["CallRecords.Read.All"]}"#);
        assert_eq!(roles(&format!("e30.{payload}.sig")), ["CallRecords.Read.All"]);
        for opaque in ["", "opaque", "a.b.c", "a.%%%.c", &format!("a.{}.c", URL_SAFE_NO_PAD.encode("{}"))] {
            assert!(roles(opaque).is_empty(), "{opaque}");
        }
    }

    #[test]
    fn the_end_of_a_token_is_read_in_every_spelling() {
        let now = Timestamp::from_second(1_800_000_000);
        let asked = Instant::now();
        let life = |members: &str| {
            let token = token_of(format!(r#"{{"access_token":"t"{members}}}"#).as_bytes(), now, asked).unwrap();
            (token.renew_at - asked).as_secs()
        };
        assert_eq!(life(r#","expires_in":3600"#), 3300);
        assert_eq!(life(r#","expires_in":"3600","expires_on":"1""#), 3300);
        assert_eq!(life(r#","expires_on":"1800003600""#), 3300);
        assert_eq!(life(r#","expires_on":1800003600"#), 3300);
        assert_eq!(life(r#","expires_on":"1799999999""#), 0);
        assert_eq!(life(r#","expires_on":-9223372036854775808"#), 0);
        assert_eq!(life(r#","expires_on":"2026-11-23 12:00:00 +00:00""#), 300);
        assert_eq!(life(""), 300);
        assert_eq!(life(r#","expires_in":999999999"#), 86400 - 300);
        let printed = br#"{"accessToken":"t","expiresOn":"2026-11-23 12:00:00.000000","expires_on":1800003600}"#;
        assert_eq!((token_of(printed, now, asked).unwrap().renew_at - asked).as_secs(), 3300);
        assert!(token_of(b"{}", now, asked).is_none());
    }
}
