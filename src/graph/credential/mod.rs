//! How the app proves who it is: one file a kind, one enum over them.
//!
//! A secret, a certificate and a federated token answer one question: which form fields go into the token request besides the
//! three that all of them share. A managed identity and the Azure command line give a token themselves and are asked
//! otherwise (`token`). What is read from a file is read for each token anew, so that a service outlives its renewal.
//!
//! Nothing secret is ever shown: `Debug` names the kind, and errors name files.

pub mod azure_cli;
pub mod certificate;
pub mod federated;
pub mod managed;

mod secret;
mod x509;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    graph::{
        credential::{certificate::CertificateFile, federated::TokenFile, managed::ManagedIdentity},
        error::Result,
    },
    model::time::Timestamp,
};

/// The type of an assertion in place of a secret, whoever signed it (RFC 7523).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A form field of the token request.
pub(super) struct Field {
    name: &'static str,
    value: Value,
}

enum Value {
    Public(String),
    Secret(SecretString),
}

impl Field {
    pub(super) fn public(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: Value::Public(value.into()) }
    }

    fn secret(name: &'static str, value: SecretString) -> Self {
        Self { name, value: Value::Secret(value) }
    }

    fn assertion(assertion: SecretString) -> Vec<Self> {
        vec![Self::public("client_assertion_type", ASSERTION_TYPE), Self::secret("client_assertion", assertion)]
    }

    fn value(&self) -> &str {
        match &self.value {
            Value::Public(text) => text,
            Value::Secret(secret) => secret.expose_secret(),
        }
    }
}

/// What a proof is about.
pub(super) struct Occasion<'a> {
    /// Where it is posted to.
    pub(super) token_url: &'a Url,
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
}

/// What the app shows to the login host, or who gives it a token.
#[derive(Clone)]
pub enum Credential {
    /// A client secret, `AZURE_CLIENT_SECRET`.
    Secret(SecretString),
    /// A certificate with its key, `AZURE_CLIENT_CERTIFICATE_PATH`.
    Certificate(CertificateFile),
    /// A token of another issuer, `AZURE_FEDERATED_TOKEN_FILE`.
    Federated(TokenFile),
    /// The identity that Azure gives to the machine.
    Managed(ManagedIdentity),
    /// Whoever is signed in to the Azure command line: for trying out.
    AzureCli,
}

impl Credential {
    /// The kind, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Secret(_) => "client secret",
            Self::Certificate(_) => "client certificate",
            Self::Federated(_) => "workload identity",
            Self::Managed(identity) => identity.name(),
            Self::AzureCli => "Azure command line",
        }
    }

    /// Whether the login host is asked by the app itself, which takes a tenant and a client id.
    #[must_use]
    pub fn asks_login_host(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::Certificate(_) | Self::Federated(_))
    }

    /// Takes secret values out of an answer, should the other side have echoed them.
    pub(super) fn scrub(&self, fields: &[Field], body: &mut Vec<u8>) {
        let of_form = fields.iter().filter(|field| matches!(field.value, Value::Secret(_))).map(Field::value);
        let of_header = match self {
            Self::Managed(identity) => identity.secret(),
            _ => None,
        };
        let mut text = String::from_utf8_lossy(body).into_owned();
        for secret in of_form.chain(of_header).filter(|secret| !secret.is_empty()) {
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            text = text.replace(secret, "[secret]").replace(&encoded, "[secret]");
        }
        *body = text.into_bytes();
    }

    /// The fields that prove who asks, made afresh for each request; none for kinds that do not ask the login host.
    pub(super) fn fields(&self, occasion: &Occasion<'_>) -> Result<Vec<Field>> {
        match self {
            Self::Secret(secret) => Ok(secret::fields(secret)),
            Self::Certificate(file) => file.assertion(occasion).map(Field::assertion),
            Self::Federated(file) => file.read().map(Field::assertion),
            Self::Managed(_) | Self::AzureCli => Ok(Vec::new()),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(file) => file.fmt(f),
            Self::Federated(file) => file.fmt(f),
            Self::Managed(identity) => identity.fmt(f),
            Self::Secret(_) | Self::AzureCli => f.write_str(self.name()),
        }
    }
}

/// The form as it is sent, in memory that is wiped.
pub(super) fn form(fields: &[Field]) -> Zeroizing<Vec<u8>> {
    // A letter takes three bytes at most: the buffer never moves and leaves no copy behind.
    let length = fields.iter().map(|field| field.name.len() + 3 * field.value().len() + 2).sum();
    let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(length));
    for field in fields {
        form.append_pair(field.name, field.value());
    }
    Zeroizing::new(form.finish().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_encoded_and_an_echo_of_its_secret_is_taken_out() {
        let fields = [Field::public("client_id", "app"), Field::secret("client_secret", "s~e c&r=é".to_owned().into())];
        let sent = form(&fields);
        assert_eq!(std::str::from_utf8(&sent).unwrap(), "client_id=app&client_secret=s%7Ee+c%26r%3D%C3%A9");
        let mut echo = b"app: 's~e c&r=\xc3\xa9' or s%7Ee+c%26r%3D%C3%A9?".to_vec();
        Credential::AzureCli.scrub(&fields, &mut echo);
        assert_eq!(echo, b"app: '[secret]' or [secret]?");

        let header = SecretString::from("h3ader".to_owned());
        let identity = ManagedIdentity::app_service("http://127.0.0.1/token", header, None).unwrap();
        let mut echo = b"X-IDENTITY-HEADER h3ader is wrong".to_vec();
        Credential::Managed(identity).scrub(&[], &mut echo);
        assert_eq!(echo, b"X-IDENTITY-HEADER [secret] is wrong");
    }

    #[test]
    fn debug_names_the_kind_and_nothing_else() {
        assert_eq!(format!("{:?}", Credential::Secret("s3cr3t".to_owned().into())), "client secret");
    }
}
