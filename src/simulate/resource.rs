//! What a path leads to, and which permission opens it.

use crate::simulate::{
    counts::Sort,
    logs::Function,
    query::{Target, percent_decode},
    tokens::CALL_RECORDS_ROLE,
};

/// What an application needs at least for the log functions.
pub const PSTN_CALLS_ROLE: &str = "CallRecord-PstnCalls.Read.All";
/// What an application needs to look up people.
pub const USERS_ROLE: &str = "User.Read.All";
/// What suffices for the names of people.
pub const USERS_BASIC_ROLE: &str = "User.ReadBasic.All";

/// Something that Graph has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Calls(Target),
    Log(Function),
    People(People),
    Subscriptions(Subscribed),
}

/// All subscriptions of the application, or something of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subscribed {
    All,
    One(String),
    Reauthorize(String),
}

/// Something of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum People {
    List,
    /// By id or user principal name.
    One(String),
    Delta,
}

impl Resource {
    /// Reads a path below the host; `None` when this version of Graph has nothing there.
    pub(super) fn of(path: &str) -> Option<Self> {
        let beta = path.strip_prefix("/beta/");
        let below = beta.or_else(|| path.strip_prefix("/v1.0/"))?;
        if let Some(function) = below.strip_prefix("communications/callRecords/").map(percent_decode)
            && function.contains('(')
        {
            return Function::of(beta.is_some(), &function).map(Resource::Log);
        }
        match below.split('/').map(percent_decode).collect::<Vec<_>>().as_slice() {
            [subscriptions, rest @ ..] if subscriptions == "subscriptions" => {
                Subscribed::of(rest).map(Resource::Subscriptions)
            }
            [users, rest @ ..] if users == "users" => People::of(rest).map(Resource::People),
            _ => Target::of(path).map(Resource::Calls),
        }
    }

    /// The application permissions of which one lets a request through.
    pub(super) fn permissions(&self) -> &'static [&'static str] {
        match self {
            Resource::Calls(_) | Resource::Subscriptions(_) => &[CALL_RECORDS_ROLE],
            Resource::Log(_) => &[CALL_RECORDS_ROLE, PSTN_CALLS_ROLE],
            Resource::People(_) => &[USERS_ROLE, USERS_BASIC_ROLE],
        }
    }

    pub(super) fn record_id(&self) -> Option<&str> {
        match self {
            Resource::Calls(target) => target.record_id(),
            Resource::Log(_) | Resource::People(_) | Resource::Subscriptions(_) => None,
        }
    }

    /// What a request with this query counts as.
    pub(super) fn sort(&self, query: &str) -> Sort {
        let is_continued = query.contains("skiptoken=");
        match self {
            Resource::Calls(Target::List) => Sort::List,
            Resource::Calls(Target::Record(_)) if query.contains("participants_v2") => Sort::Participants,
            Resource::Calls(Target::Record(_)) => Sort::Get,
            Resource::Calls(Target::Sessions(_)) => Sort::SessionsPage,
            Resource::Calls(Target::Participants(_)) if is_continued => Sort::ParticipantsPage,
            Resource::Calls(Target::Participants(_)) => Sort::Participants,
            Resource::Log(function) => Sort::Log(function.log),
            Resource::People(People::List) => Sort::Users,
            Resource::People(People::One(_)) => Sort::User,
            Resource::People(People::Delta) => Sort::UsersDelta,
            Resource::Subscriptions(_) => Sort::Subscriptions,
        }
    }
}

impl Subscribed {
    fn of(below: &[String]) -> Option<Self> {
        match below {
            [] => Some(Subscribed::All),
            [id] if !id.is_empty() => Some(Subscribed::One(id.clone())),
            [id, reauthorize] if reauthorize == "reauthorize" => Some(Subscribed::Reauthorize(id.clone())),
            _ => None,
        }
    }
}

impl People {
    fn of(below: &[String]) -> Option<Self> {
        match below {
            [] => Some(People::List),
            [delta] if matches!(delta.as_str(), "delta" | "delta()") => Some(People::Delta),
            [id] if !id.is_empty() => Some(People::One(id.clone())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::LogKind;

    #[test]
    fn paths_lead_to_calls_logs_and_people() {
        let id = "a@b.c".to_owned();
        assert_eq!(Resource::of("/v1.0/communications/callRecords"), Some(Resource::Calls(Target::List)));
        assert_eq!(Resource::of("/beta/users"), Some(Resource::People(People::List)));
        assert_eq!(Resource::of("/v1.0/users/delta"), Some(Resource::People(People::Delta)));
        assert_eq!(Resource::of("/v1.0/users/a%40b.c"), Some(Resource::People(People::One(id))));
        let renewed = Resource::Subscriptions(Subscribed::Reauthorize("s".to_owned()));
        assert_eq!(Resource::of("/beta/subscriptions"), Some(Resource::Subscriptions(Subscribed::All)));
        assert_eq!(Resource::of("/v1.0/subscriptions/s/reauthorize"), Some(renewed));
        let range = "fromDateTime%3D2026-08-01%2CtoDateTime%3D2026-08-02%29";
        let log = Resource::of(&format!("/beta/communications/callRecords/getSmsLog%28{range}"));
        assert!(matches!(log, Some(Resource::Log(function)) if function.log == LogKind::Sms));
        for nothing in [
            "/v1.0/groups",
            "/v1.0/users/a/manager",
            "/v1.0/subscriptions/s/renew",
            "/v2.0/users",
            "/v1.0/communications/callRecords/getSmsLog(fromDateTime=2026-08-01,toDateTime=2026-08-02)",
            "/beta/communications/callRecords/getEverything(fromDateTime=2026-08-01,toDateTime=2026-08-02)",
        ] {
            assert_eq!(Resource::of(nothing), None, "{nothing}");
        }
    }
}
