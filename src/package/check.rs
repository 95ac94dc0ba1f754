//! A package examined by itself: neither archive nor network is needed, and nothing that it says is believed before it was checked.
//!
//! 1. The bag: each file is listed, each that is listed is there, each has its SHA-256.
//! 2. The checkpoint is signed by the key.
//! 3. Each record is made again of its bodies; it and they have the hashes that its entry names; the entry is under the root.
//! 4. What is made of the records (report, load files, certificate) is made again and compared.

mod files;
mod items;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::{files::Files, items::Items};
use crate::{
    model::id::{Seq, Sha256},
    package::{
        Error, Item, Result, bag, certificate,
        coverage::Statement,
        load::{Dat, Edrm},
        manifest::{Contents, Counting, Manifest, PROGRAM},
        name,
        profile::Profile,
        proofs::Other,
        report::Report,
    },
    proof::{
        Hash,
        checkpoint::Checkpoint,
        note::{Note, PublicKey},
        timestamp,
    },
};

/// Findings that are told one by one.
const FINDINGS_MAX: usize = 1000;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Within the package.
    pub file: String,
    /// The record and its version, where it is about one.
    pub record: Option<String>,
    pub message: String,
}

/// What an examination came to.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub path: PathBuf,
    pub findings: Vec<Finding>,
    /// All of them, also those that are not told one by one.
    pub findings_count: u64,
    /// What is true all the same and should be known.
    pub notes: Vec<String>,
    /// Files of the bag, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// What was found in it, whatever its manifest says.
    pub contents: Contents,
    /// What the signed note says; null where it cannot be read.
    pub origin: Option<String>,
    pub size: Option<u64>,
    pub root: Option<String>,
    /// When a time-stamp authority saw the note, by its answer in the package; null where there is none.
    pub timestamp: Option<String>,
    /// The key that signed it.
    pub key: Option<String>,
    /// Whether the manifest of all files is signed too.
    pub is_signed: bool,
    /// Whether whoever asked said which key it has to be.
    pub key_was_given: bool,
}

impl Summary {
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings_count == 0
    }

    pub fn find(&mut self, file: &str, record: Option<String>, message: impl Into<String>) {
        self.findings_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { file: file.to_owned(), record, message: message.into() });
        }
    }
}

/// What is made again of the records by somebody else: hashes of files by their paths.
pub type Remade = Vec<(String, Sha256)>;

