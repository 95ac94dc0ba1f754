//! The truth that archives are judged by: what was there to be seen, told without JSON.

use serde::Deserialize;

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        call::{Call, Edition},
        planted::{Planted, PlantedVersion},
        world::Record,
    },
};

/// What an archive that missed nothing holds as the newest version of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedCall {
    pub id: String,
    pub version: i64,
    pub start: Timestamp,
    pub end: Timestamp,
    pub call_type: String,
    /// `None` where Graph itself does not say.
    pub organizer_id: Option<String>,
    /// In the order of the sessions' pages.
    pub session_ids: Vec<String>,
    /// In the order of the participants' pages; one may be in it twice.
    pub participant_ids: Vec<String>,
    /// Whether any session failed.
    pub failed: bool,
    /// Segments of all sessions together.
    pub segments: usize,
}

impl World {
    /// What an archive that looked all the time since the simulator began, up to `at`, holds: the newest version seen of
    /// every call, also of those that have expired by then. Oldest start first.
    pub fn expected(&self, at: Timestamp) -> Vec<ExpectedCall> {
        let mut expected: Vec<_> = self
            .calls_from(0)
            .take_while(|call| call.start <= at)
            .filter_map(|call| self.expected_of(&Record::Generated(Box::new(call)), at))
            .collect();
        expected.extend(
            self.planted_after(None)
                .iter()
                .filter_map(|planted| self.expected_of(&Record::Planted(planted.clone()), at)),
        );
        expected.sort_by(|one, other| (one.start, &one.id).cmp(&(other.start, &other.id)));
        expected
    }

    /// What [`World::expected`] says about one call; `None` when nobody could have seen it.
    pub fn expected_call(&self, id: &str, at: Timestamp) -> Option<ExpectedCall> {
        self.expected_of(&self.find(id)?, at)
    }

    /// The versions of a call that could be seen at `at`, rising; none once it has expired.
    pub fn visible_versions(&self, id: &str, at: Timestamp) -> Vec<i64> {
        let Some(record) = self.find(id) else { return Vec::new() };
        if record.has_expired(at) {
            return Vec::new();
        }
        (0..record.editions())
            .filter(|place| record.edition(*place).1 <= at)
            .map(|place| record.edition(place).0)
            .collect()
    }

    /// Whether a version of a record has a participant of this id.
    pub(super) fn names(&self, record: &Record, edition: usize, id: &str) -> bool {
        match record {
            Record::Generated(call) => {
                let people = usize::try_from(call.people_in(&call.editions[edition])).unwrap_or(usize::MAX);
                self.parties(call).into_iter().take(people).any(|party| self.id_of(party) == id)
            }
            Record::Planted(planted) => {
                expected_planted(planted, &planted.versions[edition]).participant_ids.iter().any(|named| named == id)
            }
        }
    }

    fn expected_of(&self, record: &Record, at: Timestamp) -> Option<ExpectedCall> {
        let expiry = record.expiry();
        if expiry <= self.began {
            return None;
        }
        let seen_at = |place: &usize| record.edition(*place).1 <= at && record.edition(*place).1 < expiry;
        let place = (0..record.editions()).rev().find(seen_at)?;
        match record {
            Record::Generated(call) => call.editions.get(place).map(|edition| self.expected_generated(call, edition)),
            Record::Planted(planted) => planted.versions.get(place).map(|version| expected_planted(planted, version)),
        }
    }

    fn expected_generated(&self, call: &Call, edition: &Edition) -> ExpectedCall {
        let sessions: Vec<_> = self.sessions(call, edition).collect();
        let people = usize::try_from(call.people_in(edition)).unwrap_or(usize::MAX);
        ExpectedCall {
            id: call.id.clone(),
            version: edition.version,
            start: call.start,
            end: call.end,
            call_type: call.type_name().to_owned(),
            organizer_id: self.organizer(call).map(|party| self.id_of(party)),
            session_ids: sessions.iter().map(|session| session.id.clone()).collect(),
            participant_ids: self.parties(call).into_iter().take(people).map(|party| self.id_of(party)).collect(),
            failed: sessions.iter().any(|session| session.failure.is_some()),
            segments: sessions.iter().map(|session| usize::try_from(session.segments).unwrap_or(0)).sum(),
        }
    }
}

/// A planted call has no facts besides its text; only the few members counted here are read from it.
fn expected_planted(planted: &Planted, version: &PlantedVersion) -> ExpectedCall {
    #[derive(Default, Deserialize)]
    struct Named {
        id: Option<String>,
        #[serde(default, rename = "failureInfo")]
        failure_info: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        segments: Option<Vec<serde::de::IgnoredAny>>,
    }
    let read = |text: &String| serde_json::from_str::<Named>(text).unwrap_or_default();
    let sessions: Vec<_> = version.sessions.iter().map(read).collect();
    ExpectedCall {
        id: planted.id.clone(),
        version: version.version,
        start: planted.start,
        end: planted.end,
        call_type: planted.call_type.clone(),
        organizer_id: read(&planted.organizer).id,
        failed: sessions.iter().any(|session| session.failure_info.is_some()),
        segments: sessions.iter().map(|session| session.segments.as_ref().map_or(0, Vec::len)).sum(),
        session_ids: sessions.into_iter().filter_map(|session| session.id).collect(),
        participant_ids: version.participants.iter().filter_map(|text| read(text).id).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{model::time::Age, simulate::world::RETENTION};

    fn world() -> World {
        World::new(1, 60, 100, Timestamp::parse("2026-11-20T12:00:00Z").unwrap(), 28)
    }

    #[test]
    fn the_same_seed_is_the_same_world() {
        let at = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
        assert_eq!(world().expected(at), world().expected(at));
        assert!(world().expected(at).len() > 1500);
    }

    #[test]
    fn one_meeting_of_four_weeks_has_a_thousand_sessions() {
        let expected = world().expected(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let crowds: Vec<_> = expected.iter().filter(|call| call.session_ids.len() > 1000).collect();
        assert_eq!(crowds.len(), 1);
        let people: HashSet<_> = crowds[0].participant_ids.iter().collect();
        assert!(people.len() > 900 && people.len() == crowds[0].participant_ids.len());
    }

    #[test]
    fn what_had_expired_before_anybody_looked_is_not_expected() {
        let began = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
        let world = World::new(1, 60, 100, began, 40);
        let expected = world.expected(began);
        assert!(expected.iter().all(|call| call.start + RETENTION > began));
        assert!(world.expected(began + Age::days(20)).len() > expected.len() + 1000);
        let oldest = &expected[0];
        assert_eq!(world.visible_versions(&oldest.id, began).last(), Some(&oldest.version));
        assert!(world.visible_versions(&oldest.id, began + Age::days(1)).is_empty());
    }
}
