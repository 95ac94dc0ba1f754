//! The ledger as a Merkle tree: each commit leaves a signed checkpoint over all entries, so whoever has not the key can neither change an
//! entry nor append one unseen.
//!
//! The leaf of an entry is its line of JSON. Nodes over 256 entries, 256 of those and so on are kept beside the ledger: any proof is a few
//! hundred hashes away.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{
        error::{Error, Result},
        ledger::{self, Entry},
        schema,
    },
    model::{id::Seq, time::Timestamp},
    proof::{
        Hash,
        checkpoint::Checkpoint,
        note::{Note, PrivateKey, PublicKey},
        tree::{self, Edge, Node, leaf_hash},
    },
};

/// Nodes of every so many heights are kept.
pub const KEPT_HEIGHTS: u32 = 8;
/// Entries read at a time.
const CHUNK: usize = 4096;

/// A checkpoint as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Entries that it says it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When a run ended with it; `None`: the newest, which the next commit replaces.
    pub kept: Option<Timestamp>,
    /// A time-stamp authority's answer about it.
    pub timestamp: Option<Vec<u8>>,
}

/// Who signs the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerKey {
    /// The log's name.
    pub origin: String,
    pub key: PublicKey,
}

/// Whether what a writer commits is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Nobody signs this ledger.
    Nobody,
    Signed,
    /// The ledger is signed, and the key is not at hand.
    NoKey(PublicKey),
    /// There is a key that cannot be used.
    Unusable(String),
    /// The ledger names another key.
    OtherKey(PublicKey),
    /// Entries after the first number up to the second were written by whoever had not the key.
    Unsigned {
        after: Seq,
        to: Seq,
    },
    /// What the newest checkpoint covers is not what it was, or the checkpoint is nobody's.
    Altered(String),
}

impl Signing {
    /// What somebody should do something about; what was archived meanwhile is safe, and unsigned.
    ///
    /// # Errors
    /// [`Error::Key`] and [`Error::Unsigned`].
    pub fn trouble(self) -> Result<()> {
        match self {
            Signing::Nobody | Signing::Signed => Ok(()),
            Signing::Unusable(what) => Err(Error::Key(format!("{what}; nothing new is signed"))),
            Signing::NoKey(key) => Err(Error::Key(format!("the key of {key} is not there, so nothing new is signed"))),
            Signing::OtherKey(key) => Err(Error::Key(format!("it is not that of {key}, so nothing new is signed"))),
            Signing::Unsigned { after, to } => Err(Error::Unsigned(format!(
                "entries {} to {to} were written by whoever had not the key: no checkpoint covers them",
                after.0 + 1
            ))),
            Signing::Altered(what) => Err(Error::Unsigned(what)),
        }
    }
}

/// Signs what is committed.
pub(super) struct Signer {
    /// Under the log's name.
    key: PrivateKey,
    /// The one that `key` replaces, until both have signed once.
    former: Option<PrivateKey>,
    origin: String,
    /// Over what is signed.
    edge: Edge,
}

impl Signer {
    /// Takes up the ledger where its newest checkpoint left it; begins to sign one that never was.
    pub(super) fn begin(
        connection: &Connection,
        key: Option<&PrivateKey>,
        now: Timestamp,
    ) -> Result<(Option<Self>, Signing)> {
        let known = ledger_key(connection)?;
        let is_new = known.is_none();
        let Some(key) = key else {
            return Ok((None, known.map_or(Signing::Nobody, |known| Signing::NoKey(known.key))));
        };
        let origin = match known {
            Some(LedgerKey { key: known, .. }) if !known.is_same_key(&key.public()) => {
                return Ok((None, Signing::OtherKey(known)));
            }
            Some(known) => known.origin,
            None => format!("callvault/{}", uuid::Uuid::new_v4()),
        };
        let named = key.named(&origin).map_err(|error| unusable(&error))?;
        if is_new {
            enter_key(connection, &named, &origin, None, now)?;
        } else {
            let fault = match fault_at_the_end(connection, &named.public()) {
                // Damage keeps no new record out.
                Err(error) if error.is_damage() => Some(Signing::Altered(error.to_string())),
                other => other?,
            };
            if let Some(fault) = fault {
                return Ok((None, fault));
            }
        }
        let mut signer = Self { key: named, former: None, origin, edge: Edge::default() };
        signer.edge = if is_new { signer.advance(connection, Some(now))? } else { edge(connection)? };
        Ok((Some(signer), Signing::Signed))
    }