/// What makes files again from outside this room.
pub trait Remaking {
    fn item(&mut self, item: &Item<'_>);
    fn finish(self: Box<Self>) -> Remade;
}

/// Examines the package in `folder`. `key` is the one that must have signed it, where the auditor has it; `remaking` is made of the
/// manifest and given each record.
///
/// # Errors
/// [`Error::NoPackage`], and [`Error::File`] where something cannot be read. All else is in the summary.
pub fn check(
    folder: &Path,
    key: Option<&PublicKey>,
    remaking: &mut dyn FnMut(&Manifest) -> Option<Box<dyn Remaking>>,
) -> Result<Summary> {
    let is_there = |name: &str| folder.join(name).is_file();
    if ![bag::DECLARATION, bag::MANIFEST, name::MANIFEST].into_iter().any(is_there) {
        return Err(Error::NoPackage(folder.to_path_buf()));
    }
    let mut summary = Summary {
        path: folder.to_path_buf(),
        findings: Vec::new(),
        findings_count: 0,
        notes: Vec::new(),
        files: 0,
        bytes: 0,
        contents: Contents::default(),
        origin: None,
        size: None,
        root: None,
        timestamp: None,
        key: None,
        is_signed: false,
        key_was_given: key.is_some(),
    };
    let files = files::check(folder, &mut summary)?;
    let manifest: Option<Manifest> = document(&files, name::MANIFEST, &mut summary)?;
    let coverage: Option<Statement> = document(&files, name::COVERAGE, &mut summary)?;
    let root = checkpoint(&files, key, &mut summary)?;
    let profile = manifest.as_ref().map_or(Profile::Full, |manifest| manifest.profile);
    let mut making = Making::new(manifest.as_ref(), remaking, &mut summary);
    let mut counting = Counting::default();
    let mut items = Items::open(&files, profile, root, &mut summary)?;
    while let Some(found) = items.next(&mut summary)? {
        counting.version(&found.key, found.seq, found.bodies.iter().copied());
        found.shown(&mut |item| making.item(item));
        native(&files, &found.control(), &found.json, &mut summary);
    }
    summary.contents = counting.finish();
    if let Some(manifest) = &manifest {
        against(manifest, &files, &mut summary);
        if let Some(coverage) = &coverage {
            making.finish(manifest, coverage, &files, &mut summary);
        }
    }
    if let Some(coverage) = &coverage {
        let entries = others(&files, root, &mut summary)?;
        for fault in coverage.faults(&entries) {
            summary.find(name::COVERAGE, None, fault);
        }
    }
    Ok(summary)
}

/// A JSON document that has to be written as this program writes it: then nothing hides in it.
fn document<T: serde::de::DeserializeOwned>(files: &Files, path: &str, summary: &mut Summary) -> Result<Option<T>> {
    let Some(text) = files.text(path, summary)? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(read) => Ok(Some(read)),
        Err(error) => {
            summary.find(path, None, format!("it is unreadable: {error}"));
            Ok(None)
        }
    }
}

/// The root under which all entries must be, and over how many: what the note says, if it says anything.
fn checkpoint(files: &Files, given: Option<&PublicKey>, summary: &mut Summary) -> Result<Option<(u64, Hash)>> {
    let own = files.text(name::KEY, summary)?.and_then(|text| match PublicKey::parse(&text) {
        Ok(key) => Some(key),
        Err(error) => {
            summary.find(name::KEY, None, error.to_string());
            None
        }
    });
    let Some(text) = files.text(name::CHECKPOINT, summary)? else { return Ok(None) };
    let note = Note::parse(&text);
    let read = note.as_ref().map_err(Clone::clone).and_then(|note| Ok((note, Checkpoint::of_note(note)?)));
    let (note, checkpoint) = match read {
        Ok(read) => read,
        Err(error) => {
            summary.find(name::CHECKPOINT, None, error.to_string());
            return Ok(None);
        }
    };
    if let Some(own) = &own {
        if !note.is_signed_by(own) {
            summary.find(name::CHECKPOINT, None, format!("it is not signed by the key in {}", name::KEY));
        }
        summary.key = Some(own.to_string());
    }
    // A key may have been given under another name than that of the log.
    let own_is_it =
        |given: &PublicKey| own.as_ref().is_some_and(|own| own.is_same_key(given) && note.is_signed_by(own));
    match given {
        Some(given) if !note.is_signed_by(given) && !own_is_it(given) => {
            let own = own.as_ref().map_or_else(String::new, |own| format!("; the package brings {own}"));
            summary.find(name::CHECKPOINT, None, format!("it is not signed by the key that you gave, {given}{own}"));
        }
        Some(_) => {}
        None => summary.notes.push(
            "the key is the package's own: that it is the organisation's, only a comparison with one that you have from elsewhere shows (--key FILE)"
                .to_owned(),
        ),
    }
    signature(files, own.as_ref(), summary)?;
    time_stamp(files, &text, summary)?;
    summary.origin = Some(checkpoint.origin.clone());
    summary.size = Some(checkpoint.size);
    summary.root = Some(Sha256(checkpoint.root).to_string());
    Ok(Some((checkpoint.size, checkpoint.root)))
}

