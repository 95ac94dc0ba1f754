//! How the app proves who it is: one file a kind, one enum over them.
//!
//! A kind answers one question: which form fields go into the token request besides the three that all kinds share.

mod secret;

use secrecy::SecretString;

/// A form field of the token request.
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
}

/// What the app shows to the login host.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A client secret, `AZURE_CLIENT_SECRET`.
    Secret(SecretString),
}

impl Credential {
    /// What kind it is, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Secret(_) => "client secret",
        }
    }

    /// The fields that prove who asks.
    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        match self {
            Self::Secret(secret) => secret::fields(secret),
        }
    }

    /// Takes the credential out of a text that is about to be shown, should the other side have echoed it.
    pub(super) fn scrub(&self, text: &str) -> String {
        match self {
            Self::Secret(secret) => secret::scrub(secret, text),
        }
    }
}
