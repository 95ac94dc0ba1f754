//! Sealed months: bodies in files of their own, `sealed/MONTH/parts.ndjson.zst`, each with a manifest beside it (docs/format.md).
//!
//! A file is written once and never changed. Versions of a month that come after its sealing go into a further file of that month.

pub mod check;
mod emptying;
pub mod manifest;
pub(crate) mod reader;
pub(crate) mod seekable;
pub mod table;
pub mod writing;

use std::path::PathBuf;

use crate::{archive::folder::Folder, model::month::Month};

/// Which file of which month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName {
    pub month: Month,
    /// 1, 2, … within the month.
    pub n: i64,
}

impl VolumeName {
    fn suffix(self) -> String {
        if self.n == 1 { String::new() } else { format!("-{}", self.n) }
    }

    /// Its name within the month's folder.
    #[must_use]
    pub fn file(self) -> String {
        format!("parts{}.ndjson.zst", self.suffix())
    }

    /// The name of its manifest.
    #[must_use]
    pub fn manifest(self) -> String {
        format!("manifest{}.json", self.suffix())
    }

    /// Its place within the archive's folder.
    #[must_use]
    pub fn inside(self) -> String {
        format!("sealed/{}/{}", self.month, self.file())
    }

    pub(crate) fn folder(self, folder: &Folder) -> PathBuf {
        folder.sealed().join(self.month.to_string())
    }

    pub(crate) fn path(self, folder: &Folder) -> PathBuf {
        self.folder(folder).join(self.file())
    }
}
