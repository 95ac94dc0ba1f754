//! Access tokens by client credentials: asked for once, however many wait for one; renewed before they run out; never shown.

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use crate::{
    graph::{
        credential::Credential,
        error::{Error, Result, excerpt},
        request::{Exchange, Fault, Http, outcome},
        retry::{Advice, Outcome, Tries, advice},
    },
    model::{event::Event, time::Timestamp},
};

/// How long before its end a token is replaced; half its life when that is shorter.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// The life of a token that does not say how long it lives.
const LIFE_UNKNOWN: Duration = Duration::from_secs(10 * 60);
/// Managed identities get tokens for a day; nothing that claims to live longer is believed.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A token in use.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    /// What was granted, by the token's own unverified word; empty when it cannot be read.
    pub(super) roles: Vec<String>,
    /// Microsoft's clock when it was given, and when that was.
    pub(super) clock: Option<(Timestamp, Instant)>,
    renew_at: Instant,
}

/// Gets tokens and keeps the newest.
pub(super) struct Tokens {
    url: Url,
    scope: String,
    client_id: String,
    credential: Credential,
    /// Held while a token is asked for, so that all who need one wait for the same.
    newest: Mutex<Option<Arc<Token>>>,
}

impl Tokens {
    /// `tenant_id` is the tenant's id or one of its domain names.
    pub(super) fn new(
        login_host: &Url,
        graph_host: &Url,
        tenant_id: &str,
        client_id: String,
        credential: Credential,
    ) -> Result<Self> {
        let is_tenant = |text: &str| {
            text.contains(|letter: char| letter.is_ascii_alphanumeric())
                && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'))
        };
        if !is_tenant(tenant_id) {
            return Err(Error::Tenant { tenant: tenant_id.to_owned() });
        }
        let address = format!("{}/{tenant_id}/oauth2/v2.0/token", login_host.as_str().trim_end_matches('/'));
        let url = Url::parse(&address).map_err(|_| Error::Tenant { tenant: tenant_id.to_owned() })?;
        let scope = format!("{}/.default", graph_host.origin().ascii_serialization());
        Ok(Self { url, scope, client_id, credential, newest: Mutex::new(None) })
    }

    /// A token that is good for now.
    pub(super) async fn get(&self, http: &Http) -> Result<Arc<Token>> {
        let mut newest = self.newest.lock().await;
        if let Some(token) = newest.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(Arc::clone(token));
        }
        let token = Arc::new(self.ask(http).await?);
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
            let request = http.client.post(self.url.clone()).form(&self.form());
            let exchange = read_token(http.exchange(request).await, asked);
            tries.elapsed = started.elapsed();
            let (exchange, outcome) = match exchange {
                Ok(token) => {
                    tracing::info!(roles = ?token.roles, "signed in");
                    http.observer.event(&Event::SignedIn);
                    return Ok(token);
                }
                Err(exchange) => {
                    let outcome = passing(&exchange).unwrap_or_else(|| outcome(&exchange));
                    (exchange, outcome)
                }
            };
            match advice(outcome, tries, &http.limits, rand::random()) {
                Advice::Retry { wait, .. } => http.wait_after(&exchange, wait, tries.attempt, &self.url).await,
                verdict => return Err(self.refused(http, exchange, verdict)),
            }
        }
    }

    fn form(&self) -> Vec<(&str, &str)> {
        let shared = [
            ("client_id", self.client_id.as_str()),
            ("scope", self.scope.as_str()),
            ("grant_type", "client_credentials"),
        ];
        shared.into_iter().chain(self.credential.fields().into_iter().map(|field| (field.name, field.value))).collect()
    }

    fn refused(&self, http: &Http, exchange: Exchange, verdict: Advice) -> Error {
        let Some(said) = exchange.as_ref().ok().and_then(|answer| Refused::read(&answer.body)) else {
            return http.failure(exchange, verdict, &self.url, "");
        };
        let hint = hint(&said.error_codes, &said.error);
        let message = self.credential.scrub(&said.told());
        Error::Unauthorised { error: excerpt(&said.error), aadsts: said.error_codes.first().copied(), message, hint }
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

/// The token of a good answer; any other exchange as it was.
fn read_token(exchange: Exchange, asked: Instant) -> Result<Token, Exchange> {
    let answer = match exchange {
        Ok(answer) if (200..300).contains(&answer.status) => answer,
        other => return Err(other),
    };
    let Ok(Granted { access_token, expires_in }) = serde_json::from_slice(&answer.body) else {
        let reason = "the answer holds no token".to_owned();
        return Err(Err(Fault::Unusable { reason, request_id: answer.request_id }));
    };
    // A number, or a number as text: managed identities write it so.
    let seconds = expires_in.as_u64().or_else(|| expires_in.as_str()?.parse().ok());
    let life = seconds.map_or(LIFE_UNKNOWN, Duration::from_secs).min(LIFE_MAX);
    let margin = MARGIN.min(life / 2);
    let roles = roles(&access_token);
    let clock = answer.date.map(|date| (date, Instant::now()));
    Ok(Token { secret: access_token.into(), roles, clock, renew_at: asked + life.saturating_sub(margin) })
}

/// The `roles` claim, not verified: it decides nothing, it only lets us say what is missing.
fn roles(token: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Claims {
        roles: Vec<String>,
    }
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload.and_then(|json| serde_json::from_slice::<Claims>(&json).ok()).map(|claims| claims.roles).unwrap_or_default()
}

/// The login host's words about a refusal.
#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
    #[serde(default)]
    trace_id: String,
}

