//! How bodies are kept: all parts of a version in one zstd frame, each behind an envelope line that says what it is.
//!
//! Uncompressed, a frame is, for each part: one line of JSON (the envelope), a line feed, the body byte for byte, a line feed.
//! The envelope's `bytes` says how long the body is. Anybody with zstd and the dictionary can read it: docs/format.md.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

use crate::{
    archive::error::{Error, Result},
    model::{
        document::{Part, What},
        id::Sha256,
        time::{Span, Timestamp},
    },
};

/// The level at which storing keeps up with everything else (docs/decisions): higher ones belong to sealing.
const LEVEL: i32 = 3;
/// No frame claims to be larger than this; a meeting of 1,000 people is about 10 MB.
const FRAME_BYTES_MAX: usize = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    what: Cow<'a, str>,
    url: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'a, str>>,
    /// Begin and end, with a slash between (ISO 8601).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Cow<'a, str>>,
    received: Cow<'a, str>,
    bytes: usize,
    sha256: Cow<'a, str>,
}

impl Envelope<'_> {
    fn line(part: &Part) -> String {
        let envelope = Envelope {
            what: part.what.name().into(),
            url: part.url.as_str().into(),
            request_id: part.request_id.as_deref().map(Cow::from),
            asked: part.asked.map(|span| span.to_string().into()),
            received: part.received.to_string().into(),
            bytes: part.body.len(),
            sha256: part.sha256.to_string().into(),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

/// A zstd dictionary, ready for use in both directions.
#[derive(Clone, Debug)]
pub struct Dictionary {
    pub id: i64,
    pub bytes: Vec<u8>,
}

impl Dictionary {
    /// Takes the bytes of a trained dictionary; `None` when they are none.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        zstd::zstd_safe::get_dict_id(&bytes).map(|id| Self { id: i64::from(id.get()), bytes })
    }
}

/// Compresses frames; one for each thread.
pub struct FrameWriter {
    compressor: Compressor<'static>,
    dictionary_id: Option<i64>,
    content: Vec<u8>,
}

/// A compressed frame and what the ledger says of it.
#[derive(Clone, Debug)]
pub struct Frame {
    pub bytes: Vec<u8>,
    pub dictionary_id: Option<i64>,
    pub raw_bytes: usize,
    /// Over the envelope lines, each with its line feed; they hold the hash of each body.
    pub parts_sha256: Sha256,
}

impl FrameWriter {
    pub fn new(dictionary: Option<&Dictionary>) -> Result<Self> {
        let mut compressor = match dictionary {
            Some(dictionary) => Compressor::with_dictionary(LEVEL, &dictionary.bytes),
            None => Compressor::new(LEVEL),
        }
        .map_err(Error::Compression)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(Error::Compression)?;
        Ok(Self { compressor, dictionary_id: dictionary.map(|dictionary| dictionary.id), content: Vec::new() })
    }

    /// The dictionary that it uses.
    #[must_use]
    pub fn dictionary_id(&self) -> Option<i64> {
        self.dictionary_id
    }

    pub fn write(&mut self, parts: &[Part]) -> Result<Frame> {
        self.content.clear();
        let mut envelopes = digest::Context::new(&digest::SHA256);
        for part in parts {
            let line = Envelope::line(part);
            envelopes.update(line.as_bytes());
            envelopes.update(b"\n");
            for piece in [line.as_bytes(), b"\n", &part.body, b"\n"] {
                self.content.extend_from_slice(piece);
            }
        }
        let bytes = self.compressor.compress(&self.content).map_err(Error::Compression)?;
        Ok(Frame {
            bytes,
            dictionary_id: self.dictionary_id,
            raw_bytes: parts.iter().map(|part| part.body.len()).sum(),
            parts_sha256: finish(envelopes),
        })
    }
}

/// Decompresses frames; one for each thread, and for each dictionary.
pub struct FrameReader {
    decompressor: Decompressor<'static>,
}

impl FrameReader {
    pub fn new(dictionary: Option<&Dictionary>) -> Result<Self> {
        let decompressor = match dictionary {
            Some(dictionary) => Decompressor::with_dictionary(&dictionary.bytes),
            None => Decompressor::new(),
        };
        Ok(Self { decompressor: decompressor.map_err(Error::Compression)? })
    }

    /// Gives back the parts and the hash over their envelopes. Every body is compared with the hash in its envelope.
    ///
    /// # Errors
    /// A fragment that says what is wrong with the frame.
    pub fn read(&mut self, frame: &[u8]) -> std::result::Result<(Vec<Part>, Sha256), String> {
        let claimed = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().unwrap_or(0);
        let capacity = usize::try_from(claimed).ok().filter(|bytes| *bytes <= FRAME_BYTES_MAX);
        let capacity = capacity.ok_or_else(|| format!("its frame claims {claimed} bytes"))?;
        let content =
            self.decompressor.decompress(frame, capacity).map_err(|error| format!("its frame is damaged: {error}"))?;
        split(&content)
    }
}

/// The envelope of a part: one line of JSON, without its line feed.
pub(super) fn envelope_line(part: &Part) -> String {
    Envelope::line(part)
}

fn envelope(line: &[u8]) -> std::result::Result<Envelope<'_>, String> {
    serde_json::from_slice(line).map_err(|error| format!("an envelope is unreadable: {error}"))
}

