//! Every environment variable that the program reads, in one place. The names are those that Azure's own tools use.

use std::{env, path::PathBuf};

use secrecy::SecretString;

/// What the environment says; read once.
#[derive(Clone, Debug, Default)]
pub struct Env {
    pub archive: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub tenant_id: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<SecretString>,
    pub authority_host: Option<String>,
    pub graph_endpoint: Option<String>,
    pub cloud: Option<String>,
}

impl Env {
    #[must_use]
    pub fn read() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            archive: text("CALLVAULT_ARCHIVE").map(PathBuf::from),
            config: text("CALLVAULT_CONFIG").map(PathBuf::from),
            tenant_id: text("AZURE_TENANT_ID"),
            client_id: text("AZURE_CLIENT_ID"),
            client_secret: text("AZURE_CLIENT_SECRET").map(SecretString::from),
            authority_host: text("AZURE_AUTHORITY_HOST"),
            graph_endpoint: text("CALLVAULT_GRAPH_ENDPOINT"),
            cloud: text("CALLVAULT_CLOUD"),
        }
    }
}
