//! What stands on a page: records of a list, a record with what was expanded, pages of its sessions and participants.

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        call::Party,
        cursor::Place,
        emit::{self, Header, Prefer},
        identity,
        json::Json,
        query::Expand,
        world::{RETENTION, Record},
    },
};

/// How many items a page has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSizes {
    pub list: usize,
    pub sessions: usize,
    pub participants: usize,
    /// Rows of a log.
    pub log: usize,
    /// Users of a list or delta for which no `$top` is asked.
    pub users: usize,
    pub subscriptions: usize,
}

impl Default for PageSizes {
    /// Graph's.
    fn default() -> Self {
        Self { list: 60, sessions: 60, participants: 130, log: 1000, users: 100, subscriptions: 20 }
    }
}

/// A page without its brackets: JSON of the items, and where the next page begins.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: String,
    pub(super) next: Option<Place>,
    /// Where a page would begin that repeats this one's last item.
    pub(super) last: Option<Place>,
}

/// The page of a list that begins at `place`, as it looks at `now`.
pub(super) fn list(world: &World, place: &Place, size: usize, now: Timestamp) -> Page {
    let Place::List { from_ns, to_ns, participant, select, next, planted } = place else {
        return Page { items: String::new(), next: None, last: None };
    };
    let (from, to) = (Timestamp(*from_ns), Timestamp(*to_ns).min(now));
    let shown = |record: Record| -> Option<(Record, usize)> {
        let edition = record.newest(now).filter(|_| from <= record.start() && record.start() < to)?;
        let named = participant.as_ref().is_none_or(|id| world.names(&record, edition, id));
        named.then_some((record, edition))
    };
    let cursor = planted.as_ref().map(|(start_ns, id)| (Timestamp(*start_ns), id.clone()));
    let mut by_hand =
        world.planted_after(cursor).into_iter().filter_map(|planted| shown(Record::Planted(planted))).peekable();
    let of_seed = world.calls_from(*next).take_while(|call| !world.is_past(call.n, to));
    let mut of_seed = of_seed.filter_map(|call| shown(Record::Generated(Box::new(call)))).peekable();

    let (mut next, mut planted) = (*next, planted.clone());
    let at = |next: u64, planted: Option<(i64, String)>| {
        let (participant, select) = (participant.clone(), select.clone());
        Place::List { from_ns: *from_ns, to_ns: *to_ns, participant, select, next, planted }
    };
    let mut last = None;
    let mut json = Json::new();
    for place in 0..size {
        let hand_first = match (by_hand.peek(), of_seed.peek()) {
            (Some(hand), Some(seed)) => hand.0.start() < seed.0.start(),
            (hand, _) => hand.is_some(),
        };
        let Some((record, edition)) = (if hand_first { by_hand.next() } else { of_seed.next() }) else { break };
        if place > 0 {
            json.raw(",");
        }
        last = Some(at(next, planted.clone()));
        header(world, &record, edition).list_item(&mut json, select.as_deref());
        match &record {
            Record::Generated(call) => next = call.n + 1,
            Record::Planted(call) => planted = Some((call.start.0, call.id.clone())),
        }
    }
    let more = by_hand.peek().is_some() || of_seed.peek().is_some();
    Page { items: json.into_string(), next: more.then(|| at(next, planted)), last }
}

/// The number of the first call that a list from `from` may have to show.
pub(super) fn first_listed(world: &World, from: Timestamp, now: Timestamp) -> u64 {
    world.first_at(from.max(now - RETENTION - Age::seconds(1)))
}

/// What a request for one record asks to have inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) expand: Expand,
    pub(super) select: Option<&'a [String]>,
    pub(super) sizes: PageSizes,
    pub(super) prefer: Prefer,
}

/// A record by itself. `link` makes the next link for a place.
pub(super) fn record(
    world: &World,
    record: &Record,
    edition: usize,
    wanted: &Wanted<'_>,
    link: impl Fn(Place) -> String,
) -> String {
    let Wanted { expand, select, sizes, prefer } = *wanted;
    let header = header(world, record, edition);
    let mut json = Json::new();
    let expanded = match expand {
        Expand::Nothing => "",
        Expand::Sessions { segments: false } => "(sessions())",
        Expand::Sessions { segments: true } => "(sessions(segments()))",
        Expand::Participants => "(participants_v2())",
    };
    header.open_record(&mut json, expanded, select);
    header.participants_context(&mut json);
    match expand {
        Expand::Nothing => {}
        Expand::Sessions { segments } => {
            let page = sessions(world, record, edition, 0, sizes.sessions, segments, prefer);
            header.sessions_context(&mut json, segments);
            json.raw(",\"sessions\":[").raw(&page.items).raw("]");
            if let Some(next) = page.next {
                json.raw(",\"sessions@odata.nextLink\":").text(&link(next));
            }
        }
        Expand::Participants => {
            let page = participants(world, record, edition, 0, sizes.participants);
            if let Some(next) = page.next {
                json.raw(",\"participants_v2@odata.nextLink\":").text(&link(next));
            }
            json.raw(",\"participants_v2\":[").raw(&page.items).raw("]");
        }
    }
    json.raw("}");
    json.into_string()
}

/// A page of sessions from number `offset` on.
pub(super) fn sessions(
    world: &World,
    record: &Record,
    edition: usize,
    offset: usize,
    size: usize,
    segments: bool,
    prefer: Prefer,
) -> Page {
    let mut json = Json::new();
    let total = match record {
        Record::Planted(planted) => {
            let sessions = &planted.versions[edition].sessions;
            json.list(sessions.iter().skip(offset).take(size), |json, text| {
                json.raw(text);
            });
            sessions.len()
        }
        Record::Generated(call) => {
            let edition = &call.editions[edition];
            let parties = world.parties(call);
            let end = edition.sessions.min((offset + size) as u64);
            json.list(offset as u64..end, |json, place| {
                let session = call.session(world.seed(), edition, &parties, place);
                emit::session(json, world, &call.id, &session, segments, prefer);
            });
            usize::try_from(edition.sessions).unwrap_or(usize::MAX)
        }
    };
    let next = Place::Sessions { id: record.id().to_owned(), edition, offset: offset + size, segments };
    Page { items: json.into_string(), next: (offset + size < total).then_some(next), last: None }
}

/// A page of participants from number `offset` on.
pub(super) fn participants(world: &World, record: &Record, edition: usize, offset: usize, size: usize) -> Page {
    let mut json = Json::new();
    let total = match record {
        Record::Planted(planted) => {
            let participants = &planted.versions[edition].participants;
            json.list(participants.iter().skip(offset).take(size), |json, text| {
                json.raw(text);
            });
            participants.len()
        }
        Record::Generated(call) => {
            let mut parties: Vec<Party> = world.parties(call);
            parties.truncate(usize::try_from(call.people_in(&call.editions[edition])).unwrap_or(usize::MAX));
            json.list(parties.iter().skip(offset).take(size), |json, party| {
                identity::participant(json, world, *party, call.start);
            });
            parties.len()
        }
    };
    let next = Place::Participants { id: record.id().to_owned(), edition, offset: offset + size };
    Page { items: json.into_string(), next: (offset + size < total).then_some(next), last: None }
}

fn header(world: &World, record: &Record, edition: usize) -> Header {
    match record {
        Record::Generated(call) => Header::generated(world, call, &call.editions[edition]),
        Record::Planted(planted) => Header::planted(planted, &planted.versions[edition]),
    }
}
