//! Ids to fetch. An id is here before the listing's cursor passes it, and leaves only with its record stored or lost.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{
        error::Result,
        guid, purge,
        rows::{kind_code, kind_of},
    },
    model::{
        id::{RecordKey, Version},
        kind::Kind,
        listed::Listed,
        time::{Span, Timestamp},
    },
};

/// A record still to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Todo {
    pub key: RecordKey,
    /// As listed; Graph may have a higher one by now.
    pub want_version: Version,
    pub start: Timestamp,
    pub due: Timestamp,
    pub attempts: u32,
    pub last_error: Option<String>,
    /// A notification alone says that there is something: no list does.
    pub hinted: bool,
}

/// Where a pass over the to-do list stands: rows come by start, and each once a pass.
pub type Place = (Timestamp, Option<RecordKey>);

/// Puts a listed row on the list if the archive lacks what it announces; says whether it did.
pub(crate) fn want(
    connection: &Connection,
    kind: Kind,
    row: &Listed,
    unknown_start: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let known: Option<(Option<i64>, Option<i64>)> = connection
        .prepare_cached(
            "SELECT version.version, record.modified_ns FROM record LEFT JOIN version ON version.seq = record.newest_seq
             WHERE record.kind = ?1 AND record.id = ?2",
        )?
        .query_row(params![kind_code(kind), guid::to_sql(&row.id)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let why = match known {
        // What was disposed of is not fetched again, in whatever version.
        Some((None, _)) if purge::is_purged(connection, kind, &row.id)? => return Ok(false),
        None | Some((None, _)) => 1,
        Some((Some(version), _)) if row.version.0 > version => 2,
        Some((Some(version), modified))
            if row.version.0 == version && row.last_modified.map(|time| time.0) > modified =>
        {
            3
        }
        Some(_) => return Ok(false),
    };
    connection
        .prepare_cached(
            "INSERT INTO todo (kind, id, want_version, modified_ns, why, start_ns, due_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (kind, id) DO UPDATE SET start_ns = iif(why = 4, excluded.start_ns, start_ns),
                 due_ns = iif(why = 4, min(due_ns, excluded.due_ns), due_ns), attempts = iif(why = 4, 0, attempts), why = min(why, excluded.why),
                 want_version = max(want_version, excluded.want_version),
                 modified_ns = max(coalesce(modified_ns, excluded.modified_ns), coalesce(excluded.modified_ns, modified_ns))",
        )?
        .execute(params![
            kind_code(kind),
            guid::to_sql(&row.id),
            row.version.0,
            row.last_modified.map(|time| time.0),
            why,
            row.start.unwrap_or(unknown_start).0,
            now.0,
        ])?;
    Ok(true)
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hinted {
    /// It is to be fetched.
    Queued,
    /// It was disposed of, and is not fetched again.
    Purged,
}

/// Puts an id on the list that a notification brought, due at once: whatever version Graph has by now is good. Of a record that the
/// archive has nothing of, `arrived` (Graph's time) stands in for its start, as the latest that this can be. One that is on the list
/// already is due at another time from now on: it may be being fetched, and what comes be of before the notification ([`done`]).
pub(crate) fn hint(connection: &Connection, key: &RecordKey, arrived: Timestamp, now: Timestamp) -> Result<Hinted> {
    if purge::is_purged(connection, key.kind, &key.id)? {
        return Ok(Hinted::Purged);
    }
    let start: Option<i64> = connection
        .prepare_cached(
            "SELECT hit.start_ns FROM record JOIN hit ON hit.record_id = record.record_id WHERE record.kind = ?1 AND record.id = ?2",
        )?
        .query_row(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| row.get(0))
        .optional()?
        .flatten();
    connection
        .prepare_cached(
            "INSERT INTO todo (kind, id, want_version, why, start_ns, due_ns) VALUES (?1, ?2, 0, 4, ?3, ?4)
             ON CONFLICT (kind, id) DO UPDATE SET attempts = iif(why = 4, 0, attempts),
                 due_ns = CASE WHEN due_ns <= ?5 THEN due_ns - 1 WHEN due_ns BETWEEN ?4 AND ?4 + 1000 THEN due_ns + 1 ELSE ?4 END",
        )?
        .execute(params![kind_code(key.kind), guid::to_sql(&key.id), start.unwrap_or(arrived.0), now.0, AT_ONCE.0])?;
    Ok(Hinted::Queued)
}

/// Puts a hinted record back that brought nothing new: a replica may have lagged behind the notification.
pub(crate) fn hint_again(connection: &Connection, todo: &Todo, due: Timestamp) -> Result<()> {
    insert_again(connection, todo, 4, due, todo.attempts + 1)
}

/// Takes a record off the list if what is stored now is what was wanted. Returns the `lastModifiedDateTime` it was listed with. Of one that
/// was `due` then when its fetch began, and is due at another time now, a hint stays.
pub(crate) fn done(
    connection: &Connection,
    key: &RecordKey,
    stored: Version,
    due: Option<Timestamp>,
) -> Result<Option<Timestamp>> {
    let sought = params![kind_code(key.kind), guid::to_sql(&key.id), stored.0, due.map(|due| due.0)];
    let taken: Option<Option<i64>> = connection
        .prepare_cached(
            "DELETE FROM todo WHERE kind = ?1 AND id = ?2 AND want_version <= ?3 AND (?4 IS NULL OR due_ns = ?4) RETURNING modified_ns",
        )?
        .query_row(sought, |row| row.get(0))
        .optional()?;
    if taken.is_some() || due.is_none() {
        return Ok(taken.flatten().map(Timestamp));
    }
    let announced: Option<Option<i64>> = connection
        .prepare_cached(
            "UPDATE todo SET why = 4, want_version = 0, attempts = 0
             WHERE kind = ?1 AND id = ?2 AND want_version <= ?3 AND due_ns <> ?4 RETURNING modified_ns",
        )?
        .query_row(sought, |row| row.get(0))
        .optional()?;
    Ok(announced.flatten().map(Timestamp))
}

/// When a record is due that somebody asked for by name, or earlier: before all others.
pub const AT_ONCE: Timestamp = Timestamp(0);

/// Makes a record due at once; `false` when it is not on the list.
pub(crate) fn ask_for(connection: &Connection, key: &RecordKey) -> Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE todo SET due_ns = ?3 WHERE kind = ?1 AND id = ?2")?
        .execute(params![kind_code(key.kind), guid::to_sql(&key.id), AT_ONCE.0])?;
    Ok(changed > 0)
}

/// Puts a record back that was taken off when it was stored.
pub(crate) fn put_back(connection: &Connection, todo: &Todo, now: Timestamp) -> Result<()> {
    insert_again(connection, todo, 1, now, todo.attempts)
}

fn insert_again(connection: &Connection, todo: &Todo, why: i64, due: Timestamp, attempts: u32) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO todo (kind, id, want_version, why, start_ns, due_ns, attempts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            kind_code(todo.key.kind),
            guid::to_sql(&todo.key.id),
            todo.want_version.0,
            why,
            todo.start.0,
            due.0,
            attempts
        ])?;
    Ok(())
}