impl Refused {
    fn read(body: &[u8]) -> Option<Self> {
        let mut said: Self = serde_json::from_slice(body).ok()?;
        if said.error_codes.is_empty() {
            let number = said.error_description.strip_prefix("AADSTS").and_then(|rest| rest.split(':').next());
            said.error_codes.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        Some(said)
    }

    /// The first line: the rest repeats the trace id, the time and the address.
    fn told(&self) -> String {
        let line = excerpt(self.error_description.lines().next().unwrap_or_default());
        if self.trace_id.is_empty() { line } else { format!("{line} (trace id {})", excerpt(&self.trace_id)) }
    }
}

/// A refusal that the login host means for the moment only counts like a 503, whatever its status.
fn passing(exchange: &Exchange) -> Option<Outcome> {
    let answer = exchange.as_ref().ok()?;
    let said = Refused::read(&answer.body)?;
    let passes =
        said.error == "temporarily_unavailable" || said.error_codes.iter().any(|code| [90033, 50196].contains(code));
    let status = if answer.status == 429 { 429 } else { 503 };
    passes.then_some(Outcome::Status { status, retry_after: answer.retry_after })
}

/// What to tell the person who set the app up. By number first: `error` alone is coarse, and the text may change.
fn hint(codes: &[u32], error: &str) -> &'static str {
    let known = |code: &u32| {
        Some(match *code {
            7_000_215 => "the client secret is wrong; take the secret's value, not its id",
            7_000_222 => "the client secret has expired; make a new one",
            700_016 => {
                "the app is not known in this tenant; check the client id and the tenant id, and that consent was given"
            }
            90_002 => "the tenant is not known; check the tenant id and the cloud",
            700_027 => "the certificate is not known to the app; upload it there",
            700_021 => "the assertion is for another app; check the client id",
            700_023 => "the assertion is for another address; check the login host and the tenant id",
            700_024 => "the assertion's time is over or not yet come; check this machine's clock",
            70_021 | 700_213 => "no federated credential of the app matches issuer, subject and audience",
            70_011 | 1_002_012 => "Graph's host does not belong to this cloud",
            500_011 => "Graph is not known in this tenant; check the cloud",
            7_000_112 => "the app is disabled; enable it",
            _ => return None,
        })
    };
    codes.iter().find_map(known).unwrap_or(match error {
        "invalid_client" => "the app's credentials are not accepted",
        "unauthorized_client" => "the app may not sign in to this tenant",
        "invalid_scope" | "invalid_resource" => "Graph's host does not belong to this cloud",
        _ => "check the tenant id, the client id and the credentials",
    })
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
    fn the_number_decides_on_the_hint_and_is_found_in_the_text_too() {
        let said = Refused::read(
            br#"{"error":"invalid_client","error_description":"AADSTS7000222: expired.\r\nTrace ID: x"}"#,
        )
        .unwrap();
        assert_eq!(
            (said.error_codes.as_slice(), said.told().as_str()),
            ([7_000_222].as_slice(), "AADSTS7000222: expired.")
        );
        assert!(hint(&said.error_codes, &said.error).contains("has expired"));
        assert!(hint(&[1], "invalid_client").contains("credentials"));
        assert!(hint(&[], "new_error").contains("tenant id"));
    }
}
