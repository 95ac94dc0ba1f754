//! Signed notes (C2SP `signed-note`): a text, and below it the signatures of those who vouch for it. Ed25519 alone is spoken; signatures of
//! other kinds, such as those of witnesses, are kept and passed over.
//!
//! Keys are written as Go's `sumdb/note` writes them: `NAME+ID+BASE64` the public one, `PRIVATE+KEY+NAME+ID+BASE64` the other.

use std::fmt;

use aws_lc_rs::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Of signatures and keys: Ed25519.
const ALGORITHM: u8 = 1;
const DASH: char = '\u{2014}';
const PRIVATE: &str = "PRIVATE+KEY+";

/// What a key or a note is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it is no key: {0}")]
    Key(&'static str),
    #[error("it is no signed note: {0}")]
    Note(&'static str),
    #[error("no random numbers can be had")]
    Random,
}

/// Says whose signature it is: the first bytes of a hash over name and key.
type Id = [u8; 4];

fn id_of(name: &str, key: &[u8]) -> Id {
    let mut context = digest::Context::new(&digest::SHA256);
    for piece in [name.as_bytes(), b"\n", &[ALGORITHM], key] {
        context.update(piece);
    }
    let mut id = [0; 4];
    id.copy_from_slice(&context.finish().as_ref()[..4]);
    id
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter == '+')
}

/// The name, the id and the bytes in what stands behind any prefix.
fn read_key(text: &str) -> Result<(&str, [u8; 32]), Error> {
    let mut pieces = text.trim().splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(Error::Key("it has not the form NAME+ID+BASE64"));
    };
    let bytes = STANDARD.decode(key).map_err(|_| Error::Key("its last part is no base64"))?;
    let [ALGORITHM, bytes @ ..] = bytes.as_slice() else { return Err(Error::Key("it is none for Ed25519")) };
    let bytes = bytes.try_into().map_err(|_| Error::Key("it has not 32 bytes"))?;
    if !is_name(name) || id.len() != 8 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Error::Key("it has not the form NAME+ID+BASE64"));
    }
    Ok((name, bytes))
}

fn key_text(name: &str, id: Id, bytes: &[u8; 32]) -> String {
    let mut with_algorithm = Zeroizing::new(vec![ALGORITHM]);
    with_algorithm.extend_from_slice(bytes);
    format!("{name}+{:08x}+{}", u32::from_be_bytes(id), STANDARD.encode(&*with_algorithm))
}

/// A key that signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    id: Id,
    bytes: [u8; 32],
}

impl PublicKey {
    /// Reads `NAME+ID+BASE64`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, bytes) = read_key(text)?;
        let key = Self { name: name.to_owned(), id: id_of(name, &bytes), bytes };
        if key.to_string() != text.trim() {
            return Err(Error::Key("its id is not that of its name and bytes"));
        }
        Ok(key)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of the key itself (RFC 8032).
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Whether both are one key, whatever they are called.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key_text(&self.name, self.id, &self.bytes))
    }
}

/// A key that signs.
pub struct PrivateKey {
    name: String,
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn generate(name: &str) -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed).map_err(|_| Error::Random)?;
        Self::of_seed(name, seed)
    }

    fn of_seed(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| Error::Key("it has not 32 bytes"))?;
        Ok(Self { name: name.to_owned(), seed, pair })
    }

    /// Reads `PRIVATE+KEY+NAME+ID+BASE64`.
    ///
    /// # Errors
    /// [`Error::Key`], without a word of the key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let rest = text.trim().strip_prefix(PRIVATE).ok_or(Error::Key("it does not begin with PRIVATE+KEY+"))?;
        let (name, seed) = read_key(rest)?;
        let key = Self::of_seed(name, Zeroizing::new(seed))?;
        if *key.to_text() != *text.trim() {
            return Err(Error::Key("its id is not that of its name and bytes"));
        }
        Ok(key)
    }

    /// The key as it is kept: a secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let public = self.public();
        Zeroizing::new(format!("{PRIVATE}{}", key_text(&self.name, public.id, &self.seed)))
    }

    /// The same key under another name: a signature names the log that it is for.
    ///
    /// # Errors
    /// [`Error::Key`] where nobody may be called that.
    pub fn named(&self, name: &str) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Key("its name is empty or has a space or a + in it"));
        }
        Self::of_seed(name, self.seed.clone())
    }

    /// The key that its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey { name: self.name.clone(), id: id_of(&self.name, &bytes), bytes }
    }

    /// The signature of a note's text, as a line of the note.
    fn signature(&self, text: &str) -> String {
        let mut signature = self.public().id.to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{DASH} {} {}\n", self.name, STANDARD.encode(signature))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public())
    }
}

