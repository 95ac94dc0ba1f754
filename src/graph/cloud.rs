//! The Microsoft clouds and their hosts, and which hosts may be spoken to at all.
//!
//! Tokens of one cloud are worth nothing in another. Source: Graph, "National cloud deployments" (2026-08).

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::{
    graph::error::{Error, Result},
    model::source::Source,
};

/// A Microsoft cloud, as `--cloud` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// The worldwide cloud; also US Government GCC.
    #[default]
    Global,
    /// GCC High.
    UsGovL4,
    /// Department of Defense.
    UsGovL5,
    /// 21Vianet; its Graph has no call records.
    China,
}

impl Cloud {
    pub const ALL: [Cloud; 4] = [Cloud::Global, Cloud::UsGovL4, Cloud::UsGovL5, Cloud::China];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cloud::Global => "global",
            Cloud::UsGovL4 => "usgov-l4",
            Cloud::UsGovL5 => "usgov-l5",
            Cloud::China => "china",
        }
    }

    /// Where tokens come from, unless `AZURE_AUTHORITY_HOST` says otherwise.
    #[must_use]
    pub fn login_host(self) -> &'static str {
        match self {
            Cloud::Global => "https://login.microsoftonline.com",
            Cloud::UsGovL4 | Cloud::UsGovL5 => "https://login.microsoftonline.us",
            Cloud::China => "https://login.chinacloudapi.cn",
        }
    }

    /// Graph's host, without a version.
    #[must_use]
    pub fn graph_host(self) -> &'static str {
        match self {
            Cloud::Global => "https://graph.microsoft.com",
            Cloud::UsGovL4 => "https://graph.microsoft.us",
            Cloud::UsGovL5 => "https://dod-graph.microsoft.us",
            Cloud::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// Whether this cloud's Graph has the source. China's has no call records and none of the logs; of the rest the reference
    /// does not say for every cloud, so it is tried.
    #[must_use]
    pub fn has(self, source: Source) -> bool {
        self != Cloud::China || source == Source::People
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Cloud {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Cloud::ALL.into_iter().find(|cloud| cloud.name() == text).ok_or_else(|| {
            let names: Vec<_> = Cloud::ALL.iter().map(|cloud| cloud.name()).collect();
            format!("no such cloud; there are {}", names.join(", "))
        })
    }
}

/// Reads a host as settings give it: `https://host[:port]`, or a bare host name, which means https.
///
/// # Errors
/// [`Error::Host`] for what is no such address, [`Error::Insecure`] for plain http to anything but a loopback address.
pub fn parse_host(text: &str) -> Result<Url> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&with_scheme).map_err(|error| refused(text, &error.to_string()))?;
    check_host(&url)?;
    Ok(url)
}

/// Refuses addresses to which a secret must not be sent.
pub(super) fn check_host(url: &Url) -> Result<()> {
    if url.host().is_none() || !matches!(url.scheme(), "https" | "http") {
        return Err(refused(url.as_str(), "expected https://host"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(refused(url.host_str().unwrap_or_default(), "expected https://host and nothing around it"));
    }
    if url.scheme() == "http" && !is_loopback(url) {
        return Err(Error::Insecure { url: url.to_string() });
    }
    Ok(())
}

/// Whether the address never leaves this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn refused(address: &str, reason: &str) -> Error {
    Error::Host { address: address.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_usable_hosts_and_is_found_by_its_name() {
        for cloud in Cloud::ALL {
            parse_host(cloud.login_host()).unwrap();
            parse_host(cloud.graph_host()).unwrap();
            assert_eq!(cloud.name().parse(), Ok(cloud));
        }
        assert!("mars".parse::<Cloud>().unwrap_err().contains("usgov-l5"));
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in [
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:9",
            "https://graph.microsoft.com",
            "login.microsoftonline.us",
        ] {
            parse_host(good).unwrap();
        }
        for bad in [
            "http://graph.microsoft.com",
            "http://127.0.0.1.evil.example",
            "http://10.0.0.1",
            "http://localhost.example",
        ] {
            assert!(matches!(parse_host(bad), Err(Error::Insecure { .. })), "{bad}");
        }
        for bad in ["", "ftp://host", "https://", "https://user:secret@host", "https://host/?a=b"] {
            let error = parse_host(bad).unwrap_err();
            assert!(matches!(error, Error::Host { .. }), "{bad}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