    /// Signs what was appended since, in the caller's transaction. The edge returned is that of the ledger once it is committed.
    /// With `kept`, the checkpoint is kept for good.
    pub(super) fn advance(&self, connection: &Connection, kept: Option<Timestamp>) -> Result<Edge> {
        let mut edge = self.edge.clone();
        let head = number(ledger::head(connection)?);
        if edge.size() == head {
            return Ok(edge);
        }
        append(connection, &mut edge, head)?;
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: edge.size(), root: edge.root() };
        let keys: Vec<_> = [&self.key].into_iter().chain(&self.former).collect();
        connection.prepare_cached("DELETE FROM checkpoint WHERE kept_ns IS NULL")?.execute([])?;
        connection
            .prepare_cached("INSERT INTO checkpoint (size, note, kept_ns) VALUES (?1, ?2, ?3)")?
            .execute(params![sql(edge.size()), checkpoint.sign(&keys), kept.map(|kept| kept.0)])?;
        Ok(edge)
    }

    /// What was advanced to is on disk.
    pub(super) fn committed(&mut self, edge: Edge) {
        self.edge = edge;
        self.former = None;
    }

    /// Hands the ledger over to another key, in the caller's transaction: the checkpoint over its entry is signed by both.
    pub(super) fn replaced_by(&self, connection: &Connection, key: &PrivateKey, now: Timestamp) -> Result<Self> {
        let named = key.named(&self.origin).map_err(|error| unusable(&error))?;
        enter_key(connection, &named, &self.origin, Some((&self.key.public(), false)), now)?;
        let former = self.key.named(&self.origin).map_err(|error| unusable(&error))?;
        Ok(Self { key: named, former: Some(former), origin: self.origin.clone(), edge: self.edge.clone() })
    }

    /// Begins to sign again where entries were written without the key, or with another key where the former is lost: by somebody's decision
    /// and with their reason, in the caller's transaction.
    pub(super) fn resume(connection: &Connection, key: &PrivateKey, reason: &str, now: Timestamp) -> Result<Self> {
        let known = ledger_key(connection)?;
        let origin =
            known.as_ref().map_or_else(|| format!("callvault/{}", uuid::Uuid::new_v4()), |known| known.origin.clone());
        let named = key.named(&origin).map_err(|error| unusable(&error))?;
        let signed = newest(connection)?.map_or(0, |stored| stored.size);
        let head = ledger::head(connection)?;
        if number(head) > signed {
            let from = Seq(sql(signed) + 1);
            ledger::append(connection, &Entry::SignedLate { from, to: head, reason: reason.to_owned(), time: now })?;
        }
        if known.as_ref().is_none_or(|known| !known.key.is_same_key(&key.public())) {
            enter_key(connection, &named, &origin, known.as_ref().map(|known| (&known.key, true)), now)?;
        }
        // All of it anew: what was altered is then told by the checkpoints that are kept.
        Ok(Self { key: named, former: None, origin, edge: Edge::default() })
    }
}

