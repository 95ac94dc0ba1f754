//! Looks at a client assertion as the login host does: who signed it, about whom, for whom, when.
//!
//! With a thumbprint in its header it is the app's own, signed by a registered certificate; else another issuer's token, which a
//! federated credential has to match. Each may be used once.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest},
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};
use serde_json::Value;

use crate::{
    model::time::Timestamp,
    simulate::refusals::{
        MALFORMED_ASSERTION, NO_FEDERATED_SUBJECT, NO_FEDERATION, OTHER_APP, OUT_OF_TIME, Refusal, UNKNOWN_CERTIFICATE,
        WRONG_AUDIENCE,
    },
};

/// The longest life that a statement of the app about itself may claim.
const LIFE_MAX_S: i64 = 10 * 60;
/// By how much clocks may differ.
const SKEW_S: i64 = 5 * 60;

/// What another issuer's tokens have to say, and whose signature they bear.
#[derive(Clone, Debug, Default)]
pub struct FederatedCredential {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    /// The issuer's RSA key, as PKCS#1 or as a certificate has it.
    pub public_key: Vec<u8>,
}

/// Header and claims of an assertion that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) header: Value,
    pub(super) claims: Value,
    /// Whether it is another issuer's.
    pub(super) is_federated: bool,
}

/// Whom the app trusts to speak for it.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    /// DER.
    certificates: Vec<Vec<u8>>,
    federated: Vec<FederatedCredential>,
    /// The ids of assertions that were used.
    used: Mutex<HashSet<String>>,
}

impl Verifier {
    pub(super) fn new(certificates: Vec<Vec<u8>>, federated: Vec<FederatedCredential>) -> Self {
        Self { certificates, federated, used: Mutex::default() }
    }

    /// `addresses` are the spellings of the address that the request was posted to.
    pub(super) fn check(
        &self,
        assertion: &str,
        client_id: &str,
        addresses: &[String],
        now: Timestamp,
    ) -> Result<Statement, Refusal> {
        let parts = Parts::of(assertion).ok_or(MALFORMED_ASSERTION)?;
        let is_federated = parts.header.get("x5t#S256").or_else(|| parts.header.get("x5t")).is_none();
        if is_federated {
            self.check_federated(&parts, now)?;
        } else {
            self.check_own(&parts, client_id, addresses, now)?;
        }
        Ok(Statement { header: parts.header, claims: parts.claims, is_federated })
    }

    fn check_own(
        &self,
        parts: &Parts<'_>,
        client_id: &str,
        addresses: &[String],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let certificate = self.certificates.iter().find(|der| parts.names(der)).ok_or(UNKNOWN_CERTIFICATE)?;
        let key = public_key(certificate).ok_or(UNKNOWN_CERTIFICATE)?;
        if !parts.is_signed_by(&key) {
            return Err(UNKNOWN_CERTIFICATE);
        }
        if [parts.claim("iss"), parts.claim("sub")] != [Some(client_id); 2] {
            return Err(OTHER_APP);
        }
        if !addresses.iter().any(|address| parts.claim("aud") == Some(address)) {
            return Err(WRONG_AUDIENCE);
        }
        let (from, until) = parts.life().ok_or(OUT_OF_TIME)?;
        if until - from > LIFE_MAX_S || !parts.is_in_time(now) {
            return Err(OUT_OF_TIME);
        }
        let id = parts.claim("jti").filter(|id| !id.is_empty()).ok_or(MALFORMED_ASSERTION)?;
        let is_new = self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        if is_new { Ok(()) } else { Err(OUT_OF_TIME) }
    }

    /// Another issuer's token may be used as often as it lives.
    fn check_federated(&self, parts: &Parts<'_>, now: Timestamp) -> Result<(), Refusal> {
        let is_trusted = |known: &&FederatedCredential| {
            parts.claim("iss") == Some(&known.issuer) && parts.audiences().contains(&known.audience.as_str())
        };
        let trusted: Vec<_> = self.federated.iter().filter(is_trusted).collect();
        if trusted.is_empty() {
            return Err(NO_FEDERATION);
        }
        let of_subject = trusted.into_iter().find(|known| parts.claim("sub") == Some(&known.subject));
        let known = of_subject.ok_or(NO_FEDERATED_SUBJECT)?;
        if !parts.is_signed_by(&known.public_key) {
            return Err(UNKNOWN_CERTIFICATE);
        }
        if parts.is_in_time(now) { Ok(()) } else { Err(OUT_OF_TIME) }
    }
}

/// A JWT taken apart, not yet believed.
struct Parts<'a> {
    header: Value,
    claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).ok();
        Some(Self { header: json(header)?, claims: json(claims)?, signed, signature: decode(signature)? })
    }

    fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// One, or a list.
    fn audiences(&self) -> Vec<&str> {
        let audience = &self.claims["aud"];
        let list = audience.as_array().map(|list| list.iter().filter_map(Value::as_str).collect());
        list.unwrap_or_else(|| audience.as_str().into_iter().collect())
    }

    /// Whether the header means this certificate, by the newer thumbprint or the older one.
    fn names(&self, der: &[u8]) -> bool {
        let is = |member: &str, algorithm| {
            let thumbprint = URL_SAFE_NO_PAD.encode(digest(algorithm, der));
            self.header.get(member).is_none_or(|named| *named == thumbprint)
        };
        is("x5t#S256", &SHA256) && is("x5t", &SHA1_FOR_LEGACY_USE_ONLY)
    }

    fn is_signed_by(&self, key: &[u8]) -> bool {
        let algorithm: &'static RsaParameters = match self.header["alg"].as_str() {
            Some("PS256") => &RSA_PSS_2048_8192_SHA256,
            Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
            _ => return false,
        };
        UnparsedPublicKey::new(algorithm, key).verify(self.signed.as_bytes(), &self.signature).is_ok()
    }

    /// From when until when; it begins when it was made if it does not say.
    fn life(&self) -> Option<(i64, i64)> {
        let number = |name: &str| self.claims.get(name).and_then(Value::as_i64);
        Some((number("nbf").or_else(|| number("iat"))?, number("exp")?))
    }

    fn is_in_time(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        self.life().is_some_and(|(from, until)| from - SKEW_S <= now && now < until + SKEW_S)
    }
}

