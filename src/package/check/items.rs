//! The records of a package, one after the other: line n of the records, line n of the proofs, and the bodies between.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
};

use crate::{
    model::{
        derive,
        document::Document,
        hit::Hit,
        id::{RecordKey, Seq, Sha256, Version},
        line,
        time::Span,
    },
    package::{
        Error, Item, Result,
        check::{Summary, files::Files},
        name,
        profile::Profile,
        proofs::Proof,
    },
    proof::Hash,
};

/// A version as it was found.
pub(super) struct Found {
    n: u64,
    pub(super) key: RecordKey,
    version: Version,
    pub(super) seq: Seq,
    asked: Option<Span>,
    pub(super) json: String,
    /// Their lengths.
    pub(super) bodies: Vec<usize>,
}

impl Found {
    pub(super) fn control(&self) -> String {
        format!("CV{:08}", self.n)
    }

    /// Hands itself over as a package shows it.
    pub(super) fn shown(&self, on: &mut dyn FnMut(&Item<'_>)) {
        let derived = derive::shown(&self.key, self.asked, &self.json);
        let hit = Hit::of(&self.key, self.version, self.seq, &derived);
        let Self { n, key, version, seq, asked, json, .. } = self;
        on(&Item { n: *n, key, version: *version, seq: *seq, asked: *asked, json, derived: &derived, hit: &hit });
    }
}

/// Lines of a file.
struct Lines {
    reader: Option<BufReader<File>>,
    path: &'static str,
    /// One that was read too early.
    held: Option<Vec<u8>>,
}

impl Lines {
    fn open(files: &Files, path: &'static str) -> Result<Self> {
        Ok(Self { reader: files.open(path)?, path, held: None })
    }

    /// The next line with its line feed, if it has one.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut line = Vec::new();
        let path = self.path;
        let read = reader.read_until(b'\n', &mut line).map_err(|source| Error::File { path: path.into(), source })?;
        Ok((read > 0).then_some(line))
    }

    /// The next line as text without its line feed.
    fn text(&mut self, summary: &mut Summary) -> Result<Option<String>> {
        let Some(line) = self.next()? else { return Ok(None) };
        let text = line.strip_suffix(b"\n").and_then(|line| String::from_utf8(line.to_vec()).ok());
        if text.is_none() {
            summary.find(self.path, None, "a line is no text in UTF-8, or has no end");
        }
        Ok(Some(text.unwrap_or_default()))
    }
}

pub(super) struct Items {
    records: Lines,
    proofs: Lines,
    parts: Lines,
    profile: Profile,
    root: Option<(u64, Hash)>,
    n: u64,
    seqs: HashSet<Seq>,
}

impl Items {
    pub(super) fn open(
        files: &Files,
        profile: Profile,
        root: Option<(u64, Hash)>,
        summary: &mut Summary,
    ) -> Result<Self> {
        let needed = [Some(name::RECORDS), Some(name::PROOFS), (profile == Profile::Full).then_some(name::PARTS)];
        for path in needed.into_iter().flatten().filter(|path| !files.sums.contains_key(*path)) {
            summary.find(path, None, "it is missing");
        }
        let open = |path| Lines::open(files, path);
        let (records, proofs, parts) = (open(name::RECORDS)?, open(name::PROOFS)?, open(name::PARTS)?);
        Ok(Self { records, proofs, parts, profile, root, n: 0, seqs: HashSet::new() })
    }

    /// The next version; those of which no proof says what they are are passed over with a finding.
    pub(super) fn next(&mut self, summary: &mut Summary) -> Result<Option<Found>> {
        loop {
            self.n += 1;
            let (record, proof) = (self.records.text(summary)?, self.proofs.text(summary)?);
            let (json, line) = match (record, proof) {
                (Some(json), Some(line)) => (json, line),
                (None, None) => {
                    self.rest(summary)?;
                    return Ok(None);
                }
                (Some(_), None) => {
                    summary.find(name::PROOFS, Some(format!("line {}", self.n)), "there is a record without a proof");
                    continue;
                }
                (None, Some(line)) => {
                    let record =
                        serde_json::from_str(&line).map_or_else(|_| format!("line {}", self.n), |proof| told(&proof));
                    summary.find(name::RECORDS, Some(record), "there is a proof without its record");
                    continue;
                }
            };
            let proof = match serde_json::from_str::<Proof>(&line) {
                Ok(proof) if proof.line().trim_end() == line => proof,
                Ok(_) => {
                    summary.find(name::PROOFS, Some(format!("line {}", self.n)), "it says more than a proof does");
                    continue;
                }
                Err(error) => {
                    summary.find(name::PROOFS, Some(format!("line {}", self.n)), format!("it is unreadable: {error}"));
                    continue;
                }
            };
            if let Some(found) = self.one(json, &proof, summary)? {
                return Ok(Some(found));
            }
        }
    }

