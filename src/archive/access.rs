//! Who asked the archive what: `access.db`, with a lock and transactions of its own, so that whoever reads never waits for the writer.
//!
//! Rows are a chain of hashes: each is over the one before and its own line. An act is written down before it happens and its outcome
//! afterwards, so one that died is seen. What was typed may name people: it stands beside the line, which holds its hash alone, so that
//! it can be emptied one day without breaking the chain. The ledger enters how far the chain goes ([`crate::archive::ledger::Entry::Journal`]).

use std::{collections::HashSet, time::Duration};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, config::DbConfig, params};
use serde::{Deserialize, Serialize};

use crate::{
    archive::{
        connection,
        error::{Error, Result},
        folder::{Folder, make_private},
    },
    model::{
        id::{Seq, Sha256},
        time::Timestamp,
    },
};

const SCHEMA: &str = include_str!("../../schema/access.sql");
/// "calla" in SQLite's `application_id`.
const APPLICATION_ID: i32 = 0x6361_6c61;
/// The format of journals that this program writes.
const FORMAT: i64 = 1;
/// Small pages, since an access is a row or two, and each is written anew with its page.
const PAGE_BYTES: i64 = 1024;
const LOG_PAGES_MAX: i64 = 128;
/// Others hold the lock for a row or two.
const BUSY: Duration = Duration::from_secs(5);

/// The act of asking with a config file that turns the journal off.
const OFF: &str = "journal off";

/// Who asks, by the operating system's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    /// `None`: the system knows no name for the number.
    pub name: Option<String>,
    /// Who logged in, where that is another: by `sudo` or `su` one becomes somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_uid: Option<u32>,
}

impl User {
    /// The name, or the number where the system has none; and who logged in, where that is another.
    #[must_use]
    pub fn called(&self) -> String {
        let name = self.name.clone().unwrap_or_else(|| format!("uid {}", self.uid));
        self.login_uid.map_or_else(|| name.clone(), |login| format!("{name} (login uid {login})"))
    }

    /// The number of the person: who logged in, where the system knows.
    #[must_use]
    pub fn person(&self) -> u32 {
        self.login_uid.unwrap_or(self.uid)
    }
}

/// A row's line. Its JSON is the contract of docs/format.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
enum Line {
    /// About to happen. `arguments` is the SHA-256 over the salt and what was typed.
    Begun {
        time: Timestamp,
        #[serde(flatten)]
        user: User,
        command: String,
        arguments: String,
    },
    /// What came of row `of`.
    Ended { of: i64, time: Timestamp, count: Option<u64>, exit_code: u8 },
    /// What was typed was emptied from these rows, by the disposal that the ledger enters with this number.
    Emptied { rows: Vec<i64>, seq: Seq, time: Timestamp },
}

/// One act: what it began with and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Act {
    /// Its number among all rows.
    pub n: i64,
    pub time: Timestamp,
    #[serde(flatten)]
    pub user: User,
    pub command: String,
    /// What was typed after the program's name; `None` where a disposal emptied it.
    pub arguments: Option<Vec<String>>,
    /// How many records it gave out or touched, where that can be counted.
    pub count: Option<u64>,
    /// `None`: it is still at it, or it died.
    pub exit_code: Option<u8>,
    pub ended: Option<Timestamp>,
}

/// How far the chain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub rows: i64,
    pub hash: Sha256,
}

/// The journal, for writing.
pub struct Journal {
    connection: Connection,
}

