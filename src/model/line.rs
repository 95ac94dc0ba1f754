//! One body a line: what a sealed month holds once it is decompressed, and an audit package. docs/format.md is its contract.
//!
//! A line is one JSON object: whose version it is, the members of the envelope as they stood in the frame, and the body at its end:
//! `body` as it came where that is JSON on one line, else `text`, a JSON string of it, else `base64`.

use std::{borrow::Cow, ops::Range};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{
    document::Part,
    envelope::{self, Piece},
    id::{RecordKey, Seq, Sha256, Version},
    kind::Kind,
};

/// What stands before the envelope's members.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    seq: Seq,
    kind: String,
    id: String,
    version: Version,
}

/// The envelope begins with this member and ends with the hash.
const ENVELOPE: &[u8] = b"\"what\":";
const HASH: &[u8] = b",\"sha256\":\"";
const HASH_DIGITS: usize = 64;

/// A version as its lines have it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) seq: Seq,
    pub(crate) key: RecordKey,
    pub(crate) version: Version,
    pub(crate) parts: Vec<Part>,
    /// Over the envelopes, as in the ledger.
    pub(crate) parts_sha256: Sha256,
}

/// The same, with the bodies where they lie.
pub(crate) struct Pieces<'a> {
    pub(crate) seq: Seq,
    pub(crate) key: RecordKey,
    pub(crate) version: Version,
    pub(crate) parts: Vec<Piece<'a>>,
}

/// Appends the lines of a version.
pub(crate) fn write(out: &mut Vec<u8>, seq: Seq, key: &RecordKey, version: Version, parts: &[Part]) {
    let head = Head { seq, kind: key.kind.name().into(), id: key.id.clone(), version };
    let head = serde_json::to_string(&head).unwrap_or_default();
    for part in parts {
        let envelope = envelope::envelope_line(part);
        out.extend_from_slice(&head.as_bytes()[..head.len() - 1]);
        out.push(b',');
        out.extend_from_slice(&envelope.as_bytes()[1..envelope.len() - 1]);
        write_body(out, &part.body);
        out.extend_from_slice(b"}\n");
    }
}

fn write_body(out: &mut Vec<u8>, body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else {
        out.extend_from_slice(b",\"base64\":\"");
        out.extend_from_slice(BASE64.encode(body).as_bytes());
        out.push(b'"');
        return;
    };
    if is_json_on_a_line(text) {
        out.extend_from_slice(b",\"body\":");
        out.extend_from_slice(body);
    } else {
        out.extend_from_slice(b",\"text\":");
        out.extend_from_slice(serde_json::to_string(text).unwrap_or_default().as_bytes());
    }
}

/// Whether it can stand in a line as it is: one JSON value, nothing around it, and no break of a line in it.
fn is_json_on_a_line(text: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_none()
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|value| value.get().len() == text.len())
}

/// Reads the lines of one version; every body is compared with the hash in its envelope.
///
/// # Errors
/// A fragment that says what is wrong with them.
pub(crate) fn read(content: &[u8]) -> Result<Lines, String> {
    let Pieces { seq, key, version, parts } = pieces(content)?;
    let (parts, parts_sha256) = envelope::whole(parts)?;
    Ok(Lines { seq, key, version, parts, parts_sha256 })
}

/// Takes the lines of one version apart. No body is compared with anything yet.
///
/// # Errors
/// A fragment that says what is wrong with them.
pub(crate) fn pieces(content: &[u8]) -> Result<Pieces<'_>, String> {
    let mut head = None;
    let mut parts = Vec::new();
    for line in lines(content) {
        let line = line.strip_suffix(b"}\n").ok_or("a line does not end where it should")?;
        let Cut { head: its_head, envelope, body } = cut(line)?;
        if *head.get_or_insert_with(|| its_head.clone()) != its_head {
            return Err("there are lines of another version among its own".into());
        }
        parts.push(envelope::piece(envelope, read_body(body)?)?);
    }
    let head = head.ok_or("it has no lines")?;
    let Head { seq, kind, id, version } =
        serde_json::from_slice(&head).map_err(|error| format!("a line is unreadable: {error}"))?;
    let kind = Kind::of_name(&kind).ok_or_else(|| format!("there is an unknown kind '{kind}' in it"))?;
    Ok(Pieces { seq, key: RecordKey { kind, id }, version, parts })
}

/// Lines with their line feeds.
fn lines(mut content: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', content).map_or(content.len(), |at| at + 1);
        let (line, rest) = content.split_at(end);
        content = rest;
        (!line.is_empty()).then_some(line)
    })
}

