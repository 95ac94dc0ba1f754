//! What an examination finds, as data.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{
    archive,
    model::{
        id::{RecordKey, Seq, Version},
        time::Timestamp,
    },
};

/// What is wrong; the order is that of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// SQLite finds its own file damaged.
    Database,
    /// A row refers to one that is not there, or counts rows that are not there.
    Reference,
    /// A zstd dictionary is not what it was; frames made with it cannot be read.
    Dictionary,
    /// A file of sealed bodies is missing or not what was sealed; the versions in it cannot be read.
    Sealed,
    /// An entry is missing, unreadable, or out of place.
    Ledger,
    /// What was signed is not what is here, or somebody else signed it.
    Checkpoint,
    /// An entry names a version or a loss whose row is gone.
    Missing,
    /// A row of a version or a loss that no entry names.
    Unledgered,
    /// Bodies, envelopes or document are not those that the ledger names.
    Content,
    /// `newest_seq` does not name a record's highest version.
    Newest,
    /// Rows are not what the newest version derives to, or are not there.
    Rows,
    /// What coverage is computed from says what cannot be.
    Coverage,
    /// Graph still has what the archive says it has covered, and it is not here.
    Source,
    /// The search index is damaged or does not hold what it should. `reindex` mends it.
    Index,
}

impl What {
    /// Its name in reports and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            What::Database => "database",
            What::Reference => "reference",
            What::Dictionary => "dictionary",
            What::Sealed => "sealed",
            What::Ledger => "ledger",
            What::Checkpoint => "checkpoint",
            What::Missing => "missing",
            What::Unledgered => "unledgered",
            What::Content => "content",
            What::Newest => "newest",
            What::Rows => "rows",
            What::Coverage => "coverage",
            What::Source => "source",
            What::Index => "index",
        }
    }

    /// Whether `reindex` mends it: what is concerned is derived, nothing archived is lost.
    #[must_use]
    pub fn is_derived(self) -> bool {
        matches!(self, What::Rows | What::Index)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that is not as it was archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: What,
    #[serde(serialize_with = "record")]
    pub record: Option<RecordKey>,
    pub version: Option<Version>,
    pub seq: Option<Seq>,
    /// Inside the archive's folder.
    pub file: Option<String>,
    pub message: String,
}

impl Finding {
    pub(super) fn new(what: What, message: impl Into<String>) -> Self {
        Self { what, record: None, version: None, seq: None, file: None, message: message.into() }
    }

    pub(super) fn record(self, record: Option<&RecordKey>) -> Self {
        Self { record: record.cloned(), ..self }
    }

    pub(super) fn version(self, version: Version) -> Self {
        Self { version: Some(version), ..self }
    }

    pub(super) fn seq(self, seq: Seq) -> Self {
        Self { seq: Some(seq), ..self }
    }

    pub(super) fn file(self, file: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..self }
    }

    /// The finding that a failed read amounts to; the error itself where it says nothing of what is stored. `what` is used
    /// where the error does not say itself what it is about.
    pub(super) fn of_error(error: archive::Error, what: What) -> Result<Self, archive::Error> {
        use archive::Error::{Damaged, DamagedDatabase, DamagedLedger, Database, Volume};
        match error {
            Damaged { key, version, seq, what: message } => {
                Ok(Self::new(What::Content, message).record(Some(&key)).version(version).seq(seq))
            }
            DamagedLedger { seq, what: message } => Ok(Self::new(What::Ledger, message).seq(seq)),
            Volume { path, what: message } => {
                // Inside the archive's folder: sealed/MONTH/FILE.
                let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
                Ok(Self::new(What::Sealed, message).file(names[names.len().saturating_sub(3)..].join("/")))
            }
            DamagedDatabase(error) => Ok(Self::new(what, error.to_string()).file("archive.db")),
            // Not SQLite failed but the reading of what it gave: a value of a kind that nobody writes there.
            Database(error) if error.sqlite_error_code().is_none() => {
                Ok(Self::new(what, error.to_string()).file("archive.db"))
            }
            other => Err(other),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(file) = &self.file {
            write!(f, " {file}")?;
        }
        if let Some(record) = &self.record {
            write!(f, " {record}")?;
        }
        if let Some(version) = self.version {
            write!(f, " version {version}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, " (ledger entry {seq})")?;
        }
        write!(f, ": {}", self.message)
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn record<S: Serializer>(record: &Option<RecordKey>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Key<'a> {
        kind: &'a str,
        id: &'a str,
    }
    record.as_ref().map(|key| Key { kind: key.kind.name(), id: &key.id }).serialize(serializer)
}

/// What is no damage but keeps something from being checked, or a command would mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// Nobody signs the ledger: what is found altered is found by its hashes alone.
    NotSigned,
    /// Another key took over from one that was lost.
    KeyReplaced { seq: Seq, time: Timestamp },
    /// Entries were written without the key and signed later, by somebody's decision.
    SignedLate { from: Seq, to: Seq, reason: String },
    /// There is no search index.
    IndexMissing,
    /// Another version of the program made the search index.
    IndexOfOtherSchema,
    /// The search index has not reached so many versions.
    IndexBehind { versions: u64 },
    /// So many records' rows are still to be made.
    RowsToMake { records: u64 },
    /// A file among the sealed ones of which the archive knows nothing.
    SealedFileUnknown { file: String },
    /// Graph does not give this source at present.
    SourceLeftOut { source: &'static str, why: String },
    /// The archive holds so many records that Graph lists no more.
    NotListed { source: &'static str, records: u64 },
    /// Another version of the program made the rows.
    RowsOfOtherDerivation,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::NotSigned => f.write_str("nobody signs the ledger; the next sync begins to"),
            Note::KeyReplaced { seq, time } => write!(
                f,
                "ledger entry {seq} ({time}): another key took over from one that was lost; the former has not signed that"
            ),
            Note::SignedLate { from, to, reason } => {
                write!(f, "ledger entries {from} to {to} were written without the key and signed later: {reason}")
            }
            Note::IndexMissing => f.write_str("there is no search index; the next sync or reindex makes it"),
            Note::IndexOfOtherSchema => f.write_str(
                "another version of this program made the search index; the next sync or reindex makes it anew",
            ),
            Note::IndexBehind { versions } => write!(f, "the search index has {versions} versions to catch up with"),
            Note::RowsToMake { records } => {
                write!(f, "the rows of {records} records are still to be made; the next sync or reindex makes them")
            }
            Note::SealedFileUnknown { file } => {
                write!(f, "the archive knows nothing of {file}; what it stores is not in there")
            }
            Note::SourceLeftOut { source, why } => write!(f, "{source} could not be compared with Graph: {why}"),
            Note::NotListed { source, records } => {
                write!(f, "{source}: the archive holds {records} records of spans compared that Graph lists no more")
            }
            Note::RowsOfOtherDerivation => {
                f.write_str("another version of this program made the rows; the next sync or reindex makes them anew")
            }
        }
    }
}
