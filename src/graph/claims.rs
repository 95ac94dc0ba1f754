//! What a token says of itself. Nobody but Graph may verify it, so it decides nothing: it lets us say what is wrong with a set-up
//! before Graph merely refuses.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::{
    graph::{Client, error::Result},
    model::time::Timestamp,
};

/// The claims of an access token, unverified; each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The tenant that gave it, `tid`.
    pub tenant_id: Option<String>,
    /// The app that it was given to, `appid` (`azp` in version 2).
    pub client_id: Option<String>,
    /// Whom it is for, `aud`: an address, or Graph's app id.
    pub audience: Option<String>,
    /// The application permissions granted.
    pub roles: Vec<String>,
    pub expires: Option<Timestamp>,
}

impl Claims {
    /// `None` when the token is opaque.
    pub(super) fn read(token: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Payload {
            tid: Option<String>,
            #[serde(alias = "azp")]
            appid: Option<String>,
            aud: Option<String>,
            #[serde(default)]
            roles: Vec<String>,
            exp: Option<i64>,
        }
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let Payload { tid, appid, aud, roles, exp } = serde_json::from_slice(&payload).ok()?;
        let expires = exp.map(Timestamp::from_second);
        Some(Self { tenant_id: tid, client_id: appid, audience: aud, roles, expires })
    }
}

impl Client {
    /// Gets a token, unless a good one is there, and reads what it says of itself; `None` when it cannot be read, which means
    /// nothing.
    ///
    /// # Errors
    /// Those of [`Client::sign_in`].
    pub async fn claims(&self) -> Result<Option<Claims>> {
        let token = self.shared.tokens.get(&self.shared.http).await?;
        Ok(Claims::read(token.secret.expose_secret()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn claims_are_read_in_both_versions_of_tokens() {
        let payload = r#"{"aud":"https://graph.microsoft.com","tid":"t","appid":"a","roles":["R"],"exp":1793491200}"#;
        let claims = Claims::read(&token(payload)).unwrap();
        assert_eq!((claims.tenant_id.as_deref(), claims.client_id.as_deref()), (Some("t"), Some("a")));
        assert_eq!((claims.roles, claims.expires), (vec!["R".to_owned()], Some(Timestamp::from_second(1_793_491_200))));
        assert_eq!(Claims::read(&token(r#"{"azp":"b"}"#)).unwrap().client_id.as_deref(), Some("b"));
    }

    #[test]
    fn an_opaque_token_says_nothing() {
        for opaque in ["", "opaque", "a.b.c", "a.%%%.c", &token("[]")] {
            assert_eq!(Claims::read(opaque), None, "{opaque}");
        }
    }
}
