//! What lies in the folder of the index, and reading it without being able to write there.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tantivy::{
    IndexMeta, SegmentMeta, TantivyError,
    directory::{
        Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
        error::{DeleteError, LockError, OpenReadError, OpenWriteError},
    },
};

use crate::search::{
    Index,
    error::{Doing, Error, Result, guarded},
    fields::{FIELDS, fingerprint, tokenizers},
    indexer::Payload,
};

/// What lies in an index's folder. Anything but `Ready` is to be set aside and made again from the archive.
pub enum State<T = Index> {
    Ready(T),
    /// Nothing is there.
    Missing,
    /// Another version of the program made it.
    OtherSchema,
    /// It cannot be read, with the reason.
    Damaged(String),
}

impl<T> State<T> {
    pub(crate) fn and_then<U>(self, open: impl FnOnce(T) -> Result<State<U>>) -> Result<State<U>> {
        match self {
            Self::Ready(found) => open(found),
            Self::Missing => Ok(State::Missing),
            Self::OtherSchema => Ok(State::OtherSchema),
            Self::Damaged(why) => Ok(State::Damaged(why)),
        }
    }
}

/// Tells one list of segments from another: each commit and each merge puts a new file in its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    modified: (i64, i64),
    bytes: u64,
}

impl Stamp {
    /// `None` where there is no list, or none that can be looked at.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let list = std::fs::metadata(dir.join("meta.json")).ok()?;
        Some(Self { inode: list.ino(), modified: (list.mtime(), list.mtime_nsec()), bytes: list.len() })
    }
}

/// Looks into `dir` with an eye to writing.
pub(crate) fn look(dir: &Path) -> Result<State<(tantivy::Index, Payload)>> {
    // Whoever writes has to clear the place first.
    look_with(dir, |directory| Box::new(directory), State::Damaged("it was never finished".to_owned()))
}

/// Looks into `dir` with an eye to reading only.
pub(crate) fn look_only(dir: &Path) -> Result<State<(tantivy::Index, Payload)>> {
    // Nothing was ever in it: whoever was making it was killed.
    look_with(dir, |directory| Box::new(Reading(directory)), State::Missing)
}

fn look_with(
    dir: &Path,
    with: impl FnOnce(MmapDirectory) -> Box<dyn Directory>,
    unfinished: State<(tantivy::Index, Payload)>,
) -> Result<State<(tantivy::Index, Payload)>> {
    match dir.join("meta.json").try_exists() {
        Ok(true) => {}
        // An empty folder is one in which nothing was begun; other files without their list are the ruin of an index.
        Ok(false) if is_empty(dir) => return Ok(State::Missing),
        Ok(false) if is_unbegun(dir) => return Ok(unfinished),
        Ok(false) => return Ok(State::Damaged("it has lost its list of segments".to_owned())),
        Err(error) => return Err(error).doing("look into its folder"),
    }
    let opened = guarded(|| {
        let directory = MmapDirectory::open(dir).doing("open its folder")?;
        let mut index = tantivy::Index::open(with(directory)).doing("open it")?;
        index.set_tokenizers(tokenizers());
        let list = index.load_metas().doing("read its list of segments")?;
        match missing_file(&index, &list, dir)? {
            Some(name) => Err(Error::Damaged(format!("{name} is missing"))),
            None => Ok((index, list.payload)),
        }
    });
    let (index, payload) = match opened {
        Ok(opened) => opened,
        Err(error) => return refused(error),
    };
    let payload = payload.as_deref().map(serde_json::from_str::<Payload>);
    Ok(match payload {
        Some(Ok(payload)) if payload.fingerprint == fingerprint() && index.schema() == FIELDS.schema => {
            State::Ready((index, payload))
        }
        Some(Ok(_)) => State::OtherSchema,
        // Made, but its first commit never came.
        None => unfinished,
        Some(Err(_)) => State::Damaged("its position cannot be read".to_owned()),
    })
}

