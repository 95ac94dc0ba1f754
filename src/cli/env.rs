//! Every environment variable that the program reads, in one place. The names are those that Azure's own tools use.

use std::{env, path::PathBuf};

use secrecy::SecretString;

/// What the environment says; read once.
#[derive(Clone, Debug, Default)]
pub struct Env {
    pub archive: Option<PathBuf>,
    pub config: Option<PathBuf>,
    /// Where systemd has put what `LoadCredential=` names.
    pub credentials: Option<PathBuf>,
    pub tenant_id: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<SecretString>,
    pub client_certificate_path: Option<PathBuf>,
    pub client_certificate_password: Option<SecretString>,
    /// For apps that trust a certificate by subject and issuer.
    pub send_certificate_chain: bool,
    pub federated_token_file: Option<PathBuf>,
    pub identity_endpoint: Option<String>,
    pub identity_header: Option<SecretString>,
    /// Set beside `IDENTITY_ENDPOINT` by the agent of Azure Arc.
    pub imds_endpoint: Option<String>,
    pub pod_identity_authority_host: Option<String>,
    /// Which kind of credential is to be taken.
    pub token_credentials: Option<String>,
    pub authority_host: Option<String>,
    pub graph_endpoint: Option<String>,
    pub cloud: Option<String>,
    /// No colours, whatever is written to; see no-color.org.
    pub no_color: bool,
    /// The proxy for https, to be shown: without user and password. The HTTP library reads the variable itself, as it does
    /// `NO_PROXY`; `SSL_CERT_FILE` and `SSL_CERT_DIR` are read by the TLS library.
    pub proxy: Option<String>,
    /// Each variable that is set of those that say how the network is reached, to be shown.
    pub network: Vec<(&'static str, String)>,
}

impl Env {
    #[must_use]
    pub fn read() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let secret = |name| text(name).map(SecretString::from);
        let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            archive: path("CALLVAULT_ARCHIVE"),
            config: path("CALLVAULT_CONFIG"),
            credentials: path("CREDENTIALS_DIRECTORY"),
            tenant_id: text("AZURE_TENANT_ID"),
            client_id: text("AZURE_CLIENT_ID"),
            client_secret: secret("AZURE_CLIENT_SECRET"),
            client_certificate_path: path("AZURE_CLIENT_CERTIFICATE_PATH"),
            client_certificate_password: secret("AZURE_CLIENT_CERTIFICATE_PASSWORD"),
            send_certificate_chain: text("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")
                .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
            federated_token_file: path("AZURE_FEDERATED_TOKEN_FILE"),
            identity_endpoint: text("IDENTITY_ENDPOINT"),
            identity_header: secret("IDENTITY_HEADER"),
            imds_endpoint: text("IMDS_ENDPOINT"),
            pod_identity_authority_host: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
            token_credentials: text("AZURE_TOKEN_CREDENTIALS"),
            authority_host: text("AZURE_AUTHORITY_HOST"),
            graph_endpoint: text("CALLVAULT_GRAPH_ENDPOINT"),
            cloud: text("CALLVAULT_CLOUD"),
            no_color: text("NO_COLOR").is_some(),
            network: PROXIES
                .into_iter()
                .filter_map(|name| text(name).map(|value| (name, shown(&value))))
                .chain(NETWORK.into_iter().filter_map(|name| text(name).map(|value| (name, value))))
                .collect(),
            proxy: PROXIES.into_iter().find_map(text).map(|proxy| shown(&proxy)),
        }
    }
}

/// In the order in which the HTTP library asks for them.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NETWORK: [&str; 4] = ["NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A proxy's address without what stands before its host.
fn shown(proxy: &str) -> String {
    let address = proxy.rsplit_once('@').map_or(proxy, |(_, host)| host);
    let scheme = proxy.split_once("://").map_or("http", |(scheme, _)| scheme);
    format!("{scheme}://{}", address.rsplit_once("://").map_or(address, |(_, host)| host).trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_user_and_password() {
        for proxy in ["http://user:pa@ss@proxy.example:3128/", "http://proxy.example:3128", "user:p@proxy.example:3128"]
        {
            assert_eq!(shown(proxy), "http://proxy.example:3128");
        }
        assert_eq!(shown("socks5h://u:p@proxy.example:1080"), "socks5h://proxy.example:1080");
    }
}
