//! Disposal. One transaction looks at the holds, takes bodies, rows and places away, leaves tombstones and enters it all in the ledger; so a
//! crash leaves all of it or nothing. What is then still in unused pages, in old files and in the index is taken out after it, and as long as
//! that is not done the next command that disposes goes on with it.

mod person;
mod tombstones;
mod traces;

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Transaction, params};

pub(crate) use self::tombstones::{any, is_purged, purged_between, tombstones};
pub use self::{person::Names, tombstones::Tombstone};
use crate::{
    archive::{
        ArchiveWriter,
        error::{Error, Result},
        ledger::{self, Entry},
        people, policy,
        rows::{self, kind_of},
        sealed::{
            table::{self, Choice, Volume},
            writing::{self, Rewritten},
        },
    },
    model::{
        id::{RecordId, Seq, Sha256},
        time::Timestamp,
    },
};

/// What is to be disposed of, and on whose word.
#[derive(Clone, Debug)]
pub struct Disposal {
    pub records: Vec<RecordId>,
    /// "rules" or "erasure".
    pub why: &'static str,
    /// Of an erasure: who is erased, as was asked; no hold may be about them.
    pub person: Option<String>,
    /// Of an erasure: everything that names them.
    pub words: Vec<String>,
    /// Version of the rules that it goes by.
    pub rules: Option<i64>,
    pub plan: Option<Sha256>,
    pub reason: Option<String>,
    pub proof: Option<Sha256>,
    pub uid: u32,
    pub approved_by: Option<u32>,
}

/// What holds cover that rows do not tell, by the number of the hold. Made by whoever can read texts, while the writer's lock is held.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// For each hold that has a text: the records that its text matches in their newest version.
    pub texts: HashMap<i64, HashSet<RecordId>>,
    /// For each hold: the records that it covers by a version before the newest.
    pub older: HashMap<i64, HashSet<RecordId>>,
}

/// What was disposed of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    pub seq: Seq,
    pub records: u64,
    pub versions: u64,
    /// Over the ledger numbers of the versions, ascending, each with a line feed.
    pub sha256: Sha256,
    /// Files of sealed months that were made anew or taken away.
    pub files: Vec<String>,
}

impl ArchiveWriter {
    /// Disposes of records, in one transaction, unless a hold in force covers any of them. Afterwards [`Self::take_traces`] is due.
    ///
    /// # Errors
    /// [`Error::Held`], and nothing has changed.
    pub fn purge(&mut self, disposal: &Disposal, seen: &Seen, (level, now): (i32, Timestamp)) -> Result<Purged> {
        check_holds(&self.connection, disposal, seen)?;
        let records: HashSet<i64> = disposal.records.iter().map(|record| record.0).collect();
        let mut rewritten = Vec::new();
        // What a disposal that was cut off wrote.
        self.forget_unentered()?;
        for volume in table::volumes(&self.connection)?.into_iter().filter(|volume| volume.seq.is_some()) {
            let (stays, goes) = contents(&self.connection, &volume, &records)?;
            if goes > 0 {
                self.tidy(volume.name.month)?;
                let new = if stays.is_empty() { None } else { Some(self.rewrite(&volume, &stays, level, now)?) };
                rewritten.push((volume, new));
            }
        }
        // Nothing is taken away but what nothing refers to any more; looking that up again for each row takes its square.
        self.connection.pragma_update(None, "foreign_keys", false)?;
        let outcome = self.transaction(|transaction, rows| {
            // Once more, where nobody can come between.
            check_holds(transaction, disposal, seen)?;
            rows.forget();
            dispose(transaction, disposal, &records, &rewritten, now)
        });
        self.connection.pragma_update(None, "foreign_keys", true)?;
        if outcome.is_err() {
            // Files that are in no ledger are not left behind; if this fails as well, the next sealing does it.
            let _ = self.forget_unentered();
        }
        outcome
    }