/// Notes a failed attempt; the record stays on the list.
pub(crate) fn failed(
    connection: &Connection,
    key: &RecordKey,
    error: &str,
    due: Timestamp,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE todo SET attempts = attempts + 1, last_error = ?3, due_ns = ?4, tried_ns = ?5 WHERE kind = ?1 AND id = ?2",
        )?
        .execute(params![kind_code(key.kind), guid::to_sql(&key.id), error, due.0, now.0])?;
    Ok(())
}

/// Removes a record that Graph no longer gives and returns what was listed of it; of a hint that came to nothing there is nothing. One that
/// was `due` then, and is due at another time now, was announced while Graph was asked: it stays.
pub(crate) fn take(connection: &Connection, key: &RecordKey, due: Timestamp) -> Result<Option<(Version, Timestamp)>> {
    let listed = connection
        .prepare_cached(
            "DELETE FROM todo WHERE kind = ?1 AND id = ?2 AND due_ns = ?3 RETURNING want_version, start_ns, why",
        )?
        .query_row(params![kind_code(key.kind), guid::to_sql(&key.id), due.0], |row| {
            let listed = (Version(row.get(0)?), Timestamp(row.get(1)?));
            Ok((row.get::<_, i64>(2)? != 4).then_some(listed))
        })
        .optional()?;
    Ok(listed.flatten())
}

