//! The bag's files: what is listed, what is there, and whether both are the same.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;

use crate::{
    model::id::Sha256,
    package::{
        Error, Result,
        bag::{self, Sum, Sums},
        check::Summary,
    },
};

/// What is in the folder, each file with what its bytes are now.
pub(super) struct Files {
    folder: PathBuf,
    pub(super) sums: Sums,
}

/// Reads every file once.
pub(super) fn check(folder: &Path, summary: &mut Summary) -> Result<Files> {
    let mut files = Files { folder: folder.to_path_buf(), sums: Sums::new() };
    files.walk("", summary)?;
    summary.files = files.sums.len() as u64;
    summary.bytes = files.sums.values().map(|sum| sum.bytes).sum();
    let (payload, tags): (Vec<_>, Vec<_>) = files.sums.keys().cloned().partition(|path| path.starts_with(bag::PAYLOAD));
    let tags: Vec<_> = tags.into_iter().filter(|path| path != bag::TAG_MANIFEST).collect();
    files.listed(bag::MANIFEST, &payload, summary)?;
    files.listed(bag::TAG_MANIFEST, &tags, summary)?;
    for needed in [bag::DECLARATION, bag::INFO, bag::MANIFEST] {
        if !files.sums.contains_key(needed) {
            summary.find(needed, None, "it is missing");
        }
    }
    if files.text(bag::DECLARATION, summary)?.is_some_and(|text| text != bag::DECLARED) {
        summary.find(bag::DECLARATION, None, "it does not declare BagIt 1.0 in UTF-8");
    }
    Ok(files)
}

impl Files {
    fn walk(&mut self, inside: &str, summary: &mut Summary) -> Result<()> {
        let at = self.folder.join(inside);
        let read = |source| Error::File { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            let kind = entry.file_type().map_err(read)?;
            if kind.is_dir() {
                self.walk(&path, summary)?;
            } else if kind.is_file() {
                let sum = sum(&entry.path()).map_err(|source| Error::File { path: entry.path(), source })?;
                self.sums.insert(path, sum);
            } else {
                summary.find(&path, None, "it is no file: what it refers to is not part of the package");
            }
        }
        Ok(())
    }

    /// Compares a manifest with the files that it should list, in rising order.
    fn listed(&self, manifest: &str, files: &[String], summary: &mut Summary) -> Result<()> {
        let Some(text) = self.text(manifest, summary)? else { return Ok(()) };
        let listed = match bag::read_manifest(&text) {
            Ok(listed) => listed,
            Err(fault) => {
                summary.find(manifest, None, fault);
                return Ok(());
            }
        };
        for file in files {
            match listed.get(file) {
                None => summary.find(file, None, format!("{manifest} does not list it")),
                Some(sha256) if self.sums.get(file).is_some_and(|sum| sum.sha256 == *sha256) => {}
                Some(_) => summary.find(file, None, format!("it has not the SHA-256 that {manifest} lists")),
            }
        }
        for path in listed.keys().filter(|path| files.binary_search(path).is_err()) {
            summary.find(path, None, format!("{manifest} lists it, and it is missing"));
        }
        Ok(())
    }

    /// The content of a file that need not be there.
    pub(super) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>> {
        if !self.sums.contains_key(path) {
            return Ok(None);
        }
        let at = self.folder.join(path);
        fs::read(&at).map(Some).map_err(|source| Error::File { path: at, source })
    }

    /// The content of a file that is text; `None`, and a finding, where there is none.
    pub(super) fn text(&self, path: &str, summary: &mut Summary) -> Result<Option<String>> {
        let Some(bytes) = self.bytes(path)? else {
            summary.find(path, None, "it is missing");
            return Ok(None);
        };
        let text = String::from_utf8(bytes).ok();
        if text.is_none() {
            summary.find(path, None, "it is no text in UTF-8");
        }
        Ok(text)
    }

    /// A file to be read line by line.
    pub(super) fn open(&self, path: &str) -> Result<Option<BufReader<File>>> {
        if !self.sums.contains_key(path) {
            return Ok(None);
        }
        let at = self.folder.join(path);
        let file = File::open(&at).map_err(|source| Error::File { path: at, source })?;
        Ok(Some(BufReader::with_capacity(1 << 17, file)))
    }
}

fn sum(path: &Path) -> io::Result<Sum> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 17]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sum { bytes, sha256: Sha256::finish(context) }),
            read => {
                context.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}