/// Whether the time-stamp authority's answer is about this checkpoint.
fn time_stamp(files: &Files, note: &str, summary: &mut Summary) -> Result<()> {
    let Some(answer) = files.bytes(name::TIMESTAMP)? else { return Ok(()) };
    match timestamp::check(&answer, &Sha256::of(note.as_bytes()).0, None) {
        Ok(stamp) => {
            summary.notes.push(format!(
                "the checkpoint is time-stamped ({}): whether the authority is to be believed, openssl ts -verify tells with its certificate",
                stamp.time
            ));
            summary.timestamp = Some(stamp.time);
        }
        Err(error) => summary.find(name::TIMESTAMP, None, format!("the time stamp: {error}")),
    }
    Ok(())
}

/// Whether the manifest of all files is signed by the same key: then nothing of the package is anybody else's.
fn signature(files: &Files, key: Option<&PublicKey>, summary: &mut Summary) -> Result<()> {
    if !files.sums.contains_key(bag::SIGNATURE) {
        summary.notes.push(
            "the manifest is not signed: records and proofs are under the signed checkpoint, but whether records were left out, and what the \
             manifest says of the question, is the word of whoever made the package"
                .to_owned(),
        );
        return Ok(());
    }
    let (Some(note), Some(manifest)) = (files.text(bag::SIGNATURE, summary)?, files.text(bag::MANIFEST, summary)?)
    else {
        return Ok(());
    };
    match Note::parse(&note) {
        Err(error) => summary.find(bag::SIGNATURE, None, error.to_string()),
        Ok(read) => {
            if read.text != bag::signed(manifest.as_bytes()) {
                summary.find(bag::SIGNATURE, None, format!("it signs another {}", bag::MANIFEST));
            } else if key.is_some_and(|key| !read.is_signed_by(key)) {
                summary.find(bag::SIGNATURE, None, format!("it is not signed by the key in {}", name::KEY));
            }
            summary.is_signed = true;
        }
    }
    Ok(())
}

/// Entries that are about no version, and are under the root.
fn others(files: &Files, root: Option<(u64, Hash)>, summary: &mut Summary) -> Result<BTreeMap<Seq, String>> {
    let mut entries = BTreeMap::new();
    let Some(text) = files.text(name::LEDGER, summary)? else { return Ok(entries) };
    for (n, line) in (1..).zip(text.split_inclusive('\n')) {
        let read = serde_json::from_str::<Other>(line).ok().filter(|other| other.line() == line);
        match read {
            Some(other) if root.is_none_or(|(size, root)| other.holds(size, &root)) => {
                entries.insert(other.seq, other.entry);
            }
            _ => summary.find(
                name::LEDGER,
                Some(format!("line {n}")),
                "it is no entry with a proof that leads to the root",
            ),
        }
    }
    Ok(entries)
}

/// A version's own file is the record's line.
fn native(files: &Files, control: &str, json: &str, summary: &mut Summary) {
    let path = format!("{}/{control}.json", name::NATIVES);
    match files.sums.get(&path) {
        Some(sum) if sum.sha256 == Sha256::of(format!("{json}\n").as_bytes()) => {}
        Some(_) => summary.find(&path, Some(control.to_owned()), "it is not the line of the records that it should be"),
        None => summary.find(&path, Some(control.to_owned()), "it is missing"),
    }
}

