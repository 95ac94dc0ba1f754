//! What was sent, and what came of it: what a test compares with what a receiver took.

use crate::simulate::notices::Forgery;

/// Notifications so far. An item is what one subscription is told of one record; a POST has one or more of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// True items that were tried at least once, the second of doubled ones included.
    pub sent: u64,
    /// True items in POSTs answered with 2xx.
    pub accepted: u64,
    /// True items that were given up: not accepted in time, or their subscription was gone when they were due.
    pub lost: u64,
    /// Items never sent, by chance.
    pub dropped: u64,
    /// Items sent twice, by chance.
    pub doubled: u64,
    /// Items sent late, by chance.
    pub late: u64,
    /// Items that let another one pass.
    pub overtaken: u64,
    /// Forged items that were tried.
    pub forged: u64,
    /// Lifecycle events that were tried.
    pub lifecycle: u64,
    /// POSTs that went out, repetitions included, of items and of lifecycle events.
    pub posts: u64,
    /// POSTs answered otherwise than with 2xx, too late or not at all.
    pub refused: u64,
    /// POSTs that went out once more.
    pub retried: u64,
    /// Items not due yet or held, and POSTs not done with; 0 when nothing is to come of what became visible so far.
    pub waiting: u64,
    /// The records whose items were dropped; one may be in it twice.
    pub dropped_ids: Vec<String>,
    /// The records that forged items named: none exists.
    pub forged_ids: Vec<(Forgery, String)>,
}
