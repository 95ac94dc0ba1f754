//! One version into the archive, within the writer's transaction: ledger entry, frame, rows if it is the newest, off the to-do list.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::{
    archive::{
        batch::{Kept, Prepared},
        error::Result,
        guid,
        ledger::{self, Entry},
        people, purge,
        rows::{RowWriter, kind_code},
        todo,
    },
    model::{
        id::{RecordId, RecordKey, Seq, Version},
        kind::Kind,
        rows::DERIVE_VERSION,
        time::Timestamp,
    },
};

/// Stores a version that was made ready.
pub(crate) fn keep(transaction: &Transaction<'_>, rows: &mut RowWriter, prepared: &Prepared) -> Result<Kept> {
    let (key, version) = (&prepared.key, prepared.version);
    let known = known(transaction, key)?;
    let dealt_with = known.as_ref().and_then(|known| known.modified);
    let modified =
        todo::done(transaction, key, version, prepared.due)?.max(prepared.derived.record.last_modified).max(dealt_with);
    let Some(Known { record_id, newest, .. }) = known else {
        // Nearly every record: nothing of it is there, so nothing has to be looked for or taken away.
        let seq = ledger::append(transaction, &entry(prepared))?;
        let record_id = insert_record(transaction, key, seq, modified)?;
        insert_version(transaction, record_id, seq, prepared)?;
        rows.insert(transaction, record_id, key, (seq, version), &prepared.derived)?;
        return Ok(Kept::Stored { record_id, seq, version, newest: true, first: true });
    };
    if newest.is_none() && key.kind == Kind::Call && purge::is_purged(transaction, key.kind, &key.id)? {
        // It was disposed of.
        return Ok(Kept::Known { same_bytes: true });
    }
    let kept = match stored_seq(transaction, record_id, version)? {
        Some(seq) => Kept::Known { same_bytes: is_same_document(&ledger::entry(transaction, seq)?, prepared) },
        None => {
            let is_newest = newest.is_none_or(|newest| version > newest);
            let seq = ledger::append(transaction, &entry(prepared))?;
            insert_version(transaction, record_id, seq, prepared)?;
            if is_newest {
                transaction
                    .prepare_cached(
                        "UPDATE record SET newest_seq = ?2, derived = ?3, modified_ns = ?4 WHERE record_id = ?1",
                    )?
                    .execute(params![record_id.0, seq.0, DERIVE_VERSION, modified.map(|time| time.0)])?;
                rows.replace(transaction, record_id, key, (seq, version), &prepared.derived)?;
            } else if key.kind == Kind::Person {
                // What later versions leave out may now be another.
                people::forget(transaction, record_id)?;
            }
            Kept::Stored { record_id, seq, version, newest: is_newest, first: false }
        }
    };
    if modified != dealt_with && !matches!(kept, Kept::Stored { newest: true, .. }) {
        transaction
            .prepare_cached("UPDATE record SET modified_ns = ?2 WHERE record_id = ?1")?
            .execute(params![record_id.0, modified.map(|time| time.0)])?;
    }
    Ok(kept)
}

/// Whether an entry names the very document; envelopes differ with each request.
fn is_same_document(entry: &Entry, prepared: &Prepared) -> bool {
    matches!(entry, Entry::Version { json, .. } if *json == prepared.json_sha256.to_string())
}

/// What is known of a record.
struct Known {
    record_id: RecordId,
    /// Its highest version.
    newest: Option<Version>,
    /// The newest `lastModifiedDateTime` dealt with.
    modified: Option<Timestamp>,
}

/// The row of a record; `None` when there is none.
fn known(transaction: &Transaction<'_>, key: &RecordKey) -> Result<Option<Known>> {
    let found = transaction
        .prepare_cached(
            "SELECT record.record_id, version.version, record.modified_ns FROM record
             LEFT JOIN version ON version.seq = record.newest_seq WHERE record.kind = ?1 AND record.id = ?2",
        )?
        .query_row(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| {
            Ok(Known {
                record_id: RecordId(row.get(0)?),
                newest: row.get::<_, Option<i64>>(1)?.map(Version),
                modified: row.get::<_, Option<i64>>(2)?.map(Timestamp),
            })
        });
    Ok(found.optional()?)
}

/// Makes the row of a record whose first version, and its rows, are stored next.
fn insert_record(
    transaction: &Transaction<'_>,
    key: &RecordKey,
    newest: Seq,
    modified: Option<Timestamp>,
) -> Result<RecordId> {
    let record_id = transaction
        .prepare_cached("INSERT INTO record (kind, id, newest_seq, derived, modified_ns) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .insert(params![
            kind_code(key.kind),
            guid::to_sql(&key.id),
            newest.0,
            DERIVE_VERSION,
            modified.map(|time| time.0)
        ])?;
    Ok(RecordId(record_id))
}

fn stored_seq(transaction: &Transaction<'_>, record_id: RecordId, version: Version) -> Result<Option<Seq>> {
    Ok(transaction
        .prepare_cached("SELECT seq FROM version WHERE record_id = ?1 AND version = ?2")?
        .query_row(params![record_id.0, version.0], |row| row.get(0).map(Seq))
        .optional()?)
}

fn insert_version(transaction: &Transaction<'_>, record_id: RecordId, seq: Seq, prepared: &Prepared) -> Result<()> {
    let frame = &prepared.frame;
    transaction
        .prepare_cached(
            "INSERT INTO version (seq, record_id, version, frame, dictionary_id, raw_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            seq.0,
            record_id.0,
            prepared.version.0,
            frame.bytes,
            frame.dictionary_id,
            i64::try_from(frame.raw_bytes).unwrap_or(i64::MAX)
        ])?;
    Ok(())
}

fn entry(prepared: &Prepared) -> Entry {
    Entry::Version {
        kind: prepared.key.kind.name().into(),
        id: prepared.key.id.clone(),
        version: prepared.version,
        json: prepared.json_sha256.to_string(),
        parts: prepared.frame.parts_sha256.to_string(),
    }
}
