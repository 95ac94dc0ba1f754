//! The telephony logs: PSTN and direct routing calls, SMS, blocked users, and the report of conference dial-outs.
//!
//! A row is a fact of the [`World`](crate::simulate::World) with a time at which it shows up, perhaps another at which it
//! changes, and one at which it is gone. Rows of a day are made from the calls of that day and from the seed, so that a window
//! costs what lies in it. The truth is read off the same facts ([`ExpectedRow`]), never off the JSON.

mod answer;
mod ask;
mod emit;
mod expected;
mod loose;
mod pages;
mod planted;
mod report;
mod row;
mod rows;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::model::time::{Age, Timestamp};

pub use expected::{ExpectedDialOut, ExpectedRow};
pub use planted::PlantedRow;
pub use row::LogRow;

pub(super) use ask::Function;
pub(super) use pages::Bookmark;

use row::Row;

/// One of the five logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogKind {
    Pstn,
    DirectRouting,
    Sms,
    BlockedUsers,
    DialOut,
}

impl LogKind {
    pub const ALL: [LogKind; 5] =
        [LogKind::Pstn, LogKind::DirectRouting, LogKind::Sms, LogKind::BlockedUsers, LogKind::DialOut];

    /// The function's name in a path.
    pub fn function(self) -> &'static str {
        match self {
            LogKind::Pstn => "getPstnCalls",
            LogKind::DirectRouting => "getDirectRoutingCalls",
            LogKind::Sms => "getSmsLog",
            LogKind::BlockedUsers => "getPstnBlockedUsersLog",
            LogKind::DialOut => "getPstnOnlineMeetingDialoutReport",
        }
    }

    pub fn is_beta_only(self) -> bool {
        !matches!(self, LogKind::Pstn | LogKind::DirectRouting)
    }

    /// Whether a row exactly at `toDateTime` is in the answer. Documented for the first three; for blocked users and dial-outs
    /// nobody says, and here it is not.
    pub fn includes_end(self) -> bool {
        matches!(self, LogKind::Pstn | LogKind::Sms)
    }

    fn row_type(self) -> &'static str {
        match self {
            LogKind::Pstn => "pstnCallLogRow",
            LogKind::DirectRouting => "directRoutingLogRow",
            LogKind::Sms => "smsLogRow",
            LogKind::BlockedUsers => "pstnBlockedUsersLogRow",
            LogKind::DialOut => "pstnOnlineMeetingDialoutReport",
        }
    }
}

/// How a log comes to look as no schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reshape {
    /// Each row has members that no schema lists.
    UnknownMembers,
    /// No row has the member `id`.
    WithoutId,
    /// The body has `rows` in place of `value`.
    NoValue,
}

/// How long Graph keeps a row, from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRetention {
    pub pstn: Age,
    pub direct_routing: Age,
    pub sms: Age,
    pub blocked_users: Age,
    /// Of the single dial-outs that the report counts.
    pub dial_out: Age,
}

impl LogRetention {
    pub fn of(&self, log: LogKind) -> Age {
        match log {
            LogKind::Pstn => self.pstn,
            LogKind::DirectRouting => self.direct_routing,
            LogKind::Sms => self.sms,
            LogKind::BlockedUsers => self.blocked_users,
            LogKind::DialOut => self.dial_out,
        }
    }
}

impl Default for LogRetention {
    /// The figures for "all other countries"; where none is known the lowest.
    fn default() -> Self {
        let (year, least) = (Age::days(365), Age::days(150));
        Self { pstn: year, direct_routing: least, sms: year, blocked_users: least, dial_out: least }
    }
}

/// The stretch of time that a request asks for, with its end as it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Window {
    pub(super) log: LogKind,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Window {
    /// The first instant behind the window.
    fn end(&self) -> Timestamp {
        if self.log.includes_end() { self.to + Age(1) } else { self.to }
    }

    fn holds(&self, instant: Timestamp) -> bool {
        self.from <= instant && instant < self.end()
    }
}

/// What the world needs to know to make rows.
#[derive(Debug)]
pub(super) struct Telephony {
    /// Midnight of the first day with rows.
    first: Timestamp,
    retention: LogRetention,
    /// ISO code of the tenant's country.
    country: String,
    planted: RwLock<BTreeMap<(LogKind, Timestamp, u64), Arc<Row>>>,
    planted_count: AtomicU64,
}

const DAY_NS: i64 = Age::days(1).0;

impl Telephony {
    pub(super) fn new(first: Timestamp, retention: LogRetention, country: String) -> Self {
        let first = first.floor_to(Age::days(1));
        Self { first, retention, country, planted: RwLock::default(), planted_count: AtomicU64::new(0) }
    }

    pub(super) fn first(&self) -> Timestamp {
        self.first
    }

    /// Adds a row made by hand; `person` is who it is about when the test did not say.
    pub(super) fn plant(&self, row: PlantedRow, person: &crate::simulate::Person) {
        let number = self.planted_count.fetch_add(1, Ordering::Relaxed);
        let row = Arc::new(row.finish(number, person));
        let mut planted = self.planted.write().unwrap_or_else(PoisonError::into_inner);
        planted.insert((row.log, row.start(), number), row);
    }

    fn planted_between(&self, log: LogKind, from: Timestamp, to: Timestamp) -> Vec<Arc<Row>> {
        let planted = self.planted.read().unwrap_or_else(PoisonError::into_inner);
        planted.range((log, from, 0)..(log, to, 0)).map(|(_, row)| row.clone()).collect()
    }
}
