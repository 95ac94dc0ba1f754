//! The client secret: sent as it is.

use secrecy::SecretString;

use crate::graph::credential::Field;

pub(super) fn fields(secret: &SecretString) -> Vec<Field> {
    vec![Field::secret("client_secret", secret.clone())]
}
