//! What can go wrong with an archive.

use std::path::PathBuf;

use crate::model::{
    document::AssembleError,
    id::{RecordKey, Seq, Version},
};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no archive in {}", .0.display())]
    Missing(PathBuf),
    #[error("{} is not empty and holds no archive", .0.display())]
    Foreign(PathBuf),
    #[error("the archive in {} is in use by another writer", .0.display())]
    InUse(PathBuf),
    #[error("the archive has format {found}, this program knows formats up to {known}")]
    Newer { found: i64, known: i64 },
    /// Nothing is lost: rows are derived.
    #[error("another version of this program made the rows of the archive in {}", .0.display())]
    OtherRows(PathBuf),
    #[error("version {version} of {key} (ledger entry {seq}): {what}")]
    Damaged { key: RecordKey, version: Version, seq: Seq, what: String },
    #[error("ledger entry {seq}: {what}")]
    DamagedLedger { seq: Seq, what: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{key} cannot be stored: {source}")]
    Unfit { key: RecordKey, source: AssembleError },
    #[error("{key} cannot be made ready: {what}")]
    Prepare { key: RecordKey, what: String },
    #[error("the database is damaged: {0}")]
    DamagedDatabase(rusqlite::Error),
    #[error("the disk is full: nothing of the last step was stored, all before it is safe")]
    DiskFull,
    #[error("the archive cannot be written: {0}")]
    ReadOnly(rusqlite::Error),
    #[error("database: {0}")]
    Database(rusqlite::Error),
    #[error("zstd: {0}")]
    Compression(std::io::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::DamagedDatabase(error),
            Some(ErrorCode::DiskFull) => Error::DiskFull,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Error::ReadOnly(error),
            _ => Error::Database(error),
        }
    }
}

impl Error {
    /// Whether what is stored is not what was archived.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Damaged { .. } | Error::DamagedLedger { .. } | Error::DamagedDatabase(_))
    }
}