impl Journal {
    /// Opens the journal of an archive that exists, making it where there is none.
    ///
    /// # Errors
    /// Where the folder cannot be written, among others: then nothing can be noted.
    pub fn open(folder: &Folder) -> Result<Self> {
        let path = folder.access();
        make_private(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY)?;
        match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => {
                connection.pragma_update(None, "page_size", PAGE_BYTES)?;
                connection::make(&mut connection, SCHEMA, APPLICATION_ID, FORMAT)?;
            }
            FORMAT => {}
            found => return Err(Error::Newer { found, known: FORMAT }),
        }
        // Moving the log into the database takes the disk milliseconds, so it is done once in some forty accesses, and by whoever writes
        // the archive; the log stays short, since each first reader goes through it.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES_MAX, |_| Ok(()))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // What a crash of the machine may take is the last rows; what a crash of the program may take, none.
        connection.pragma_update(None, "synchronous", "normal")?;
        Ok(Self { connection })
    }

    /// Notes what is about to happen. Returns the row's number, for [`Self::end`].
    pub fn begin(&mut self, user: &User, command: &str, arguments: &[String], now: Timestamp) -> Result<i64> {
        let text = serde_json::to_string(arguments).unwrap_or_default();
        let salt = *uuid::Uuid::new_v4().as_bytes();
        let line = Line::Begun {
            time: now,
            user: user.clone(),
            command: command.to_owned(),
            arguments: hash_of_arguments(&salt, &text).to_string(),
        };
        self.append(&line, Some((&salt, &text)))
    }

    /// Notes what came of the act of row `of`.
    pub fn end(&mut self, of: i64, count: Option<u64>, exit_code: u8, now: Timestamp) -> Result<()> {
        self.append(&Line::Ended { of, time: now, count, exit_code }, None).map(drop)
    }

    /// Notes, once until something else is noted, that `user` asks without being noted from here on.
    pub fn off(&mut self, user: &User, now: Timestamp) -> Result<()> {
        let sql = "SELECT n, line FROM act WHERE arguments IS NOT NULL ORDER BY n DESC LIMIT 1";
        let last = self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).optional()?;
        let last = last.map(|(n, line)| parse(n, &line)).transpose()?;
        if matches!(last, Some(Line::Begun { command, user: by, .. }) if command == OFF && by == *user) {
            return Ok(());
        }
        let n = self.begin(user, OFF, &[], now)?;
        self.end(n, None, 0, now)
    }

    /// Empties what was typed where it has one of `words` (compared without regard to case) in it, on behalf of the disposal that
    /// is entry `seq` of the ledger. Returns of how many rows.
    pub fn empty(&mut self, words: &[String], seq: Seq, now: Timestamp) -> Result<u64> {
        let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        self.connection.pragma_update(None, "secure_delete", true)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut rows = Vec::new();
        {
            let mut statement = transaction.prepare("SELECT n, arguments FROM act WHERE arguments IS NOT NULL")?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let text = row.get::<_, String>(1)?.to_lowercase();
                if words.iter().any(|word| text.contains(word.as_str())) {
                    rows.push(row.get::<_, i64>(0)?);
                }
            }
            let mut update = transaction.prepare("UPDATE act SET salt = NULL, arguments = NULL WHERE n = ?1")?;
            for n in &rows {
                update.execute([n])?;
            }
        }
        if !rows.is_empty() {
            append(&transaction, &Line::Emptied { rows: rows.clone(), seq, time: now }, None)?;
        }
        transaction.commit()?;
        // Deleted cells are overwritten, but copies of them may lie in gaps that moving cells about has left.
        self.connection.execute_batch("VACUUM")?;
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Err(Error::StillRead);
        }
        Ok(rows.len() as u64)
    }

    /// Moves the log into the database, so that the journal is one file when nobody asks anything.
    pub(crate) fn close(folder: &Folder) -> Result<()> {
        if folder.access().is_file() {
            let journal = Self::open(folder)?;
            journal.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            journal.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        }
        Ok(())
    }

    fn append(&mut self, line: &Line, arguments: Option<(&[u8], &str)>) -> Result<i64> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let n = append(&transaction, line, arguments)?;
        transaction.commit()?;
        Ok(n)
    }
}

