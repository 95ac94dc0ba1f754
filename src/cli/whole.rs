//! Files that are there whole or not at all, for their owner alone.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

/// Writes `bytes` to `path`; a file that is there is replaced only where `replace` says so.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] among others; then nothing is there that was not before.
pub(super) fn write(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".callvault-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let kept = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
