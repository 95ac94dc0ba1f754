//! Disposal. One transaction looks at the holds, takes bodies, rows and places away, leaves tombstones and enters it all in the ledger; so a
//! crash leaves all of it or nothing. What is then still in unused pages, in old files and in the index is taken out after it, and as long as
//! that is not done the next command that disposes goes on with it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::ErrorKind,
};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::{
    archive::{
        Archive, ArchiveWriter,
        access::Journal,
        error::{Error, Result},
        guid,
        ledger::{self, Entry},
        people,
        policy::{self, Hold},
        rows::{self, kind_code, kind_of},
        schema,
        sealed::{
            table::{self, Choice, Volume},
            writing::{self, Rewritten},
        },
    },
    model::{
        id::{RecordId, RecordKey, Seq, Sha256, Version},
        kind::Kind,
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

/// For each hold that has a text: which of the records its text matches. Made by whoever can read texts, while the writer's lock is held.
pub type TextMatches = HashMap<i64, HashSet<RecordId>>;

/// A version that was disposed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub seq: Seq,
    pub version: Version,
    /// The entry of the disposal.
    pub purge: Seq,
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

impl Archive {
    /// The versions of a record that were disposed of, oldest first.
    pub fn tombstones(&self, key: &RecordKey) -> Result<Vec<Tombstone>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(Vec::new());
        }
        tombstones(&self.connection, key)
    }

    /// Ledger numbers of the versions that a disposal took, ascending.
    pub fn purged_by(&self, purge: Seq) -> Result<Vec<Seq>> {
        let mut statement = self.connection.prepare("SELECT seq FROM purged WHERE purge_seq = ?1 ORDER BY seq")?;
        let rows = statement.query_map([purge.0], |row| row.get(0).map(Seq))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Entries of disposals of which there are tombstones.
    pub fn purges(&self) -> Result<Vec<Seq>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(Vec::new());
        }
        let mut statement = self.connection.prepare("SELECT DISTINCT purge_seq FROM purged ORDER BY purge_seq")?;
        let rows = statement.query_map([], |row| row.get(0).map(Seq))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Records whose disposal is not finished: something of them may be in files still.
    pub fn unfinished_purges(&self) -> Result<Vec<RecordId>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(Vec::new());
        }
        let sql = "SELECT DISTINCT purged.record_id FROM purge JOIN purged ON purged.purge_seq = purge.seq WHERE NOT purge.finished";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0).map(RecordId))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The certificate of a disposal.
    pub fn certificate(&self, purge: Seq) -> Result<Option<String>> {
        if !schema::has_retention(&self.connection)? {
            return Ok(None);
        }
        let sql = "SELECT certificate FROM purge WHERE seq = ?1";
        Ok(self.connection.query_row(sql, [purge.0], |row| row.get(0)).optional()?.flatten())
    }

    /// Object ids of all who are meant by `asked`, and everything by which records and directory name them.
    pub fn names_of(&self, asked: &str) -> Result<Names> {
        names_of(&self.connection, asked)
    }

    /// Whether the directory knows a number as nobody's but of people with these object ids.
    pub fn is_nobody_elses(&self, number: &str, object_ids: &[String]) -> Result<bool> {
        let digits = crate::model::phone::reversed_digits(number);
        let end: String = digits.chars().take(crate::archive::who::OWN_DIGITS_MIN).collect();
        let sql = "SELECT DISTINCT person.id FROM person_term JOIN person USING (record_id, version)
                   WHERE what = ?1 AND term >= ?2 AND term < ?2 || ':'";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![people::What::Number as i64, end], |row| Ok(guid::from_sql(row.get_ref(0)?)))?;
        let ids = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(ids.into_iter().flatten().all(|id| object_ids.contains(&id.to_lowercase())))
    }

    /// Records of the directory about people with these object ids.
    pub fn directory_records(&self, object_ids: &[String]) -> Result<Vec<(RecordId, RecordKey)>> {
        let sql = "SELECT record_id FROM record WHERE kind = ?1 AND id = ?2 AND newest_seq IS NOT NULL";
        let mut found = Vec::new();
        for id in object_ids {
            let ids = params![kind_code(Kind::Person), guid::to_sql(id)];
            let record_id: Option<i64> = self.connection.query_row(sql, ids, |row| row.get(0)).optional()?;
            found.extend(record_id.map(|record| (RecordId(record), RecordKey { kind: Kind::Person, id: id.clone() })));
        }
        Ok(found)
    }
}

