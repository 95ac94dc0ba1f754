//! Re-reads an archive and says what is not as it was archived. Writes nothing; runs beside a sync.
//!
//! What is found is data ([`Finding`]) and never ends the work. The ledger's head at the start bounds it all: what a writer
//! adds meanwhile is not looked at. Every comparison happens inside one read transaction, so no writer is caught halfway.

pub mod content;
mod coverage;
pub mod finding;
pub mod index;
mod journal;
pub mod ledger;
mod package;
mod people;
mod purges;
pub mod rows;
mod sealed;
mod source;
mod structure;
mod tree;

use serde::Serialize;

use self::tree::Tree;

pub use self::{
    finding::{Finding, Note, What},
    package::package,
    source::{Compared, against_source},
    tree::Kept,
};
use crate::{
    archive::{self, Archive},
    graph,
    model::id::Seq,
    proof::note::PublicKey,
    search,
};

/// Findings kept; further ones are only counted.
pub const FINDINGS_MAX: usize = 1000;
/// How many of the newest versions a quick look reads.
const QUICK_VERSIONS: usize = 100;
/// Of each connection's memory for pages.
const PAGES_KIB: u16 = 2048;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error(transparent)]
    Graph(graph::Error),
    #[error("a thread that reads the archive has ended unexpectedly")]
    Gone,
}

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The database's structure and the ledger, but only the 100 newest versions, and of the index only whether it opens.
    pub quick: bool,
    /// Of the bodies, only this part.
    pub subset: Option<Subset>,
    /// Checkpoints that were kept elsewhere.
    pub against: Vec<Kept>,
    /// Who is to have signed last; without one the ledger's own word is taken.
    pub key: Option<PublicKey>,
}

/// One part of so many, all of which together are the whole: a twelfth each month covers a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subset {
    /// 1 to `of`.
    pub part: u32,
    pub of: u32,
}

impl Subset {
    fn has(self, number: i64) -> bool {
        number.rem_euclid(i64::from(self.of)) == i64::from(self.part) - 1
    }
}

impl Ask {
    fn reads(&self, number: i64) -> bool {
        self.subset.is_none_or(|subset| subset.has(number))
    }
}

impl std::str::FromStr for Subset {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let read = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match read {
            Some((part, of)) if part >= 1 && part <= of => Ok(Self { part, of }),
            _ => Err("expected PART/OF, such as 3/12".to_owned()),
        }
    }
}

/// What is being read, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub stage: Stage,
    pub done: u64,
    pub total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// SQLite's own checks.
    Structure,
    /// Ledger entries with their versions, bodies and rows.
    Ledger,
    /// The search index.
    Index,
}

/// What was read and what was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub quick: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// The ledger entry up to which everything was looked at.
    pub head: Seq,
    pub entries: u64,
    /// Signed checkpoints compared with the ledger.
    pub checkpoints: u64,
    /// Records that have a version.
    pub records: u64,
    /// Versions read, decompressed and compared with their hashes.
    pub versions: u64,
    /// Files of sealed months compared with their hash, and with their manifest.
    pub sealed_files: u64,
    /// Response bodies compared with their SHA-256.
    pub bodies: u64,
    pub bytes: u64,
    /// Records whose rows were compared with what their newest version derives to.
    pub rows: u64,
    /// Documents of the search index compared with the archive.
    pub documents: u64,
    /// Versions that were disposed of, of which the ledger has the entries.
    pub disposed: u64,
    /// Rows of the access journal whose hashes were computed again.
    pub accesses: u64,
    /// What was compared with Graph itself, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Compared>,
    /// The first [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// All of them.
    pub findings_count: u64,
    /// What is no damage but worth knowing.
    pub notes: Vec<Note>,
}

impl Summary {
    /// Whether everything that was looked at is what was archived.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings_count == 0
    }

    fn add(&mut self, finding: Finding) {
        // Of a file that is not there every version in it would say so again.
        let is_same = |known: &Finding| known.what == What::Sealed && known.file == finding.file;
        if finding.what == What::Sealed && self.findings.iter().any(is_same) {
            return;
        }
        self.findings_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Examines `archive`; `on` is told how far it is.
///
/// # Errors
/// Only what keeps it from going on: the archive cannot be opened again, the disk gives no more. Damage is a finding.
pub fn verify(archive: &Archive, ask: &Ask, on: &mut dyn FnMut(Progress)) -> Result<Summary> {
    let mut summary = Summary { quick: ask.quick, subset: ask.subset, ..Summary::default() };
    on(Progress { stage: Stage::Structure, done: 0, total: 1 });
    structure::check(archive, ask, &mut summary)?;
    let tree = match Tree::begin(archive, ask, &mut summary) {
        Ok(tree) => tree,
        Err(Error::Archive(error)) => {
            summary.add(Finding::of_error(error, What::Ledger)?);
            return Ok(summary);
        }
        Err(error) => return Err(error),
    };
    sealed::check(archive, ask, &mut summary)?;
    archive.keep_few_pages(PAGES_KIB)?;
    content::check(archive, ask, tree, &mut summary, on)?;
    on(Progress { stage: Stage::Index, done: 0, total: 1 });
    index::check(archive, ask, &mut summary)?;
    summary.findings.sort_by_key(|finding| (finding.what, finding.seq));
    Ok(summary)
}

#[cfg(test)]
mod tests;
