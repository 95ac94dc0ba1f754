//! Questions in SQL, asked by people: over the documented views and whatever else is in the database, and for reading only.
//!
//! Three walls, each enough by itself: the connection is opened for reading, an authorizer refuses every statement that is not a
//! question (ATTACH among them, which would make a file), and what SQLite does not call read-only is not run. Extensions cannot
//! be loaded. Nothing is held: rows are handed over as SQLite finds them.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt::Write as _,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use rusqlite::{
    Batch, Connection, ErrorCode, InterruptHandle, Statement,
    config::DbConfig,
    fallible_iterator::FallibleIterator,
    functions::{Context, FunctionFlags},
    hooks::{AuthAction, AuthContext, Authorization},
    types::ValueRef,
};

use crate::{
    archive::{self, Archive, Folder, connection, guid},
    model::id::{RecordKey, Version},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// In SQLite's words.
    #[error("{message}")]
    Refused {
        message: String,
        /// A line of the statement, and the column in it where SQLite stopped, counted in characters from 1.
        place: Option<(String, usize)>,
    },
    #[error("this only reads: {0}")]
    WouldWrite(String),
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// Whoever takes the answer refuses it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A piece of an answer: its columns, then its rows, then its end.
pub enum Answer<'a> {
    Columns(&'a [String]),
    Row(&'a [Cell<'a>]),
    End,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    /// A GUID in its usual spelling where it is 16 bytes long, else hexadecimal.
    Blob(String),
}

/// A connection for questions, with the functions `raw(id)` and `raw(id, version)`.
pub struct Sql {
    connection: Connection,
    damage: Damage,
}

/// Ends a statement that is running, from any thread.
pub struct Interrupt(InterruptHandle);

impl Interrupt {
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

/// What reading a version came upon, which SQLite would hand on as a mere message.
type Damage = Arc<Mutex<Option<archive::Error>>>;

impl Sql {
    /// Opens an archive that exists.
    pub fn open(folder: &Folder) -> Result<Self, Error> {
        // Refuses what is no archive, or that of a later program.
        drop(Archive::open(folder)?);
        let mut connection = connection::open_reader(&folder.database())?;
        let damage = Damage::default();
        prepare(&mut connection, folder, &damage).map_err(archive::Error::from)?;
        Ok(Self { connection, damage })
    }

    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        Interrupt(self.connection.get_interrupt_handle())
    }

    /// Answers each statement of `text` in turn; one without columns has no answer.
    pub fn ask(&self, text: &str, on: &mut dyn FnMut(Answer<'_>) -> io::Result<()>) -> Result<(), Error> {
        let mut statements = Batch::new(&self.connection, text);
        while let Some(mut statement) = statements.next().map_err(|error| self.refused(error))? {
            if !statement.readonly() {
                return Err(Error::WouldWrite(first_word(text)));
            }
            self.answer(&mut statement, on)?;
        }
        Ok(())
    }

    /// Names of the views, then of the tables, in order.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let sql = "SELECT name FROM sqlite_schema WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite_%'
                   ORDER BY type DESC, name";
        self.texts(sql, "")
    }

    /// The statements that made a table or a view with its indexes; of everything, where no name is given.
    pub fn schema(&self, name: Option<&str>) -> Result<Vec<String>, Error> {
        let sql =
            "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND ?1 IN ('', name, tbl_name) ORDER BY rowid";
        self.texts(sql, name.unwrap_or_default())
    }

    fn texts(&self, sql: &str, value: &str) -> Result<Vec<String>, Error> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            let values: &[&str] = if statement.parameter_count() == 0 { &[] } else { &[value] };
            let texts = statement.query_map(rusqlite::params_from_iter(values), |row| row.get(0))?;
            texts.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| self.refused(error))
    }

    fn answer(
        &self,
        statement: &mut Statement<'_>,
        on: &mut dyn FnMut(Answer<'_>) -> io::Result<()>,
    ) -> Result<(), Error> {
        let columns = distinct(statement.column_names());
        if !columns.is_empty() {
            on(Answer::Columns(&columns))?;
        }
        let mut rows = statement.query([]).map_err(|error| self.refused(error))?;
        let mut cells = Vec::with_capacity(columns.len());
        while let Some(row) = rows.next().map_err(|error| self.refused(error))? {
            cells.clear();
            for column in 0..columns.len() {
                cells.push(cell(row.get_ref(column).map_err(|error| self.refused(error))?));
            }
            on(Answer::Row(&cells))?;
            // They borrow from the row.
            cells = Vec::with_capacity(columns.len());
        }
        if columns.is_empty() { Ok(()) } else { Ok(on(Answer::End)?) }
    }

    fn refused(&self, error: rusqlite::Error) -> Error {
        if let Some(damage) = self.damage.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Error::Archive(damage);
        }
        match error {
            rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
                Error::Refused { message: msg, place: usize::try_from(offset).ok().map(|offset| place(&sql, offset)) }
            }
            rusqlite::Error::SqliteFailure(failure, message) => match failure.code {
                ErrorCode::OperationInterrupted => Error::Interrupted,
                ErrorCode::AuthorizationForStatementDenied => {
                    Error::WouldWrite(message.unwrap_or_else(|| failure.to_string()))
                }
                ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::TooBig | ErrorCode::ReadOnly => {
                    Error::Refused { message: message.unwrap_or_else(|| failure.to_string()), place: None }
                }
                _ => Error::Archive(rusqlite::Error::SqliteFailure(failure, message).into()),
            },
            error => Error::Archive(error.into()),
        }
    }
}