/// Who somebody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub object_ids: Vec<String>,
    /// Names, UPNs, mail addresses, numbers.
    pub words: Vec<String>,
}

fn names_of(connection: &Connection, asked: &str) -> Result<Names> {
    let who = crate::archive::who::who(connection, asked)?;
    let (mut ids, mut words) = (HashSet::new(), HashSet::from([asked.trim().to_owned()]));
    let sql = "SELECT id, display_name, user_principal_name FROM identity WHERE identity_id = ?1";
    let mut statement = connection.prepare(sql)?;
    for identity_id in who.found.keys() {
        let row = statement.query_row([identity_id], |row| {
            let id = guid::from_sql(row.get_ref(0)?);
            Ok((id, row.get::<_, Option<String>>(1)?, row.get::<_, Option<String>>(2)?))
        })?;
        let (id, name, upn) = row;
        words.extend(id.iter().cloned());
        ids.extend(id.as_deref().and_then(guid::object_id));
        words.extend([name, upn].into_iter().flatten());
    }
    ids.extend(guid::object_id(asked.trim()));
    ids.extend(crate::archive::who::directory_ids(connection, asked)?);
    let sql = format!("SELECT {} FROM person WHERE id = ?1", people::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    for id in &ids {
        let versions = statement.query_map([guid::to_sql(id)], people::person_of)?;
        for person in versions.collect::<rusqlite::Result<Vec<_>>>()? {
            words.extend(person.mails().chain(person.numbers()).map(str::to_owned));
            words.extend([person.display_name, person.user_principal_name].into_iter().flatten());
        }
        words.insert(id.clone());
    }
    words.retain(|word| word.chars().count() > 2);
    let sorted = |set: HashSet<String>| {
        let mut list: Vec<_> = set.into_iter().collect();
        list.sort();
        list
    };
    Ok(Names { object_ids: sorted(ids), words: sorted(words) })
}

impl ArchiveWriter {
    /// Disposes of records, in one transaction, unless a hold in force covers any of them. Afterwards [`Self::take_traces`] is due.
    ///
    /// # Errors
    /// [`Error::Held`], and nothing has changed.
    pub fn purge(
        &mut self,
        disposal: &Disposal,
        texts: &TextMatches,
        (level, now): (i32, Timestamp),
    ) -> Result<Purged> {
        check_holds(&self.connection, disposal, texts)?;
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
            check_holds(transaction, disposal, texts)?;
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

    /// Takes what is left of disposals out of files and unused pages. The index is somebody else's, and comes before this.
    ///
    /// # Errors
    /// [`Error::NoRoom`] where the disk has no room to write the database anew; everything else is done.
    pub fn take_traces(&mut self) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT 1 FROM purge WHERE NOT finished)";
        if !self.connection.query_row(sql, [], |row| row.get::<_, bool>(0))? {
            return Ok(());
        }
        self.empty_journal()?;
        for volume in table::gone(&self.connection)? {
            let folder = volume.folder(&self.folder);
            for name in [volume.file(), volume.manifest()] {
                let path = folder.join(name);
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != ErrorKind::NotFound => return Err(Error::Io { path, source }),
                    _ => {}
                }
            }
            // Only where nothing else is in it.
            let _ = fs::remove_dir(&folder);
        }
        // Deleted cells are overwritten, but copies of them may lie in gaps that moving cells about has left.
        let bytes = fs::metadata(self.folder.database()).map_or(0, |file| file.len());
        if self.folder.free_bytes()? < 3 * bytes {
            return Err(Error::NoRoom { bytes: 3 * bytes });
        }
        self.connection.execute_batch("VACUUM")?;
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Err(Error::StillRead);
        }
        self.connection.execute("UPDATE purge SET finished = 1 WHERE NOT finished", [])?;
        self.checkpoint()
    }

    /// Takes what names somebody who was erased out of the journal of accesses.
    fn empty_journal(&mut self) -> Result<()> {
        let mut statement = self.connection.prepare("SELECT seq, words FROM purge WHERE words IS NOT NULL")?;
        let rows = statement.query_map([], |row| Ok((Seq(row.get(0)?), row.get::<_, String>(1)?)))?;
        for (seq, words) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
            let words: Vec<String> = serde_json::from_str(&words).unwrap_or_default();
            if self.folder.access().is_file() {
                Journal::open(&self.folder)?.empty(&words, seq, Timestamp::now())?;
            }
            self.connection.execute("UPDATE purge SET words = NULL WHERE seq = ?1", [seq.0])?;
        }
        Ok(())
    }

    /// Keeps the certificate of a disposal.
    pub fn keep_certificate(&mut self, purge: Seq, certificate: &str) -> Result<()> {
        self.connection.execute("UPDATE purge SET certificate = ?2 WHERE seq = ?1", params![purge.0, certificate])?;
        Ok(())
    }
}

