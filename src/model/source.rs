//! Where records come from, and the facts that Microsoft states of each source: path, permission, page, retention.

use crate::model::{kind::Kind, time::Age};

/// A source of records, as `sync --source` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Calls,
}

impl Source {
    pub const ALL: [Source; 1] = [Source::Calls];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Calls => "calls",
        }
    }

    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Source::Calls => Kind::Call,
        }
    }

    /// Path below the host, version included.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Source::Calls => "/v1.0/communications/callRecords",
        }
    }

    /// The application permission without which Graph answers 403.
    #[must_use]
    pub fn permission(self) -> &'static str {
        match self {
            Source::Calls => "CallRecords.Read.All",
        }
    }

    /// How long after its start Graph keeps a record (30 days; the error text counts from the start, the reference from the
    /// end: the earlier is taken).
    #[must_use]
    pub fn retention(self) -> Age {
        match self {
            Source::Calls => Age::days(30),
        }
    }

    /// How long after its start a record may still appear for the first time: a meeting may run 30 hours, its first version
    /// may take 150 minutes; rounded up.
    #[must_use]
    pub fn settling(self) -> Age {
        match self {
            Source::Calls => Age::hours(36),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