/// The note of `text`, which ends with a line feed, signed by each of `keys`.
#[must_use]
pub fn sign(text: &str, keys: &[&PrivateKey]) -> String {
    let signatures: String = keys.iter().map(|key| key.signature(text)).collect();
    format!("{text}\n{signatures}")
}

/// A note taken apart; nothing of it is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// With its last line feed: what is signed.
    pub text: &'a str,
    signatures: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// [`Error::Note`].
    pub fn parse(note: &'a str) -> Result<Self, Error> {
        let at = note.rfind("\n\n").ok_or(Error::Note("no empty line parts text and signatures"))?;
        let (text, signatures) = (&note[..=at], &note[at + 2..]);
        if !signatures.ends_with('\n') {
            return Err(Error::Note("its last line is cut off"));
        }
        let signatures = signatures.lines().map(|line| {
            let line = line.strip_prefix(DASH).and_then(|line| line.strip_prefix(' '));
            let (name, signature) = line.and_then(|line| line.split_once(' '))?;
            let signature = STANDARD.decode(signature).ok().filter(|signature| signature.len() > 4)?;
            is_name(name).then_some((name, signature))
        });
        let signatures: Option<Vec<_>> = signatures.collect();
        let signatures = signatures.filter(|signatures| !signatures.is_empty());
        Ok(Self { text, signatures: signatures.ok_or(Error::Note("a line below the text is no signature"))? })
    }

    /// Whether `key` signed the text.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.signatures.iter().any(|(name, signature)| {
            *name == key.name
                && signature[..4] == key.id
                && UnparsedPublicKey::new(&ED25519, &key.bytes).verify(self.text.as_bytes(), &signature[4..]).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of Go's golang.org/x/mod/sumdb/note.
    const PEOPLE: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_PRIVATE: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const SIGNED: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn notes_of_others_are_read_and_made_alike() {
        let key = PublicKey::parse(PETER).unwrap();
        let note = format!("{PEOPLE}\n{SIGNED}");
        let read = Note::parse(&note).unwrap();
        assert_eq!(read.text, PEOPLE);
        assert!(read.is_signed_by(&key));
        let private = PrivateKey::parse(PETER_PRIVATE).unwrap();
        assert_eq!(private.public(), key);
        assert_eq!(sign(PEOPLE, &[&private]), note);
        assert_eq!(*private.to_text(), PETER_PRIVATE);
        assert!(!format!("{private:?}").contains("YEKF"), "a secret is not shown");
    }

    #[test]
    fn a_note_that_was_touched_is_nobodys() {
        let key = PrivateKey::generate("callvault/1").unwrap();
        let note = sign("one\ntwo\n", &[&key]);
        assert!(Note::parse(&note).unwrap().is_signed_by(&key.public()));
        let touched = note.replace("two", "too");
        assert!(!Note::parse(&touched).unwrap().is_signed_by(&key.public()));
        let renamed = key.named("callvault/2").unwrap();
        assert!(renamed.public().is_same_key(&key.public()));
        assert!(!Note::parse(&note).unwrap().is_signed_by(&renamed.public()), "signed for another log");
        assert!(!Note::parse(&note).unwrap().is_signed_by(&PrivateKey::generate("callvault/1").unwrap().public()));
    }

    #[test]
    fn two_may_sign() {
        let keys = ["a", "b"].map(|name| PrivateKey::generate(name).unwrap());
        let note = sign("text\n", &[&keys[0], &keys[1]]);
        let read = Note::parse(&note).unwrap();
        assert!(keys.iter().all(|key| read.is_signed_by(&key.public())));
    }

    #[test]
    fn what_is_no_note_or_key_is_refused() {
        for bad in
            ["", "text\n", "text\n\n", "text\n\n\u{2014} a\n", "text\n\n\u{2014} a !!!!\n", "text\n\nx YWJjZGVm\n"]
        {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
        let wrong_id = PETER.replace("c74f20a3", "c74f20a4");
        for bad in ["", "a", "a+b", "a+00000000+AAAA", wrong_id.as_str(), PETER_PRIVATE] {
            assert!(PublicKey::parse(bad).is_err(), "{bad:?}");
        }
        assert!(PrivateKey::parse(PETER).is_err());
        assert!(PrivateKey::generate("a").unwrap().named("a b").is_err());
    }
}