/// What the manifest says against what is there.
fn against(manifest: &Manifest, files: &Files, summary: &mut Summary) {
    if manifest.contents != summary.contents {
        let Contents { records, versions, bodies, .. } = manifest.contents;
        let found = format!(
            "{} records, {} versions, {} bodies",
            summary.contents.records, summary.contents.versions, summary.contents.bodies
        );
        summary.find(
            name::MANIFEST,
            None,
            format!("it counts {records} records, {versions} versions, {bodies} bodies; found are {found}"),
        );
    }
    let said = (Some(&manifest.origin), Some(manifest.size), Some(&manifest.root));
    if said != (summary.origin.as_ref(), summary.size, summary.root.as_ref()) {
        summary.find(name::MANIFEST, None, format!("it names another state of the ledger than {}", name::CHECKPOINT));
    }
    if manifest.timestamp != summary.timestamp {
        summary.find(name::MANIFEST, None, format!("it names another time stamp than {}", name::TIMESTAMP));
    }
    if manifest.left_out != manifest.profile.left_out() {
        summary.find(name::MANIFEST, None, "what it says is left out is not what its profile leaves out");
    }
    let mut listed = super::manifest::files(&files.sums);
    listed.retain(|path, _| path.starts_with(bag::PAYLOAD) && path != name::MANIFEST);
    if manifest.files != listed {
        summary.find(name::MANIFEST, None, "the files that it lists are not those of the package");
    }
}

/// Makes again what is made of the records.
struct Making {
    report: Report,
    dat: Option<Dat<Vec<u8>>>,
    edrm: Option<Edrm<Vec<u8>>>,
    others: Option<Box<dyn Remaking>>,
    is_ours: bool,
}

impl Making {
    fn new(
        manifest: Option<&Manifest>,
        remaking: &mut dyn FnMut(&Manifest) -> Option<Box<dyn Remaking>>,
        summary: &mut Summary,
    ) -> Self {
        let is_ours = manifest.is_some_and(|manifest| manifest.program == PROGRAM);
        if let Some(manifest) = manifest.filter(|_| !is_ours) {
            summary.notes.push(format!(
                "report, tables and load files were not made again for comparison: {} made them, and this is {PROGRAM}",
                manifest.program
            ));
        }
        let others = manifest.filter(|_| is_ours).and_then(remaking);
        Self {
            report: Report::default(),
            dat: Dat::new(Vec::new()).ok(),
            edrm: Edrm::new(Vec::new()).ok(),
            others,
            is_ours,
        }
    }

    fn item(&mut self, item: &Item<'_>) {
        if !self.is_ours {
            return;
        }
        self.report.item(item);
        // Writing into memory does not fail.
        if let (Some(dat), Some(edrm)) = (&mut self.dat, &mut self.edrm) {
            let _ = dat.item(item);
            let _ = edrm.item(item);
        }
        if let Some(others) = &mut self.others {
            others.item(item);
        }
    }

    fn finish(self, manifest: &Manifest, coverage: &Statement, files: &Files, summary: &mut Summary) {
        if !self.is_ours {
            return;
        }
        let bytes = |made: Option<std::io::Result<Vec<u8>>>| {
            Sha256::of(&made.and_then(std::io::Result::ok).unwrap_or_default())
        };
        let mut made = vec![
            (name::MANIFEST.to_owned(), Sha256::of(manifest.text().as_bytes())),
            (name::COVERAGE.to_owned(), Sha256::of(coverage.text().as_bytes())),
            (name::REPORT.to_owned(), Sha256::of(self.report.finish(manifest, coverage).as_bytes())),
            (name::CERTIFICATE.to_owned(), Sha256::of(certificate::text(manifest, coverage).as_bytes())),
            (name::DAT.to_owned(), bytes(self.dat.map(Dat::finish))),
            (name::EDRM.to_owned(), bytes(self.edrm.map(Edrm::finish))),
        ];
        let payload = files.sums.iter().filter(|(path, _)| path.starts_with(bag::PAYLOAD));
        let info = bag::info(manifest.time, &payload.map(|(path, sum)| (path.clone(), *sum)).collect());
        made.push((bag::INFO.to_owned(), Sha256::of(info.as_bytes())));
        made.extend(self.others.map(Remaking::finish).unwrap_or_default());
        for (path, sha256) in made {
            match files.sums.get(&path) {
                Some(sum) if sum.sha256 == sha256 => {}
                Some(_) => summary.find(&path, None, "it is not what the records and the manifest make it"),
                None => summary.find(&path, None, "it is missing"),
            }
        }
    }
}
