//! What a package is: the question, who asked it, what came of it, and every file with its hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        filter::{Filter, Selection},
        id::Seq,
        kind::Kind,
        time::Timestamp,
    },
    package::{bag::Sums, profile::Profile},
};

/// What makes packages, with its version.
pub const PROGRAM: &str = concat!("callvault ", env!("CARGO_PKG_VERSION"));

/// The document `data/manifest.json`. Members may be added in later formats; none is renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub program: String,
    /// When the archive was as the package shows it: the time of the ledger's last entry under the checkpoint that has one.
    pub time: Timestamp,
    /// The operating system's name of whoever asked.
    pub user: String,
    pub query: Query,
    /// `latest`: of each record the newest version that there was; `all`: every one.
    pub versions: String,
    pub profile: Profile,
    /// The ledger, and how many entries the checkpoint covers.
    pub origin: String,
    pub size: u64,
    /// Root over these entries, in hexadecimal.
    pub root: String,
    /// When a time-stamp authority saw the checkpoint, as its answer in `timestamps/` says; null where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    pub contents: Contents,
    /// What the package has not, and why; empty when it has all.
    pub left_out: Vec<String>,
    /// All files of the payload but this one, by their paths within the package.
    pub files: BTreeMap<String, FileSum>,
}

/// What was asked. What was not asked for is null or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// All records about this person.
    pub person: Option<String>,
    pub text: Option<String>,
    pub participants: Vec<String>,
    pub organizers: Vec<String>,
    pub kinds: Vec<String>,
    pub types: Vec<String>,
    pub modalities: Vec<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub min_duration_s: Option<f64>,
    pub failed: bool,
}

impl Query {
    #[must_use]
    pub fn of(selection: &Selection, person: Option<&str>) -> Self {
        let Filter { participants, organizers, kinds, types, modalities, from, to, min_duration, failed } =
            &selection.filter;
        Self {
            person: person.map(str::to_owned),
            text: selection.text.clone(),
            participants: participants.clone(),
            organizers: organizers.clone(),
            kinds: kinds.iter().map(|kind| kind.name().to_owned()).collect(),
            types: types.clone(),
            modalities: modalities.clone(),
            from: *from,
            to: *to,
            min_duration_s: min_duration.map(crate::model::time::Age::as_seconds_f64),
            failed: *failed,
        }
    }

    /// Its conditions in words, in the order of the flags.
    #[must_use]
    pub fn conditions(&self) -> Vec<(&'static str, String)> {
        let list =
            |label, items: &[String], between: &str| (label, Some(items.join(between)).filter(|text| !text.is_empty()));
        [
            ("all records about", self.person.clone()),
            ("text", self.text.clone()),
            list("participants", &self.participants, " and "),
            list("organized by", &self.organizers, " or "),
            list("kinds", &self.kinds, ", "),
            list("types", &self.types, ", "),
            list("modalities", &self.modalities, " and "),
            ("started at or after", self.from.map(|time| time.to_string())),
            ("started before", self.to.map(|time| time.to_string())),
            ("lasted at least", self.min_duration_s.map(|seconds| format!("{seconds} s"))),
            ("failed", self.failed.then(|| "only calls with a failure".to_owned())),
        ]
        .into_iter()
        .filter_map(|(label, value)| Some((label, value?)))
        .collect()
    }

    /// The one kind that was asked for.
    #[must_use]
    pub fn only_kind(&self) -> Option<Kind> {
        let (first, others) = self.kinds.split_first()?;
        others.iter().all(|kind| kind == first).then(|| Kind::of_name(first)).flatten()
    }
}

/// How much a package holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub records: u64,
    pub versions: u64,
    /// Bodies as received.
    pub bodies: u64,
    pub raw_bytes: u64,
    /// By name of the kind.
    pub kinds: BTreeMap<String, KindContents>,
    /// Lowest and highest number in the ledger.
    pub first_seq: Seq,
    pub last_seq: Seq,
}

/// How much there is of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindContents {
    pub records: u64,
    pub versions: u64,
}

/// Counts versions in their order: those of a record stand together.
#[derive(Debug, Default)]
pub struct Counting {
    contents: Contents,
    last: Option<crate::model::id::RecordKey>,
}

impl Counting {
    pub fn version(&mut self, key: &crate::model::id::RecordKey, seq: Seq, bodies: impl Iterator<Item = usize>) {
        let contents = &mut self.contents;
        let of_kind = contents.kinds.entry(key.kind.name().to_owned()).or_default();
        if self.last.as_ref() != Some(key) {
            contents.records += 1;
            of_kind.records += 1;
            self.last = Some(key.clone());
        }
        contents.first_seq = if contents.versions == 0 { seq } else { contents.first_seq.min(seq) };
        contents.last_seq = contents.last_seq.max(seq);
        contents.versions += 1;
        of_kind.versions += 1;
        for bytes in bodies {
            contents.bodies += 1;
            contents.raw_bytes += bytes as u64;
        }
    }

    #[must_use]
    pub fn finish(self) -> Contents {
        self.contents
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    pub bytes: u64,
    pub sha256: String,
}

/// The files of `sums` as a manifest has them.
#[must_use]
pub fn files(sums: &Sums) -> BTreeMap<String, FileSum> {
    sums.iter()
        .map(|(path, sum)| (path.clone(), FileSum { bytes: sum.bytes, sha256: sum.sha256.to_string() }))
        .collect()
}

impl Manifest {
    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
