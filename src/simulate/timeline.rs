//! Versions of records in the order in which they become visible, calls of the world and planted ones together.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        world::{RETENTION, Record},
    },
};

/// A version that can be seen since `at`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Appearance {
    pub(super) at: Timestamp,
    pub(super) id: String,
    /// Its place among the record's versions; 0 is the first.
    pub(super) edition: usize,
}

/// What becomes visible from a moment on. Never says a version twice.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Up to here everything was said.
    until: Timestamp,
    /// The first call that has not been looked at.
    next: u64,
    coming: BinaryHeap<Reverse<Appearance>>,
    /// The versions of planted calls that are in `coming` or were said: a call may be planted again with one more.
    planted: HashSet<(String, i64, Timestamp)>,
}

impl Timeline {
    /// What becomes visible after `from`.
    pub(super) fn new(world: &World, from: Timestamp) -> Self {
        let next = world.first_at(from - RETENTION);
        let mut timeline = Self { until: from, next, coming: BinaryHeap::new(), planted: HashSet::new() };
        for planted in world.planted_after(None) {
            let record = Record::Planted(planted);
            for place in 0..record.editions() {
                timeline.add_planted(&record, place, Timestamp(i64::MIN), |at| at > from);
            }
        }
        timeline.look_ahead(world, from);
        timeline
    }

    /// Takes a call planted at `now`: those of its versions that are new and could be seen for long appear at once.
    pub(super) fn plant(&mut self, record: &Record, now: Timestamp) {
        for place in 0..record.editions() {
            self.add_planted(record, place, now, |_| true);
        }
    }

    fn add_planted(&mut self, record: &Record, place: usize, first: Timestamp, is_wanted: impl Fn(Timestamp) -> bool) {
        let (version, at) = record.edition(place);
        if self.planted.insert((record.id().to_owned(), version, at)) && is_wanted(at) {
            self.coming.push(Reverse(Appearance { at: at.max(first), id: record.id().to_owned(), edition: place }));
        }
    }

    /// What became visible since the last time, oldest first.
    pub(super) fn advance(&mut self, world: &World, until: Timestamp) -> Vec<Appearance> {
        self.look_ahead(world, until);
        let mut seen = Vec::new();
        while self.coming.peek().is_some_and(|Reverse(first)| first.at <= until) {
            let Some(Reverse(appearance)) = self.coming.pop() else { break };
            // A call planted anew may have lost the version, or be gone before it.
            let record = world.find(&appearance.id);
            let still = |record: &Record| {
                appearance.edition < record.editions()
                    && record.edition(appearance.edition).1 <= appearance.at
                    && !record.has_expired(until)
            };
            if record.as_ref().is_some_and(still) {
                seen.push(appearance);
            }
        }
        self.until = self.until.max(until);
        seen
    }

    /// Takes in the calls that begin up to `until`: no version is visible before its call begins.
    fn look_ahead(&mut self, world: &World, until: Timestamp) {
        while !world.is_past(self.next, until) {
            let Some(call) = world.call(self.next) else { return };
            let late = |at: &Timestamp| *at > self.until;
            let editions = call.editions.iter().map(|edition| edition.visible_at).enumerate();
            let coming = editions.filter(|(_, at)| late(at));
            let coming = coming.map(|(edition, at)| Reverse(Appearance { at, id: call.id.clone(), edition }));
            self.coming.extend(coming);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::time::Age, simulate::Planted};

    fn start() -> Timestamp {
        Timestamp::parse("2026-11-20T15:00:00Z").unwrap()
    }

    #[test]
    fn every_version_is_said_once_when_it_becomes_visible() {
        let world = World::new(1, 60, 100, start(), 28);
        let mut timeline = Timeline::new(&world, start());
        let mut said = Vec::new();
        for hour in 1..=120 {
            let until = start() + Age::hours(hour);
            let seen = timeline.advance(&world, until);
            assert!(seen.iter().all(|appearance| appearance.at > until - Age::hours(1) && appearance.at <= until));
            said.extend(seen);
        }
        let end = start() + Age::hours(120);
        let mut expected: Vec<_> = world
            .calls_from(0)
            .take_while(|call| call.start <= end)
            .flat_map(|call| {
                let of_call = call.editions.iter().enumerate().map(|(edition, known)| (known.visible_at, edition));
                of_call.map(|(at, edition)| Appearance { at, id: call.id.clone(), edition }).collect::<Vec<_>>()
            })
            .filter(|appearance| appearance.at > start() && appearance.at <= end)
            .collect();
        expected.sort();
        assert!(expected.len() > 150 && expected.iter().any(|appearance| appearance.edition > 0));
        assert_eq!(said, expected);
    }

    #[test]
    fn a_call_planted_again_says_only_what_is_new() {
        let world = World::new(1, 60, 0, start(), 28);
        let mut timeline = Timeline::new(&world, start());
        let call = Planted::meeting("3cf3bbc8-b21d-4f2e-bfd0-b13603ae6c65", start() - Age::hours(3));
        let mut plant = |call: Planted, at| {
            world.plant(call.clone());
            timeline.plant(&world.find(&call.id).unwrap(), start());
            timeline.advance(&world, at).iter().map(|appearance| appearance.edition).collect::<Vec<_>>()
        };
        assert_eq!(plant(call.clone(), start()), [0]);
        assert_eq!(plant(call.clone().version(2, start() + Age::minutes(5)), start() + Age::minutes(4)), [0; 0]);
        assert_eq!(plant(call, start() + Age::minutes(6)), [0; 0]);
    }
}
