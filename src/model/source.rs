//! Where records come from, and the facts that Microsoft states of each source: path, permission, range, retention.

use crate::model::{
    kind::Kind,
    time::{Age, Span, Timestamp},
};

/// A source of records, as `sync --source` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Calls,
    Pstn,
    DirectRouting,
    BlockedUsers,
    DialOut,
    Sms,
    People,
}

/// What has to be asked to get a source's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A list of headers, and each record by its id.
    Records,
    /// A function of a span, whose rows are the records.
    Log(Range),
    /// A delta query: everything once, then what changed.
    Delta,
}

/// How a log is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The longest span that one request asks for; Graph refuses more than 90 days with 406.
    pub longest: Age,
    /// Whether the answer sums the span up, so that only fixed spans, asked for once they are over, can be compared.
    pub sums_up: bool,
}

/// The facts of one source. Source of all: the reference of Graph, v1.0 and beta, with its permissions (2026-08).
struct Facts {
    name: &'static str,
    kind: Kind,
    protocol: Protocol,
    /// Below the host, version included.
    path: &'static str,
    /// Application permissions of which one is enough, the one to ask for first.
    permissions: &'static [&'static str],
}

const CALL_RECORDS: &str = "CallRecords.Read.All";
const LOGS: &[&str] = &[CALL_RECORDS, "CallRecord-PstnCalls.Read.All"];
const ROWS: Protocol = Protocol::Log(Range { longest: Age::days(30), sums_up: false });
const SUMS: Protocol = Protocol::Log(Range { longest: Age::days(1), sums_up: true });

impl Source {
    pub const ALL: [Source; 7] = [
        Source::Calls,
        Source::Pstn,
        Source::DirectRouting,
        Source::BlockedUsers,
        Source::DialOut,
        Source::Sms,
        Source::People,
    ];

    fn facts(self) -> Facts {
        match self {
            Source::Calls => Facts {
                name: "calls",
                kind: Kind::Call,
                protocol: Protocol::Records,
                path: "/v1.0/communications/callRecords",
                permissions: &[CALL_RECORDS],
            },
            Source::Pstn => Facts {
                name: "pstn",
                kind: Kind::Pstn,
                protocol: ROWS,
                path: "/v1.0/communications/callRecords/getPstnCalls",
                permissions: LOGS,
            },
            Source::DirectRouting => Facts {
                name: "direct-routing",
                kind: Kind::DirectRouting,
                protocol: ROWS,
                path: "/v1.0/communications/callRecords/getDirectRoutingCalls",
                permissions: LOGS,
            },
            Source::BlockedUsers => Facts {
                name: "blocked-users",
                kind: Kind::BlockedUser,
                protocol: ROWS,
                path: "/beta/communications/callRecords/getPstnBlockedUsersLog",
                permissions: LOGS,
            },
            Source::DialOut => Facts {
                name: "dial-out",
                kind: Kind::DialOut,
                protocol: SUMS,
                path: "/beta/communications/callRecords/getPstnOnlineMeetingDialoutReport",
                permissions: LOGS,
            },
            Source::Sms => Facts {
                name: "sms",
                kind: Kind::Sms,
                protocol: ROWS,
                path: "/beta/communications/callRecords/getSmsLog",
                permissions: LOGS,
            },
            Source::People => Facts {
                name: "people",
                kind: Kind::Person,
                protocol: Protocol::Delta,
                path: "/v1.0/users/delta",
                permissions: &["User.Read.All"],
            },
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// What its records are.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.facts().kind
    }

    #[must_use]
    pub fn protocol(self) -> Protocol {
        self.facts().protocol
    }

    /// Path below the host, version included.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.facts().path
    }

    /// The address of a log's rows in `span`, below the host.
    #[must_use]
    pub fn path_of(self, span: Span) -> String {
        let [from, to] = [span.from, span.to].map(Timestamp::to_seconds_text);
        format!("{}(fromDateTime={from},toDateTime={to})", self.path())
    }

