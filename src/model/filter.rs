//! One question, for query, export and whatever asks later: a text, filters, an order and a limit.

use crate::model::{
    kind::Kind,
    place::Place,
    time::{Age, Timestamp},
};

/// Conditions that all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Each must have taken part: object id, UPN or mail, display name, or phone number in any spelling.
    pub participants: Vec<String>,
    /// Any of them organized it, named as above.
    pub organizers: Vec<String>,
    /// Any of these; none means all.
    pub kinds: Vec<Kind>,
    /// Any of these call types, compared without case; none means all.
    pub types: Vec<String>,
    /// All of these modalities, compared without case.
    pub modalities: Vec<String>,
    /// Start at or after.
    pub from: Option<Timestamp>,
    /// Start before.
    pub to: Option<Timestamp>,
    pub min_duration: Option<Age>,
    /// Only records with a failure in any session or segment.
    pub failed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Latest start first.
    #[default]
    Newest,
    Oldest,
    Longest,
    /// Best match of the text first; like `Newest` without a text.
    Relevance,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// In the query language of `docs/search.md`.
    pub text: Option<String>,
    pub filter: Filter,
    pub sort: Sort,
    /// At most so many records; `None` means all.
    pub limit: Option<usize>,
    /// Only what comes after this place, which is one of the same order.
    pub after: Option<Place>,
}
