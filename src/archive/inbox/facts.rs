//! What there is to tell of an inbox.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FORMAT, Instant, Tally, instant_of, subscriptions};
use crate::{
    archive::{connection, error::Result, folder::Folder, stats},
    model::time::Timestamp,
};

/// The inbox as it stands, for those who only tell of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Ids not taken over yet, and since when the first of them waits.
    pub waiting: u64,
    pub waiting_since: Option<Timestamp>,
    pub notified: Option<Timestamp>,
    pub alive: Option<Timestamp>,
    pub taken: Option<Timestamp>,
    pub subscribed: Option<Timestamp>,
    pub keeping_failed: Option<Timestamp>,
    /// When the subscription ends; the last of several.
    pub expires: Option<Timestamp>,
    /// Spans still to be listed because notifications of them may have been missed.
    pub missed: u64,
    /// How often something happened, by its name.
    pub tallies: BTreeMap<&'static str, u64>,
}

/// Reads the inbox of a folder; `None` where there was never a receiver.
pub fn facts(folder: &Folder) -> Result<Option<Facts>> {
    let path = folder.inbox();
    if !path.is_file() {
        return Ok(None);
    }
    let connection = connection::open_reader(&path)?;
    if connection.pragma_query_value::<i64, _>(None, "user_version", |row| row.get(0))? != FORMAT {
        return Ok(None);
    }
    let (waiting, since): (i64, Option<i64>) =
        connection
            .query_row("SELECT count(*), min(first_ns) FROM announced", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let missed: i64 = connection.query_row("SELECT count(*) FROM missed", [], |row| row.get(0))?;
    let mut statement = connection.prepare("SELECT times FROM tally WHERE name = ?1")?;
    let mut tallies = BTreeMap::new();
    for tally in Tally::ALL {
        let times = statement.query_map([tally.name()], |row| row.get::<_, i64>(0))?.next().transpose()?;
        tallies.insert(tally.name(), times.unwrap_or(0).unsigned_abs());
    }
    let expires = subscriptions(&connection)?.into_iter().map(|kept| kept.expires).max();
    Ok(Some(Facts {
        waiting: waiting.unsigned_abs(),
        waiting_since: since.map(Timestamp),
        notified: instant_of(&connection, Instant::Notified)?,
        alive: instant_of(&connection, Instant::Alive)?,
        taken: instant_of(&connection, Instant::Taken)?,
        subscribed: instant_of(&connection, Instant::Subscribed)?,
        keeping_failed: instant_of(&connection, Instant::KeepingFailed)?,
        expires,
        missed: missed.unsigned_abs(),
        tallies,
    }))
}

/// What the inbox of a folder takes on disk.
#[must_use]
pub fn bytes(folder: &Folder) -> u64 {
    stats::database_bytes(&folder.inbox())
}
