//! The oracle of people: each change that a delta query answered is a version, in its order, and nothing else is.

use std::collections::BTreeMap;

use callvault::{
    archive::Archive,
    model::{source::Source, time::Timestamp},
    simulate::World,
};
use serde_json::Value;

use crate::{play::Went, rows::stored, telephony::Telephony, wire::Exchange};

#[derive(Default)]
pub(crate) struct Directory {
    /// What pages said of each person, in their order, and whether it may not have been taken in.
    shown: BTreeMap<String, Vec<(Value, bool)>>,
    /// When everybody was asked for.
    whole: Vec<Timestamp>,
    /// The last round that was good, from its beginning to its end.
    good: Option<(Timestamp, Timestamp)>,
}

impl Directory {
    pub(crate) fn heard(&mut self, went: &Went) {
        let of_people = || went.log.iter().filter(|exchange| exchange.is_of_people());
        let asks_for_all = |exchange: &&Exchange| !exchange.url.contains("token=");
        self.whole.extend(of_people().filter(asks_for_all).map(|exchange| exchange.at));
        let count = of_people().count();
        for (n, exchange) in of_people().enumerate() {
            let Some(page) = &exchange.page else { continue };
            let is_doubtful = went.broke_off() && n + 1 == count;
            for item in &page.items {
                let id = item["id"].as_str().unwrap().to_owned();
                self.shown.entry(id).or_default().push((item.clone(), is_doubtful));
            }
        }
        let Some(Ok(summary)) = &went.outcome else { return };
        let Some(report) = summary.sources.iter().find(|report| report.source == Source::People.name()) else { return };
        if report.stopped || report.windows_failed > 0 {
            return;
        }
        let last = of_people().filter_map(|exchange| exchange.page.as_ref()).next_back();
        assert!(last.is_some_and(|page| page.delta.is_some()), "the round of {} did not read to the end", went.begun);
        self.good = Some((went.begun, went.ended));
    }

    pub(crate) fn judge(&self, archive: &Archive, telephony: &Telephony, world: &World) -> u64 {
        let mut held: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut versions = 0;
        for (id, version, value) in stored(archive, Source::People) {
            let of_person = held.entry(id).or_default();
            of_person.push(value);
            assert_eq!(of_person.len(), usize::try_from(version).unwrap());
            versions += 1;
        }
        for (id, shown) in &self.shown {
            let held = held.get(id).map_or(&[][..], Vec::as_slice);
            let mut place = 0;
            for (text, is_doubtful) in shown {
                if place > 0 && held[place - 1] == *text {
                    continue;
                }
                if held.get(place) == Some(text) {
                    place += 1;
                } else {
                    assert!(is_doubtful, "{text} was told and is not among {held:?}");
                }
            }
            assert_eq!(place, held.len(), "more is held of {id} than was told: {held:?}");
        }
        assert!(held.keys().all(|id| self.shown.contains_key(id)), "somebody is held of whom nothing was told");
        let Some((begun, ended)) = self.good else { return versions };
        for (place, person) in world.people().iter().enumerate() {
            let newest = held.get(&person.id).and_then(|versions| versions.last());
            let [before, after] = [begun, ended].map(|at| {
                let of_person = telephony.renames.iter().filter(|rename| rename.person == place && rename.at <= at);
                let is_deleted = of_person.clone().any(|rename| rename.name.is_none());
                let name = of_person.filter_map(|rename| rename.name.clone()).next_back();
                (!is_deleted).then(|| name.unwrap_or_else(|| person.name.clone()))
            });
            let gone = telephony.renames.iter().find(|rename| rename.person == place && rename.name.is_none());
            // Read anew, a directory does not tell who left it.
            let was_told = gone.is_none_or(|gone| !self.whole.iter().any(|at| *at >= gone.at));
            let name = newest.and_then(|newest| newest["displayName"].as_str()).map(str::to_owned);
            let is_so = |truth: &Option<String>| match truth {
                Some(_) => name == *truth,
                None => !was_told || newest.is_some_and(|newest| newest.get("@removed").is_some()),
            };
            assert!(is_so(&before) || is_so(&after), "{} is {newest:?}, and truly {before:?}", person.id);
        }
        versions
    }
}
