//! Calls made by hand for tests: the exact text of each member, the exact moment of each version, chosen failures.

use std::sync::OnceLock;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        call::{Lines, Party, Session},
        dice::{Dice, mix_text},
        emit, identity,
        json::Json,
        weather::Fault,
    },
};

/// A call added to the world with [`Simulator::plant`](crate::simulate::Simulator::plant).
#[derive(Clone, Debug)]
pub struct Planted {
    pub id: String,
    pub start: Timestamp,
    pub end: Timestamp,
    pub call_type: String,
    /// JSON of `organizer_v2`.
    pub organizer: String,
    /// Oldest first. At least one for the call to exist.
    pub versions: Vec<PlantedVersion>,
    /// Since when it is gone, though its 30 days are not over.
    pub gone_at: Option<Timestamp>,
    pub faults: PlantedFaults,
}

/// One version, its JSON verbatim.
#[derive(Clone, Debug)]
pub struct PlantedVersion {
    pub version: i64,
    pub visible_at: Timestamp,
    pub last_modified: Timestamp,
    /// Members of the record's header without braces, such as `"unknownThing":{"a":1e-7}`; may be empty.
    pub extra_members: String,
    /// JSON of each session, its segments inside.
    pub sessions: Vec<String>,
    /// JSON of each participant.
    pub participants: Vec<String>,
}

/// What goes wrong with the requests for one record, whatever the weather.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlantedFaults {
    /// How many requests (the record's own, its sessions' and its participants') meet the fault before one gets through.
    pub fail_gets: u32,
    /// None gets through, however often it is tried.
    pub forever: bool,
    /// The answer; 0 for `fault` instead.
    pub status: u16,
    /// What happens when `status` is 0.
    pub fault: Option<Fault>,
}

impl Planted {
    /// A group call of an hour whose version 1 is visible ten minutes after its end, with three sessions of three people.
    pub fn meeting(id: impl Into<String>, start: Timestamp) -> Self {
        let (id, end) = (id.into(), start + Age::hours(1));
        let organizer = Json::new_with(|json| identity::participant(json, cast(), Party::User(0), start));
        let visible_at = end + Age::minutes(10);
        let first = PlantedVersion {
            version: 1,
            visible_at,
            last_modified: visible_at - Age::minutes(2),
            extra_members: String::new(),
            sessions: Vec::new(),
            participants: Vec::new(),
        };
        let (call_type, versions) = ("groupCall".to_owned(), vec![first]);
        Self { id, start, end, call_type, organizer, versions, gone_at: None, faults: PlantedFaults::default() }
            .sessions(3)
            .participants(3)
    }

    /// Gives the newest version `count` generated sessions.
    #[must_use]
    pub fn sessions(self, count: usize) -> Self {
        let sessions = (0..count).map(|place| self.generated_session(place)).collect();
        self.newest(|version| version.sessions = sessions)
    }

    /// Gives the newest version `count` generated participants.
    #[must_use]
    pub fn participants(self, count: usize) -> Self {
        let participants = (0..count)
            .map(|place| Json::new_with(|json| identity::participant(json, cast(), party(place), self.start)))
            .collect();
        self.newest(|version| version.participants = participants)
    }

    /// Gives the newest version exactly these sessions.
    #[must_use]
    pub fn raw_sessions<T: Into<String>>(self, sessions: impl IntoIterator<Item = T>) -> Self {
        self.newest(|version| version.sessions = sessions.into_iter().map(Into::into).collect())
    }

    /// Gives the newest version exactly these participants.
    #[must_use]
    pub fn raw_participants<T: Into<String>>(self, participants: impl IntoIterator<Item = T>) -> Self {
        self.newest(|version| version.participants = participants.into_iter().map(Into::into).collect())
    }

    /// Splices members into the newest version's header.
    #[must_use]
    pub fn extra_members(self, members: impl Into<String>) -> Self {
        self.newest(|version| version.extra_members = members.into())
    }

    /// Lets the newest version be visible from `at` on.
    #[must_use]
    pub fn visible_at(self, at: Timestamp) -> Self {
        self.newest(|version| {
            version.visible_at = at;
            version.last_modified = at - Age::minutes(2);
        })
    }

    /// Adds a version, for now with the content of the one before.
    #[must_use]
    pub fn version(mut self, version: i64, visible_at: Timestamp) -> Self {
        if let Some(newest) = self.versions.last().cloned() {
            let last_modified = visible_at - Age::minutes(2);
            self.versions.push(PlantedVersion { version, visible_at, last_modified, ..newest });
        }
        self
    }

    /// Ends the call at `end`; a version's visibility stays as it is.
    #[must_use]
    pub fn ending(mut self, end: Timestamp) -> Self {
        self.end = end;
        self
    }

    /// Lets the record vanish at `at`, before its time.
    #[must_use]
    pub fn gone_from(self, at: Timestamp) -> Self {
        Self { gone_at: Some(at), ..self }
    }

    /// Answers the first `times` requests for this record with `status`.
    #[must_use]
    pub fn failing(mut self, status: u16, times: u32) -> Self {
        self.faults = PlantedFaults { fail_gets: times, status, ..PlantedFaults::default() };
        self
    }

    /// Answers every request for this record with `status`.
    #[must_use]
    pub fn failing_forever(mut self, status: u16) -> Self {
        self.faults = PlantedFaults { forever: true, status, ..PlantedFaults::default() };
        self
    }

    /// Lets the first `times` requests for this record meet `fault`.
    #[must_use]
    pub fn meeting_fault(mut self, fault: Fault, times: u32) -> Self {
        self.faults = PlantedFaults { fail_gets: times, fault: Some(fault), ..PlantedFaults::default() };
        self
    }

    fn newest(mut self, change: impl FnOnce(&mut PlantedVersion)) -> Self {
        if let Some(version) = self.versions.last_mut() {
            change(version);
        }
        self
    }

    fn generated_session(&self, place: usize) -> String {
        let mut dice = Dice::of(mix_text(&self.id), &[place as u64]);
        let session = Session {
            id: dice.guid(),
            start: self.start,
            end: self.end,
            caller: party(place),
            callee: None,
            lines: Lines::default(),
            failure: None,
            segments: 1,
            without_media: false,
            seed: dice.throw(),
        };
        let prefer = emit::Prefer { unknown_enum_members: true };
        Json::new_with(|json| emit::session(json, cast(), &self.id, &session, true, prefer))
    }
}

/// The people of planted meetings: some of ours, then guests without end.
fn party(place: usize) -> Party {
    if place < cast().people().len() { Party::User(place) } else { Party::Guest(place as u64) }
}

fn cast() -> &'static World {
    static CAST: OnceLock<World> = OnceLock::new();
    CAST.get_or_init(|| World::new(0x91a27, 100, 0, Timestamp(0), 0))
}
