//! A line of proof for each version in a package: its entry in the ledger, letter for letter, and the hashes beside its way up to the root.

use serde::{Deserialize, Serialize};

use crate::{
    model::{
        id::{RecordKey, Seq, Sha256, Version},
        kind::Kind,
        time::{Span, Timestamp},
    },
    proof::{Hash, tree},
};

/// A line of `data/proofs.ndjson`; line n is about line n of the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    pub n: u64,
    pub seq: Seq,
    pub kind: String,
    pub id: String,
    pub version: Version,
    /// The span that a row of a log was asked for with: `FROM/TO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The entry, of whose bytes the leaf is made.
    pub entry: String,
    /// Hashes in hexadecimal, from the leaf upwards.
    pub path: Vec<String>,
}

/// What an entry about a version says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Said {
    pub op: String,
    pub kind: String,
    pub id: String,
    pub version: Version,
    /// SHA-256 of the document, and over the envelopes of the bodies.
    pub json: String,
    pub parts: String,
}

/// A line of `data/ledger.ndjson`: another entry, with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    pub seq: Seq,
    pub entry: String,
    pub path: Vec<String>,
}

impl Other {
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// As [`Proof::holds`].
    #[must_use]
    pub fn holds(&self, size: u64, root: &Hash) -> bool {
        is_under(&self.entry, self.seq, &self.path, (size, root))
    }
}

/// Whether an entry stands at its number under the root over so many entries.
fn is_under(entry: &str, seq: Seq, path: &[String], (size, root): (u64, &Hash)) -> bool {
    let path: Option<Vec<Hash>> = path.iter().map(|hash| Some(Sha256::parse(hash)?.0)).collect();
    let index = u64::try_from(seq.0).ok().and_then(|seq| seq.checked_sub(1));
    let (Some(path), Some(index)) = (path, index) else { return false };
    tree::is_included(&tree::leaf_hash(entry.as_bytes()), (index, size), &path, root)
}

impl Proof {
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    #[must_use]
    pub fn key(&self) -> Option<RecordKey> {
        Some(RecordKey { kind: Kind::of_name(&self.kind)?, id: self.id.clone() })
    }

    #[must_use]
    pub fn asked_span(&self) -> Option<Span> {
        let (from, to) = self.asked.as_deref()?.split_once('/')?;
        Some(Span::new(Timestamp::parse(from)?, Timestamp::parse(to)?))
    }

    /// What its entry says.
    ///
    /// # Errors
    /// A fragment that says what is wrong with it.
    pub fn said(&self) -> Result<Said, String> {
        let said: Said =
            serde_json::from_str(&self.entry).map_err(|error| format!("its entry is unreadable: {error}"))?;
        if said.op != "version" {
            return Err(format!("its entry is about '{}' and not about a version", said.op));
        }
        if (&said.kind, &said.id, said.version) != (&self.kind, &self.id, self.version) {
            return Err("its entry is about another version".into());
        }
        Ok(said)
    }

    /// Whether the entry stands at its number under `root`, the root over `size` entries.
    #[must_use]
    pub fn holds(&self, size: u64, root: &Hash) -> bool {
        is_under(&self.entry, self.seq, &self.path, (size, root))
    }
}
