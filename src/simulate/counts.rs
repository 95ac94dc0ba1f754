//! How much was asked: what a test looks at to see that a client does not ask twice.

use std::collections::HashMap;

use crate::simulate::LogKind;

/// Requests so far, refused ones and faults included in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub token: u64,
    /// Pages of lists.
    pub list: u64,
    /// A record by itself or with sessions.
    pub get: u64,
    /// Pages of sessions outside their record.
    pub sessions_page: u64,
    /// A record with participants, or their first page outside it.
    pub participants: u64,
    /// Later pages of participants.
    pub participants_page: u64,
    /// Pages of the log functions, by [`LogKind::ALL`](crate::simulate::LogKind::ALL).
    logs: [u64; 5],
    /// Pages of the list of users.
    pub users: u64,
    /// Single users.
    pub user: u64,
    /// Pages of the users' delta.
    pub users_delta: u64,
    /// Whatever is asked about subscriptions.
    pub subscriptions: u64,
    /// Answers with 429, whether by the limits or by the weather.
    pub refused_429: u64,
    /// Requests that met a fault of the weather or a planted one.
    pub faults: u64,
    by_record: HashMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Token,
    List,
    Get,
    SessionsPage,
    Participants,
    ParticipantsPage,
    Log(LogKind),
    Users,
    User,
    UsersDelta,
    Subscriptions,
    Refused,
    Fault,
}

impl Counts {
    /// All requests for anything of one record.
    pub fn of_record(&self, id: &str) -> u64 {
        self.by_record.get(id).copied().unwrap_or(0)
    }

    /// All requests for one log.
    pub fn of_log(&self, log: LogKind) -> u64 {
        self.logs[log as usize]
    }

    /// All requests for records and their pages, lists and tokens aside.
    pub fn of_records(&self) -> u64 {
        self.get + self.sessions_page + self.participants + self.participants_page
    }

    pub(super) fn add(&mut self, sort: Sort, id: Option<&str>) {
        *match sort {
            Sort::Token => &mut self.token,
            Sort::List => &mut self.list,
            Sort::Get => &mut self.get,
            Sort::SessionsPage => &mut self.sessions_page,
            Sort::Participants => &mut self.participants,
            Sort::ParticipantsPage => &mut self.participants_page,
            Sort::Log(log) => &mut self.logs[log as usize],
            Sort::Users => &mut self.users,
            Sort::User => &mut self.user,
            Sort::UsersDelta => &mut self.users_delta,
            Sort::Subscriptions => &mut self.subscriptions,
            Sort::Refused => &mut self.refused_429,
            Sort::Fault => &mut self.faults,
        } += 1;
        if let Some(id) = id {
            *self.by_record.entry(id.to_owned()).or_default() += 1;
        }
    }
}
