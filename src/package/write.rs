//! A folder that is there whole or not at all: written beside its place under another name, which it takes at the very end.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest;
use tempfile::TempDir;

use crate::{
    model::{id::Sha256, time::Timestamp},
    package::{
        Error, Result,
        bag::{self, Sum, Sums},
    },
    proof::note::{self, PrivateKey},
};

/// A package that is being written. Dropped before its end, it leaves nothing behind; killed, a folder called `NAME.partial-…`.
pub struct Writer {
    target: PathBuf,
    partial: TempDir,
    open: Vec<(String, Output)>,
    sums: Sums,
}

/// A file of the package, as long as it is written. Copies write to the same file.
#[derive(Clone)]
pub struct Output(Arc<Mutex<Open>>);

struct Open {
    out: BufWriter<File>,
    hash: digest::Context,
    bytes: u64,
}

impl Open {
    fn new(file: File) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, file), hash: digest::Context::new(&digest::SHA256), bytes: 0 }
    }

    fn close(&mut self) -> io::Result<Sum> {
        self.out.flush()?;
        Ok(Sum { bytes: self.bytes, sha256: Sha256::finish(self.hash.clone()) })
    }
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Output {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open().flush()
    }
}

impl Writer {
    /// Begins a package that is to be `target`.
    ///
    /// # Errors
    /// [`Error::Taken`] when there is something of that name already, an empty folder aside; [`Error::NoFolder`] when there is nothing that
    /// it could be made in.
    pub fn new(target: &Path) -> Result<Self> {
        let at_target = |source| Error::File { path: target.to_path_buf(), source };
        if target.symlink_metadata().is_ok() {
            let is_free = target.is_dir() && fs::read_dir(target).map_err(at_target)?.next().is_none();
            if !is_free || target.is_symlink() {
                return Err(Error::Taken(target.to_path_buf()));
            }
        }
        let name = target.file_name().ok_or_else(|| at_target(io::ErrorKind::InvalidInput.into()))?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Error::NoFolder(folder.to_path_buf()));
        }
        let prefix = format!("{}.partial-", name.to_string_lossy());
        let partial = tempfile::Builder::new().prefix(&prefix).tempdir_in(folder).map_err(at_target)?;
        Ok(Self { target: target.to_path_buf(), partial, open: Vec::new(), sums: Sums::new() })
    }

    fn create(&self, path: &str) -> Result<File> {
        let path = self.partial.path().join(path);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create_new(&path));
        made.map_err(|source| Error::File { path, source })
    }

    /// Opens a file of the payload, to be written bit by bit.
    pub fn file(&mut self, path: &str) -> Result<Output> {
        let output = Output(Arc::new(Mutex::new(Open::new(self.create(path)?))));
        self.open.push((path.to_owned(), output.clone()));
        Ok(output)
    }

    /// Writes a file at once.
    pub fn put(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let mut open = Open::new(self.create(path)?);
        let written = open.write_all(content).and_then(|()| open.close());
        let sum = written.map_err(|source| Error::File { path: self.partial.path().join(path), source })?;
        self.sums.insert(path.to_owned(), sum);
        Ok(())
    }

    /// Closes all files. What is written through an [`Output`] afterwards is not counted.
    pub fn close(&mut self) -> Result<&Sums> {
        for (path, output) in self.open.drain(..) {
            let sum = output.open().close();
            let sum = sum.map_err(|source| Error::File { path: self.partial.path().join(&path), source })?;
            self.sums.insert(path, sum);
        }
        Ok(&self.sums)
    }

    /// Writes the bag's own files, its manifest signed by `key` where there is one, brings all to the disk and gives the folder its name.
    ///
    /// # Errors
    /// Where that fails; then there is no folder of that name.
    pub fn finish(mut self, time: Timestamp, key: Option<&PrivateKey>) -> Result<Sums> {
        self.close()?;
        let payload = std::mem::take(&mut self.sums);
        self.put(bag::DECLARATION, bag::DECLARED.as_bytes())?;
        self.put(bag::INFO, bag::info(time, &payload).as_bytes())?;
        let manifest = bag::manifest(&payload);
        self.put(bag::MANIFEST, manifest.as_bytes())?;
        if let Some(key) = key {
            self.put(bag::SIGNATURE, note::sign(&bag::signed(manifest.as_bytes()), &[key]).as_bytes())?;
        }
        let tags = bag::manifest(&self.sums);
        self.put(bag::TAG_MANIFEST, tags.as_bytes())?;
        let at_target = |source| Error::File { path: self.target.clone(), source };
        sync(self.partial.path()).map_err(at_target)?;
        fs::rename(self.partial.path(), &self.target).map_err(at_target)?;
        // It has another name now: there is nothing to take away.
        let _ = self.partial.keep();
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at_target)?;
        Ok(payload)
    }
}

/// Makes all files of a folder reach the disk. There are as many as records: each waited for alone would take longer than all that went
/// before, so the file system is asked once.
#[cfg(target_os = "linux")]
fn sync(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let mut writer = Writer::new(&target).unwrap();
        writer.put("data/a/b", b"b").unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left of what was given up");

        fs::create_dir(&target).unwrap();
        let mut writer = Writer::new(&target).unwrap();
        let mut output = writer.file("data/c").unwrap();
        output.write_all(b"one ").unwrap();
        output.clone().write_all(b"two").unwrap();
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
        let sums = writer.finish(Timestamp(0), None).unwrap();
        assert_eq!(sums["data/c"], Sum { bytes: 7, sha256: Sha256::of(b"one two") });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(target.join("data/c")).unwrap(), b"one two");
        assert!(matches!(Writer::new(&target), Err(Error::Taken(_))));
        assert!(matches!(Writer::new(&target.join("bagit.txt")), Err(Error::Taken(_))));
    }
}