    /// Whether Graph has it in its beta version only, which it may change or withdraw at any time.
    #[must_use]
    pub fn is_beta(self) -> bool {
        self.path().starts_with("/beta/")
    }

    /// The application permission to ask for: without it, and without what [`Self::is_permitted`] takes in its place, Graph
    /// answers 403.
    #[must_use]
    pub fn permission(self) -> &'static str {
        self.facts().permissions[0]
    }

    /// The application permission that lets one read the least besides it.
    #[must_use]
    pub fn least_permission(self) -> &'static str {
        let permissions = self.facts().permissions;
        permissions[permissions.len() - 1]
    }

    /// Whether somebody with these roles may read it.
    #[must_use]
    pub fn is_permitted(self, roles: &[String]) -> bool {
        self.facts().permissions.iter().any(|permission| roles.iter().any(|role| role == permission))
    }

    /// How long after its start a record may still appear for the first time. A meeting may run 30 hours and its first version
    /// take 150 minutes; a row of a log shows 24 to 48 hours late. Both rounded up.
    #[must_use]
    pub fn settling(self) -> Age {
        match self.protocol() {
            Protocol::Records => Age::hours(36),
            Protocol::Log(_) => Age::hours(72),
            Protocol::Delta => Age::default(),
        }
    }

    /// The step in which time is listed, and told of: an hour of call starts, a day of a log.
    #[must_use]
    pub fn bucket(self) -> Age {
        match self.protocol() {
            Protocol::Records => Age::hours(1),
            Protocol::Log(_) | Protocol::Delta => Age::days(1),
        }
    }

    /// How long before Graph forgets it a gap counts as at risk.
    #[must_use]
    pub fn risk_margin(self) -> Age {
        match self.protocol() {
            Protocol::Records => Age::hours(72),
            Protocol::Log(_) | Protocol::Delta => Age::days(14),
        }
    }

    /// How long after its start nobody misses a record that is not there yet.
    #[must_use]
    pub fn latency(self) -> Age {
        match self.protocol() {
            Protocol::Records => Age::minutes(150),
            Protocol::Log(_) => Age::hours(48),
            Protocol::Delta => Age::default(),
        }
    }

    /// Whether coverage has a meaning: a source of events in time, not of things that are.
    #[must_use]
    pub fn is_of_events(self) -> bool {
        self.protocol() != Protocol::Delta
    }
}

/// The id by which Microsoft Graph's application permission is granted in the worldwide cloud.
///
/// Source: "Microsoft Graph permissions reference", column Application (2026-08).
#[must_use]
pub fn app_role_id(permission: &str) -> Option<&'static str> {
    match permission {
        CALL_RECORDS => Some("45bbb07e-7321-4fd7-a8f6-3ff27e6a81c8"),
        "CallRecord-PstnCalls.Read.All" => Some("a2611786-80b3-417e-adaa-707d4261a5f0"),
        "User.Read.All" => Some("df021288-bdef-4463-88db-98f22de89214"),
        _ => None,
    }
}

/// Microsoft Graph's own app id, the same in every tenant and cloud.
pub const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_asked_in_function_syntax_with_bare_utc_times() {
        let span = Span::new(Timestamp::from_second(1_793_491_200), Timestamp::from_second(1_793_577_600));
        assert_eq!(
            Source::Sms.path_of(span),
            "/beta/communications/callRecords/getSmsLog(fromDateTime=2026-11-01T00:00:00Z,toDateTime=2026-11-02T00:00:00Z)"
        );
    }

    #[test]
    fn one_of_two_permissions_is_enough_for_the_logs() {
        let roles = ["CallRecord-PstnCalls.Read.All".to_owned()];
        assert!(Source::Pstn.is_permitted(&roles) && Source::Sms.is_permitted(&roles));
        assert!(!Source::Calls.is_permitted(&roles) && !Source::People.is_permitted(&roles));
    }
}
