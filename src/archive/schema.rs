//! Brings a database to this program's schema: kept tables step by step, derived tables whole.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::{
    archive::{
        error::{Error, Result},
        frame::Dictionary,
        ledger::{self, Entry},
        log, people, training,
    },
    model::{rows::DERIVE_VERSION, time::Timestamp},
};

/// "callv" in SQLite's `application_id`, so that `file` and others can tell.
const APPLICATION_ID: i32 = 0x6361_6c6c;
const STEPS: [&str; 8] = [
    include_str!("../../schema/0001_kept.sql"),
    include_str!("../../schema/0002_delta.sql"),
    include_str!("../../schema/0003_changed.sql"),
    include_str!("../../schema/0004_kept_counts.sql"),
    include_str!("../../schema/0005_sealed.sql"),
    include_str!("../../schema/0006_ledger_columns.sql"),
    include_str!("../../schema/0007_checkpoints.sql"),
    include_str!("../../schema/0008_retention.sql"),
];
const ROWS: &str = include_str!("../../schema/rows.sql");
const VIEWS: &str = include_str!("../../schema/views.sql");
/// Trained on generated records, so that it holds no person; docs/decisions tells how.
const BASE_DICTIONARY: &[u8] = include_bytes!("base.dict");

/// Derived tables and views in an order in which they can be dropped.
const DERIVED_TABLES: [&str; 11] = [
    "feedback",
    "segment",
    "session",
    "party",
    "call",
    "hit",
    "endpoint",
    "user_agent",
    "identity_word",
    "identity",
    "text",
];

/// Refuses a database that a newer program made; says nothing about an older one.
pub(crate) fn check(connection: &Connection) -> Result<()> {
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    match format(connection)? {
        found if found > known => Err(Error::Newer { found, known }),
        _ => Ok(()),
    }
}

/// Whether nothing was ever made in the database: a folder whose first run died before its first commit.
pub(crate) fn is_empty(connection: &Connection) -> Result<bool> {
    Ok(format(connection)? == 0)
}

/// Brings the kept tables up to date and makes the derived ones when they follow another version of derivation.
pub(crate) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<()> {
    check(connection)?;
    let done = usize::try_from(format(connection)?).unwrap_or(0);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (n, step) in STEPS.iter().enumerate().skip(done) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", i64::try_from(n + 1).unwrap_or(i64::MAX))?;
    }
    if done == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        set(&transaction, "created_ns", now.0)?;
        ledger::append(&transaction, &Entry::Created { format: ledger::FORMAT, time: now })?;
        add_base_dictionary(&transaction, now)?;
    }
    if setting(&transaction, "derive_version")? != Some(DERIVE_VERSION) {
        remake_derived_tables(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Empties and makes anew all derived tables; every record's rows are then still to be made.
pub(crate) fn remake_derived_tables(connection: &Connection) -> Result<()> {
    for view in names(connection, "view")? {
        connection.execute_batch(&format!("DROP VIEW \"{view}\""))?;
    }
    for table in DERIVED_TABLES.into_iter().chain(log::tables()).chain(people::TABLES) {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS \"{table}\""))?;
    }
    connection.execute_batch(ROWS)?;
    connection.execute_batch(VIEWS)?;
    for schema in log::SCHEMAS.into_iter().chain([people::SCHEMA]) {
        connection.execute_batch(schema)?;
    }
    connection.execute("UPDATE record SET derived = NULL WHERE derived IS NOT NULL", [])?;
    set(connection, "derive_version", DERIVE_VERSION)
}

/// Makes, in an empty database over another ([`crate::archive::connection::open_over`]), the tables that rows of records need: those of
/// the other are hidden by them.
pub(crate) fn make_rows_over(connection: &Connection) -> Result<()> {
    connection.execute_batch(ROWS)?;
    for schema in log::SCHEMAS {
        connection.execute_batch(schema)?;
    }
    let format: i64 = connection.pragma_query_value(Some("archive"), "user_version", |row| row.get(0))?;
    Ok(connection.pragma_update(None, "user_version", format)?)
}

/// Tables, indexes, views and triggers that are not as this program makes them, or not there. What somebody added for themselves is none of
/// them, but a trigger: it would act on what is written.
pub(crate) fn faults(connection: &Connection) -> Result<Vec<String>> {
    let mut made = Connection::open_in_memory()?;
    migrate(&mut made, Timestamp(0))?;
    let (expected, mut found) = (objects(&made)?, objects(connection)?);
    let mut faults = Vec::new();
    for (name, (kind, sql)) in expected {
        match found.remove(&name) {
            Some((its_kind, its_sql)) if (&its_kind, &its_sql) == (&kind, &sql) => {}
            Some(_) => faults.push(format!("the {kind} {name} is defined in another way than this program defines it")),
            None => faults.push(format!("the {kind} {name} is missing")),
        }
    }
    let triggers = found.into_iter().filter(|(_, (kind, _))| kind == "trigger");
    faults.extend(triggers.map(|(name, _)| format!("the trigger {name} is none of this program's")));
    Ok(faults)
}

/// What a schema defines, by name: its kind and its text.
fn objects(connection: &Connection) -> Result<BTreeMap<String, (String, Option<String>)>> {
    let sql = "SELECT name, type, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut statement = connection.prepare(sql)?;
    let objects = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(objects.collect::<rusqlite::Result<_>>()?)
}

/// Whether all steps of this program were done.
pub(crate) fn is_current(connection: &Connection) -> Result<bool> {
    Ok(usize::try_from(format(connection)?).is_ok_and(|done| done == STEPS.len()))
}

/// A fact about the archive; `None` when it was never set.
pub(crate) fn setting(connection: &Connection, name: &str) -> Result<Option<i64>> {
    let found =
        connection.query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0)).optional()?;
    Ok(found)
}

pub(crate) fn set(connection: &Connection, name: &str, value: i64) -> Result<()> {
    connection.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)", params![name, value])?;
    Ok(())
}

/// Whether the archive counts what it stores: an older one does not before its next sync.
pub(crate) fn has_kept_counts(connection: &Connection) -> Result<bool> {
    Ok(format(connection)? >= 4)
}

/// Whether the archive knows of sealed months: an older one does not before its next sync.
pub(crate) fn has_sealed(connection: &Connection) -> Result<bool> {
    Ok(format(connection)? >= 5)
}

/// Whether the ledger may have checkpoints: an older archive's has none before its next sync.
pub(crate) fn has_checkpoints(connection: &Connection) -> Result<bool> {
    Ok(format(connection)? >= 7)
}

/// Whether the archive knows of holds and disposals: an older one does not before its next sync.
pub(crate) fn has_retention(connection: &Connection) -> Result<bool> {
    Ok(format(connection)? >= 8)
}

pub(crate) fn format(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn names(connection: &Connection, what: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = ?1")?;
    let names = statement.query_map([what], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(names)
}

fn add_base_dictionary(connection: &Connection, now: Timestamp) -> Result<()> {
    match Dictionary::new(BASE_DICTIONARY.to_vec()) {
        Some(dictionary) => training::add(connection, &dictionary, now),
        None => Ok(()),
    }
}
