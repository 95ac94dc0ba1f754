//! The client secret: sent as it is.

use secrecy::{ExposeSecret, SecretString};

use crate::graph::credential::Field;

pub(super) fn fields(secret: &SecretString) -> Vec<Field<'_>> {
    vec![Field { name: "client_secret", value: secret.expose_secret() }]
}

pub(super) fn scrub(secret: &SecretString, text: &str) -> String {
    let secret = secret.expose_secret();
    if secret.is_empty() { text.to_owned() } else { text.replace(secret, "[secret]") }
}
