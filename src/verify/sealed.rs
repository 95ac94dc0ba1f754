//! Files of sealed months against the tables, the ledger and their manifests. Their bodies are read where all versions are.

use std::{
    fs::{self, File},
    path::Path,
};

use crate::{
    archive::{
        self, Archive,
        ledger::Entry,
        sealed::{check, table::Volume},
    },
    model::id::{Seq, Sha256},
    verify::{Ask, Finding, Note, Result, Summary, What},
};

pub(super) fn check(archive: &Archive, ask: &Ask, summary: &mut Summary) -> Result<()> {
    let volumes = match archive.volumes() {
        Ok(volumes) => volumes,
        Err(error) => {
            summary.add(Finding::of_error(error, What::Database)?);
            return Ok(());
        }
    };
    let head = summary.head;
    for volume in volumes.iter().filter(|volume| volume.seq.is_some_and(|seq| seq <= head)) {
        summary.sealed_files += 1;
        let file = volume.name.inside();
        if let Err(error) = tables(archive, volume, summary) {
            summary.add(Finding::of_error(error, What::Database)?);
        }
        let folder = archive.folder().sealed().join(volume.name.month.to_string());
        let versions = volume.amount().versions;
        if let Some(fault) = file_fault(&folder.join(volume.name.file()), volume, ask) {
            let message =
                format!("{fault}; the bodies of {versions} versions are in it: copy it back from where it is kept");
            summary.add(Finding::new(What::Sealed, message).file(file));
        }
        if let Some(fault) = manifest_fault(&folder.join(volume.name.manifest()), volume.manifest_sha256) {
            let message = format!("{fault}; no body is in it");
            let file = format!("sealed/{}/{}", volume.name.month, volume.name.manifest());
            summary.add(Finding::new(What::Sealed, message).file(file));
        }
    }
    let gone = archive.gone_files().unwrap_or_default();
    unknown(archive, &volumes, &gone, summary);
    Ok(())
}

/// What the tables say of a file, against its entry and among themselves.
fn tables(archive: &Archive, volume: &Volume, summary: &mut Summary) -> archive::Result<()> {
    let amount = volume.amount();
    let Some(seq) = volume.seq else { return Ok(()) };
    let said = match archive.entry(seq)? {
        Entry::Sealed { file, versions, raw_bytes, bytes, sha256, manifest, .. } => {
            (file, versions, raw_bytes, bytes, sha256, manifest)
        }
        _ => (String::new(), 0, 0, 0, String::new(), String::new()),
    };
    let hashes = [volume.sha256, volume.manifest_sha256].map(|hash| hash.to_string());
    let [sha256, manifest] = hashes;
    let file = volume.name.inside();
    if said != (file.clone(), amount.versions, amount.raw_bytes, volume.bytes, sha256, manifest) {
        let message = "table volume says something else of it than its ledger entry";
        summary.add(Finding::new(What::Unledgered, message).file(&*file).seq(seq));
    }
    let placed = archive.versions_in(volume)?;
    if placed != amount.versions {
        let message = format!("{} versions were sealed in it, and table sealed has {placed}", amount.versions);
        summary.add(Finding::new(What::Reference, message).file(&*file));
    }
    let misplaced = archive.misplaced_in(volume)?;
    if misplaced > 0 {
        let message = format!("table sealed places {misplaced} of its versions in a frame that the file does not have");
        summary.add(Finding::new(What::Reference, message).file(file));
    }
    Ok(())
}

fn file_fault(path: &Path, volume: &Volume, ask: &Ask) -> Option<String> {
    let opened = match File::open(path).and_then(|file| Ok((file.metadata()?.len(), file))) {
        Ok((bytes, file)) if bytes == volume.bytes => file,
        Ok((bytes, _)) => return Some(format!("it has {bytes} bytes, {} were sealed", volume.bytes)),
        Err(error) => return Some(format!("it cannot be read: {error}")),
    };
    if ask.quick || !ask.reads(volume.id) {
        return None;
    }
    match check::hash(&opened) {
        Ok((_, sha256)) if sha256 == volume.sha256 => None,
        Ok(_) => Some("it is not the file that was sealed: its SHA-256 differs".to_owned()),
        Err(error) => Some(format!("it cannot be read: {error}")),
    }
}

fn manifest_fault(path: &Path, sha256: Sha256) -> Option<String> {
    match fs::read(path) {
        Ok(bytes) if Sha256::of(&bytes) == sha256 => None,
        Ok(_) => Some("it is not the manifest that was written: its SHA-256 differs".to_owned()),
        Err(error) => Some(format!("it cannot be read: {error}")),
    }
}

/// Files of sealed bodies that nobody entered: of another archive, or of this one before an older copy was put back.
fn unknown(archive: &Archive, volumes: &[Volume], gone: &[(String, Seq)], summary: &mut Summary) {
    let Ok(months) = fs::read_dir(archive.folder().sealed()) else { return };
    let files = months.flatten().flat_map(|month| {
        let name = month.file_name().to_string_lossy().into_owned();
        let files = fs::read_dir(month.path()).into_iter().flatten().flatten();
        files.map(move |file| format!("sealed/{name}/{}", file.file_name().to_string_lossy())).collect::<Vec<_>>()
    });
    let mut unknown: Vec<String> = files
        .filter(|file| file.ends_with(".ndjson.zst") && !volumes.iter().any(|volume| volume.name.inside() == *file))
        .filter(|file| !gone.iter().any(|(name, _)| name == file))
        .collect();
    unknown.sort();
    summary.notes.extend(unknown.into_iter().map(|file| Note::SealedFileUnknown { file }));
}
