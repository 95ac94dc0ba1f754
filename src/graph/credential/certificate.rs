//! A certificate that the app knows, with its RSA key: proof is a short-lived statement signed with the key (RFC 7523), made
//! afresh for each request. The key itself never leaves this process.
//!
//! One file holds both: PEM (the key as PKCS#8 or PKCS#1, not encrypted), or PKCS#12, which may have a password. Microsoft
//! takes RSA keys of 2048 bits and more, and nothing else.

use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{KeyPair, RSA_PSS_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls::pki_types::pem::{PemObject, SectionKind};
use secrecy::SecretString;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    graph::{
        credential::{Occasion, x509},
        error::{Error, Result},
    },
    model::time::{Age, Timestamp},
};

/// How long a statement is good for: what Microsoft's own library asks for.
const STATEMENT_LIFE: Age = Age::minutes(10);
/// From here on the end of a certificate is told with each sign-in.
const NEAR_END: Age = Age::days(30);
/// A certificate with its chain and key takes some kilobytes.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// A file with a certificate and its key, and what was in it when last read.
#[derive(Clone)]
pub struct CertificateFile {
    path: PathBuf,
    password: Option<SecretString>,
    with_chain: bool,
    newest: Arc<Mutex<Arc<Identity>>>,
}

/// What signs, and what the other side knows it by.
struct Identity {
    key: RsaKeyPair,
    /// DER; the certificate of the key first.
    chain: Vec<Vec<u8>>,
    facts: x509::Facts,
}

impl CertificateFile {
    /// Reads the file. `with_chain` puts the certificates into each statement, which apps need that trust subject and issuer
    /// rather than one certificate.
    ///
    /// # Errors
    /// [`Error::Credential`], which names the file and what is wrong with it.
    pub fn open(path: PathBuf, password: Option<SecretString>, with_chain: bool) -> Result<Self> {
        let identity = load(&path, password.as_ref())?;
        Ok(Self { path, password, with_chain, newest: Arc::new(Mutex::new(Arc::new(identity))) })
    }

    /// SHA-256 and SHA-1 of the certificate, as portals and tools show them.
    #[must_use]
    pub fn thumbprints(&self) -> (String, String) {
        let identity = self.newest();
        let certificate = identity.certificate();
        (hex(&digest::SHA256, certificate), hex(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate))
    }

    /// A statement for one request.
    pub(super) fn assertion(&self, occasion: &Occasion<'_>) -> Result<SecretString> {
        self.renew();
        let identity = self.newest();
        self.check_life(&identity, occasion.now)?;
        let code = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, identity.certificate()));
        let mut header = serde_json::json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint });
        if self.with_chain {
            header["x5c"] = identity.chain.iter().map(|der| STANDARD.encode(der)).collect();
        }
        let from = occasion.now.as_second();
        let claims = serde_json::json!({
            "aud": occasion.token_url.as_str(),
            "iss": occasion.client_id,
            "sub": occasion.client_id,
            "jti": Uuid::new_v4().to_string(),
            "iat": from,
            "nbf": from,
            "exp": (occasion.now + STATEMENT_LIFE).as_second(),
        });
        let signed = format!("{}.{}", code(&header), code(&claims));
        let mut signature = vec![0; identity.key.public_modulus_len()];
        identity
            .key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| self.trouble("its key does not sign"))?;
        Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    fn newest(&self) -> Arc<Identity> {
        Arc::clone(&self.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what the file holds now. One that is just being replaced does not stop a service that has a good certificate.
    fn renew(&self) {
        match load(&self.path, self.password.as_ref()) {
            Ok(identity) => *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity),
            Err(error) => tracing::warn!(%error, "going on with the certificate as it was read before"),
        }
    }

    fn check_life(&self, identity: &Identity, now: Timestamp) -> Result<()> {
        let x509::Facts { not_before, not_after, .. } = identity.facts;
        if now >= not_after {
            let told = format!("the certificate has ended on {}", not_after.to_seconds_text());
            return Err(self.trouble(&told));
        }
        if now < not_before {
            let told = format!(
                "the certificate begins on {}, later than this machine's clock says",
                not_before.to_seconds_text()
            );
            return Err(self.trouble(&told));
        }
        if not_after - now < NEAR_END {
            let (file, ends) = (self.path.display(), not_after.to_seconds_text());
            tracing::warn!(%file, %ends, "the client certificate is near its end; make a new one and upload it to the app");
        }
        Ok(())
    }

    fn trouble(&self, what: &str) -> Error {
        trouble(&self.path, what)
    }
}

impl fmt::Debug for CertificateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client certificate {} with SHA-256 thumbprint {}", self.path.display(), self.thumbprints().0)
    }
}

impl Identity {
    fn certificate(&self) -> &[u8] {
        &self.chain[0]
    }
}

fn hex(algorithm: &'static digest::Algorithm, der: &[u8]) -> String {
    digest::digest(algorithm, der).as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))
}