/// Why the end of the ledger cannot be signed on from.
fn fault_at_the_end(connection: &Connection, key: &PublicKey) -> Result<Option<Signing>> {
    let head = number(ledger::head(connection)?);
    let Some(stored) = newest(connection)? else {
        return Ok(Some(Signing::Unsigned { after: Seq(0), to: Seq(sql(head)) }));
    };
    let checkpoint = Note::parse(&stored.note)
        .ok()
        .filter(|note| note.is_signed_by(key))
        .and_then(|note| Checkpoint::of_note(&note).ok());
    let Some(checkpoint) = checkpoint.filter(|read| read.size == stored.size) else {
        return Ok(Some(Signing::Altered(format!("the checkpoint over {} entries is not signed", stored.size))));
    };
    if checkpoint.size > head {
        let what = format!("the checkpoint covers {} entries, and there are {head}", checkpoint.size);
        return Ok(Some(Signing::Altered(what)));
    }
    if edge(connection)?.root() != checkpoint.root {
        let what = format!("the first {} entries are not those that were signed", checkpoint.size);
        return Ok(Some(Signing::Altered(what)));
    }
    if checkpoint.size < head {
        return Ok(Some(Signing::Unsigned { after: Seq(sql(checkpoint.size)), to: Seq(sql(head)) }));
    }
    Ok(None)
}

fn enter_key(
    connection: &Connection,
    key: &PrivateKey,
    origin: &str,
    replaces: Option<(&PublicKey, bool)>,
    now: Timestamp,
) -> Result<()> {
    let entry = Entry::Key {
        origin: origin.to_owned(),
        key: key.public().to_string(),
        replaces: replaces.map(|(former, _)| former.to_string()),
        former_is_lost: replaces.is_some_and(|(_, is_lost)| is_lost),
        time: now,
    };
    let seq = ledger::append(connection, &entry)?;
    schema::set(connection, "key_seq", seq.0)
}

/// Appends the leaves of entries up to `head`, and keeps the nodes that become whole.
fn append(connection: &Connection, edge: &mut Edge, head: u64) -> Result<()> {
    let mut whole = Vec::new();
    while edge.size() < head {
        let lines = ledger::entries_between(connection, Seq(sql(edge.size())), Seq(sql(head)), CHUNK)?;
        for (seq, line) in &lines {
            if number(*seq) != edge.size() + 1 {
                break;
            }
            edge.push(leaf_hash(line.as_bytes()), &mut |place, hash| {
                if place.0 % KEPT_HEIGHTS == 0 {
                    whole.push((place, hash));
                }
            });
        }
        if lines.last().is_none_or(|(seq, _)| number(*seq) != edge.size()) {
            return Err(Error::DamagedLedger { seq: Seq(sql(edge.size()) + 1), what: "is missing".into() });
        }
    }
    let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO node (height, n, hash) VALUES (?1, ?2, ?3)")?;
    for ((height, n), hash) in whole {
        insert.execute(params![height, sql(n), hash])?;
    }
    Ok(())
}

/// The edge over what the newest checkpoint covers.
fn edge(connection: &Connection) -> Result<Edge> {
    let size = newest(connection)?.map_or(0, |stored| stored.size);
    let mut edge = Edge::default();
    let mut nodes = Nodes::new(connection);
    for place in tree::whole_nodes(0, size) {
        edge.push_node(place.0, nodes.whole(place)?, &mut |_, _| {});
    }
    Ok(edge)
}

