//! A sealed month examined alone, without the archive: the folder's files against their manifests, and every body against its hash.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;

use crate::{
    archive::{
        error::{Error, Result},
        sealed::{
            manifest::{Contents, Counting, Manifest},
            seekable::{self, OpenFrame},
        },
    },
    model::{
        id::Sha256,
        line::{self, Lines},
    },
};

/// What is found of one file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The manifest's path; that of the folder where there is none.
    pub path: PathBuf,
    /// `None` where it cannot be read.
    pub manifest: Option<Manifest>,
    /// What is wrong with it; empty when nothing.
    pub faults: Vec<String>,
}

/// Examines each manifest of a month's folder and the file that it is about.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read. Damage is in the result.
pub fn month(folder: &Path) -> Result<Vec<Checked>> {
    let io = |source| Error::Io { path: folder.to_path_buf(), source };
    let mut names: Vec<String> = fs::read_dir(folder)
        .map_err(io)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map_err(io)?;
    names.sort();
    let manifests: Vec<PathBuf> = names
        .iter()
        .filter(|name| name.strip_prefix("manifest").is_some_and(|rest| rest.strip_suffix(".json").is_some()))
        .map(|name| folder.join(name))
        .collect();
    let mut checked: Vec<Checked> = manifests.iter().map(|path| one(path)).collect();
    let told: Vec<String> =
        checked.iter().flat_map(|one| &one.manifest).map(|manifest| manifest.file.clone()).collect();
    let alone = names.iter().filter(|name| name.ends_with(".ndjson.zst") && !told.contains(name));
    for name in alone {
        let faults = vec!["no manifest says what it should hold".to_owned()];
        checked.push(Checked { path: folder.join(name), manifest: None, faults });
    }
    if checked.is_empty() {
        let faults = vec!["there is no manifest in it, so it is no sealed month".to_owned()];
        checked.push(Checked { path: folder.to_path_buf(), manifest: None, faults });
    }
    Ok(checked)
}

fn one(path: &Path) -> Checked {
    let read = fs::read(path).map_err(|error| error.to_string());
    let manifest: std::result::Result<Manifest, String> =
        read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| format!("it is unreadable: {error}")));
    let mut checked = Checked { path: path.to_path_buf(), manifest: None, faults: Vec::new() };
    match manifest {
        Err(fault) => checked.faults.push(fault),
        Ok(manifest) => {
            checked.faults = against(path, &manifest);
            checked.manifest = Some(manifest);
        }
    }
    checked
}

fn against(path: &Path, manifest: &Manifest) -> Vec<String> {
    // A name is no path: nothing beside the manifest is looked at.
    let file = path.with_file_name(Path::new(&manifest.file).file_name().unwrap_or_default());
    let opened = match File::open(&file) {
        Ok(opened) => opened,
        Err(error) => return vec![format!("{}: {error}", manifest.file)],
    };
    let mut faults = Vec::new();
    match hash(&opened) {
        Ok((bytes, sha256)) if bytes == manifest.bytes && sha256.to_string() == manifest.sha256 => {}
        Ok(_) => faults.push(format!("{} is not the file whose length and SHA-256 the manifest has", manifest.file)),
        Err(error) => faults.push(format!("{}: {error}", manifest.file)),
    }
    match read(&opened, &mut |_, _| Ok(())) {
        Ok(contents) if contents == manifest.contents => {}
        Ok(_) => faults.push(format!("{} holds something else than the manifest says", manifest.file)),
        Err(fault) => faults.push(format!("{}: {fault}", manifest.file)),
    }
    faults
}

/// Length and SHA-256 of a file.
pub(crate) fn hash(mut file: &File) -> io::Result<(u64, Sha256)> {
    io::Seek::rewind(&mut file)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, Sha256::finish(context))),
            read => {
                context.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Where lines are within a frame, and the frame within its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) frame_from: u64,
    pub(crate) frame_bytes: u32,
    pub(crate) lines_from: usize,
    pub(crate) lines_bytes: usize,
}

/// Reads a file from beginning to end, each body compared with its hash; `on` is given every version with its lines.
///
/// # Errors
/// A fragment that says what is wrong with it.
pub(crate) fn read(
    file: &File,
    on: &mut dyn FnMut(Found, Lines) -> std::result::Result<(), String>,
) -> std::result::Result<Contents, String> {
    let mut counting = Counting::new();
    for (n, entry) in seekable::read_table(file)?.into_iter().enumerate() {
        let in_frame = |what: String| format!("frame {n}: {what}");
        let bytes = entry.bytes as usize;
        let mut frame =
            OpenFrame::read(file, entry.from, bytes, Vec::new()).map_err(|error| in_frame(error.to_string()))?;
        if !frame.is(&entry) {
            return Err(in_frame("it is not the one that the table has".into()));
        }
        let content = frame.whole().map_err(|error| in_frame(error.to_string()))?;
        counting.frame();
        for range in line::versions(content).map_err(in_frame)? {
            let version = line::read(&content[range.clone()]).map_err(in_frame)?;
            counting.version(&version);
            let found = Found {
                frame_from: entry.from,
                frame_bytes: entry.bytes,
                lines_from: range.start,
                lines_bytes: range.len(),
            };
            on(found, version).map_err(in_frame)?;
        }
    }
    Ok(counting.finish())
}
