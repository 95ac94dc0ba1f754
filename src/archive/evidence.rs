//! The newest checkpoint of the ledger, and proofs that entries are under it.

use rusqlite::Connection;
use serde::Deserialize;

use crate::{
    archive::{error::{Error, Result}, ledger},
    model::{
        id::{Seq, Sha256},
        time::Timestamp,
    },
};

/// A signed state of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The signed note.
    pub checkpoint: String,
    /// The key that signed it, `NAME+ID+BASE64`.
    pub key: String,
    pub origin: String,
    /// Entries that it covers.
    pub size: u64,
    pub root: Sha256,
}

/// Entries that are looked at together for one that has a time.
const TIMED_AMONG: i64 = 512;

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
    let mut to = i64::try_from(size).unwrap_or(i64::MAX);
    while to > 0 {
        let from = (to - TIMED_AMONG).max(0);
        let entries = ledger::entries_between(connection, Seq(from), Seq(to), usize::MAX)?;
        let others = entries.iter().rev().filter(|(_, line)| !line.starts_with("{\"op\":\"version\""));
        for (seq, line) in others {
            let timed: Timed = serde_json::from_str(line)
                .map_err(|error| Error::DamagedLedger { seq: *seq, what: format!("is unreadable: {error}") })?;
            if let Some(time) = timed.ended.or(timed.time).or(timed.sealed).or(timed.lost) {
                return Ok(time);
            }
        }
        to = from;
    }
    Err(Error::DamagedLedger { seq: Seq(1), what: "says no time".into() })
}

use crate::proof::{checkpoint::Checkpoint, note::PrivateKey, tree};
fn key() -> PrivateKey { PrivateKey::parse("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap() }
fn leaves(c: &Connection) -> Result<Vec<[u8;32]>> { Ok(ledger::entries_between(c, Seq(0), Seq(i64::MAX), usize::MAX)?.iter().map(|(_, l)| tree::leaf_hash(l.as_bytes())).collect()) }
fn root(l: &[[u8;32]]) -> [u8;32] { let mut e = tree::Edge::default(); for x in l { e.push(*x, &mut |_, _| {}); } e.root() }
pub(crate) fn evidence(c: &Connection) -> Result<Option<Evidence>> {
    let l = leaves(c)?; let key = key(); let r = root(&l);
    let cp = Checkpoint { origin: key.public().name().to_owned(), size: l.len() as u64, root: r };
    Ok(Some(Evidence { checkpoint: cp.sign(&[&key]), key: key.public().to_string(), origin: cp.origin.clone(), size: cp.size, root: Sha256(r) }))
}
pub(crate) fn inclusion_proof(c: &Connection, seq: Seq, size: u64) -> Result<Vec<Sha256>> {
    let l = leaves(c)?;
    let p = tree::inclusion_path::<Error>(seq.0 as u64 - 1, size, &mut |(h, n)| { let a = (n << h) as usize; let b = (a + (1usize << h)).min(l.len()); Ok(root(&l[a..b])) })?;
    Ok(p.into_iter().map(Sha256).collect())
}
