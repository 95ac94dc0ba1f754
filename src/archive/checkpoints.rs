//! The ledger as a Merkle tree, and the checkpoints that were signed over it. Who signs, and when, is [`crate::archive::signing`].
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
        note::PublicKey,
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

/// Appends the leaves of entries up to `head`, and keeps the nodes that become whole.
pub(super) fn append(connection: &Connection, edge: &mut Edge, head: u64) -> Result<()> {
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
pub(super) fn edge(connection: &Connection) -> Result<Edge> {
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

/// The number of an entry as a count of entries.
pub(super) fn number(seq: Seq) -> u64 {
    seq.0.unsigned_abs()
}

pub(super) fn sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
