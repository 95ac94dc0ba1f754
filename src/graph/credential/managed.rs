//! Managed identities: the machine is asked for a token, and whoever runs it in Azure vouches for it. Nothing secret is kept
//! by us.
//!
//! Three places answer: App Service and its kin (Functions, Container Apps) and the agent of Azure Arc, both of which say in the
//! environment where, and the instance metadata of a virtual machine, at an address that only the machine itself reaches. All
//! speak plain http, never through a proxy. Service Fabric and Azure ML are not spoken to.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::graph::{
    cloud::is_loopback,
    error::{Error, Result, excerpt},
    request::{Exchange, Http},
};

/// Where a virtual machine finds its metadata.
const METADATA_HOST: &str = "http://169.254.169.254";
const METADATA_PATH: &str = "/metadata/identity/oauth2/token";

/// What a machine in Azure needs at the most, and a person elsewhere has to wait to be told that nothing is set.
const LAST_RESORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the agent of Azure Arc keeps the keys by which it knows who may read them.
pub const ARC_KEYS: &str = "/var/opt/azcmagent/tokens";
const ARC_KEY_MAX_BYTES: usize = 4096;

/// Who is asked, and for which of the machine's identities.
#[derive(Clone)]
pub struct ManagedIdentity {
    place: Place,
    url: Url,
    /// Of a user-assigned identity; none is the machine's own.
    client_id: Option<String>,
    /// Nobody chose it: it is asked because nothing else is set.
    presumed: bool,
}

#[derive(Clone)]
enum Place {
    AppService { header: SecretString },
    Arc { keys: PathBuf },
    Metadata,
}

impl ManagedIdentity {
    /// Asks what `IDENTITY_ENDPOINT` names, with the word of `IDENTITY_HEADER` that proves that we run there.
    ///
    /// # Errors
    /// [`Error::Credential`] for an address to which that word must not go.
    pub fn app_service(endpoint: &str, header: SecretString, client_id: Option<String>) -> Result<Self> {
        let url = parse("IDENTITY_ENDPOINT", endpoint)?;
        Ok(Self { place: Place::AppService { header }, url, client_id, presumed: false })
    }

    /// Asks the agent of Azure Arc, which `IDENTITY_ENDPOINT` names; the right to ask is shown by reading a key from the folder
    /// `keys`. There is one identity, the machine's own.
    ///
    /// # Errors
    /// [`Error::Credential`] for an address that is not near.
    pub fn arc(endpoint: &str, keys: PathBuf) -> Result<Self> {
        let url = parse("IDENTITY_ENDPOINT", endpoint)?;
        Ok(Self { place: Place::Arc { keys }, url, client_id: None, presumed: false })
    }

    /// Asks the instance metadata; `host` is another one than Azure's own.
    ///
    /// # Errors
    /// [`Error::Credential`] for a host that can be no such thing.
    pub fn metadata(host: Option<&str>, client_id: Option<String>) -> Result<Self> {
        let mut url = parse("AZURE_POD_IDENTITY_AUTHORITY_HOST", host.unwrap_or(METADATA_HOST))?;
        url.set_path(METADATA_PATH);
        Ok(Self { place: Place::Metadata, url, client_id, presumed: false })
    }

    /// The same, asked once and not for long: nobody chose it, and outside Azure nobody answers.
    #[must_use]
    pub fn as_last_resort(self) -> Self {
        Self { presumed: true, ..self }
    }

    pub(in crate::graph) fn is_last_resort(&self) -> bool {
        self.presumed
    }

    pub(super) fn name(&self) -> &'static str {
        match self.place {
            Place::AppService { .. } => "managed identity of the App Service",
            Place::Arc { .. } => "managed identity of Azure Arc",
            Place::Metadata => "managed identity by instance metadata",
        }
    }

    pub(in crate::graph) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn secret(&self) -> Option<&str> {
        match &self.place {
            Place::AppService { header } => Some(header.expose_secret()),
            Place::Arc { .. } | Place::Metadata => None,
        }
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

    /// Asks once. `resource` is Graph's bare host: no `/.default` here.
    ///
    /// # Errors
    /// [`Error::Credential`] when the key that the agent of Azure Arc wants to be shown cannot be read.
    pub(in crate::graph) async fn exchange(&self, http: &Http, resource: &str) -> Result<Exchange> {
        let exchange = http.exchange(self.request(http, resource)).await;
        let (Place::Arc { keys }, Ok(answer)) = (&self.place, &exchange) else { return Ok(exchange) };
        let Some(challenge) = answer.challenge.as_ref().filter(|_| answer.status == 401) else { return Ok(exchange) };
        let key = arc_key(challenge, keys).map_err(|what| Error::Credential {
            what: format!("the agent of Azure Arc does not let us ask: {what}"),
            hint: "run as a member of the group himds, which may read the agent's keys".to_owned(),
        })?;
        Ok(http.exchange(self.request(http, resource).header(AUTHORIZATION, key)).await)
    }

    fn request(&self, http: &Http, resource: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        let version = match &self.place {
            Place::AppService { .. } => "2019-08-01",
            Place::Arc { .. } => "2020-06-01",
            Place::Metadata => "2018-02-01",
        };
        url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
        if let Some(id) = &self.client_id {
            url.query_pairs_mut().append_pair("client_id", id);
        }
        let mut request = http.get(&url);
        if self.presumed {
            request = request.timeout(LAST_RESORT_TIMEOUT);
        }
        match &self.place {
            Place::Arc { .. } | Place::Metadata => request.header("metadata", "true"),
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

/// The header that shows that we could read the key which `challenge` names: a file of the agent's own folder and no other,
/// whoever may have sent the challenge.
fn arc_key(challenge: &str, keys: &Path) -> Result<HeaderValue, String> {
    let named = challenge.strip_prefix("Basic realm=").map(|realm| Path::new(realm.trim().trim_matches('"')));
    let is_key = |path: &&Path| path.parent() == Some(keys) && path.extension().is_some_and(|text| text == "key");
    let path = named.filter(is_key).ok_or_else(|| format!("'{}' names no key of its own", excerpt(challenge)))?;
    let trouble = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(trouble)?;
    if file.metadata().map_err(trouble)?.len() > ARC_KEY_MAX_BYTES as u64 {
        return Err(format!("{} is too long for a key", path.display()));
    }
    let mut header = Zeroizing::new(String::with_capacity("Basic ".len() + ARC_KEY_MAX_BYTES + 1));
    header.push_str("Basic ");
    file.take(ARC_KEY_MAX_BYTES as u64).read_to_string(&mut header).map_err(trouble)?;
    let mut value = HeaderValue::from_str(header.trim_end()).map_err(|_| format!("{} is no key", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
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
