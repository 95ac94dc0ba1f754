//! An export as a file that is there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use crate::{
    archive::Archive,
    export::{Ask, Error, Report, Result, export},
};

/// Writes what `ask` means to the file `path`, readable by its owner only: into a temporary file beside it that takes its
/// name at the very end, when all of it is on disk. A file that was there before is replaced then, or stays as it was.
///
/// A pipe or a device under that name is written to as it is.
///
/// # Errors
/// As [`export`], and [`Error::File`]; no file appears then.
pub fn export_to_file(
    archive: &Archive,
    ask: &Ask,
    path: &Path,
    on: &mut dyn FnMut(&Report) -> ControlFlow<()>,
) -> Result<Report> {
    let at_file = |source: io::Error| Error::File { path: path.to_path_buf(), source };
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let mut stream = OpenOptions::new().write(true).open(path).map_err(at_file)?;
        return export(archive, ask, &mut stream, on).map_err(|error| named(error, path));
    }
    let target = target(path).map_err(at_file)?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // 0600, as tempfile makes its files: an export is as confidential as the archive.
    let mut unfinished =
        tempfile::Builder::new().prefix(".callvault-").suffix(".part").tempfile_in(folder).map_err(at_file)?;
    let report = export(archive, ask, unfinished.as_file_mut(), on).map_err(|error| named(error, path))?;
    unfinished.as_file_mut().flush().and_then(|()| unfinished.as_file().sync_all()).map_err(at_file)?;
    unfinished.persist(&target).map_err(|refused| at_file(refused.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at_file)?;
    Ok(report)
}

/// The file behind a link: what the link names is to be replaced, not the link.
fn target(path: &Path) -> io::Result<PathBuf> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if path.is_symlink() && path.exists() { fs::canonicalize(path) } else { Ok(path.to_path_buf()) }
}

fn named(error: Error, path: &Path) -> Error {
    match error {
        Error::Write(source) => Error::File { path: path.to_path_buf(), source },
        other => other,
    }
}
