//! An audit package: what a question found, as a folder that anybody can check without the archive, the network or this program.
//!
//! It is a bag (BagIt, RFC 8493). Its records, bodies and proofs are evidence: each record is made of its bodies, the ledger's entry names
//! the hashes of both, and a proof shows that the entry is under the signed checkpoint. All else (report, tables, load files) is made of
//! these and can be made again, byte for byte. docs/format.md is the contract, docs/auditing.md says how to check it.
//!
//! Nothing here reads an archive, and nothing asks for the time: the same question at the same checkpoint gives the same bytes.

pub mod bag;
pub mod certificate;
pub mod check;
pub mod coverage;
pub mod load;
pub mod manifest;
pub mod profile;
pub mod proofs;
pub mod report;
pub mod write;

use std::{io, path::PathBuf};

use crate::model::{
    hit::Hit,
    id::{RecordKey, Seq, Version},
    rows::Derived,
    time::Span,
};

/// The format of packages that this program makes.
pub const FORMAT: u32 = 1;

/// Names within a package, of files that are there once.
pub mod name {
    pub const MANIFEST: &str = "data/manifest.json";
    pub const RECORDS: &str = "data/records.ndjson";
    pub const PARTS: &str = "data/parts.ndjson";
    pub const PROOFS: &str = "data/proofs.ndjson";
    pub const CHECKPOINT: &str = "data/checkpoint.txt";
    pub const TIMESTAMP: &str = "data/timestamps/checkpoint.tsr";
    pub const KEY: &str = "data/key.txt";
    pub const COVERAGE: &str = "data/coverage.json";
    pub const LEDGER: &str = "data/ledger.ndjson";
    pub const REPORT: &str = "data/report.html";
    pub const CERTIFICATE: &str = "data/certificate.txt";
    pub const DAT: &str = "data/load/records.dat";
    pub const EDRM: &str = "data/load/edrm.xml";
    pub const NATIVES: &str = "data/load/natives";
    pub const TABLES: &str = "data/tables";
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is there already and not empty", .0.display())]
    Taken(PathBuf),
    #[error("{} is no folder: make it first, a package is made beside its place", .0.display())]
    NoFolder(PathBuf),
    #[error("{} is no audit package: it has neither bagit.txt nor {}", .0.display(), bag::MANIFEST)]
    NoPackage(PathBuf),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the key is none: {0}")]
    Key(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// A version of a record as a package has it.
#[derive(Debug)]
pub struct Item<'a> {
    /// 1, 2, … in the package.
    pub n: u64,
    pub key: &'a RecordKey,
    pub version: Version,
    /// Its entry in the ledger.
    pub seq: Seq,
    /// The span that a row of a log was asked for with.
    pub asked: Option<Span>,
    /// One line of JSON; what the package's profile leaves of it.
    pub json: &'a str,
    /// Of `json`.
    pub derived: &'a Derived,
    pub hit: &'a Hit,
}

impl Item<'_> {
    /// Its name in load files, and the anchor in the report.
    #[must_use]
    pub fn control(&self) -> String {
        format!("CV{:08}", self.n)
    }

    /// Its own file.
    #[must_use]
    pub fn native(&self) -> String {
        format!("{}/{}.json", name::NATIVES, self.control())
    }
}
