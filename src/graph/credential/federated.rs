//! Workload identity federation: the token of another issuer (Kubernetes, GitHub), which the app has been told to trust.
//!
//! Its file is renewed by others, within the hour: it is read for each request for a token.

use std::{fs, io::Read, path::PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use crate::graph::error::{Error, Result, excerpt};

/// No token is longer; a file that is was not meant.
const TOKEN_MAX_BYTES: u64 = 64 * 1024;

/// The file that somebody else keeps a fresh token in.
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// Makes sure that there is a token to read.
    ///
    /// # Errors
    /// [`Error::Credential`] when there is none.
    pub fn open(path: PathBuf) -> Result<Self> {
        let file = Self { path };
        file.read()?;
        Ok(file)
    }

    pub(super) fn read(&self) -> Result<SecretString> {
        let trouble = |what: String| Error::Credential {
            what: format!("the federated token file {}: {what}", self.path.display()),
            hint: "AZURE_FEDERATED_TOKEN_FILE names the file in which the platform keeps a fresh token; \
                   check that it is mounted and readable"
                .to_owned(),
        };
        let file = fs::File::open(&self.path).map_err(|error| trouble(error.to_string()))?;
        let length = file.metadata().map_err(|error| trouble(error.to_string()))?.len();
        if length > TOKEN_MAX_BYTES {
            return Err(trouble("is too long for a token".to_owned()));
        }
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
        file.take(TOKEN_MAX_BYTES).read_to_string(&mut text).map_err(|error| trouble(error.to_string()))?;
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(trouble(if token.is_empty() { "is empty" } else { "is no token" }.to_owned()));
        }
        Ok(SecretString::from(token.to_owned()))
    }

    /// What the token says of itself and the app's federated credential has to repeat: nothing of it is secret.
    pub(in crate::graph) fn told(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Claims {
            #[serde(default)]
            iss: String,
            #[serde(default)]
            sub: String,
            #[serde(default)]
            aud: serde_json::Value,
        }
        let token = self.read().ok()?;
        let mut payload = URL_SAFE_NO_PAD.decode(token.expose_secret().split('.').nth(1)?).ok()?;
        let claims = serde_json::from_slice::<Claims>(&payload).ok();
        payload.zeroize();
        let Claims { iss, sub, aud } = claims?;
        let audience = aud.as_str().or_else(|| aud.get(0)?.as_str()).unwrap_or_default().to_owned();
        Some(format!("issuer '{}', subject '{}', audience '{}'", excerpt(&iss), excerpt(&sub), excerpt(&audience)))
    }
}