    /// Keeps the certificate of a disposal.
    pub fn keep_certificate(&mut self, purge: Seq, certificate: &str) -> Result<()> {
        self.connection.execute("UPDATE purge SET certificate = ?2 WHERE seq = ?1", params![purge.0, certificate])?;
        Ok(())
    }
}

/// # Errors
/// [`Error::Held`] with the first hold that covers any of it; [`Error::DamagedLedger`] where a hold was changed or taken away.
fn check_holds(connection: &Connection, disposal: &Disposal, seen: &Seen) -> Result<()> {
    policy::require_as_entered(connection)?;
    let in_force = policy::holds(connection)?.into_iter().filter(|hold| hold.released.is_none());
    for hold in in_force {
        let mut covered = policy::covered(connection, &hold, seen.texts.get(&hold.id))?;
        let unread = || Error::Hold(format!("older versions were not looked at for the hold '{}'", hold.name));
        covered.extend(seen.older.get(&hold.id).ok_or_else(unread)?);
        let records = disposal.records.iter().filter(|record| covered.contains(record)).count() as u64;
        if records > 0 || person::is_about(connection, &hold, disposal.person.as_deref())? {
            return Err(Error::Held { hold: hold.name, records });
        }
    }
    Ok(())
}

/// The versions of a file that stay, in its order, and how many go.
fn contents(connection: &Connection, volume: &Volume, records: &HashSet<i64>) -> Result<(Vec<Choice>, usize)> {
    let mut statement = connection.prepare_cached(
        "SELECT sealed.seq, version.raw_bytes, version.record_id FROM sealed JOIN version ON version.seq = sealed.seq
         WHERE sealed.volume_id = ?1 ORDER BY sealed.frame_from, sealed.lines_from",
    )?;
    let mut rows = statement.query([volume.id])?;
    let (mut stays, mut goes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if records.contains(&row.get(2)?) {
            goes += 1;
        } else {
            let raw_bytes = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            stays.push(Choice { seq: Seq(row.get(0)?), raw_bytes });
        }
    }
    Ok((stays, goes))
}

fn dispose(
    transaction: &Transaction<'_>,
    disposal: &Disposal,
    records: &HashSet<i64>,
    rewritten: &[(Volume, Option<Rewritten>)],
    now: Timestamp,
) -> Result<Purged> {
    let versions = versions_of(transaction, records)?;
    let files: Vec<String> = rewritten.iter().map(|(volume, _)| volume.name.inside()).collect();
    let sha256 = hash_of_seqs(versions.iter().map(|(seq, ..)| Seq(*seq)));
    let entry = Entry::Purged {
        why: disposal.why.to_owned(),
        records: records.len() as u64,
        versions: versions.len() as u64,
        sha256: sha256.to_string(),
        files: files.clone(),
        rules: disposal.rules,
        plan: disposal.plan.map(|plan| plan.to_string()),
        reason: disposal.reason.clone(),
        proof: disposal.proof.map(|proof| proof.to_string()),
        uid: disposal.uid,
        approved_by: disposal.approved_by,
        time: now,
    };
    let seq = ledger::append(transaction, &entry)?;
    let words = serde_json::to_string(&disposal.words).ok().filter(|_| !disposal.words.is_empty());
    transaction.execute("INSERT INTO purge (seq, words) VALUES (?1, ?2)", params![seq.0, words])?;
    if !disposal.words.is_empty() {
        person::empty_holds(transaction, &disposal.words)?;
    }
    if let Some(plan) = disposal.plan {
        transaction.execute("UPDATE plan SET done_seq = ?2 WHERE sha256 = ?1", params![plan.0, seq.0])?;
    }
    let mut bury =
        transaction.prepare("INSERT INTO purged (seq, record_id, version, purge_seq) VALUES (?1, ?2, ?3, ?4)")?;
    let mut unplace = transaction.prepare("DELETE FROM sealed WHERE seq = ?1")?;
    let mut take = transaction.prepare("DELETE FROM version WHERE seq = ?1")?;
    for (version_seq, record_id, version) in &versions {
        bury.execute([*version_seq, *record_id, *version, seq.0])?;
        unplace.execute([version_seq])?;
        take.execute([version_seq])?;
    }
    for record_id in records {
        forget_record(transaction, RecordId(*record_id))?;
    }
    for (volume, new) in rewritten {
        let gone = "UPDATE volume SET gone_seq = ?2 WHERE volume_id = ?1";
        transaction.execute(gone, params![volume.id, seq.0])?;
        if let Some(new) = new {
            transaction.execute("DELETE FROM sealed WHERE volume_id = ?1", [volume.id])?;
            writing::enter_rewritten(transaction, new)?;
        }
    }
    forget_shared(transaction)?;
    let (records, versions) = (records.len() as u64, versions.len() as u64);
    Ok(Purged { seq, records, versions, sha256, files })
}