fn trouble(path: &Path, what: &str) -> Error {
    let hint = "a client certificate is one file with an RSA key of 2048 bits or more and its certificate: PEM, \
                or PFX with AZURE_CLIENT_CERTIFICATE_PASSWORD";
    Error::Credential { what: format!("the client certificate {}: {what}", path.display()), hint: hint.to_owned() }
}

fn load(path: &Path, password: Option<&SecretString>) -> Result<Identity> {
    let bytes = read(path).map_err(|error| trouble(path, &error.to_string()))?;
    let contents = if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        from_pem(&bytes)
    } else {
        from_pfx(&bytes, password)
    };
    contents.and_then(Contents::into_identity).map_err(|what| trouble(path, &what))
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length > FILE_MAX_BYTES {
        return Err(std::io::Error::other("is too long for a certificate and a key"));
    }
    // Room for all of it: a buffer that grows would leave a copy of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
    file.take(FILE_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file holds, before anything fits together.
#[derive(Default)]
struct Contents {
    keys: Vec<Key>,
    certificates: Vec<Vec<u8>>,
}

enum Key {
    Pkcs1(Zeroizing<Vec<u8>>),
    Pkcs8(Zeroizing<Vec<u8>>),
}

fn from_pem(bytes: &[u8]) -> Result<Contents, String> {
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err("its key is encrypted, which PEM files may not be here; make it PFX with: \
                    openssl pkcs12 -export -in FILE -out FILE.pfx"
            .to_owned());
    }
    let mut contents = Contents::default();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, mut der) = section.map_err(|_| "is damaged PEM".to_owned())?;
        match kind {
            SectionKind::Certificate => contents.certificates.push(der),
            SectionKind::PrivateKey => contents.keys.push(Key::Pkcs8(der.into())),
            SectionKind::RsaPrivateKey => contents.keys.push(Key::Pkcs1(der.into())),
            SectionKind::EcPrivateKey => {
                der.zeroize();
                return Err("its key is an EC key, and Microsoft takes RSA keys alone".to_owned());
            }
            _ => {}
        }
    }
    Ok(contents)
}

#[cfg(feature = "pfx")]
fn from_pfx(bytes: &[u8], password: Option<&SecretString>) -> Result<Contents, String> {
    use p12_keystore::{Pkcs12Archive, error::Error as PfxError};
    use secrecy::ExposeSecret;

    let archive = Pkcs12Archive::from_pkcs12(bytes, password.map_or("", |password| password.expose_secret()));
    let archive = archive.map_err(|error| match error {
        PfxError::MacError(_) | PfxError::UnpadError | PfxError::Pkcs5Error(_) if password.is_none() => {
            "has a password, and AZURE_CLIENT_CERTIFICATE_PASSWORD is not set".to_owned()
        }
        PfxError::MacError(_) | PfxError::UnpadError | PfxError::Pkcs5Error(_) => {
            "AZURE_CLIENT_CERTIFICATE_PASSWORD is not its password".to_owned()
        }
        PfxError::DerError(_) => "is neither PEM nor PFX".to_owned(),
        other => format!("is PFX that cannot be read: {other}"),
    })?;
    Ok(Contents {
        keys: archive.keys.iter().map(|bag| Key::Pkcs8(bag.key.as_der().to_vec().into())).collect(),
        certificates: archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect(),
    })
}

#[cfg(not(feature = "pfx"))]
fn from_pfx(_: &[u8], _: Option<&SecretString>) -> Result<Contents, String> {
    Err("is not PEM, and this callvault was built without PFX".to_owned())
}

