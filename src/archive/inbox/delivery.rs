//! What is put into the inbox: ids, missed time, and how often something happened.

use std::collections::BTreeMap;

use crate::model::time::Span;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tally {
    /// Notifications whose ids were queued.
    Accepted,
    /// Those of them whose id was waiting already.
    Folded,
    /// About a subscription, not a record.
    Lifecycle,
    /// The secret is not that of the subscription.
    WrongSecret,
    WrongTenant,
    UnknownSubscription,
    /// Of no call record.
    NotARecord,
    /// Requests whose body is not what Graph sends.
    Malformed,
    /// Requests turned away because there were too many.
    Limited,
    /// Validations answered.
    Validated,
    /// Ids taken over by a sync.
    Taken,
}

impl Tally {
    pub const ALL: [Tally; 11] = [
        Tally::Accepted,
        Tally::Folded,
        Tally::Lifecycle,
        Tally::WrongSecret,
        Tally::WrongTenant,
        Tally::UnknownSubscription,
        Tally::NotARecord,
        Tally::Malformed,
        Tally::Limited,
        Tally::Validated,
        Tally::Taken,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Tally::Accepted => "accepted",
            Tally::Folded => "folded",
            Tally::Lifecycle => "lifecycle",
            Tally::WrongSecret => "wrong_secret",
            Tally::WrongTenant => "wrong_tenant",
            Tally::UnknownSubscription => "unknown_subscription",
            Tally::NotARecord => "not_a_record",
            Tally::Malformed => "malformed",
            Tally::Limited => "limited",
            Tally::Validated => "validated",
            Tally::Taken => "taken",
        }
    }
}

/// What one request brought, or several.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    pub ids: Vec<String>,
    /// Time of which notifications were missed, and why.
    pub missed: Vec<(Span, String)>,
    /// Whether Graph asks for a renewal.
    pub reauthorize: bool,
    pub tallies: BTreeMap<Tally, u64>,
}

impl Delivery {
    pub fn count(&mut self, tally: Tally) {
        *self.tallies.entry(tally).or_default() += 1;
    }

    /// Takes another's contents over.
    pub fn append(&mut self, mut other: Delivery) {
        self.ids.append(&mut other.ids);
        self.missed.append(&mut other.missed);
        self.reauthorize |= other.reauthorize;
        for (tally, times) in other.tallies {
            *self.tallies.entry(tally).or_default() += times;
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.missed.is_empty() && !self.reauthorize && self.tallies.is_empty()
    }
}
