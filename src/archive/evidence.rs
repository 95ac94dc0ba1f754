//! The newest checkpoint of the ledger, and proofs that entries are under it.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Deserialize;

use crate::{
    archive::{
        checkpoints::{self, LedgerKey, Nodes, Stored},
        error::{Error, Result},
        ledger::{self, Covered, Entry},
    },
    model::{
        id::{Seq, Sha256},
        time::Timestamp,
    },
    proof::{
        Hash,
        checkpoint::Checkpoint,
        note::{Note, PublicKey},
        timestamp,
        tree::{self, Node},
    },
};

/// A signed state of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The signed note.
    pub checkpoint: String,
    /// The key that signed it.
    pub key: PublicKey,
    pub origin: String,
    /// Entries that it covers.
    pub size: u64,
    pub root: Sha256,
    /// A time-stamp authority's answer about the note (RFC 3161), and the time that it says, if there is one.
    pub timestamp: Option<(Vec<u8>, String)>,
}

/// Entries that are read together on the way back.
const READ_AT_ONCE: i64 = 512;

/// What of an entry may say when it was made.
#[derive(Deserialize)]
struct Timed {
    ended: Option<Timestamp>,
    time: Option<Timestamp>,
    sealed: Option<Timestamp>,
    lost: Option<Timestamp>,
}

/// The time of the last of the first `size` entries that has one.
pub(crate) fn time_of(connection: &Connection, size: u64) -> Result<Timestamp> {
    let found = last_that(connection, size, &mut |seq, line| {
        let timed: Timed = serde_json::from_str(line)
            .map_err(|error| Error::DamagedLedger { seq, what: format!("is unreadable: {error}") })?;
        Ok(timed.ended.or(timed.time).or(timed.sealed).or(timed.lost))
    })?;
    found.ok_or_else(|| Error::DamagedLedger { seq: Seq(1), what: "says no time".into() })
}

/// A run, and what could be vouched for at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    pub seq: Seq,
    pub ended: Timestamp,
    pub coverage: Vec<Covered>,
}

/// The last of the first `size` entries that says what is covered; `None` where no run has said it yet.
pub(crate) fn vouched(connection: &Connection, size: u64) -> Result<Option<Vouched>> {
    last_that(connection, size, &mut |seq, line| match ledger::parse(seq, line)? {
        Entry::Run { ended, coverage, .. } if !coverage.is_empty() => Ok(Some(Vouched { seq, ended, coverage })),
        _ => Ok(None),
    })
}

/// What `read` makes of the last of the first `size` entries that it makes something of; those about versions are passed over.
fn last_that<T>(
    connection: &Connection,
    size: u64,
    read: &mut dyn FnMut(Seq, &str) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut to = i64::try_from(size).unwrap_or(i64::MAX);
    while to > 0 {
        let from = (to - READ_AT_ONCE).max(0);
        let entries = ledger::entries_between(connection, Seq(from), Seq(to), usize::MAX)?;
        for (seq, line) in entries.iter().rev().filter(|(_, line)| !line.starts_with("{\"op\":\"version\"")) {
            if let Some(found) = read(*seq, line)? {
                return Ok(Some(found));
            }
        }
        to = from;
    }
    Ok(None)
}

/// The newest checkpoint and who signed it; `None` where nobody signs the ledger.
///
/// # Errors
/// [`Error::DamagedLedger`] where the checkpoint is not the one that its row says, or is not signed.
pub(crate) fn evidence(connection: &Connection) -> Result<Option<Evidence>> {
    let (Some(stored), Some(LedgerKey { origin, key })) =
        (checkpoints::newest(connection)?, checkpoints::ledger_key(connection)?)
    else {
        return Ok(None);
    };
    let last = Seq(i64::try_from(stored.size).unwrap_or(i64::MAX));
    let damaged = |what: &str| Error::DamagedLedger { seq: last, what: format!("has a checkpoint that {what}") };
    let note = Note::parse(&stored.note).map_err(|error| damaged(&format!("cannot be read: {error}")))?;
    if !note.is_signed_by(&key) {
        return Err(damaged("is not signed by the ledger's key"));
    }
    let checkpoint = Checkpoint::of_note(&note).map_err(|error| damaged(&format!("cannot be read: {error}")))?;
    if (checkpoint.size, &checkpoint.origin) != (stored.size, &origin) {
        return Err(damaged("is about something else"));
    }
    let Stored { note, timestamp: answer, .. } = stored;
    let timestamp = answer.map(|answer| match timestamp::check(&answer, &Sha256::of(note.as_bytes()).0, None) {
        Ok(stamp) => Ok((answer, stamp.time)),
        Err(error) => Err(damaged(&format!("has a time stamp of which is to be said: {error}"))),
    });
    let timestamp = timestamp.transpose()?;
    Ok(Some(Evidence {
        checkpoint: note,
        key,
        origin,
        size: checkpoint.size,
        root: Sha256(checkpoint.root),
        timestamp,
    }))
}

/// Proves entries to be under one checkpoint. Neighbours are best asked about together.
pub struct Prover<'a> {
    nodes: Nodes<'a>,
    /// Above the leaves: neighbours share them.
    known: HashMap<Node, Hash>,
    size: u64,
}

impl<'a> Prover<'a> {
    pub(crate) fn new(connection: &'a Connection, size: u64) -> Self {
        Self { nodes: Nodes::new(connection), known: HashMap::new(), size }
    }

    /// Hashes from the leaf upwards (RFC 6962, section 2.1.1) that prove an entry to be one of the first `size`.
    ///
    /// # Errors
    /// [`Error::DamagedLedger`] where an entry or a node is missing.
    pub fn path(&mut self, seq: Seq) -> Result<Vec<Sha256>> {
        let index = seq.0.unsigned_abs().saturating_sub(1);
        let path = tree::inclusion_path(index, self.size, &mut |node| {
            if let Some(hash) = self.known.get(&node) {
                return Ok(*hash);
            }
            let hash = self.nodes.whole(node)?;
            if node.0 > 0 {
                self.known.insert(node, hash);
            }
            Ok::<_, Error>(hash)
        })?;
        Ok(path.into_iter().map(Sha256).collect())
    }
}
