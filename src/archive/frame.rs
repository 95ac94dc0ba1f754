//! How bodies are kept: all parts of a version in one zstd frame, each behind an envelope line that says what it is.
//!
//! Uncompressed, a frame is, for each part: one line of JSON (the envelope), a line feed, the body byte for byte, a line feed.
//! The envelope's `bytes` says how long the body is. Anybody with zstd and the dictionary can read it: docs/format.md.
//!
//! The ledger's `parts` is over the envelopes with the hash of each body as their last member. Frames leave that member out:
//! the body is right behind it, and 64 digits that nothing can compress would be a thirtieth of an archive.

use aws_lc_rs::digest;
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, Strategy},
};

use crate::{
    archive::error::{Error, Result},
    model::{
        document::Part,
        envelope::{self, Piece},
        id::Sha256,
    },
};

/// How frames are compressed, and what zstd's own level does not say of it (docs/decisions/0010-bytes-on-disk.md, 0022-less-work-again.md): sixteen
/// places where at least six bytes are the same are looked at, the first good one is taken. A seventh of the size less than level 3.
const LEVEL: i32 = 6;
const PARAMETERS: [CParameter; 6] = [
    CParameter::ChecksumFlag(true),
    CParameter::Strategy(Strategy::ZSTD_greedy),
    CParameter::SearchLog(4),
    CParameter::MinMatch(6),
    CParameter::HashLog(17),
    CParameter::ChainLog(16),
];
/// No frame claims to be larger than this; a meeting of 1,000 people is about 10 MB.
const FRAME_BYTES_MAX: usize = 1 << 30;
/// Readers and writers keep no more room than this from one frame to the next. The few records that are larger come seldom, and what each
/// of several writers kept for the largest of them was a quarter of what a sync takes.
const CONTENT_BYTES_KEPT: usize = 1 << 20;
/// The same of the text that a document is assembled in; nine of ten calls are smaller.
const TEXT_BYTES_KEPT: usize = 1 << 17;

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
    /// Room for any frame, so that one that waits for the writer takes no more than its own length.
    room: Vec<u8>,
    /// Room for the document of what is compressed, from one to the next: blocks of its size are what an allocator is slow with.
    text: String,
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
        for parameter in PARAMETERS {
            compressor.set_parameter(parameter).map_err(Error::Compression)?;
        }
        let dictionary_id = dictionary.map(|dictionary| dictionary.id);
        Ok(Self { compressor, dictionary_id, content: Vec::new(), room: Vec::new(), text: String::new() })
    }

    /// The dictionary that it uses.
    #[must_use]
    pub fn dictionary_id(&self) -> Option<i64> {
        self.dictionary_id
    }

    pub fn write(&mut self, parts: &[Part]) -> Result<Frame> {
        self.content.clear();
        self.content.shrink_to(CONTENT_BYTES_KEPT);
        let mut envelopes = digest::Context::new(&digest::SHA256);
        for part in parts {
            let line = envelope::line_without_hash(part) + "\n";
            // Not twice as much, where there is much.
            self.content.reserve_exact(line.len() + part.body.len() + 1);
            envelope::add_envelope(&mut envelopes, line.as_bytes(), &part.sha256);
            for piece in [line.as_bytes(), &part.body, b"\n"] {
                self.content.extend_from_slice(piece);
            }
        }
        Ok(Frame {
            bytes: compress(&mut self.compressor, &self.content, &mut self.room)?.into(),
            dictionary_id: self.dictionary_id,
            raw_bytes: parts.iter().map(|part| part.body.len()).sum(),
            parts_sha256: Sha256::finish(envelopes),
        })
    }

    /// Room for a text; whoever took it should put it back.
    pub(crate) fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(crate) fn put_text_back(&mut self, mut text: String) {
        text.clear();
        text.shrink_to(TEXT_BYTES_KEPT);
        self.text = text;
    }

    /// The frame of what another frame holds.
    pub(crate) fn compressed(&mut self, content: &[u8]) -> Result<&[u8]> {
        compress(&mut self.compressor, content, &mut self.room)
    }
}

fn compress<'r>(compressor: &mut Compressor<'_>, content: &[u8], room: &'r mut Vec<u8>) -> Result<&'r [u8]> {
    room.clear();
    room.shrink_to(CONTENT_BYTES_KEPT);
    room.reserve_exact(zstd::zstd_safe::compress_bound(content.len()));
    compressor.compress_to_buffer(content, room).map_err(Error::Compression)?;
    Ok(room)
}

