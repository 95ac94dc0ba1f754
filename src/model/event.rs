//! What happens during work, as facts and numbers. Somebody else decides what it looks like.

use crate::model::{
    id::{RecordKey, Version},
    source::Source,
    time::{Age, Span},
};

/// Why a request is not sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Graph answered 429; it named the wait, or back-off did.
    Throttled,
    /// Another answer that passes, or no answer.
    Failed,
    /// The record's own budget is spent.
    RecordBudget,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A new access token is in use.
    SignedIn,
    /// A request was sent.
    Requested,
    /// A request is tried again after `wait`.
    Waiting { why: Wait, wait: Age, attempt: u32, url: String, cause: String },
    /// So many windows are about to be listed.
    Planned { source: Source, windows: usize },
    /// A page of a listing is in: rows on it, and how many of them are to be fetched.
    Listed { source: Source, span: Span, rows: usize, wanted: usize },
    /// A window was listed to its end.
    Covered { source: Source, span: Span },
    /// A window could not be listed to its end; it will be tried again.
    WindowFailed { source: Source, span: Span, cause: String },
    /// A version is stored and acknowledged.
    Kept { key: RecordKey, version: Version, raw_bytes: usize },
    /// A fetched version was already there.
    Unchanged { key: RecordKey },
    /// A record could not be fetched now; it stays on the to-do list.
    Failed { key: RecordKey, cause: String },
    /// A record is gone for good.
    Lost { key: RecordKey },
    /// The search index has reached the head of the ledger.
    Indexed { records: usize },
    /// A stop was asked for; what is in hand is finished first.
    Stopping,
}

/// Takes events, from any thread.
pub trait Observer: Send + Sync {
    fn event(&self, event: &Event);
}

impl Observer for () {
    fn event(&self, _: &Event) {}
}
