//! What a sealed file holds, said beside it, so that it can be checked alone.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::model::{
    id::{RecordKey, Seq, Sha256},
    line::Lines,
    month::Month,
    time::Timestamp,
};

/// The document `manifest.json`. Members may be added in later formats; none is renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the archive.
    pub format: i64,
    pub month: Month,
    /// The file that this is about, beside it.
    pub file: String,
    pub bytes: u64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// What it holds.
    #[serde(flatten)]
    pub contents: Contents,
    /// zstd's.
    pub level: i32,
    pub sealed: Timestamp,
    /// What made it, with its version.
    pub program: String,
}

/// What a file holds, as read from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// zstd frames.
    pub frames: u64,
    /// One a body.
    pub lines: u64,
    pub versions: u64,
    /// Lengths of all bodies together.
    pub raw_bytes: u64,
    /// By name of the kind.
    pub kinds: BTreeMap<String, KindContents>,
    /// Lowest and highest number in the ledger.
    pub first_seq: Seq,
    pub last_seq: Seq,
    /// Over a line for each version in the order of the file: its ledger number, a space, the hash over its envelopes as the ledger
    /// has it in `parts`, a line feed. It stays the same however the file is compressed.
    pub versions_sha256: String,
}

/// How much there is of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindContents {
    pub records: u64,
    pub versions: u64,
    pub raw_bytes: u64,
}

/// Counts while a file is read from beginning to end.
pub(crate) struct Counting {
    contents: Contents,
    versions: digest::Context,
    /// Versions of a record stand together.
    last: Option<RecordKey>,
}

impl Counting {
    pub(crate) fn new() -> Self {
        Self { contents: Contents::default(), versions: digest::Context::new(&digest::SHA256), last: None }
    }

    pub(crate) fn frame(&mut self) {
        self.contents.frames += 1;
    }

    pub(crate) fn version(&mut self, version: &Lines) {
        let raw_bytes = version.parts.iter().map(|part| part.body.len() as u64).sum::<u64>();
        let contents = &mut self.contents;
        contents.first_seq = if contents.versions == 0 { version.seq } else { contents.first_seq.min(version.seq) };
        contents.last_seq = contents.last_seq.max(version.seq);
        contents.versions += 1;
        contents.lines += version.parts.len() as u64;
        contents.raw_bytes += raw_bytes;
        let of_kind = contents.kinds.entry(version.key.kind.name().to_owned()).or_default();
        of_kind.versions += 1;
        of_kind.raw_bytes += raw_bytes;
        if self.last.as_ref() != Some(&version.key) {
            of_kind.records += 1;
            self.last = Some(version.key.clone());
        }
        self.versions.update(format!("{} {}\n", version.seq, version.parts_sha256).as_bytes());
    }

    pub(crate) fn finish(self) -> Contents {
        Contents { versions_sha256: Sha256::finish(self.versions).to_string(), ..self.contents }
    }
}
