//! The names of an archive's files, who may read them, and the lock of its one writer.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::archive::error::{Error, Result};

/// What the file `FORMAT` says, so that whoever finds the folder in ten years knows how to read it.
const FORMAT: &str = "callvault archive, format 1: archive.db is an SQLite 3 database, the frames in its table version are zstd; \
     sealed/*/*.ndjson.zst are zstd, one body a line\n";

/// How files are called that a crash may leave half made.
pub(super) const UNFINISHED: &str = ".callvault-";

/// Where an archive lives.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// Held by the one writer; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Folder {
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The truth.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("archive.db")
    }

    /// Months whose bodies moved into files of their own: as precious as the database.
    #[must_use]
    pub fn sealed(&self) -> PathBuf {
        self.path.join("sealed")
    }

    /// Who asked what: [`crate::archive::access`].
    #[must_use]
    pub fn access(&self) -> PathBuf {
        self.path.join("access.db")
    }

    /// Ids that notifications brought: [`crate::archive::inbox`]. May be lost.
    #[must_use]
    pub fn inbox(&self) -> PathBuf {
        self.path.join("inbox.db")
    }

    /// Which alerts a service has sent. May be lost.
    #[must_use]
    pub fn alerts(&self) -> PathBuf {
        self.path.join("alerts.json")
    }

    /// Derived: may be lost.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.path.join("index")
    }

    #[must_use]
    pub fn exists(&self) -> bool {
        self.database().is_file()
    }

    /// Makes the folder (0700) and the files that a fresh archive starts from (0600); what is there already stays.
    ///
    /// # Errors
    /// [`Error::Foreign`] when the folder has files but no archive.
    pub fn create(&self) -> Result<()> {
        self.make()?;
        let format = self.path.join("FORMAT");
        if !format.exists() && !self.exists() && self.has_foreign_files()? {
            return Err(Error::Foreign(self.path.clone()));
        }
        if !format.exists() {
            let mut file =
                tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path).map_err(|e| io(&format, e))?;
            file.write_all(FORMAT.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|e| io(&format, e))?;
            file.persist(&format).map_err(|e| io(&format, e.error))?;
        }
        // SQLite gives its journal files the mode of the database, so the database is made first, with the right one.
        make_private(&self.database())
    }

    /// Makes the folder for an inbox alone: a receiver comes before the first record.
    ///
    /// # Errors
    /// [`Error::Foreign`] when the folder has files but neither archive nor inbox.
    pub(super) fn create_for_inbox(&self) -> Result<()> {
        self.make()?;
        if self.exists() || self.is_free_of_others() { Ok(()) } else { Err(Error::Foreign(self.path.clone())) }
    }

    fn make(&self) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|e| io(&self.path, e))
    }

    /// Takes the writer's lock.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it.
    pub fn lock(&self) -> Result<Lock> {
        self.lock_named("lock")
    }

    /// Takes the lock of a service that works off what notifications bring, and all else that is due: receivers leave it to that one.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it.
    pub fn lock_service(&self) -> Result<Lock> {
        self.lock_named("service.lock")
    }

    /// Takes a lock of another name.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it.
    pub(super) fn lock_named(&self, name: &str) -> Result<Lock> {
        let path = self.path.join(name);
        let file = open_private(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(io(&path, source)),
        }
    }

    /// Whether an archive may be made in the folder, which exists.
    pub(crate) fn is_free_of_others(&self) -> bool {
        self.path.join("FORMAT").exists() || self.has_foreign_files().is_ok_and(|foreign| !foreign)
    }

    fn has_foreign_files(&self) -> Result<bool> {
        let entries = fs::read_dir(&self.path).map_err(|source| io(&self.path, source))?;
        let ours = |name: &str| {
            matches!(name, "lock" | "service.lock" | "lost+found")
                || name.starts_with("inbox.")
                || name.starts_with(UNFINISHED)
        };
        Ok(entries.flatten().any(|entry| !entry.file_name().to_str().is_some_and(ours)))
    }
}

fn open_private(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| io(path, source))
}

/// Makes an SQLite file (0600) unless it is there. One that is there is not so much as opened: when a process closes any handle of a file, the
/// system drops all locks on it that the process holds, and another takes its log for left behind and removes it.
pub(super) fn make_private(path: &Path) -> Result<()> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop).map_err(|source| io(path, source)),
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.to_path_buf(), source }
}