fn append(connection: &Connection, line: &Line, arguments: Option<(&[u8], &str)>) -> Result<i64> {
    let head = head(connection)?;
    let text = serde_json::to_string(line).unwrap_or_default();
    let hash = next_hash(&head.hash, &text);
    let (salt, arguments) = arguments.unzip();
    connection
        .prepare_cached("INSERT INTO act (n, line, hash, salt, arguments) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![head.rows + 1, text, hash.0, salt, arguments])?;
    Ok(head.rows + 1)
}

fn head(connection: &Connection) -> Result<Head> {
    let last = connection
        .prepare_cached("SELECT n, hash FROM act ORDER BY n DESC LIMIT 1")?
        .query_row([], |row| Ok(Head { rows: row.get(0)?, hash: Sha256(row.get(1)?) }))
        .optional()?;
    Ok(last.unwrap_or(Head { rows: 0, hash: Sha256([0; 32]) }))
}

fn next_hash(before: &Sha256, line: &str) -> Sha256 {
    Sha256::of(&[before.0.as_slice(), line.as_bytes()].concat())
}

fn hash_of_arguments(salt: &[u8], text: &str) -> Sha256 {
    Sha256::of(&[salt, text.as_bytes()].concat())
}

/// The journal, for reading.
pub struct JournalReader {
    connection: Connection,
}

impl JournalReader {
    /// `None` where nothing was ever noted.
    pub fn open(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.access();
        if !path.is_file() {
            return Ok(None);
        }
        let connection = connection::open_reader(&path)?;
        match connection.pragma_query_value::<i64, _>(None, "user_version", |row| row.get(0))? {
            // Whoever began to make it died over it.
            0 => Ok(None),
            FORMAT => Ok(Some(Self { connection })),
            found => Err(Error::Newer { found, known: FORMAT }),
        }
    }

    pub fn head(&self) -> Result<Head> {
        head(&self.connection)
    }

    /// All acts, oldest first.
    pub fn acts(&self) -> Result<Vec<Act>> {
        let mut acts: Vec<Act> = Vec::new();
        let mut statement = self.connection.prepare("SELECT n, line, arguments FROM act ORDER BY n")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (n, line): (i64, String) = (row.get(0)?, row.get(1)?);
            match parse(n, &line)? {
                Line::Begun { time, user, command, .. } => {
                    let arguments = row.get::<_, Option<String>>(2)?;
                    let arguments = arguments.and_then(|text| serde_json::from_str(&text).ok());
                    acts.push(Act { n, time, user, command, arguments, count: None, exit_code: None, ended: None });
                }
                Line::Ended { of, time, count, exit_code } => {
                    if let Ok(at) = acts.binary_search_by_key(&of, |act| act.n) {
                        let act = &mut acts[at];
                        (act.count, act.exit_code, act.ended) = (count, Some(exit_code), Some(time));
                    }
                }
                Line::Emptied { .. } => {}
            }
        }
        Ok(acts)
    }

    /// What is wrong with the chain, each with its row; and the hashes after the rows that are asked about.
    pub fn check(&self, asked: &[i64]) -> Result<Checked> {
        let asked: HashSet<i64> = asked.iter().copied().collect();
        let mut checked = Checked::default();
        let mut before = Head { rows: 0, hash: Sha256([0; 32]) };
        let mut empty = Vec::new();
        let mut statement = self.connection.prepare("SELECT n, line, hash, salt, arguments FROM act ORDER BY n")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (n, line, hash): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if n != before.rows + 1 {
                checked.faults.push((before.rows + 1, "rows are missing here"));
            }
            let expected = next_hash(&before.hash, &line);
            if Sha256::from_slice(&hash) != Some(expected) {
                checked.faults.push((n, "its hash is not that of the row and the one before"));
            }
            let arguments = row.get::<_, Option<Vec<u8>>>(3)?.zip(row.get::<_, Option<String>>(4)?);
            match parse(n, &line) {
                Ok(Line::Begun { arguments: hash, .. }) => match arguments {
                    Some((salt, text)) if hash_of_arguments(&salt, &text).to_string() == hash => {}
                    Some(_) => checked.faults.push((n, "what was typed is not what the row says")),
                    None => empty.push(n),
                },
                Ok(Line::Ended { .. }) => {}
                Ok(Line::Emptied { rows, .. }) => empty.retain(|n| !rows.contains(n)),
                Err(_) => checked.faults.push((n, "it is unreadable")),
            }
            before = Head { rows: n, hash: expected };
            if asked.contains(&n) {
                checked.hashes.push(before);
            }
        }
        checked.faults.extend(empty.into_iter().map(|n| (n, "what was typed is gone, and no disposal says so")));
        checked.faults.sort_unstable();
        checked.rows = before.rows;
        Ok(checked)
    }
}

