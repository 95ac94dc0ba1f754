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
    /// A file of sealed bodies is not what was sealed.
    #[error("{} {what}: bodies of a sealed month are in it", path.display())]
    Volume { path: PathBuf, what: String },
    #[error("the ledger's key: {0}")]
    Key(String),
    /// What is in the ledger is not what its key signed.
    #[error("the ledger is not what was signed: {0}")]
    Unsigned(String),
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
    /// The system refused a write: a limit on file sizes, a quota, a disk that is going.
    #[error("the archive's disk refuses a write ({0}): nothing of the last step was stored, all before it is safe")]
    WriteRefused(rusqlite::Error),
    /// Read-only, and a writer was cut off: the write-ahead log is there, its index is not.
    #[error("{} was not closed in order and cannot be read where nothing may be written", .0.display())]
    Unclosed(PathBuf),
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
            Some(ErrorCode::SystemIoFailure) if is_of_writing(&error) => Error::WriteRefused(error),
            _ => Error::Database(error),
        }
    }
}

fn is_of_writing(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi;
    let of_writing = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ];
    error.sqlite_error().is_some_and(|failure| of_writing.contains(&failure.extended_code))
}

impl Error {
    /// Whether what is stored is not what was archived.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Error::Damaged { .. }
                | Error::DamagedLedger { .. }
                | Error::DamagedDatabase(_)
                | Error::Volume { .. }
                | Error::Unsigned(_)
        )
    }
}
