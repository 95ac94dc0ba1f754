//! The three facts of a certificate that a signer needs to know. Nothing is trusted for it: the login host does the checking.
//!
//! Source: RFC 5280, 4.1.

use crate::model::time::Timestamp;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`, the version.
const VERSION: u8 = 0xa0;

/// What stands in a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// The subject's public key; for RSA a PKCS#1 `RSAPublicKey`.
    pub(super) public_key: Vec<u8>,
}

/// `None` for what is no certificate.
pub(super) fn read(der: &[u8]) -> Option<Facts> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (body, _) = expect(certificate, SEQUENCE)?;
    let body = if body.first() == Some(&VERSION) { element(body)?.2 } else { body };
    let (_, _, body) = element(body)?; // serial number
    let (_, body) = expect(body, SEQUENCE)?; // signature algorithm
    let (_, body) = expect(body, SEQUENCE)?; // issuer
    let (validity, body) = expect(body, SEQUENCE)?;
    let (_, body) = expect(body, SEQUENCE)?; // subject
    let (key_info, _) = expect(body, SEQUENCE)?;
    let (_, key) = expect(key_info, SEQUENCE)?; // key algorithm
    let (key, _) = expect(key, BIT_STRING)?;
    let (not_before, validity) = time(validity)?;
    let (not_after, _) = time(validity)?;
    // The first byte of a bit string counts the bits that its last byte has too many: none here.
    Some(Facts { not_before, not_after, public_key: key.get(1..)?.to_vec() })
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        // Four bytes of length are more than any certificate has.
        let bytes = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), &rest[count..])
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, content, rest) = element(der)?;
    let digits = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest_of_time) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let century = if &digits[..2] < "50" { "20" } else { "19" };
            (format!("{century}{}", &digits[..2]), &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (digits[..4].to_owned(), &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| &rest_of_time[at..at + 2];
    let text = format!("{year}-{}-{}T{}:{}:{}Z", part(0), part(2), part(4), part(6), part(8));
    // "No end" is written as the year 9999, which is more than a timestamp holds.
    let at = Timestamp::parse(&text).or_else(|| (year.as_str() > "2261").then_some(Timestamp(i64::MAX)))?;
    Some((at, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_life_and_key_are_found() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["callvault".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2051, 3, 4);
        let certificate = params.self_signed(&key).unwrap();
        let facts = read(certificate.der()).unwrap();
        assert_eq!(facts.not_before, Timestamp::parse("2026-01-02T00:00:00Z").unwrap());
        assert_eq!(facts.not_after, Timestamp::parse("2051-03-04T00:00:00Z").unwrap());
        assert_eq!(facts.public_key, rcgen::PublicKeyData::der_bytes(&key));

        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        assert_eq!(read(params.self_signed(&key).unwrap().der()).unwrap().not_after, Timestamp(i64::MAX));
    }

    #[test]
    fn what_is_no_certificate_is_none_and_no_panic() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let der = certificate.der();
        for end in 0..der.len() {
            assert_eq!(read(&der[..end]), None, "{end}");
        }
        for at in 0..der.len() {
            let mut damaged = der.to_vec();
            damaged[at] ^= 0xff;
            let _ = read(&damaged);
        }
        assert_eq!(read(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
