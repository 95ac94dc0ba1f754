//! The envelope of a body, and the hash over the envelopes of a version: what the ledger calls `parts`.
//!
//! An envelope is one line of JSON that says what a body is and where it came from. The hash is over the lines with the hash of each body
//! as their last member, so that one hash fixes all that was received. How bodies are compressed or laid out in a file changes none of it.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::model::{
    document::{Part, What},
    id::Sha256,
    time::{Span, Timestamp},
};

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    what: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'a, str>>,
    /// Begin and end, with a slash between (ISO 8601).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Cow<'a, str>>,
    #[serde(borrow)]
    received: Cow<'a, str>,
    bytes: usize,
    /// Of the body; in frames only where an early program wrote it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    /// Without the hash, as it stands in a frame.
    fn of(part: &'a Part) -> Self {
        Self {
            what: part.what.name().into(),
            url: part.url.as_str().into(),
            request_id: part.request_id.as_deref().map(Cow::from),
            asked: part.asked.map(|span| span.to_string().into()),
            received: part.received.to_string().into(),
            bytes: part.body.len(),
            sha256: None,
        }
    }

    fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn what(&self) -> std::result::Result<What, String> {
        What::from_name(&self.what).ok_or_else(|| format!("there is an unknown '{}' in it", self.what))
    }

    fn into_owned(self) -> Envelope<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Envelope {
            what: owned(self.what),
            url: owned(self.url),
            request_id: self.request_id.map(owned),
            asked: self.asked.map(owned),
            received: owned(self.received),
            bytes: self.bytes,
            sha256: self.sha256.map(owned),
        }
    }
}

/// Takes a line, with its line feed, into the hash over envelopes: with the hash of its body, which the frame leaves out.
pub(crate) fn add_envelope(envelopes: &mut digest::Context, line: &[u8], body: &Sha256) {
    let open = line.strip_suffix(b"}\n").unwrap_or(line);
    for piece in [open, b",\"sha256\":\"", body.to_string().as_bytes(), b"\"}\n"] {
        envelopes.update(piece);
    }
}

/// A part where it lies in what was read. Its body is not hashed yet.
pub(crate) struct Piece<'a> {
    /// With its line feed.
    line: Cow<'a, [u8]>,
    envelope: Envelope<'a>,
    pub(crate) what: What,
    pub(crate) body: Cow<'a, [u8]>,
}

/// Hashes each body; gives the parts and the hash over their envelopes.
pub(crate) fn whole(pieces: Vec<Piece<'_>>) -> std::result::Result<(Vec<Part>, Sha256), String> {
    let mut envelopes = digest::Context::new(&digest::SHA256);
    let hash = |piece: Piece<'_>| {
        let sha256 = piece.hash(&mut envelopes)?;
        piece.into_part(sha256)
    };
    let parts = pieces.into_iter().map(hash).collect::<std::result::Result<_, _>>()?;
    Ok((parts, Sha256::finish(envelopes)))
}

/// Hashes each body; gives the hash over the envelopes.
pub(crate) fn check(pieces: &[Piece<'_>]) -> std::result::Result<Sha256, String> {
    let mut envelopes = digest::Context::new(&digest::SHA256);
    for piece in pieces {
        piece.hash(&mut envelopes)?;
    }
    Ok(Sha256::finish(envelopes))
}

impl Piece<'_> {
    /// The span that a row of a log was asked for with.
    pub(crate) fn asked(&self) -> std::result::Result<Option<Span>, String> {
        let asked = self.envelope.asked.as_deref();
        asked.map(|asked| span(asked).ok_or("an envelope in its frame asks for no span of time".into())).transpose()
    }

    /// The hash of the body, and the envelope with it into the hash over envelopes. Frames of early programs say which it has to be.
    fn hash(&self, envelopes: &mut digest::Context) -> std::result::Result<Sha256, String> {
        let sha256 = Sha256::of(&self.body);
        match &self.envelope.sha256 {
            None => add_envelope(envelopes, &self.line, &sha256),
            Some(said) if sha256.to_string() == *said => envelopes.update(&self.line),
            Some(_) => return Err(format!("the body of {} does not match its SHA-256", self.envelope.url)),
        }
        Ok(sha256)
    }

    fn into_part(self, sha256: Sha256) -> std::result::Result<Part, String> {
        let (asked, envelope) = (self.asked()?, self.envelope);
        Ok(Part {
            what: self.what,
            url: envelope.url.into_owned(),
            request_id: envelope.request_id.map(Cow::into_owned),
            asked,
            received: Timestamp::parse(&envelope.received).ok_or("an envelope in its frame has no time")?,
            body: self.body.into_owned(),
            sha256,
        })
    }
}

/// The envelope of a part as it stands in a frame, where its body is right behind it: without the hash, and without its line feed.
pub(crate) fn line_without_hash(part: &Part) -> String {
    Envelope::of(part).line()
}

/// The envelope of a part with the hash of its body: one line of JSON, without its line feed.
pub(crate) fn envelope_line(part: &Part) -> String {
    Envelope { sha256: Some(part.sha256.to_string().into()), ..Envelope::of(part) }.line()
}

/// A part whose envelope, one line of JSON with its line feed, stood apart from its body.
pub(crate) fn piece(line: Vec<u8>, body: Cow<'_, [u8]>) -> std::result::Result<Piece<'_>, String> {
    let envelope = envelope(&line)?.into_owned();
    if envelope.bytes != body.len() {
        return Err(format!("the body of {} has another length than its envelope says", envelope.url));
    }
    Ok(Piece { line: line.into(), what: envelope.what()?, envelope, body })
}

fn envelope(line: &[u8]) -> std::result::Result<Envelope<'_>, String> {
    serde_json::from_slice(line).map_err(|error| format!("an envelope is unreadable: {error}"))
}

/// Takes the content of a frame apart: envelopes, each with its body behind it.
///
/// # Errors
/// A fragment that says what is wrong with it.
pub(crate) fn split(mut content: &[u8]) -> std::result::Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    while !content.is_empty() {
        let line_end = memchr::memchr(b'\n', content).ok_or("its frame ends within an envelope")?;
        let (line, rest) = content.split_at(line_end + 1);
        let envelope = envelope(line)?;
        if rest.len() <= envelope.bytes || rest[envelope.bytes] != b'\n' {
            return Err("its frame ends within a body".into());
        }
        let (body, rest) = rest.split_at(envelope.bytes);
        pieces.push(Piece { line: line.into(), what: envelope.what()?, envelope, body: body.into() });
        content = &rest[1..];
    }
    Ok(pieces)
}

fn span(text: &str) -> Option<Span> {
    let (from, to) = text.split_once('/')?;
    Some(Span::new(Timestamp::parse(from)?, Timestamp::parse(to)?))
}