/// # Errors
/// [`Error::Held`] with the first hold that covers any of it.
fn check_holds(connection: &Connection, disposal: &Disposal, texts: &TextMatches) -> Result<()> {
    let in_force = policy::holds(connection)?.into_iter().filter(|hold| hold.released.is_none());
    for hold in in_force {
        let covered = policy::covered(connection, &hold, texts.get(&hold.id))?;
        let records = disposal.records.iter().filter(|record| covered.contains(record)).count() as u64;
        if records > 0 || is_about(connection, &hold, disposal.person.as_deref())? {
            return Err(Error::Held { hold: hold.name, records });
        }
    }
    Ok(())
}

/// Whether a hold names who is to be erased, be there a record or not.
fn is_about(connection: &Connection, hold: &Hold, person: Option<&str>) -> Result<bool> {
    let Some(person) = person else { return Ok(false) };
    let ids: HashSet<String> = names_of(connection, person)?.object_ids.into_iter().collect();
    for named in hold.scope.participants.iter().chain(&hold.scope.organizers) {
        if named.trim().eq_ignore_ascii_case(person.trim())
            || names_of(connection, named)?.object_ids.iter().any(|id| ids.contains(id))
        {
            return Ok(true);
        }
    }
    Ok(false)
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
        empty_holds(transaction, &disposal.words)?;
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

pub(crate) fn tombstones(connection: &Connection, key: &RecordKey) -> Result<Vec<Tombstone>> {
    let sql = "SELECT purged.seq, purged.version, purge_seq FROM record JOIN purged USING (record_id)
               WHERE record.kind = ?1 AND record.id = ?2 ORDER BY purged.version";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| {
        Ok(Tombstone { seq: Seq(row.get(0)?), version: Version(row.get(1)?), purge: Seq(row.get(2)?) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Versions that were disposed of, by their entries.
pub(crate) fn purged_between(connection: &Connection, after: Seq, to: Seq) -> Result<Vec<Seq>> {
    if !schema::has_retention(connection)? {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare_cached("SELECT seq FROM purged WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
    let rows = statement.query_map([after.0, to.0], |row| row.get(0).map(Seq))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether anything was ever disposed of.
pub(crate) fn any(connection: &Connection) -> Result<bool> {
    if !schema::has_retention(connection)? {
        return Ok(false);
    }
    Ok(connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM purge)")?.query_row([], |row| row.get(0))?)
}

/// Whether a record that is known and has no version was disposed of.
pub(crate) fn is_purged(connection: &Connection, kind: Kind, id: &str) -> Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM record JOIN purged USING (record_id) WHERE record.kind = ?1 AND record.id = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row(params![kind_code(kind), guid::to_sql(id)], |row| row.get(0))?)
}

/// Holds that were released and have any of `words` in them are emptied: who was erased is not to be read there.
pub(crate) fn empty_holds(connection: &Connection, words: &[String]) -> Result<()> {
    for hold in policy::holds(connection)?.into_iter().filter(|hold| hold.released.is_some()) {
        let scope = serde_json::to_string(&hold.scope).unwrap_or_default();
        let text = format!("{} {} {scope}", hold.name, hold.matter).to_lowercase();
        if words.iter().any(|word| text.contains(&word.to_lowercase())) {
            let sql = "UPDATE hold SET name = NULL, matter = NULL, scope = NULL, salt = NULL WHERE hold_id = ?1";
            connection.execute(sql, [hold.id])?;
        }
    }
    Ok(())
}
