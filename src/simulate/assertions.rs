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
