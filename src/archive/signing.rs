//! Who signs the ledger: each commit leaves a checkpoint over all entries, so whoever has not the key can neither change an entry nor append
//! one unseen.

use rusqlite::{Connection, Transaction, params};

use crate::{
    archive::{
        ArchiveWriter,
        checkpoints::{self, LedgerKey, append, edge, ledger_key, newest, number, sql},
        error::{Error, Result},
        ledger::{self, Entry},
        schema,
    },
    model::{id::Seq, time::Timestamp},
    proof::{
        checkpoint::Checkpoint,
        note::{Note, PrivateKey, PublicKey},
        tree::Edge,
    },
};

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
        let known = match ledger_key(connection) {
            // Damage keeps no new record out.
            Err(error) if error.is_damage() => return Ok((None, Signing::Altered(error.to_string()))),
            other => other?,
        };
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

impl ArchiveWriter {
    /// Has all that is committed from now on signed by `key`. A ledger that nobody signed yet is signed from its beginning on.
    ///
    /// Where that is not possible, the answer says why, and what is committed stays unsigned: no record is kept out for it.
    pub fn sign_with(&mut self, key: Option<&PrivateKey>, now: Timestamp) -> Result<Signing> {
        let (signer, signing) = self.transaction(|transaction, _| Signer::begin(transaction, key, now))?;
        self.signer = signer;
        self.enter_journal(now)?;
        Ok(signing)
    }

    /// Hands the ledger over to another key; both sign.
    ///
    /// # Errors
    /// [`Error::Key`] where nobody signs so far.
    pub fn replace_key(&mut self, key: &PrivateKey, now: Timestamp) -> Result<()> {
        let Some(signer) = self.signer.take() else { return Err(Error::Key("nobody signs the ledger so far".into())) };
        self.sign_by(|transaction| signer.replaced_by(transaction, key, now), now)
    }

    /// Signs what was written without the key, or lets another sign whose former is lost: by somebody's decision, which is entered.
    pub fn sign_late(&mut self, key: &PrivateKey, reason: &str, now: Timestamp) -> Result<()> {
        self.signer = None;
        self.sign_by(|transaction| Signer::resume(transaction, key, reason, now), now)
    }

    /// What `begin` enters is signed by whom it returns, and the checkpoint kept.
    fn sign_by(&mut self, begin: impl FnOnce(&Transaction<'_>) -> Result<Signer>, now: Timestamp) -> Result<()> {
        let (mut signer, edge) = self.transaction(|transaction, _| {
            let signer = begin(transaction)?;
            let edge = signer.advance(transaction, Some(now))?;
            Ok((signer, edge))
        })?;
        signer.committed(edge);
        self.signer = Some(signer);
        Ok(())
    }

    /// The checkpoint over the most entries; `None` where nobody signs.
    pub fn newest_checkpoint(&self) -> Result<Option<checkpoints::Stored>> {
        checkpoints::newest(&self.connection)
    }

    /// Who signs the ledger by its own account.
    pub fn ledger_key(&self) -> Result<Option<checkpoints::LedgerKey>> {
        checkpoints::ledger_key(&self.connection)
    }

    /// Puts a time-stamp authority's answer to the checkpoint over `size` entries.
    pub fn set_timestamp(&mut self, size: u64, answer: &[u8]) -> Result<()> {
        checkpoints::set_timestamp(&self.connection, size, answer)
    }
}

fn unusable(error: &crate::proof::note::Error) -> Error {
    Error::Key(error.to_string())
}