fn prepare(connection: &mut Connection, folder: &Folder, damage: &Damage) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let versions = Versions::of(folder);
    for arguments in [1, 2] {
        let (versions, damage) = (versions.clone(), Arc::clone(damage));
        // In a statement that is being answered a version does not change.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function("raw", arguments, flags, move |context| raw(context, &versions, &damage))?;
    }
    // Last, since it is asked about everything that comes after.
    connection.authorizer(Some(
        |asked: AuthContext<'_>| {
            if is_question(&asked.action) { Authorization::Allow } else { Authorization::Deny }
        },
    ))
}

/// What may be part of a statement that only asks.
fn is_question(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. } => true,
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let is = |names: &[&str]| names.iter().any(|name| pragma_name.eq_ignore_ascii_case(name));
            is(&PRAGMAS_ABOUT) || (is(&PRAGMAS) && pragma_value.is_none())
        }
        _ => false,
    }
}

/// Pragmas whose value says what is asked about.
const PRAGMAS_ABOUT: [&str; 9] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "integrity_check",
    "quick_check",
];
/// Pragmas that tell something and with a value would set it.
const PRAGMAS: [&str; 12] = [
    "application_id",
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "encoding",
    "freelist_count",
    "function_list",
    "journal_mode",
    "page_count",
    "page_size",
    "user_version",
];

fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Cell::Blob(match <[u8; 16]>::try_from(bytes) {
            Ok(bytes) => uuid::Uuid::from_bytes(bytes).to_string(),
            Err(_) => bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
                // A string takes everything: there is no error to pass on.
                let _ = write!(text, "{byte:02x}");
                text
            }),
        }),
    }
}

/// Names of columns, each once: where a name comes again a number is added, since an object has each member once.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut distinct = Vec::new();
    for name in names {
        let mut own = name.to_owned();
        let mut n = 1;
        while !seen.insert(own.clone()) {
            n += 1;
            own = format!("{name}_{n}");
        }
        distinct.push(own);
    }
    distinct
}

/// The line in which a byte of a statement stands, and its column there.
fn place(sql: &str, offset: usize) -> (String, usize) {
    let offset = (0..=offset.min(sql.len())).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or(0);
    let begin = sql[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line = sql[begin..].lines().next().unwrap_or_default();
    (line.to_owned(), sql[begin..offset].chars().count() + 1)
}

fn first_word(sql: &str) -> String {
    sql.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The JSON of a version; null where the archive has none of that id, or not that version.
fn raw(context: &mut Context<'_>, versions: &Versions, damage: &Damage) -> rusqlite::Result<Option<String>> {
    let Some(id) = guid::from_sql(context.get_raw(0)) else { return Ok(None) };
    let version = match context.len() {
        1 => None,
        _ => match context.get::<Option<i64>>(1)? {
            Some(version) => Some(Version(version)),
            None => return Ok(None),
        },
    };
    versions.json(id, version).map_err(|error| {
        let message = error.to_string();
        *damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        rusqlite::Error::UserFunctionError(message.into())
    })
}

/// Versions, read on a thread of their own: what decompresses them borrows from its connection, and what SQLite calls must own all.
#[derive(Clone)]
struct Versions {
    asks: Sender<Ask>,
}

struct Ask {
    id: String,
    /// The newest, where none is named.
    version: Option<Version>,
    answer: Sender<archive::Result<Option<String>>>,
}

impl Versions {
    fn of(folder: &Folder) -> Self {
        let (asks, asked) = mpsc::channel();
        let folder = folder.clone();
        thread::spawn(move || answer(&folder, &asked));
        Self { asks }
    }

    fn json(&self, id: String, version: Option<Version>) -> archive::Result<Option<String>> {
        let (answer, answered) = mpsc::channel();
        // The thread ends with the connection, which is what asks.
        let _ = self.asks.send(Ask { id, version, answer });
        answered.recv().unwrap_or(Ok(None))
    }
}

/// Answers until nobody asks any more. The archive is opened when somebody asks first.
fn answer(folder: &Folder, asked: &Receiver<Ask>) {
    let Ok(first) = asked.recv() else { return };
    let archive = match Archive::open(folder) {
        Ok(archive) => archive,
        Err(error) => {
            let _ = first.answer.send(Err(error));
            return;
        }
    };
    let mut reader = archive.version_reader();
    let mut json = |ask: &Ask| {
        let Some(key) = archive.find(&ask.id)? else { return Ok(None) };
        let of = |key: &RecordKey| archive.versions(key);
        let is_asked = |info: &archive::versions::VersionInfo| match ask.version {
            Some(version) => info.version == version,
            None => info.newest,
        };
        let Some(info) = of(&key)?.into_iter().find(is_asked) else { return Ok(None) };
        reader.read(info.seq).map(|stored| Some(stored.json))
    };
    for ask in std::iter::once(first).chain(asked) {
        let _ = ask.answer.send(json(&ask));
    }
}

#[cfg(test)]
mod tests;