impl Contents {
    /// The key, and the certificates with the key's own in front.
    fn into_identity(self) -> Result<Identity, String> {
        let [key] = self.keys.as_slice() else {
            let what = if self.keys.is_empty() { "has no private key" } else { "has more than one private key" };
            return Err(what.to_owned());
        };
        let key = match key {
            Key::Pkcs1(der) => RsaKeyPair::from_der(der),
            Key::Pkcs8(der) => RsaKeyPair::from_pkcs8(der),
        };
        let key = key.map_err(|error| match error.to_string().as_str() {
            "TooSmall" => "its RSA key has less than 2048 bits, which Microsoft does not take".to_owned(),
            _ => "its key is no RSA key, and Microsoft takes no other".to_owned(),
        })?;
        let public_key = key.public_key().as_ref();
        let mut chain = self.certificates;
        let (own, facts) = chain
            .iter()
            .enumerate()
            .find_map(|(at, der)| Some((at, x509::read(der).filter(|facts| facts.public_key == public_key)?)))
            .ok_or_else(|| {
                let what = if chain.is_empty() { "has no certificate" } else { "has no certificate of its key" };
                what.to_owned()
            })?;
        chain[..=own].rotate_right(1);
        Ok(Identity { key, chain, facts })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use rcgen::{CertificateParams, KeyPair as Pair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
    use secrecy::ExposeSecret;
    use serde_json::Value;
    use url::Url;

    use super::*;

    /// One for all: making an RSA key takes a while.
    static PAIR: LazyLock<Pair> =
        LazyLock::new(|| Pair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());

    fn certificate(pair: &Pair) -> rcgen::Certificate {
        CertificateParams::new(vec!["callvault".to_owned()]).unwrap().self_signed(pair).unwrap()
    }

    fn opened(text: &str) -> Result<CertificateFile> {
        let file = scratch(text.as_bytes());
        let opened = CertificateFile::open(file.path().to_owned(), None, true)?;
        // What was read goes on without its file.
        drop(file);
        Ok(opened)
    }

    fn scratch(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file
    }

    fn refusal(text: &str) -> String {
        opened(text).unwrap_err().to_string()
    }

    #[test]
    fn a_statement_is_signed_by_the_key_and_says_what_microsoft_asks_for() {
        let issuer = Pair::generate().unwrap();
        let own = certificate(&PAIR);
        // The chain's order in the file does not matter.
        let file = opened(&format!("{}{}{}", certificate(&issuer).pem(), own.pem(), PAIR.serialize_pem())).unwrap();
        let token_url = Url::parse("https://login.example/t/oauth2/v2.0/token").unwrap();
        let now = Timestamp::now();
        let occasion = Occasion { token_url: &token_url, client_id: "app", now };
        let statement = file.assertion(&occasion).unwrap();
        let parts: Vec<_> = statement.expose_secret().split('.').collect();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        assert_eq!((&header["alg"], &header["typ"]), (&Value::from("PS256"), &Value::from("JWT")));
        let thumbprint = digest::digest(&digest::SHA256, own.der());
        assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(thumbprint));
        assert_eq!(header["x5c"][0], STANDARD.encode(own.der()));
        assert_eq!(header["x5c"].as_array().unwrap().len(), 2);
        let claims: Value = serde_json::from_slice(&decode(parts[1])).unwrap();
        assert_eq!(claims["aud"], token_url.as_str());
        assert_eq!((&claims["iss"], &claims["sub"]), (&Value::from("app"), &Value::from("app")));
        assert_eq!(claims["nbf"], now.as_second());
        assert_eq!(claims["exp"], now.as_second() + 600);
        let signed = format!("{}.{}", parts[0], parts[1]);
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, PAIR.der_bytes())
            .verify(signed.as_bytes(), &decode(parts[2]))
            .unwrap();

        let again = file.assertion(&occasion).unwrap();
        let jti = |statement: &SecretString| {
            let payload = decode(statement.expose_secret().split('.').nth(1).unwrap());
            serde_json::from_slice::<Value>(&payload).unwrap()["jti"].clone()
        };
        assert_ne!(jti(&again), jti(&statement));
    }

    #[test]
    fn what_cannot_sign_is_refused_with_what_is_wrong() {
        let own = certificate(&PAIR).pem();
        let key = PAIR.serialize_pem();
        let ec = Pair::generate().unwrap();
        let ec_file = format!("{}{}", ec.serialize_pem(), certificate(&ec).pem());
        assert!(refusal(&ec_file).contains("no RSA key"), "{}", refusal(&ec_file));
        assert!(refusal(&key).contains("has no certificate"));
        assert!(refusal(&own).contains("has no private key"));
        assert!(refusal(&format!("{key}{}", certificate(&ec).pem())).contains("no certificate of its key"));
        let encrypted = key.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
        assert!(refusal(&format!("{own}{encrypted}")).contains("openssl pkcs12"));
        assert!(refusal("hello").contains("neither PEM nor PFX"));
        let missing = CertificateFile::open("/nowhere/app.pem".into(), None, false).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/app.pem") && missing.contains("No such file"), "{missing}");
    }

    #[test]
    fn an_ended_certificate_is_not_sent_and_a_replaced_file_is_read_again() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let ended = params.self_signed(&*PAIR).unwrap();
        let file = scratch(format!("{}{}", PAIR.serialize_pem(), ended.pem()).as_bytes());
        let opened = CertificateFile::open(file.path().to_owned(), None, false).unwrap();
        let token_url = Url::parse("https://login.example/token").unwrap();
        let occasion = Occasion { token_url: &token_url, client_id: "app", now: Timestamp::now() };
        let error = opened.assertion(&occasion).unwrap_err().to_string();
        assert!(error.contains("ended on 2020-01-01"), "{error}");

        let renewed = scratch(format!("{}{}", PAIR.serialize_pem(), certificate(&PAIR).pem()).as_bytes());
        fs::copy(renewed.path(), file.path()).unwrap();
        opened.assertion(&occasion).unwrap();
        // Half a file, as while it is being written: the one read before goes on.
        fs::copy(scratch(b"-----BEGIN ").path(), file.path()).unwrap();
        opened.assertion(&occasion).unwrap();
        assert!(!format!("{opened:?}").contains("PRIVATE"));
    }
}