/// Puts an envelope, one line of JSON, and its body together again; the body is compared with the hash in the envelope.
pub(super) fn part(line: &[u8], body: Vec<u8>) -> std::result::Result<Part, String> {
    part_of(envelope(line)?, body)
}

fn part_of(envelope: Envelope<'_>, body: Vec<u8>) -> std::result::Result<Part, String> {
    let mut part = Part::new(
        What::from_name(&envelope.what).ok_or_else(|| format!("there is an unknown '{}' in it", envelope.what))?,
        envelope.url.into_owned(),
        envelope.request_id.map(Cow::into_owned),
        Timestamp::parse(&envelope.received).ok_or("an envelope has no time")?,
        body,
    );
    if let Some(asked) = &envelope.asked {
        part.asked = Some(span(asked).ok_or("an envelope asks for no span of time")?);
    }
    if part.sha256.to_string() != envelope.sha256 || part.body.len() != envelope.bytes {
        return Err(format!("the body of {} does not match its SHA-256", part.url));
    }
    Ok(part)
}

fn split(mut content: &[u8]) -> std::result::Result<(Vec<Part>, Sha256), String> {
    let mut parts = Vec::new();
    let mut envelopes = digest::Context::new(&digest::SHA256);
    while !content.is_empty() {
        let line_end = content.iter().position(|byte| *byte == b'\n').ok_or("its frame ends within an envelope")?;
        let (line, rest) = (&content[..line_end], &content[line_end + 1..]);
        envelopes.update(line);
        envelopes.update(b"\n");
        let envelope = envelope(line)?;
        let bytes = envelope.bytes;
        if rest.len() <= bytes || rest[bytes] != b'\n' {
            return Err("its frame ends within a body".into());
        }
        parts.push(part_of(envelope, rest[..bytes].to_vec())?);
        content = &rest[bytes + 1..];
    }
    Ok((parts, finish(envelopes)))
}

fn span(text: &str) -> Option<Span> {
    let (from, to) = text.split_once('/')?;
    Some(Span::new(Timestamp::parse(from)?, Timestamp::parse(to)?))
}

pub(super) fn finish(context: digest::Context) -> Sha256 {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Sha256(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<Part> {
        let part = |what, body: &str| {
            Part::new(what, "https://graph/x".into(), Some("r".into()), Timestamp(1_500_000_000), body.into())
        };
        let asked = Span::new(Timestamp(0), Timestamp(1_000_000_100));
        let row = Part { asked: Some(asked), ..part(What::Row, "{}") };
        vec![
            row,
            part(What::Participants, "{\"value\":[]}"),
            part(What::Record, "{\n\"a\":1}\n"),
            part(What::Sessions, ""),
        ]
    }

    #[test]
    fn bodies_come_back_byte_for_byte() {
        let frame = FrameWriter::new(None).unwrap().write(&parts()).unwrap();
        let (read, parts_sha256) = FrameReader::new(None).unwrap().read(&frame.bytes).unwrap();
        assert_eq!(read, parts());
        assert_eq!(parts_sha256, frame.parts_sha256);
        assert_eq!(frame.raw_bytes, 23);
    }

    #[test]
    fn any_flipped_byte_is_noticed() {
        let frame = FrameWriter::new(None).unwrap().write(&parts()).unwrap();
        let mut reader = FrameReader::new(None).unwrap();
        for at in 0..frame.bytes.len() {
            for bit in 0..8 {
                let mut damaged = frame.bytes.clone();
                damaged[at] ^= 1 << bit;
                if let Ok((read, sha256)) = reader.read(&damaged) {
                    // Some header bits of zstd carry no meaning: then nothing may have changed.
                    assert_eq!((read, sha256), (parts(), frame.parts_sha256), "byte {at} bit {bit}");
                }
            }
        }
    }
}
