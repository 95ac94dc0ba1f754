//! Derived rows of the logs: a table a kind, written and read by the kind's description.

use rusqlite::{Connection, OptionalExtension, ToSql, types::ValueRef};

use crate::{
    archive::error::Result,
    model::{
        id::{RecordId, Version},
        kind::Kind,
        rows::LogValue,
        view::log::{Log, log},
    },
};

/// Table and view of each log.
pub(crate) const SCHEMAS: [&str; 5] = [
    include_str!("../../schema/logs/pstn.sql"),
    include_str!("../../schema/logs/direct_routing.sql"),
    include_str!("../../schema/logs/sms.sql"),
    include_str!("../../schema/logs/blocked_user.sql"),
    include_str!("../../schema/logs/dial_out.sql"),
];

/// The tables, as they may be dropped.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().filter_map(log).map(|log| log.table)
}

pub(crate) fn insert(
    connection: &Connection,
    log: &Log,
    record_id: RecordId,
    version: Version,
    values: &[LogValue],
) -> Result<()> {
    let names: Vec<&str> = log.columns.iter().map(|column| column.name).collect();
    let places = ", ?".repeat(names.len());
    let sql = format!("INSERT INTO \"{}\" (record_id, version, {}) VALUES (?, ?{places})", log.table, names.join(", "));
    let mut bound: Vec<&dyn ToSql> = vec![&record_id.0, &version.0];
    bound.extend(values.iter().map(|value| match value {
        LogValue::Null => &None::<i64> as &dyn ToSql,
        LogValue::Integer(number) => number,
        LogValue::Text(text) => text,
    }));
    connection.prepare_cached(&sql)?.execute(bound.as_slice())?;
    Ok(())
}

/// The version and columns of a record; `None` when it has no row.
pub(crate) fn read(
    connection: &Connection,
    log: &Log,
    record_id: RecordId,
) -> Result<Option<(Version, Vec<LogValue>)>> {
    let names: Vec<&str> = log.columns.iter().map(|column| column.name).collect();
    let sql = format!("SELECT version, {} FROM \"{}\" WHERE record_id = ?1", names.join(", "), log.table);
    let found = connection.prepare_cached(&sql)?.query_row([record_id.0], |row| {
        let value = |n: usize| {
            Ok(match row.get_ref(n + 1)? {
                ValueRef::Integer(number) => LogValue::Integer(number),
                ValueRef::Text(text) => LogValue::Text(String::from_utf8_lossy(text).into_owned()),
                _ => LogValue::Null,
            })
        };
        let values = (0..names.len()).map(value).collect::<rusqlite::Result<_>>()?;
        Ok((Version(row.get(0)?), values))
    });
    Ok(found.optional()?)
}

pub(crate) fn remove(connection: &Connection, log: &Log, record_id: RecordId) -> Result<()> {
    let sql = format!("DELETE FROM \"{}\" WHERE record_id = ?1", log.table);
    connection.prepare_cached(&sql)?.execute([record_id.0])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_the_columns_of_its_description_and_no_other() {
        let connection = Connection::open_in_memory().unwrap();
        for schema in SCHEMAS {
            connection.execute_batch(schema).unwrap();
        }
        for log in Kind::ALL.into_iter().filter_map(log) {
            let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
            let columns: Vec<String> =
                statement.query_map([log.table], |row| row.get(0)).unwrap().map(|name| name.unwrap()).collect();
            let mut described = vec!["record_id", "version"];
            described.extend(log.columns.iter().map(|column| column.name));
            assert_eq!(columns, described, "{}", log.table);
        }
    }
    #[test]
    fn each_view_has_the_titles_of_its_description() {
        let views = ["pstn_calls", "direct_routing_calls", "sms_messages", "blocked_users", "dial_outs"];
        let connection = Connection::open_in_memory().unwrap();
        for schema in
            [include_str!("../../schema/rows.sql"), include_str!("../../schema/views.sql")].iter().chain(&SCHEMAS)
        {
            connection.execute_batch(schema).unwrap();
        }
        connection.execute_batch(include_str!("../../schema/0001_kept.sql")).unwrap();
        let kinds = [Kind::Pstn, Kind::DirectRouting, Kind::Sms, Kind::BlockedUser, Kind::DialOut];
        for (view, kind) in views.into_iter().zip(kinds) {
            let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
            let shown: Vec<String> =
                statement.query_map([view], |row| row.get(0)).unwrap().map(|name| name.unwrap()).collect();
            for column in log(kind).unwrap().columns {
                assert!(shown.contains(&column.title().into_owned()), "{view} has no {}", column.title());
            }
        }
    }
}
