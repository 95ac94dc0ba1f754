//! Sets that are closed for us. What Graph may extend (call types, modalities, platforms) stays text.

use std::fmt;
use std::str::FromStr;

/// What a record is: one of the six things that the call records API gives out, or somebody of whom they speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Call,
    Pstn,
    DirectRouting,
    BlockedUser,
    DialOut,
    Sms,
    /// A user of the directory. Never a hit: it tells who the people in hits are.
    Person,
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Call, Kind::Pstn, Kind::DirectRouting, Kind::BlockedUser, Kind::DialOut, Kind::Sms, Kind::Person];

    /// Those that questions are answered with.
    pub const HITS: [Kind; 6] =
        [Kind::Call, Kind::Pstn, Kind::DirectRouting, Kind::BlockedUser, Kind::DialOut, Kind::Sms];

    /// The kind that has this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name of the command-line contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Call => "call",
            Kind::Pstn => "pstn",
            Kind::DirectRouting => "direct-routing",
            Kind::BlockedUser => "blocked-user",
            Kind::DialOut => "dial-out",
            Kind::Sms => "sms",
            Kind::Person => "person",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    /// Reads the name of a kind of hit.
    fn from_str(text: &str) -> Result<Self, String> {
        Kind::HITS.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<_> = Kind::HITS.iter().map(|kind| kind.name()).collect();
            format!("no such kind; there are {}", names.join(", "))
        })
    }
}

/// In which parts somebody took part in a record: a set, kept as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles(pub u8);

impl Roles {
    pub const ORGANIZER: Roles = Roles(1);
    pub const PARTICIPANT: Roles = Roles(2);
    pub const CALLER: Roles = Roles(4);
    pub const CALLEE: Roles = Roles(8);

    #[must_use]
    pub fn with(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }

    #[must_use]
    pub fn contains(self, other: Roles) -> bool {
        self.0 & other.0 == other.0
    }
}
