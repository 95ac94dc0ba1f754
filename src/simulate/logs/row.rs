//! One row of a log as facts: what it says at first, what it says later.

use crate::{
    model::time::{Age, Timestamp},
    simulate::logs::LogKind,
};

/// What one row says. Members that its log does not have are left out of the JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Not unique in each case, and `None` for some.
    pub id: Option<String>,
    /// `None` for bots.
    pub user_id: Option<String>,
    pub user_principal_name: Option<String>,
    pub user_display_name: Option<String>,
    /// ISO code of the user's country; a report's `usageLocation`.
    pub user_country: String,
    /// `startDateTime`, `sentDateTime` or `blockDateTime`. Stays the same when a row changes.
    pub start: Timestamp,
    pub duration_s: i64,
    /// `callerNumber`, `sourceNumber` or `userTelephoneNumber`.
    pub caller: Option<String>,
    /// `calleeNumber` or `destinationNumber`.
    pub callee: Option<String>,
    /// `callType`, `smsType` or `userBlockMode`.
    pub call_type: String,
    /// `charge` or `callCharge`: the text of a JSON number, whose scale is kept.
    pub charge: Option<String>,
    pub connection_charge: Option<String>,
    pub currency: String,
    pub destination_context: Option<String>,
    /// ISO code of the outside party's country.
    pub other_country: Option<String>,
    /// `callId`, `correlationId`, `smsId` or `remediationId`.
    pub call_id: Option<String>,
    /// The call record of the same call, whether or not the row names it. Not in the JSON.
    pub call_record_id: Option<String>,
    /// Why a direct routing call was not set up.
    pub failure: Option<SipFailure>,
    /// Members such as `"unknownThing":1e-7`; may be empty.
    pub extra_members: String,
    /// What the members of no consequence are thrown with.
    pub(super) noise: u64,
}

/// How an attempt ended, at the row's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipFailure {
    pub code: u16,
    pub phrase: String,
}

impl LogRow {
    /// The end of the connection; for attempts and events of no length the start.
    pub fn end(&self) -> Timestamp {
        self.start + Age::seconds(self.duration_s)
    }
}

/// A row with all it will ever say.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) log: LogKind,
    /// Orders rows of the same start.
    pub(super) key: u64,
    /// Each with the time from which it is seen, rising; never empty.
    pub(super) editions: Vec<(Timestamp, LogRow)>,
}

impl Row {
    pub(super) fn start(&self) -> Timestamp {
        self.editions.first().map_or(Timestamp(0), |(_, row)| row.start)
    }

    /// What the row says at `at`, before it expires.
    pub(super) fn newest(&self, at: Timestamp) -> Option<&LogRow> {
        self.editions.iter().rev().find(|(from, _)| *from <= at).map(|(_, row)| row)
    }

    /// What a request at `now` sees.
    pub(super) fn seen(&self, now: Timestamp, retention: Age) -> Option<&LogRow> {
        if self.start() + retention <= now { None } else { self.newest(now) }
    }
}

/// A row without what depends on its sort, for the makers to fill.
pub(super) fn blank(start: Timestamp, noise: u64) -> LogRow {
    LogRow {
        id: None,
        user_id: None,
        user_principal_name: None,
        user_display_name: None,
        user_country: String::new(),
        start,
        duration_s: 0,
        caller: None,
        callee: None,
        call_type: String::new(),
        charge: None,
        connection_charge: None,
        currency: String::new(),
        destination_context: None,
        other_country: None,
        call_id: None,
        call_record_id: None,
        failure: None,
        extra_members: String::new(),
        noise,
    }
}
