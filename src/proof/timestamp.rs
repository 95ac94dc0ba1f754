//! Time stamps (RFC 3161): an authority's signed word that somebody had these bytes at that time.
//!
//! What is looked at here is whether an answer is about what was asked. Whether the authority is to be believed, its certificate says:
//! `openssl ts -verify` checks that (docs/auditing.md).

use cms::{cert::x509::spki::AlgorithmIdentifierOwned, content_info::ContentInfo, signed_data::SignedData};
use der::{
    Any, AnyRef, Decode, Encode, Reader, SliceReader, Tag, Tagged,
    asn1::{ObjectIdentifier, OctetString},
};

use crate::proof::Hash;

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// Of what a token signs: `id-ct-TSTInfo`.
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// Why an answer is no time stamp of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it is no answer of a time-stamp authority: {0}")]
    Unreadable(String),
    #[error("the authority refuses (status {0})")]
    Refused(i64),
    #[error("it is about something else")]
    Other,
}

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        Error::Unreadable(error.to_string())
    }
}

#[derive(der::Sequence)]
struct MessageImprint {
    hash_algorithm: AlgorithmIdentifierOwned,
    hashed_message: OctetString,
}

#[derive(der::Sequence)]
struct TimeStampReq {
    version: u8,
    message_imprint: MessageImprint,
    nonce: u64,
    /// Whether the authority's certificate is to be in the answer.
    cert_req: bool,
}

/// Asks for a stamp on these bytes' SHA-256. `nonce` ties the answer to the question.
///
/// # Errors
/// [`Error::Unreadable`] where the request cannot be written, which nothing leads to.
pub fn request(sha256: &Hash, nonce: u64) -> Result<Vec<u8>, Error> {
    // Without parameters, as RFC 5754 has it.
    let hash_algorithm = AlgorithmIdentifierOwned { oid: SHA256, parameters: None };
    let message_imprint = MessageImprint { hash_algorithm, hashed_message: OctetString::new(&sha256[..])? };
    Ok(TimeStampReq { version: 1, message_imprint, nonce, cert_req: true }.to_der()?)
}

/// What a stamp says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// ASN.1's `GeneralizedTime`, such as `20261127043655Z`: UTC.
    pub time: String,
}

/// Reads an answer and whether it is about bytes of this SHA-256; with `nonce`, whether it answers that question.
///
/// # Errors
/// Why it is no stamp of them.
pub fn check(answer: &[u8], sha256: &Hash, nonce: Option<u64>) -> Result<Stamp, Error> {
    let mut reader = SliceReader::new(answer)?;
    let token = reader.sequence(|response: &mut SliceReader<'_>| -> Result<Option<ContentInfo>, Error> {
        let status: i64 = response.sequence(|info: &mut SliceReader<'_>| -> Result<i64, Error> {
            let status = i64::decode(info)?;
            while !info.is_finished() {
                AnyRef::decode(info)?;
            }
            Ok(status)
        })?;
        // 0 granted, 1 granted with changes.
        if !(0..=1).contains(&status) {
            return Err(Error::Refused(status));
        }
        Ok(Some(ContentInfo::decode(response)?))
    })?;
    let unreadable = |what: &str| Error::Unreadable(what.to_owned());
    let token =
        token.filter(|token| token.content_type == SIGNED_DATA).ok_or_else(|| unreadable("nothing is signed"))?;
    let signed = token.content.decode_as::<SignedData>()?.encap_content_info;
    if signed.econtent_type != TST_INFO {
        return Err(unreadable("what is signed is no time stamp"));
    }
    let content = signed.econtent.ok_or_else(|| unreadable("what is signed is not in it"))?;
    let content = content.decode_as::<OctetString>()?;
    let mut info = SliceReader::new(content.as_bytes())?;
    info.sequence(|info: &mut SliceReader<'_>| -> Result<Stamp, Error> {
        u8::decode(info)?;
        <ObjectIdentifier>::decode(info)?;
        let imprint = MessageImprint::decode(info)?;
        if imprint.hash_algorithm.oid != SHA256 || imprint.hashed_message.as_bytes() != sha256 {
            return Err(Error::Other);
        }
        // The serial number.
        Any::decode(info)?;
        // With fractions of a second, perhaps, which no type of the library takes.
        let time = AnyRef::decode(info)?;
        if time.tag() != Tag::GeneralizedTime {
            return Err(unreadable("it says no time"));
        }
        let time = String::from_utf8_lossy(time.value()).into_owned();
        let mut its_nonce = None;
        while !info.is_finished() {
            let member = AnyRef::decode(info)?;
            if member.tag() == Tag::Integer {
                its_nonce = member.decode_as::<u64>().ok();
            }
        }
        if nonce.is_some() && its_nonce != nonce {
            return Err(Error::Other);
        }
        Ok(Stamp { time })
    })
}
