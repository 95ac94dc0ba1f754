//! An archive's folder as a site: whether it can be made there, who may look into it, who writes, how much room is left.
//!
//! Nothing here makes or changes a file.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::archive::{
    error::{Error, Result},
    folder::Folder,
};

/// What lies where an archive is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    Archive,
    /// Nothing: one can be made.
    Free,
    /// Files of somebody else.
    Foreign,
    /// Nothing, and this user cannot make anything in the folder named.
    Closed(PathBuf),
}

impl Folder {
    /// Looks what is there.
    #[must_use]
    pub fn site(&self) -> Site {
        if self.exists() {
            return Site::Archive;
        }
        if self.path().is_dir() && !self.is_free_of_others() {
            return Site::Foreign;
        }
        let ancestor = self.ancestor();
        let may = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        if ancestor.is_dir() && rustix::fs::access(&ancestor, may).is_ok() {
            Site::Free
        } else {
            Site::Closed(ancestor)
        }
    }

    /// Whether a writer holds the lock at this moment. A writer that starts within the microseconds of this look is refused.
    pub fn is_in_use(&self) -> Result<bool> {
        self.is_locked("lock")
    }

    /// Whether a service works off what notifications bring: receivers leave it to that one.
    pub fn is_served(&self) -> Result<bool> {
        self.is_locked("service.lock")
    }

    /// Whether a receiver of notifications runs.
    pub fn has_receiver(&self) -> Result<bool> {
        self.is_locked("inbox.lock")
    }

    fn is_locked(&self, name: &str) -> Result<bool> {
        let path = self.path().join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::Io { path, source }),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
        }
    }

    /// The folder and those of its files that others may read or write, with their modes.
    pub fn open_to_others(&self) -> Result<Vec<(PathBuf, u32)>> {
        let io = |source| Error::Io { path: self.path().to_path_buf(), source };
        let mut open = Vec::new();
        let mut look = |path: PathBuf| {
            let mode = fs::metadata(&path).map_or(0, |file| file.permissions().mode() & 0o777);
            if mode & 0o077 != 0 {
                open.push((path, mode));
            }
        };
        look(self.path().to_path_buf());
        for entry in fs::read_dir(self.path()).map_err(io)?.flatten() {
            look(entry.path());
        }
        open.sort();
        Ok(open)
    }

    /// Room for this user on the disk of the folder, or of that in which it would be made.
    pub fn free_bytes(&self) -> Result<u64> {
        let path = self.ancestor();
        let disk = rustix::fs::statvfs(&path).map_err(|error| Error::Io { path, source: error.into() })?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The nearest folder that exists, this one first.
    fn ancestor(&self) -> PathBuf {
        let path = std::path::absolute(self.path()).unwrap_or_else(|_| self.path().to_path_buf());
        path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_free_foreign_or_taken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("not/yet"));
        assert_eq!((folder.site(), folder.is_in_use().unwrap()), (Site::Free, false));
        assert!(folder.free_bytes().unwrap() > 0 && !dir.path().join("not").exists());
        fs::File::create(dir.path().join("thesis.doc")).unwrap();
        assert_eq!(Folder::new(dir.path()).site(), Site::Foreign);
        assert_eq!(Folder::new(&dir.path().join("thesis.doc/x")).site(), Site::Closed(dir.path().join("thesis.doc")));
    }

    #[test]
    fn the_lock_is_seen_and_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("archive"));
        folder.create().unwrap();
        let lock = folder.lock().unwrap();
        assert!(folder.is_in_use().unwrap());
        drop(lock);
        assert!(!folder.is_in_use().unwrap());
        folder.lock().unwrap();
    }

    #[test]
    fn files_that_others_may_read_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("archive"));
        folder.create().unwrap();
        assert_eq!(folder.open_to_others().unwrap(), []);
        fs::set_permissions(folder.database(), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(folder.open_to_others().unwrap(), [(folder.database(), 0o640)]);
    }
}
