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
    /// The variables of proxies that are set, with their values as they may be shown. The HTTP library reads them itself.
    pub proxies: Vec<(&'static str, String)>,
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
            proxies: PROXIES
                .into_iter()
                .filter_map(|name| text(name).map(|value| (name, without_password(&value))))
                .collect(),
        }
    }
}

/// In the order in which the HTTP library asks for them, for https; those after it, and which hosts need none.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

/// A proxy's address without user and password.
fn without_password(proxy: &str) -> String {
    let (scheme, rest) = proxy.split_once("://").map_or(("", proxy), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_user_and_password() {
        assert_eq!(without_password("http://user:p@ss@proxy.example:3128"), "http://proxy.example:3128");
        assert_eq!(without_password("user:pass@proxy.example:3128"), "proxy.example:3128");
        assert_eq!(without_password("localhost,.example"), "localhost,.example");
    }
}
