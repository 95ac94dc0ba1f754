//! `inbox.db`: ids brought by notifications until a sync has taken them over, and the subscriptions that bring them.
//!
//! What is here are hints. The receiver adds, whoever writes the archive takes over: ids leave only after they are on the to-do list.

mod delivery;
mod facts;

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig, params};

use crate::{
    archive::{
        connection,
        error::{Error, Result},
        folder::{Folder, make_private},
    },
    model::time::{Span, Timestamp},
};

pub use self::{
    delivery::{Delivery, Tally},
    facts::{Facts, bytes, facts},
};

const SCHEMA: &str = include_str!("../../schema/inbox.sql");
/// "calli" in SQLite's `application_id`.
const APPLICATION_ID: i32 = 0x6361_6c69;
/// The format of inboxes that this program writes.
const FORMAT: i64 = 1;

/// An id that a notification brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub id: String,
    pub first: Timestamp,
    /// By the receiver's clock.
    pub last: Timestamp,
    /// How often it was announced.
    pub times: i64,
}

/// A subscription that this receiver keeps.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    pub id: String,
    pub notification_url: String,
    /// A secret.
    pub client_state: String,
    pub expires: Timestamp,
    pub created: Timestamp,
    pub renewed: Timestamp,
}

/// The secrets by which notifications are known.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Of subscriptions that are kept, by id.
    pub kept: Vec<(String, String)>,
    /// Of one that is being made at this moment: its first notifications may come before its id is known.
    pub making: Option<String>,
}

/// Time in which notifications may have been missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    pub missed_id: i64,
    pub span: Span,
    pub why: String,
}

/// Moments worth remembering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instant {
    /// The receiver was up.
    Alive,
    /// The last id came.
    Notified,
    /// A sync last took ids over.
    Taken,
    /// Graph asked for a renewal that has not happened yet.
    Reauthorize,
    /// Graph was last seen to have the subscription.
    Subscribed,
    /// The last attempt to keep a subscription failed.
    KeepingFailed,
}

impl Instant {
    fn name(self) -> &'static str {
        match self {
            Instant::Alive => "alive",
            Instant::Notified => "notified",
            Instant::Taken => "taken",
            Instant::Reauthorize => "reauthorize",
            Instant::Subscribed => "subscribed",
            Instant::KeepingFailed => "keeping_failed",
        }
    }
}

/// The inbox, for writing. Several processes may have it open; each works in short transactions.
pub struct Inbox {
    connection: Connection,
}

impl Inbox {
    /// Opens the inbox of a folder, making both where they are not there.
    ///
    /// # Errors
    /// Where the folder cannot be written, or a newer program made it.
    pub fn open_or_create(folder: &Folder) -> Result<Self> {
        folder.create_for_inbox()?;
        make_private(&folder.inbox())?;
        Self::open(&folder.inbox())
    }

    /// The inbox of a folder where a receiver has made one.
    pub fn open_existing(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.inbox();
        if path.is_file() { Self::open(&path).map(Some) } else { Ok(None) }
    }

    fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(connection::BUSY)?;
        if connection.pragma_query_value::<i64, _>(None, "user_version", |row| row.get(0))? == 0 {
            connection::make(&mut connection, SCHEMA, APPLICATION_ID, FORMAT)?;
        }
        let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found != FORMAT {
            return Err(Error::Newer { found, known: FORMAT });
        }
        // What is answered for is on disk.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "temp_store", "memory")?;
        Ok(Self { connection })
    }

    /// Takes the lock of the one receiver of this folder; the system lets go of it when the process ends.
    ///
    /// # Errors
    /// [`Error::InUse`] when another has it.
    pub fn lock(folder: &Folder) -> Result<super::folder::Lock> {
        folder.lock_named("inbox.lock")
    }

    /// Keeps the log's files open and in place when the last connection closes: a receiver that may open no file for writing goes on.
    pub fn keep_log(&self) -> Result<()> {
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Both files exist and are open from here on.
        self.connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
        Ok(())
    }

    /// Queues what was delivered. When it returns, that is on disk.
    pub fn add(&mut self, delivery: &Delivery, now: Timestamp) -> Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut folded = 0_u64;
            let mut announce = transaction.prepare_cached(
                "INSERT INTO announced (id, first_ns, last_ns, times) VALUES (?1, ?2, ?2, 1)
                 ON CONFLICT (id) DO UPDATE SET last_ns = max(last_ns, excluded.last_ns), times = times + 1
                 RETURNING times > 1",
            )?;
            for id in &delivery.ids {
                folded += u64::from(announce.query_row(params![id, now.0], |row| row.get::<_, bool>(0))?);
            }
            for (span, why) in &delivery.missed {
                note_missed(&transaction, *span, why)?;
            }
            for (tally, times) in
                delivery.tallies.iter().map(|(tally, times)| (*tally, *times)).chain([(Tally::Folded, folded)])
            {
                count(&transaction, tally, times)?;
            }
            if !delivery.ids.is_empty() {
                set(&transaction, Instant::Notified, now)?;
            }
            if delivery.reauthorize {
                set(&transaction, Instant::Reauthorize, now)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The ids that came first, up to `limit`; they stay until [`Self::taken`].
    pub fn announced(&self, limit: usize) -> Result<Vec<Announced>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, first_ns, last_ns, times FROM announced ORDER BY first_ns, id LIMIT ?1")?;
        let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            let (first, last) = (Timestamp(row.get(1)?), Timestamp(row.get(2)?));
            Ok(Announced { id: row.get(0)?, first, last, times: row.get(3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Forgets ids that are on the to-do list by now; one that was announced again meanwhile stays.
    pub fn taken(&mut self, announced: &[Announced], now: Timestamp) -> Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for Announced { id, times, .. } in announced {
            // Not by the time: a clock may be set back.
            transaction
                .prepare_cached("DELETE FROM announced WHERE id = ?1 AND times = ?2")?
                .execute(params![id, times])?;
        }
        count(&transaction, Tally::Taken, announced.len() as u64)?;
        set(&transaction, Instant::Taken, now)?;
        transaction.commit()?;
        Ok(())
    }

    /// Whether there is anything for a sync to take over. Cheap: it is asked every second.
    pub fn has_work(&self) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM announced) OR EXISTS (SELECT 1 FROM missed)")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Notes time in which notifications may have been missed.
    pub fn note_missed(&mut self, span: Span, why: &str) -> Result<()> {
        note_missed(&self.connection, span, why)
    }

    /// Time still to be listed because notifications of it may have been missed, oldest first.
    pub fn missed(&self) -> Result<Vec<Missed>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT missed_id, from_ns, to_ns, why FROM missed ORDER BY from_ns, missed_id")?;
        let rows = statement.query_map([], |row| {
            let span = Span::new(Timestamp(row.get(1)?), Timestamp(row.get(2)?));
            Ok(Missed { missed_id: row.get(0)?, span, why: row.get(3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Forgets missed time that was listed.
    pub fn swept(&mut self, missed: &[Missed]) -> Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for missed in missed {
            transaction.prepare_cached("DELETE FROM missed WHERE missed_id = ?1")?.execute([missed.missed_id])?;
        }
        transaction.commit()?;
        Ok(())
    }

    pub fn set(&mut self, instant: Instant, time: Timestamp) -> Result<()> {
        set(&self.connection, instant, time)
    }

    pub fn clear(&mut self, instant: Instant) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM instant WHERE name = ?1")?.execute([instant.name()])?;
        Ok(())
    }

    /// Forgets an instant, unless it is another one by now.
    pub fn clear_this(&mut self, instant: Instant, time: Timestamp) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM instant WHERE name = ?1 AND time_ns = ?2")?
            .execute(params![instant.name(), time.0])?;
        Ok(())
    }

    /// Enters a subscription, or what is new of it.
    pub fn put_subscription(&mut self, subscription: &Subscription) -> Result<()> {
        let Subscription { id, notification_url, client_state, expires, created, renewed } = subscription;
        self.connection
            .prepare_cached(
                "INSERT INTO subscription (id, notification_url, client_state, expires_ns, created_ns, renewed_ns)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE SET notification_url = excluded.notification_url, client_state = excluded.client_state,
                     expires_ns = excluded.expires_ns, renewed_ns = excluded.renewed_ns",
            )?
            .execute(params![id, notification_url, client_state, expires.0, created.0, renewed.0])?;
        Ok(())
    }

    pub fn remove_subscription(&mut self, id: &str) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM subscription WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    pub fn subscriptions(&self) -> Result<Vec<Subscription>> {
        subscriptions(&self.connection)
    }

    pub fn instant(&self, instant: Instant) -> Result<Option<Timestamp>> {
        instant_of(&self.connection, instant)
    }
}

fn count(connection: &Connection, tally: Tally, times: u64) -> Result<()> {
    if times > 0 {
        connection
            .prepare_cached(
                "INSERT INTO tally (name, times) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET times = times + excluded.times",
            )?
            .execute(params![tally.name(), i64::try_from(times).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

fn set(connection: &Connection, instant: Instant, time: Timestamp) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO instant (name, time_ns) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET time_ns = excluded.time_ns")?
        .execute(params![instant.name(), time.0])?;
    Ok(())
}

fn instant_of(connection: &Connection, instant: Instant) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached("SELECT time_ns FROM instant WHERE name = ?1")?;
    Ok(statement.query_map([instant.name()], |row| row.get(0).map(Timestamp))?.next().transpose()?)
}

fn note_missed(connection: &Connection, span: Span, why: &str) -> Result<()> {
    connection.prepare_cached("INSERT INTO missed (from_ns, to_ns, why) VALUES (?1, ?2, ?3)")?.execute(params![
        span.from.0,
        span.to.0,
        why
    ])?;
    Ok(())
}

fn subscriptions(connection: &Connection) -> Result<Vec<Subscription>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, notification_url, client_state, expires_ns, created_ns, renewed_ns FROM subscription ORDER BY created_ns, id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Subscription {
            id: row.get(0)?,
            notification_url: row.get(1)?,
            client_state: row.get(2)?,
            expires: Timestamp(row.get(3)?),
            created: Timestamp(row.get(4)?),
            renewed: Timestamp(row.get(5)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[&str]) -> Delivery {
        Delivery { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Delivery::default() }
    }

    #[test]
    fn an_id_waits_once_and_stays_when_it_is_announced_again_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("archive"));
        assert!(facts(&folder).unwrap().is_none());
        let mut inbox = Inbox::open_or_create(&folder).unwrap();
        inbox.add(&of(&["a", "b", "a"]), Timestamp(10)).unwrap();
        let taken = inbox.announced(10).unwrap();
        assert_eq!(taken.iter().map(|announced| announced.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        // Another process, and `b` once more, before the first two are forgotten.
        Inbox::open_existing(&folder).unwrap().unwrap().add(&of(&["b"]), Timestamp(20)).unwrap();
        inbox.taken(&taken, Timestamp(30)).unwrap();
        let left = inbox.announced(10).unwrap();
        assert_eq!(left, [Announced { id: "b".into(), first: Timestamp(10), last: Timestamp(20), times: 2 }]);
        let facts = facts(&folder).unwrap().unwrap();
        assert_eq!((facts.waiting, facts.waiting_since), (1, Some(Timestamp(10))));
        let of = |tally: Tally| facts.tallies[tally.name()];
        assert_eq!((of(Tally::Folded), of(Tally::Taken)), (2, 2));
        assert_eq!((facts.notified, facts.taken), (Some(Timestamp(20)), Some(Timestamp(30))));
    }

    #[test]
    fn an_id_that_is_announced_again_stays_even_where_the_clock_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::open_or_create(&Folder::new(dir.path())).unwrap();
        inbox.add(&of(&["a"]), Timestamp(10)).unwrap();
        let taken = inbox.announced(10).unwrap();
        inbox.add(&of(&["a"]), Timestamp(5)).unwrap();
        inbox.taken(&taken, Timestamp(6)).unwrap();
        assert_eq!(inbox.announced(10).unwrap().len(), 1);
    }

    #[test]
    fn missed_time_waits_until_it_was_swept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut inbox = Inbox::open_or_create(&folder).unwrap();
        assert!(!inbox.has_work().unwrap());
        inbox.note_missed(Span::new(Timestamp(1), Timestamp(5)), "away").unwrap();
        assert!(inbox.has_work().unwrap());
        let missed = inbox.missed().unwrap();
        inbox.note_missed(Span::new(Timestamp(5), Timestamp(6)), "missed").unwrap();
        inbox.swept(&missed).unwrap();
        assert_eq!(inbox.missed().unwrap().len(), 1);
    }

    #[test]
    fn one_receiver_has_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        Inbox::open_or_create(&folder).unwrap();
        let lock = Inbox::lock(&folder).unwrap();
        assert!(matches!(Inbox::lock(&folder), Err(Error::InUse(_))));
        drop(lock);
        Inbox::lock(&folder).unwrap();
    }
}