/// Where in the content of a frame the lines of each version are.
///
/// # Errors
/// A fragment that says what is wrong with them.
pub(crate) fn versions(content: &[u8]) -> Result<Vec<Range<usize>>, String> {
    let mut versions: Vec<Range<usize>> = Vec::new();
    let (mut at, mut last_head) = (0, Vec::new());
    for line in lines(content) {
        let Cut { head, .. } = cut(line)?;
        let end = at + line.len();
        match versions.last_mut() {
            Some(version) if head == last_head => version.end = end,
            _ => versions.push(at..end),
        }
        (at, last_head) = (end, head);
    }
    Ok(versions)
}

/// The pieces of a line.
struct Cut<'a> {
    head: Vec<u8>,
    /// With a line feed.
    envelope: Vec<u8>,
    /// The member that holds it.
    body: &'a [u8],
}

/// A line without its end as head and envelope, each an object of its own again, and the member that holds the body. No search goes
/// astray: what is looked for has quotes in it that no JSON string could have within.
fn cut(line: &[u8]) -> Result<Cut<'_>, String> {
    let unreadable = || "a line is unreadable".to_owned();
    let from = memmem::find(line, ENVELOPE).ok_or_else(unreadable)?;
    let to = memmem::find(line, HASH).ok_or_else(unreadable)? + HASH.len() + HASH_DIGITS + 1;
    if from > to || line.len() < to {
        return Err(unreadable());
    }
    let head = [line[..from].strip_suffix(b",").ok_or_else(unreadable)?, b"}"].concat();
    Ok(Cut { head, envelope: [b"{", &line[from..to], b"}\n"].concat(), body: &line[to..] })
}

fn read_body(member: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if let Some(body) = member.strip_prefix(b",\"body\":") {
        return Ok(body.into());
    }
    if let Some(text) = member.strip_prefix(b",\"text\":") {
        let text: String = serde_json::from_slice(text).map_err(|error| format!("a body is unreadable: {error}"))?;
        return Ok(text.into_bytes().into());
    }
    let base64 = member.strip_prefix(b",\"base64\":\"").and_then(|rest| rest.strip_suffix(b"\""));
    let body = BASE64.decode(base64.ok_or("a line has no body")?);
    body.map(Cow::from).map_err(|error| format!("a body is unreadable: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{
        document::What,
        time::{Span, Timestamp},
    };

    fn version(bodies: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, Seq(7), &key(), Version(2), &parts(bodies));
        out
    }

    fn key() -> RecordKey {
        RecordKey { kind: Kind::Pstn, id: "odd \",\"what\":\\ id".into() }
    }

    fn parts(bodies: &[&[u8]]) -> Vec<Part> {
        let asked = Span::new(Timestamp(0), Timestamp(1_000_000_100));
        let url = "https://graph/x?a=\",\"sha256\":\"b";
        let part = |body: &&[u8]| Part::new(What::Row, url.into(), None, Timestamp(1_500_000_000), body.to_vec());
        bodies.iter().map(part).map(|part| Part { asked: Some(asked), ..part }).collect()
    }

    #[test]
    fn every_body_comes_back_and_every_line_is_json() {
        let bodies: [(&[u8], &str); 9] = [
            (br#"{"a":1.50,"b":[]}"#, "body"),
            (br#"{ "a" : 1,	"a" : 2 }"#, "body"),
            (b"{\n\"a\":1}", "text"),
            (b"{\"a\":1}\r", "text"),
            (b" {}", "text"),
            (b"", "text"),
            (b"{\"a\":1", "text"),
            ("Łukasz \u{0}\u{2028}\"\\".as_bytes(), "text"),
            (&[0xff, 0x00, b'\n'], "base64"),
        ];
        for (body, member) in bodies {
            let written = version(&[body]);
            assert_eq!(memchr::memchr_iter(b'\n', &written).count(), 1);
            let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
            assert!(value.get(member).is_some() && value["seq"] == 7 && value["kind"] == "pstn", "{value}");
            let read = read(&written).unwrap();
            assert_eq!((read.seq, read.key, read.version), (Seq(7), key(), Version(2)));
            assert_eq!(read.parts, parts(&[body]));
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_changes_the_hash() {
        let whole = version(&[b"{\"a\":1}", b"x"]);
        let expected = read(&whole).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let differs = read(&changed).is_ok_and(|read| read == expected);
            assert!(!differs, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..4)) {
            let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(read(&version(&bodies)).unwrap().parts, parts(&bodies));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }
    }
}
