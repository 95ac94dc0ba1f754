//! Managed identities: the machine is asked for a token, and whoever runs it in Azure vouches for it. Nothing secret is kept
//! by us.
//!
//! Two places answer: App Service and its kin (Functions, Container Apps), which say in the environment where, and the instance
//! metadata of a virtual machine, at an address that only the machine itself reaches. Both speak plain http, never through a
//! proxy. Azure Arc, Service Fabric and Azure ML are not spoken to.

use std::fmt;

use reqwest::{RequestBuilder, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::graph::{
    cloud::is_loopback,
    error::{Error, Result},
    request::Http,
};

/// Where a virtual machine finds its metadata.
const METADATA_HOST: &str = "http://169.254.169.254";
const METADATA_PATH: &str = "/metadata/identity/oauth2/token";

/// Who is asked, and for which of the machine's identities.
#[derive(Clone)]
pub struct ManagedIdentity {
    place: Place,
    url: Url,
    /// Of a user-assigned identity; none is the machine's own.
    client_id: Option<String>,
}

#[derive(Clone)]
enum Place {
    AppService { header: SecretString },
    Metadata,
}

impl ManagedIdentity {
    /// Asks what `IDENTITY_ENDPOINT` names, with the word of `IDENTITY_HEADER` that proves that we run there.
    ///
    /// # Errors
    /// [`Error::Credential`] for an address to which that word must not go.
    pub fn app_service(endpoint: &str, header: SecretString, client_id: Option<String>) -> Result<Self> {
        let url = parse("IDENTITY_ENDPOINT", endpoint)?;
        Ok(Self { place: Place::AppService { header }, url, client_id })
    }

    /// Asks the instance metadata; `host` is another one than Azure's own.
    ///
    /// # Errors
    /// [`Error::Credential`] for a host that can be no such thing.
    pub fn metadata(host: Option<&str>, client_id: Option<String>) -> Result<Self> {
        let mut url = parse("AZURE_POD_IDENTITY_AUTHORITY_HOST", host.unwrap_or(METADATA_HOST))?;
        url.set_path(METADATA_PATH);
        Ok(Self { place: Place::Metadata, url, client_id })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.place {
            Place::AppService { .. } => "managed identity of the App Service",
            Place::Metadata => "managed identity by instance metadata",
        }
    }

    pub(in crate::graph) fn url(&self) -> &Url {
        &self.url
    }

    pub(in crate::graph) fn is_metadata(&self) -> bool {
        matches!(self.place, Place::Metadata)
    }

    /// The identity that is asked for, in words.
    pub(in crate::graph) fn whose(&self) -> String {
        match &self.client_id {
            Some(id) => format!("the user-assigned identity with the client id {id}"),
            None => "a system-assigned identity".to_owned(),
        }
    }

    /// `resource` is Graph's bare host: no `/.default` here.
    pub(in crate::graph) fn request(&self, http: &Http, resource: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        let version = if self.is_metadata() { "2018-02-01" } else { "2019-08-01" };
        url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
        if let Some(id) = &self.client_id {
            url.query_pairs_mut().append_pair("client_id", id);
        }
        let request = http.get(&url);
        match &self.place {
            Place::Metadata => request.header("metadata", "true"),
            Place::AppService { header } => match HeaderValue::from_str(header.expose_secret()) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    request.header("x-identity-header", value)
                }
                // Without it the answer is a refusal, which is told.
                Err(_) => request,
            },
        }
    }
}

impl fmt::Debug for ManagedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, {}", self.name(), self.url, self.whose())
    }
}

/// Plain http may go to this machine and to addresses that end at the next wire, where Azure's hosts answer.
fn parse(variable: &str, text: &str) -> Result<Url> {
    let refused = |why: &str| Error::Credential {
        what: format!("{variable} is '{text}', which {why}"),
        hint: format!("Azure sets {variable} by itself; unset it where there is no managed identity"),
    };
    let url = Url::parse(text).map_err(|_| refused("is no address"))?;
    let is_near = is_loopback(&url) || matches!(url.host(), Some(Host::Ipv4(address)) if address.is_link_local());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_near => Ok(url),
        "http" => Err(refused("is plain http to another machine")),
        _ => Err(refused("is no address of http")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_no_further_than_the_next_wire() {
        let header = || SecretString::from("h3ader".to_owned());
        for good in ["http://127.0.0.1:41741/msi/token", "http://169.254.129.2:8081/msi/token", "https://any.example/t"]
        {
            let identity = ManagedIdentity::app_service(good, header(), None).unwrap();
            assert!(!format!("{identity:?}").contains("h3ader"));
        }
        for bad in ["http://10.0.0.4/msi/token", "http://metadata.example", "ftp://127.0.0.1", "", "127.0.0.1:80"] {
            let error = ManagedIdentity::app_service(bad, header(), None).unwrap_err().to_string();
            assert!(error.contains("IDENTITY_ENDPOINT"), "{error}");
        }
        let identity = ManagedIdentity::metadata(None, None).unwrap();
        assert_eq!(identity.url().as_str(), "http://169.254.169.254/metadata/identity/oauth2/token");
    }
}