/// Whole nodes of the ledger's tree: read where they are kept, made where they are not.
pub(crate) struct Nodes<'a> {
    connection: &'a Connection,
    /// The leaves below the last node over 256 that was asked about: neighbours are asked about together.
    leaves: Option<(u64, Vec<Hash>)>,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self { connection, leaves: None }
    }

    /// # Errors
    /// [`Error::DamagedLedger`] where an entry or a node is missing.
    pub(crate) fn whole(&mut self, (height, n): Node) -> Result<Hash> {
        if height == 0 {
            return self.leaf(n);
        }
        if height % KEPT_HEIGHTS == 0 {
            let sql_text = "SELECT hash FROM node WHERE height = ?1 AND n = ?2";
            let found: Option<Hash> = self
                .connection
                .prepare_cached(sql_text)?
                .query_row(params![height, sql(n)], |row| row.get(0))
                .optional()?;
            let missing = || Error::DamagedLedger {
                seq: Seq(sql((n << height) + 1)),
                what: format!("begins a node of the tree that is missing, of height {height}"),
            };
            return found.ok_or_else(missing);
        }
        let (left, right) = (self.whole((height - 1, 2 * n))?, self.whole((height - 1, 2 * n + 1))?);
        Ok(tree::node_hash(&left, &right))
    }

    fn leaf(&mut self, n: u64) -> Result<Hash> {
        let block = n >> KEPT_HEIGHTS;
        if self.leaves.as_ref().is_none_or(|(its, _)| *its != block) {
            let (after, to) = (block << KEPT_HEIGHTS, (block + 1) << KEPT_HEIGHTS);
            let lines = ledger::entries_between(self.connection, Seq(sql(after)), Seq(sql(to)), usize::MAX)?;
            let missing = lines.iter().zip(after + 1..).find(|((seq, _), expected)| number(*seq) != *expected);
            if let Some((_, expected)) = missing {
                return Err(Error::DamagedLedger { seq: Seq(sql(expected)), what: "is missing".into() });
            }
            self.leaves = Some((block, lines.iter().map(|(_, line)| leaf_hash(line.as_bytes())).collect()));
        }
        let (block, leaves) = self.leaves.as_ref().map_or((0, &[][..]), |(block, leaves)| (*block, &leaves[..]));
        let at = usize::try_from(n - (block << KEPT_HEIGHTS)).unwrap_or(usize::MAX);
        let missing = || Error::DamagedLedger { seq: Seq(sql(n + 1)), what: "is missing".into() };
        leaves.get(at).copied().ok_or_else(missing)
    }
}

/// Who signs the ledger by its own account; `None` where nobody does.
pub(crate) fn ledger_key(connection: &Connection) -> Result<Option<LedgerKey>> {
    let Some(seq) = schema::setting(connection, "key_seq")?.map(Seq) else { return Ok(None) };
    let Entry::Key { origin, key, .. } = ledger::entry(connection, seq)? else {
        return Err(Error::DamagedLedger { seq, what: "is not the key that it is said to be".into() });
    };
    let key =
        PublicKey::parse(&key).map_err(|error| Error::DamagedLedger { seq, what: format!("names a key: {error}") })?;
    Ok(Some(LedgerKey { origin, key }))
}

const COLUMNS: &str = "SELECT size, note, kept_ns, timestamp FROM checkpoint";

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        size: row.get::<_, i64>(0)?.unsigned_abs(),
        note: row.get(1)?,
        kept: row.get::<_, Option<i64>>(2)?.map(Timestamp),
        timestamp: row.get(3)?,
    })
}

/// The checkpoint over the most entries.
pub(crate) fn newest(connection: &Connection) -> Result<Option<Stored>> {
    if !schema::has_checkpoints(connection)? {
        return Ok(None);
    }
    let sql = format!("{COLUMNS} ORDER BY size DESC LIMIT 1");
    Ok(connection.prepare_cached(&sql)?.query_row([], stored).optional()?)
}

/// All checkpoints, smallest first.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Stored>> {
    if !schema::has_checkpoints(connection)? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} ORDER BY size"))?;
    Ok(statement.query_map([], stored)?.collect::<rusqlite::Result<_>>()?)
}

/// Puts a time-stamp authority's answer to the checkpoint that it is about.
pub(crate) fn set_timestamp(connection: &Connection, size: u64, answer: &[u8]) -> Result<()> {
    connection.execute("UPDATE checkpoint SET timestamp = ?2 WHERE size = ?1", params![sql(size), answer])?;
    Ok(())
}

/// All nodes that are kept, in no order.
pub(crate) fn each_node(connection: &Connection, on: &mut dyn FnMut(Node, Vec<u8>)) -> Result<()> {
    if !schema::has_checkpoints(connection)? {
        return Ok(());
    }
    let mut statement = connection.prepare("SELECT height, n, hash FROM node")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        on((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()), row.get(2)?);
    }
    Ok(())
}

fn unusable(error: &crate::proof::note::Error) -> Error {
    Error::Key(error.to_string())
}

/// The number of an entry as a count of entries.
fn number(seq: Seq) -> u64 {
    seq.0.unsigned_abs()
}

fn sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
