//! Keys and certificates for the tests, made once: an RSA key takes a while.

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use serde_json::{Value, json};

/// The password of [`Signer::pfx`].
pub(crate) const PFX_PASSWORD: &str = "pfx pass~wörd 77";

/// Before the RSA key in PKCS#8: version, algorithm, and the heads of two containers.
const PKCS8_HEAD_BYTES: usize = 26;

static KEY: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());

/// Who signs: the key of the suite, and a certificate of it.
pub(crate) struct Signer {
    pub(crate) certificate: rcgen::Certificate,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self::with(&CertificateParams::new(vec!["callvault".to_owned()]).unwrap())
    }

    pub(crate) fn ending_on(year: i32, month: u8, day: u8) -> Self {
        let mut params = CertificateParams::new(vec!["callvault".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, month, day);
        Self::with(&params)
    }

    fn with(params: &CertificateParams) -> Self {
        Self { certificate: params.self_signed(&*KEY).unwrap() }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// Key as PKCS#8 and certificate.
    pub(crate) fn pem(&self) -> String {
        format!("{}{}", KEY.serialize_pem(), self.certificate.pem())
    }

    /// Certificate and key as PKCS#1.
    pub(crate) fn pem_of_pkcs1(&self) -> String {
        let der = &KEY.serialized_der()[PKCS8_HEAD_BYTES..];
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"));
        format!("{}{key}", self.certificate.pem())
    }

    /// Key and certificate as PKCS#12, under the suite's password.
    #[cfg(feature = "pfx")]
    pub(crate) fn pfx(&self) -> Vec<u8> {
        use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

        let key = PrivateKey::from_der(KEY.serialized_der()).unwrap();
        let certificate = Certificate::from_der(self.certificate.der()).unwrap();
        let mut store = KeyStore::new();
        store.add_entry("app", KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new("1", key, [certificate])));
        store.writer(PFX_PASSWORD).write().unwrap()
    }
}

/// The public half of the suite's key, as PKCS#1.
pub(crate) fn public_key() -> Vec<u8> {
    KEY.der_bytes().to_vec()
}

/// Lines of the private key that must never be seen anywhere.
pub(crate) fn private_lines(pem: &str) -> Vec<String> {
    let key = pem.split("PRIVATE KEY-----").nth(1).unwrap();
    key.lines().map(str::trim).filter(|line| line.len() > 20).map(str::to_owned).collect()
}

/// A token as another issuer makes them.
pub(crate) fn foreign_token(claims: &Value) -> String {
    let code = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", code(&json!({ "alg": "RS256", "kid": "k1" })), code(claims));
    let key = RsaKeyPair::from_pkcs8(KEY.serialized_der()).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