/// A file that the index needs and has not; tantivy reads on without some of them, as if they had been empty.
fn missing_file(index: &tantivy::Index, list: &IndexMeta, dir: &Path) -> Result<Option<String>> {
    let mut files = files_of(&list.segments);
    loop {
        let Some(missing) = files.iter().find(|file| !dir.join(file).exists()) else { return Ok(None) };
        // A writer may have merged the segment away since; then the list has changed as well.
        let files_now = segment_files(index)?;
        if files_now == files {
            return Ok(Some(missing.display().to_string()));
        }
        files = files_now;
    }
}

pub(super) fn segment_files(index: &tantivy::Index) -> Result<BTreeSet<PathBuf>> {
    Ok(files_of(&index.searchable_segment_metas().doing("list its segments")?))
}

fn files_of(segments: &[SegmentMeta]) -> BTreeSet<PathBuf> {
    use tantivy::index::SegmentComponent::{Delete, FastFields, FieldNorms, Positions, Postings, Store, Terms};
    let mut files = BTreeSet::new();
    for segment in segments {
        files.extend(
            [FastFields, FieldNorms, Positions, Postings, Store, Terms].map(|part| segment.relative_path(part)),
        );
        if segment.has_deletes() {
            files.insert(segment.relative_path(Delete));
        }
    }
    files
}

/// Whether there is nothing but what tantivy lays down before the list of segments: its locks, and its list of files.
fn is_unbegun(dir: &Path) -> bool {
    let is_of_tantivy = |name: std::ffi::OsString| name.to_string_lossy().starts_with('.');
    std::fs::read_dir(dir).is_ok_and(|files| files.flatten().all(|file| is_of_tantivy(file.file_name())))
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).map_or(true, |mut files| files.next().is_none())
}

/// Tells what is wrong with the index from what is wrong with the machine, which a rebuild would not mend.
pub(crate) fn refused<T>(error: Error) -> Result<State<T>> {
    match error {
        Error::Engine { source, .. } if matches!(*source, TantivyError::IncompatibleIndex(_)) => Ok(State::OtherSchema),
        Error::Engine { source, .. } if is_environment(&source) => Err(Error::Engine { doing: "open it", source }),
        Error::Engine { source, .. } => Ok(State::Damaged(source.to_string())),
        Error::Damaged(why) => Ok(State::Damaged(why)),
    }
}

/// Whether the machine refuses, rather than the index being wrong.
pub(crate) fn is_environment(error: &TantivyError) -> bool {
    let io_error = match error {
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) | TantivyError::IoError(io_error) => {
            io_error
        }
        TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, .. }) => io_error,
        TantivyError::LockFailure(..) | TantivyError::OpenDirectoryError(_) => return true,
        // Its threads hand the system's errors on as texts: a full disk, a file too large, a quota.
        TantivyError::InternalError(told) | TantivyError::SystemError(told) | TantivyError::ErrorInThread(told) => {
            return NO_ROOM.iter().any(|error| told.contains(error));
        }
        _ => return false,
    };
    matches!(
        io_error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::OutOfMemory
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
    ) || io_error.raw_os_error() == Some(TOO_MANY_OPEN_FILES)
}

const NO_ROOM: [&str; 3] = ["(os error 28)", "(os error 27)", "(os error 122)"];

/// `EMFILE`, for which the standard library has no name.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// A folder as a reader has it. tantivy wants to lock it while it opens the segments, so that no writer removes them
/// meanwhile; on a medium or for a user that may not write, nobody does, and the lock is only pretended.
#[derive(Clone, Debug)]
struct Reading(MmapDirectory);

impl Directory for Reading {
    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        match self.0.acquire_lock(lock) {
            Err(LockError::IoError(error))
                if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
            {
                Ok(DirectoryLock::from(Box::new(())))
            }
            outcome => outcome,
        }
    }

    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.0.get_file_handle(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.0.exists(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.0.atomic_read(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), path.to_owned()))
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn watch(&self, watch_callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.0.watch(watch_callback)
    }
}

fn read_only() -> io::Error {
    io::Error::new(ErrorKind::ReadOnlyFilesystem, "the index is open for reading")
}
