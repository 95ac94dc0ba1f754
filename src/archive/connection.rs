//! Connections: the one that writes, and those that only read. Every pragma stands here.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};

use crate::archive::error::{Error, Result};

pub(crate) const BUSY: Duration = Duration::from_secs(30);
/// Statements kept prepared; the writer uses some forty.
const STATEMENTS: usize = 64;

/// Opens the connection that writes. The caller holds the writer's lock.
pub(crate) fn open_writer(database: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(
        database,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    keep_statements(&connection)?;
    // 8 KiB pages hold two typical frames; set before the first table, without effect afterwards.
    connection.pragma_update(None, "page_size", 8192)?;
    // Sealing empties frames: their pages go back to the disk one by one. Set before the first table, too.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // FULL: what commit returned is on disk, power cut or not. It costs 4 ms a commit, nothing beside Graph's pace.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: a purge must leave nothing behind.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -24_576)?;
    connection.pragma_update(None, "temp_store", "file")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    Ok(connection)
}

/// Makes a database that stands beside the archive's: its tables and its marks, once, also where another program does it at the same moment.
pub(crate) fn make(connection: &mut Connection, schema: &str, application_id: i32, format: i64) -> Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if transaction.pragma_query_value::<i64, _>(None, "user_version", |row| row.get(0))? == 0 {
        transaction.execute_batch(schema)?;
        transaction.pragma_update(None, "application_id", application_id)?;
        transaction.pragma_update(None, "user_version", format)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Opens a connection that cannot write, beside a writer or without one.
pub(crate) fn open_reader(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    match configure_reader(&connection) {
        Ok(()) => Ok(connection),
        // A copy on a read-only medium: SQLite cannot make its shared-memory file there. Without a write-ahead log
        // nothing can change under us, so the file may be read as it stands.
        Err(error) if cannot_share(&error) && !has_wal(database) => {
            let uri = uri(database, "immutable=1");
            let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?;
            configure_reader(&connection).map_err(|_| error)?;
            Ok(connection)
        }
        // Neither has it been closed in order, nor can what its log holds be sorted where nothing may be written.
        Err(error)
            if cannot_share(&error) && [database, &wal(database)].iter().all(|file| File::open(file).is_ok()) =>
        {
            Err(Error::Unclosed(database.to_path_buf()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens an empty database in memory, in which each name that it lacks is that of `database`. That is only read.
pub(crate) fn open_over(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_in_memory_with_flags(flags)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    keep_statements(&connection)?;
    let attach = |how| {
        connection.execute("ATTACH ?1 AS archive", [uri(database, how)])?;
        connection.query_row("SELECT count(*) FROM archive.sqlite_schema", [], |_| Ok(()))
    };
    match attach("mode=ro") {
        // As [`open_reader`] has it.
        Err(error) if cannot_share(&error) && !has_wal(database) => {
            let _ = connection.execute("DETACH archive", []);
            attach("immutable=1").map_err(|_| error)?;
        }
        outcome => outcome?,
    }
    Ok(connection)
}

fn configure_reader(connection: &Connection) -> rusqlite::Result<()> {
    keep_statements(connection)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Waits for others, and keeps statements prepared: without the planner's guarantee, SQLite prepares one again for each other value
/// that is bound to it, in case another plan might fit it better.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn cannot_share(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure)
    )
}

fn has_wal(database: &Path) -> bool {
    std::fs::metadata(wal(database)).is_ok_and(|file| file.len() > 0)
}

fn wal(database: &Path) -> PathBuf {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

fn uri(database: &Path, how: &str) -> String {
    let path = url::Url::from_file_path(std::path::absolute(database).unwrap_or_else(|_| database.to_path_buf()));
    path.map(|url| format!("{url}?{how}")).unwrap_or_default()
}