/// Decompresses frames; one for each thread, and for each dictionary.
pub struct FrameReader {
    decompressor: Decompressor<'static>,
    /// Of the frame read last: making room anew for each would cost more than filling it.
    content: Vec<u8>,
}

impl FrameReader {
    pub fn new(dictionary: Option<&Dictionary>) -> Result<Self> {
        let decompressor = match dictionary {
            Some(dictionary) => Decompressor::with_dictionary(&dictionary.bytes),
            None => Decompressor::new(),
        };
        Ok(Self { decompressor: decompressor.map_err(Error::Compression)?, content: Vec::new() })
    }

    /// Gives back the parts and the hash over their envelopes, which the ledger tells. A body that is not the one that was kept
    /// gives another.
    ///
    /// # Errors
    /// A fragment that says what is wrong with the frame.
    pub fn read(&mut self, frame: &[u8]) -> std::result::Result<(Vec<Part>, Sha256), String> {
        envelope::whole(self.pieces(frame)?)
    }

    /// Decompresses a frame, whose own checksum must hold, and takes it apart.
    pub(crate) fn pieces(&mut self, frame: &[u8]) -> std::result::Result<Vec<Piece<'_>>, String> {
        envelope::split(self.content(frame)?)
    }

    /// What a frame holds, envelopes and all, compared with zstd's own checksum alone.
    pub(crate) fn content(&mut self, frame: &[u8]) -> std::result::Result<&[u8], String> {
        let claimed = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().unwrap_or(0);
        let capacity = usize::try_from(claimed).ok().filter(|bytes| *bytes <= FRAME_BYTES_MAX);
        let capacity = capacity.ok_or_else(|| format!("its frame claims {claimed} bytes"))?;
        self.content.clear();
        self.content.shrink_to(CONTENT_BYTES_KEPT.max(capacity));
        self.content.reserve_exact(capacity);
        self.decompressor
            .decompress_to_buffer(frame, &mut self.content)
            .map_err(|error| format!("its frame is damaged: {error}"))?;
        Ok(&self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        document::What,
        id::{RecordKey, Seq, Version},
        line,
        time::{Span, Timestamp},
    };

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
    fn lines_have_the_hash_over_the_envelopes_that_the_frame_has() {
        let frame = FrameWriter::new(None).unwrap().write(&parts()).unwrap();
        let mut lines = Vec::new();
        line::write(&mut lines, Seq(1), &RecordKey::call("c"), Version(1), &parts());
        assert_eq!(line::read(&lines).unwrap().parts_sha256, frame.parts_sha256);
    }

    #[test]
    fn frames_of_earlier_programs_have_each_hash_twice_and_are_read() {
        let mut frames = FrameWriter::new(None).unwrap();
        let frame = frames.write(&parts()).unwrap();
        let mut content = Vec::new();
        for part in parts() {
            let line = envelope::line_without_hash(&part);
            content.extend_from_slice(line.strip_suffix('}').unwrap().as_bytes());
            content.extend_from_slice(format!(",\"sha256\":\"{}\"}}\n", part.sha256).as_bytes());
            content.extend_from_slice(&part.body);
            content.push(b'\n');
        }
        let early = zstd::bulk::compress(&content, 3).unwrap();
        let mut reader = FrameReader::new(None).unwrap();
        assert_eq!(reader.read(&early).unwrap(), (parts(), frame.parts_sha256));
        let other = String::from_utf8(content).unwrap().replace("{\"value\":[]}", "{\"value\":[ }");
        let error = reader.read(&zstd::bulk::compress(other.as_bytes(), 3).unwrap()).unwrap_err();
        assert_eq!(error, "the body of https://graph/x does not match its SHA-256");
    }

    #[test]
    fn another_body_gives_another_hash_over_the_envelopes() {
        let mut frames = FrameWriter::new(None).unwrap();
        let mut other = parts();
        let frame = frames.write(&other).unwrap();
        let content = zstd::bulk::decompress(&frame.bytes, 1 << 20).unwrap();
        let content = String::from_utf8(content).unwrap().replace("\"a\":1", "\"a\":2");
        let (read, parts_sha256) =
            FrameReader::new(None).unwrap().read(&zstd::bulk::compress(content.as_bytes(), 3).unwrap()).unwrap();
        other[2] = read[2].clone();
        assert_eq!(read, other);
        assert_ne!(parts_sha256, frame.parts_sha256);
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
