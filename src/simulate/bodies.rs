//! What Graph would send of a call, without asking for it: for benches that take more calls than HTTP gives in the time.

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        emit::{self, Prefer},
        json::Json,
        pages::{self, PageSizes, Wanted},
        query::Expand,
        world::Record,
    },
};

/// The last version of a generated call, whole: no page ends.
#[derive(Clone, Debug)]
pub struct Bodies {
    pub id: String,
    pub version: i64,
    pub start: Timestamp,
    /// When this version appeared.
    pub visible: Timestamp,
    /// The record with all its sessions and their segments.
    pub record: String,
    pub participants: String,
}

impl World {
    /// The bodies of call number `n`, counted by start; none before the first.
    pub fn bodies(&self, n: u64) -> Option<Bodies> {
        let call = Record::Generated(Box::new(self.call(n)?));
        let last = call.editions() - 1;
        let (version, visible) = call.edition(last);
        let whole = PageSizes { sessions: usize::MAX, participants: usize::MAX, ..PageSizes::default() };
        let prefer = Prefer { unknown_enum_members: true };
        let wanted = Wanted { expand: Expand::Sessions { segments: true }, select: None, sizes: whole, prefer };
        let record = pages::record(self, &call, last, &wanted, |_| String::new());
        let items = pages::participants(self, &call, last, 0, whole.participants).items;
        let participants = Json::new_with(|json| {
            json.raw("{");
            emit::page_context(json, call.id(), "participants_v2");
            json.raw(",\"value\":[").raw(&items).raw("]}");
        });
        Some(Bodies { id: call.id().to_owned(), version, start: call.start(), visible, record, participants })
    }
}