/// Ledger number, record and version, by ledger number.
fn versions_of(connection: &Connection, records: &HashSet<i64>) -> Result<Vec<(i64, i64, i64)>> {
    let mut statement = connection.prepare("SELECT seq, record_id, version FROM version WHERE record_id = ?1")?;
    let mut versions = Vec::new();
    for record_id in records {
        let rows = statement.query_map([record_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for row in rows {
            versions.push(row?);
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// Over ledger numbers in ascending order, each with a line feed: what a disposal's entry has of what it took.
#[must_use]
pub fn hash_of_seqs(seqs: impl Iterator<Item = Seq>) -> Sha256 {
    let lines = seqs.fold(String::new(), |lines, seq| lines + &seq.to_string() + "\n");
    Sha256::of(lines.as_bytes())
}

fn forget_record(transaction: &Transaction<'_>, record_id: RecordId) -> Result<()> {
    let sql = "SELECT kind, id FROM record WHERE record_id = ?1";
    let (kind, id) = transaction
        .prepare_cached(sql)?
        .query_row([record_id.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, rusqlite::types::Value>(1)?)))?;
    if let Some(kind) = kind_of(kind) {
        rows::remove(transaction, record_id, kind)?;
    }
    people::forget(transaction, record_id)?;
    transaction.prepare_cached("DELETE FROM todo WHERE kind = ?1 AND id = ?2")?.execute(params![kind, id])?;
    transaction
        .prepare_cached("UPDATE record SET newest_seq = NULL, derived = NULL, modified_ns = NULL WHERE record_id = ?1")?
        .execute([record_id.0])?;
    Ok(())
}

/// What rows share, in an order in which each is let go before what it refers to itself.
const SHARED: [(&str, &str); 4] =
    [("endpoint", "endpoint_id"), ("user_agent", "user_agent_id"), ("identity", "identity_id"), ("text", "text_id")];

/// Takes away what rows shared and nothing refers to any more. Who refers to what, the schema says.
fn forget_shared(transaction: &Transaction<'_>) -> Result<()> {
    for (table, key) in SHARED {
        let mut statement = transaction.prepare(
            "SELECT child.name, reference.\"from\" FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS reference
             WHERE child.type = 'table' AND reference.\"table\" = ?1 AND reference.on_delete <> 'CASCADE'",
        )?;
        let references = statement.query_map([table], |row| {
            let (child, column): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(format!("SELECT \"{column}\" FROM \"{child}\" WHERE \"{column}\" IS NOT NULL"))
        })?;
        let references = references.collect::<rusqlite::Result<Vec<String>>>()?.join(" UNION ");
        if references.is_empty() {
            continue;
        }
        transaction.execute_batch(&format!("DELETE FROM {table} WHERE {key} NOT IN ({references})"))?;
    }
    transaction
        .execute_batch("DELETE FROM identity_word WHERE identity_id NOT IN (SELECT identity_id FROM identity)")?;
    Ok(())
}