/// The next rows of a pass, nearest deadline first.
pub(crate) fn after(connection: &Connection, kind: Kind, place: &Place, limit: usize) -> Result<Vec<Todo>> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, id, want_version, start_ns, due_ns, attempts, last_error, why FROM todo
         WHERE kind = ?1 AND start_ns >= ?2 AND (start_ns > ?2 OR ?3 IS NULL OR id > ?3) ORDER BY start_ns, id LIMIT ?4",
    )?;
    let last = place.1.as_ref().map(|key| guid::to_sql(&key.id));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![kind_code(kind), place.0.0, last, limit], |row| {
        Ok(Todo {
            key: RecordKey {
                kind: kind_of(row.get(0)?).unwrap_or(kind),
                id: guid::from_sql(row.get_ref(1)?).unwrap_or_default(),
            },
            want_version: Version(row.get(2)?),
            start: Timestamp(row.get(3)?),
            due: Timestamp(row.get(4)?),
            attempts: row.get(5)?,
            last_error: row.get(6)?,
            hinted: row.get::<_, i64>(7)? == 4,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When the first record of a kind is to be tried.
pub(crate) fn next_due(connection: &Connection, kind: Kind) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached("SELECT min(due_ns) FROM todo WHERE kind = ?1")?;
    Ok(statement.query_row([kind_code(kind)], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
}

/// When a record is to be tried; `None` when it is not on the list.
pub(crate) fn due(connection: &Connection, key: &RecordKey) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached("SELECT due_ns FROM todo WHERE kind = ?1 AND id = ?2")?;
    let due = statement.query_row(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| row.get(0).map(Timestamp));
    Ok(due.optional()?)
}

/// How many records of a kind are to be fetched.
pub(crate) fn count(connection: &Connection, kind: Kind) -> Result<u64> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM todo WHERE kind = ?1")?
        .query_row([kind_code(kind)], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// How many of them started in a span.
pub(crate) fn count_within(connection: &Connection, kind: Kind, span: Span) -> Result<u64> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM todo WHERE kind = ?1 AND start_ns >= ?2 AND start_ns < ?3")?
        .query_row(params![kind_code(kind), span.from.0, span.to.0], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Start times of all that was listed and is to be fetched: what coverage must leave out. A hint says nothing of what a list has shown.
pub(crate) fn starts(connection: &Connection, kind: Kind) -> Result<Vec<Timestamp>> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT start_ns FROM todo WHERE kind = ?1 AND why <> 4")?;
    let rows = statement.query_map([kind_code(kind)], |row| row.get(0).map(Timestamp))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::schema;

    #[test]
    fn what_is_announced_while_it_is_being_fetched_is_fetched_once_more() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Timestamp(0)).unwrap();
        let key = RecordKey { kind: Kind::Call, id: "a".into() };
        let row = Listed { id: "a".into(), version: Version(1), start: Some(Timestamp(5)), last_modified: None };
        let on_list = || after(&connection, Kind::Call, &(Timestamp(i64::MIN), None), 10).unwrap().pop();
        // Listed or announced; the notification in the very moment when it became due, or later.
        for (is_listed, hinted_at) in [(true, 10), (true, 20), (false, 10), (false, 20)] {
            if is_listed {
                want(&connection, Kind::Call, &row, Timestamp(0), Timestamp(10)).unwrap();
            } else {
                hint(&connection, &key, Timestamp(5), Timestamp(10)).unwrap();
            }
            let in_hand = on_list().unwrap();
            hint(&connection, &key, Timestamp(5), Timestamp(hinted_at)).unwrap();
            done(&connection, &key, Version(1), Some(in_hand.due)).unwrap();
            let again = on_list().unwrap();
            assert!(again.hinted && again.due >= Timestamp(hinted_at), "{again:?}");
            // Graph had nothing newer: that ends it.
            done(&connection, &key, Version(1), Some(again.due)).unwrap();
            assert_eq!(on_list(), None);
        }
    }

    #[test]
    fn one_asked_for_by_name_stays_due_at_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Timestamp(0)).unwrap();
        let key = RecordKey { kind: Kind::Call, id: "a".into() };
        hint(&connection, &key, Timestamp(5), Timestamp(10)).unwrap();
        assert!(ask_for(&connection, &key).unwrap());
        hint(&connection, &key, Timestamp(5), Timestamp(20)).unwrap();
        let due = next_due(&connection, Kind::Call).unwrap().unwrap();
        assert!(due < AT_ONCE, "it is, and was announced meanwhile");
        done(&connection, &key, Version(1), Some(AT_ONCE)).unwrap();
        assert_eq!(next_due(&connection, Kind::Call).unwrap(), Some(due));
    }

    #[test]
    fn what_is_announced_while_graph_does_not_have_it_stays() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Timestamp(0)).unwrap();
        let key = RecordKey { kind: Kind::Call, id: "a".into() };
        let row = Listed { id: "a".into(), version: Version(1), start: Some(Timestamp(5)), last_modified: None };
        want(&connection, Kind::Call, &row, Timestamp(0), Timestamp(10)).unwrap();
        hint(&connection, &key, Timestamp(5), Timestamp(20)).unwrap();
        assert_eq!(take(&connection, &key, Timestamp(10)).unwrap(), None);
        assert_eq!(take(&connection, &key, Timestamp(20)).unwrap(), Some((Version(1), Timestamp(5))));
    }

    #[test]
    fn what_a_list_shows_does_not_wait_as_long_as_a_hint_that_failed() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Timestamp(0)).unwrap();
        let key = RecordKey { kind: Kind::Call, id: "a".into() };
        hint(&connection, &key, Timestamp(1), Timestamp(1)).unwrap();
        failed(&connection, &key, "404", Timestamp(1000), Timestamp(2)).unwrap();
        let row = Listed { id: "a".into(), version: Version(1), start: Some(Timestamp(0)), last_modified: None };
        let list = || want(&connection, Kind::Call, &row, Timestamp(0), Timestamp(10)).unwrap();
        let due = || next_due(&connection, Kind::Call).unwrap();
        assert!(list());
        assert_eq!(due(), Some(Timestamp(10)));
        // One that a list showed before has its time.
        failed(&connection, &key, "404", Timestamp(2000), Timestamp(11)).unwrap();
        assert!(list());
        assert_eq!(due(), Some(Timestamp(2000)));
    }
}