    fn one(&mut self, json: String, proof: &Proof, summary: &mut Summary) -> Result<Option<Found>> {
        let record = || Some(told(proof));
        let Some(key) = proof.key() else {
            summary.find(name::PROOFS, record(), "there is no such kind of record");
            return Ok(None);
        };
        if proof.n != self.n {
            summary.find(name::PROOFS, record(), format!("it is number {} and stands in line {}", proof.n, self.n));
        }
        if !self.seqs.insert(proof.seq) {
            summary.find(name::PROOFS, record(), format!("ledger entry {} is there twice", proof.seq));
        }
        if let Some((size, root)) = &self.root
            && !proof.holds(*size, root)
        {
            let message = format!("its proof does not lead from entry {} to the root of {size} entries", proof.seq);
            summary.find(name::PROOFS, record(), message);
        }
        let said = match proof.said() {
            Ok(said) => said,
            Err(fault) => {
                summary.find(name::PROOFS, record(), fault);
                return Ok(None);
            }
        };
        let mut bodies = Vec::new();
        if self.profile == Profile::Full {
            if Sha256::of(json.as_bytes()).to_string() != said.json {
                summary.find(name::RECORDS, record(), "the record is not the one whose SHA-256 its ledger entry names");
            }
            match self.bodies(proof.seq)? {
                Ok(lines) => {
                    if (lines.seq, &lines.key, lines.version) != (proof.seq, &key, proof.version) {
                        summary.find(name::PARTS, record(), "the bodies in its place are another version's");
                    }
                    if lines.parts_sha256.to_string() != said.parts {
                        summary.find(
                            name::PARTS,
                            record(),
                            "the bodies are not those whose SHA-256 its ledger entry names",
                        );
                    }
                    bodies = lines.parts.iter().map(|part| part.body.len()).collect();
                    let document = Document { key: key.clone(), version: proof.version, parts: lines.parts };
                    if document.asked_span() != proof.asked_span() {
                        summary.find(name::PROOFS, record(), "it was asked for with another span than its bodies say");
                    }
                    match document.assemble() {
                        Ok(made) if made == json => {}
                        Ok(_) => summary.find(name::RECORDS, record(), "the record is not what its bodies make"),
                        Err(error) => summary.find(name::PARTS, record(), error.to_string()),
                    }
                }
                Err(fault) => summary.find(name::PARTS, record(), fault),
            }
        }
        let (version, seq, asked) = (proof.version, proof.seq, proof.asked_span());
        Ok(Some(Found { n: self.n, key, version, seq, asked, json, bodies }))
    }

    /// The lines of one version's bodies.
    fn bodies(&mut self, seq: Seq) -> Result<std::result::Result<line::Lines, String>> {
        let head = format!("{{\"seq\":{seq},");
        let mut content = Vec::new();
        while let Some(line) = self.parts.next()? {
            if !line.starts_with(head.as_bytes()) {
                self.parts.held = Some(line);
                break;
            }
            content.extend_from_slice(&line);
        }
        Ok(line::read(&content))
    }

    /// There may be nothing after the last record.
    fn rest(&mut self, summary: &mut Summary) -> Result<()> {
        if let Some(line) = self.parts.next()? {
            let start: String = String::from_utf8_lossy(&line).chars().take(80).collect();
            summary.find(name::PARTS, None, format!("there are bodies of no record: {start}…"));
        }
        Ok(())
    }
}

/// As findings name it.
fn told(proof: &Proof) -> String {
    format!("{} {} version {}", proof.kind, proof.id, proof.version)
}