/// What a look at the whole chain came to.
#[derive(Debug, Default)]
pub struct Checked {
    pub rows: i64,
    pub faults: Vec<(i64, &'static str)>,
    /// Computed anew, of the rows that were asked about and are there.
    pub hashes: Vec<Head>,
}

fn parse(n: i64, line: &str) -> Result<Line> {
    serde_json::from_str(line).map_err(|error| Error::DamagedJournal { n, what: format!("is unreadable: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let user = User { uid: 1000, name: Some("zofia".into()), login_uid: None };
        let mut journal = Journal::open(&folder).unwrap();
        for (text, count) in [("--participant Adele", 3), ("words", 0)] {
            let n = journal.begin(&user, "query", &[text.to_owned()], Timestamp(1)).unwrap();
            journal.end(n, Some(count), 0, Timestamp(2)).unwrap();
        }
        journal.begin(&user, "show", &["x".to_owned()], Timestamp(3)).unwrap();
        (dir, folder)
    }

    #[test]
    fn who_asks_as_another_is_told_with_who_logged_in() {
        let user = |name: Option<&str>, login_uid| User { uid: 0, name: name.map(str::to_owned), login_uid }.called();
        assert_eq!(user(Some("root"), Some(1000)), "root (login uid 1000)");
        assert_eq!((user(Some("root"), None), user(None, None)), ("root".to_owned(), "uid 0".to_owned()));
    }

    #[test]
    fn an_act_that_died_is_seen() {
        let (_dir, folder) = journal();
        let acts = JournalReader::open(&folder).unwrap().unwrap().acts().unwrap();
        assert_eq!(
            acts.iter().map(|act| (act.n, act.count)).collect::<Vec<_>>(),
            [(1, Some(3)), (3, Some(0)), (5, None)]
        );
        assert_eq!((acts[2].exit_code, acts[2].ended), (None, None));
    }

    #[test]
    fn whatever_is_changed_is_found() {
        for (sql, row) in [
            ("UPDATE act SET line = replace(line, 'zofia', 'adele') WHERE n = 3", 3),
            ("UPDATE act SET arguments = '[]' WHERE n = 1", 1),
            ("UPDATE act SET arguments = NULL, salt = NULL WHERE n = 1", 1),
            ("DELETE FROM act WHERE n = 2", 2),
            ("UPDATE act SET hash = zeroblob(32) WHERE n = 5", 5),
        ] {
            let (_dir, folder) = journal();
            let checked = || JournalReader::open(&folder).unwrap().unwrap().check(&[5]).unwrap();
            let whole = checked();
            assert!(whole.faults.is_empty());
            assert_eq!((whole.rows, whole.hashes.len()), (5, 1));
            Connection::open(folder.access()).unwrap().execute_batch(sql).unwrap();
            assert_eq!(checked().faults.first().map(|(n, _)| *n), Some(row), "{sql}");
        }
    }

    #[test]
    fn a_disposal_empties_what_was_typed_and_leaves_the_chain_whole() {
        let (dir, folder) = journal();
        let emptied = Journal::open(&folder).unwrap().empty(&["adele".to_owned()], Seq(9), Timestamp(4)).unwrap();
        assert_eq!(emptied, 1);
        let reader = JournalReader::open(&folder).unwrap().unwrap();
        assert!(reader.check(&[]).unwrap().faults.is_empty());
        assert_eq!(reader.acts().unwrap()[0].arguments, None);
        drop(reader);
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(5).any(|window| window == b"Adele"));
        }
    }
}