/// The key as the certificate has it (SubjectPublicKeyInfo).
fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let der = CertificateDer::from(certificate);
    ParsedCertificate::try_from(&der).ok().map(|parsed| parsed.subject_public_key_info().to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
    };
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
    use serde_json::json;

    use super::*;

    static KEY: LazyLock<KeyPair> =
        LazyLock::new(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());

    const NOW: i64 = 1_800_000_000;
    const HERE: &str = "http://127.0.0.1:1/t/oauth2/v2.0/token";

    fn certificate() -> Vec<u8> {
        CertificateParams::new(Vec::new()).unwrap().self_signed(&*KEY).unwrap().der().to_vec()
    }

    fn signed(header: &Value, claims: &Value) -> String {
        let code = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let text = format!("{}.{}", code(header), code(claims));
        let key = RsaKeyPair::from_pkcs8(KEY.serialized_der()).unwrap();
        let encoding: &'static dyn RsaEncoding =
            if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
        claims[name] = value.into();
        claims
    }

    #[test]
    fn a_statement_of_the_app_is_taken_once_and_only_as_it_should_be() {
        let der = certificate();
        let verifier = Verifier::new(vec![der.clone()], Vec::new());
        let check = |header: &Value, claims: &Value| {
            let addresses = ["https://elsewhere".to_owned(), HERE.to_owned()];
            verifier.check(&signed(header, claims), "app", &addresses, Timestamp::from_second(NOW)).map(|_| ())
        };
        let newer = json!({ "alg": "PS256", "x5t#S256": URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)) });
        let older = json!({ "alg": "RS256", "x5t": URL_SAFE_NO_PAD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &der)) });
        let claims = |id: &str| json!({ "iss": "app", "sub": "app", "aud": HERE, "jti": id, "nbf": NOW, "iat": NOW, "exp": NOW + 600 });
        assert_eq!(check(&newer, &claims("1")), Ok(()));
        assert_eq!(check(&older, &claims("2")), Ok(()));
        assert_eq!(check(&newer, &claims("1")), Err(OUT_OF_TIME), "used before");
        let refused = [
            (with(claims("3"), "sub", "other"), OTHER_APP),
            (with(claims("3"), "iss", "other"), OTHER_APP),
            (with(claims("3"), "aud", "https://login.example/t/oauth2/v2.0/token"), WRONG_AUDIENCE),
            (with(claims("3"), "exp", NOW + 601), OUT_OF_TIME),
            (with(with(claims("3"), "nbf", NOW - 900), "exp", NOW - 400), OUT_OF_TIME),
            (with(with(claims("3"), "nbf", NOW + 400), "exp", NOW + 900), OUT_OF_TIME),
            (with(claims("3"), "exp", Value::Null), OUT_OF_TIME),
            (with(claims("3"), "jti", ""), MALFORMED_ASSERTION),
        ];
        for (claims, refusal) in refused {
            assert_eq!(check(&newer, &claims), Err(refusal), "{claims}");
        }
        assert_eq!(check(&with(newer.clone(), "x5t#S256", "AAAA"), &claims("4")), Err(UNKNOWN_CERTIFICATE));
        assert_eq!(check(&with(newer.clone(), "alg", "none"), &claims("4")), Err(UNKNOWN_CERTIFICATE));
        let text = signed(&newer, &claims("4"));
        let forged = format!("{}.{}", text.rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode([1; 256]));
        let check = |text: &str| verifier.check(text, "app", &[HERE.to_owned()], Timestamp::from_second(NOW)).err();
        assert_eq!(check(&forged), Some(UNKNOWN_CERTIFICATE));
        assert_eq!(check("no.jwt"), Some(MALFORMED_ASSERTION));
    }

    #[test]
    fn another_issuers_token_has_to_match_what_the_app_was_told() {
        let known = FederatedCredential {
            issuer: "https://issuer".to_owned(),
            subject: "me".to_owned(),
            audience: "api://AzureADTokenExchange".to_owned(),
            public_key: KEY.der_bytes().to_vec(),
        };
        let verifier = Verifier::new(Vec::new(), vec![known]);
        let header = json!({ "alg": "RS256", "kid": "k" });
        let good = json!({
            "iss": "https://issuer", "sub": "me", "aud": ["api://AzureADTokenExchange"], "iat": NOW, "exp": NOW + 3600
        });
        let check = |text: &str| verifier.check(text, "app", &[], Timestamp::from_second(NOW)).err();
        assert_eq!(check(&signed(&header, &good)), None);
        assert_eq!(check(&signed(&header, &good)), None, "as often as it lives");
        let refused = [
            (with(good.clone(), "iss", "https://other"), NO_FEDERATION),
            (with(good.clone(), "aud", "api://other"), NO_FEDERATION),
            (with(good.clone(), "sub", "you"), NO_FEDERATED_SUBJECT),
            (with(good.clone(), "exp", NOW - 301), OUT_OF_TIME),
        ];
        for (claims, refusal) in refused {
            assert_eq!(check(&signed(&header, &claims)), Some(refusal), "{claims}");
        }
        let text = signed(&header, &good);
        let forged = format!("{}.{}", text.rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode([1; 256]));
        assert_eq!(check(&forged), Some(UNKNOWN_CERTIFICATE));
    }
}
