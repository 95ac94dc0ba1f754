//! Who is called what since when: the organisation's directory as it changes.
//!
//! People begin as [`World::people`] tells them. A change takes effect at a time of its own; log rows and call records of events
//! before it keep the old name, as Graph's do.

use std::sync::{PoisonError, RwLock};

use crate::{model::time::Timestamp, simulate::World};

/// The changes so far, in the order in which they were planted.
#[derive(Debug, Default)]
pub(super) struct Directory(RwLock<Vec<Change>>);

#[derive(Clone, Debug)]
struct Change {
    /// Place in [`World::people`].
    place: usize,
    at: Timestamp,
    /// From when on a delta has to tell it: what is planted into the past was not told before.
    told_from: Timestamp,
    what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Renamed { name: String, upn: String, mail: Option<String> },
    Deleted { for_good: bool },
}

/// A user as the directory shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) upn: String,
    pub(super) mail: Option<String>,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    There,
    /// In the recycle bin.
    Deleted,
    Gone,
}

impl World {
    /// Adds a change; false when nobody has this id.
    pub(super) fn change_user(&self, id: &str, what: What, at: Timestamp, now: Timestamp) -> bool {
        let Some(place) = self.people().iter().position(|person| person.id == id) else { return false };
        let mut changes = self.directory.0.write().unwrap_or_else(PoisonError::into_inner);
        changes.push(Change { place, at, told_from: at.max(now), what });
        changes.sort_by_key(|change| change.at);
        true
    }

    /// Display name and user principal name of somebody of ours at a time.
    pub(super) fn named_at(&self, place: usize, at: Timestamp) -> (String, String) {
        let Entry { name, upn, .. } = self.entry_at(place, at);
        (name, upn)
    }

    /// Whether somebody was ever renamed or deleted until `at`.
    pub(super) fn is_changed(&self, place: usize, at: Timestamp) -> bool {
        let changes = self.directory.0.read().unwrap_or_else(PoisonError::into_inner);
        changes.iter().any(|change| change.place == place && change.at <= at)
    }

    pub(super) fn entry_at(&self, place: usize, at: Timestamp) -> Entry {
        let person = &self.people()[place];
        let (name, upn, mail) = (person.name.clone(), person.upn.clone(), Some(person.upn.clone()));
        let mut entry = Entry { place, name, upn, mail, state: State::There };
        let changes = self.directory.0.read().unwrap_or_else(PoisonError::into_inner);
        for change in changes.iter().filter(|change| change.place == place && change.at <= at) {
            match &change.what {
                What::Renamed { name, upn, mail } => {
                    (entry.name, entry.upn, entry.mail) = (name.clone(), upn.clone(), mail.clone());
                }
                What::Deleted { for_good } => entry.state = if *for_good { State::Gone } else { State::Deleted },
            }
        }
        entry
    }

    /// Those whose change a delta from `since` to `until` has to tell, each once, as they are at `until`.
    pub(super) fn changed_between(&self, since: Timestamp, until: Timestamp) -> Vec<Entry> {
        let changes = self.directory.0.read().unwrap_or_else(PoisonError::into_inner);
        let told = |change: &&Change| since < change.told_from && change.told_from <= until;
        let mut places: Vec<_> = changes.iter().filter(told).map(|change| change.place).collect();
        drop(changes);
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| self.entry_at(place, until)).collect()
    }

    /// Everybody who is there at `at`.
    pub(super) fn entries_at(&self, at: Timestamp) -> Vec<Entry> {
        let entries = (0..self.people().len()).map(|place| self.entry_at(place, at));
        entries.filter(|entry| entry.state == State::There).collect()
    }
}
