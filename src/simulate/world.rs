//! What truly happened: the people, and every call with its sessions, found by number, by id or by time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        calendar::{CUT, Calendar},
        call::{self, Call, Edition, Party, Session, Shape, id_of, number_of},
        dice::Dice,
        directory::Directory,
        logs::{LogRetention, PlantedRow, Telephony},
        people::{self, Person},
        planted::Planted,
    },
};

/// How long Graph gives out a record, from the call's start.
pub(super) const RETENTION: Age = Age::days(30);
/// The number of the first call before those that lists know: records of such calls are long gone, their log rows may not be.
const BYGONE: u64 = 1 << 40;
/// One call in this many workdays has a thousand sessions.
const WORKDAYS_PER_CROWD: u64 = 20;

/// The simulated organisation and all its calls, past and to come.
#[derive(Debug)]
pub struct World {
    seed: u64,
    /// Simulated time when the simulator started.
    pub(super) began: Timestamp,
    calls_per_workday: u64,
    people: Vec<Person>,
    /// Running sum of how busy each person is.
    activity: Vec<f64>,
    calendar: Calendar,
    /// Of the time before `calendar` begins, as far back as the logs reach.
    bygone: Calendar,
    planted: RwLock<PlantedCalls>,
    pub(super) telephony: Telephony,
    pub(super) directory: Directory,
}

#[derive(Debug, Default)]
struct PlantedCalls {
    by_id: HashMap<String, Arc<Planted>>,
    /// By start and id: the order in which lists give them.
    by_start: BTreeMap<(Timestamp, String), Arc<Planted>>,
}

/// A record that Graph may be asked for.
#[derive(Clone, Debug)]
pub(super) enum Record {
    Generated(Box<Call>),
    Planted(Arc<Planted>),
}

impl World {
    /// A world whose logs reach as far back as its calls.
    pub(super) fn new(seed: u64, users: u32, calls_per_workday: u32, began: Timestamp, days: u32) -> Self {
        let first = began - Age::days(i64::from(days));
        let telephony = Telephony::new(first, LogRetention::default(), "DE".to_owned());
        Self::with_logs(seed, users, calls_per_workday, began, days, telephony)
    }

    pub(super) fn with_logs(
        seed: u64,
        users: u32,
        calls_per_workday: u32,
        began: Timestamp,
        days: u32,
        telephony: Telephony,
    ) -> Self {
        let people = people::people(seed, users.max(2));
        let mut sum = 0.0;
        let activity = (0..people.len()).map(|place| {
            // Some talk all day: a Zipf-like fall over people in a shuffled order.
            let rank = Dice::of(seed, &[0xac7, place as u64]).below(people.len() as u64);
            sum += 1.0 / (f64::from(u32::try_from(rank).unwrap_or(u32::MAX)) + 8.0).powf(0.85);
            sum
        });
        let activity = activity.collect();
        let calendar = Calendar::new(seed, began - Age::days(i64::from(days)), calls_per_workday);
        let bygone = Calendar::new(seed ^ BYGONE, telephony.first(), calls_per_workday);
        let calls_per_workday = u64::from(calls_per_workday);
        Self {
            seed,
            began,
            calls_per_workday,
            people,
            activity,
            calendar,
            bygone,
            planted: RwLock::default(),
            telephony,
            directory: Directory::default(),
        }
    }

    /// Everybody in the organisation.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn plant(&self, planted: Planted) {
        let planted = Arc::new(planted);
        let mut calls = self.planted.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(replaced) = calls.by_id.insert(planted.id.clone(), planted.clone()) {
            calls.by_start.remove(&(replaced.start, replaced.id.clone()));
        }
        calls.by_start.insert((planted.start, planted.id.clone()), planted);
    }

    pub(super) fn plant_row(&self, row: PlantedRow) {
        self.telephony.plant(row, &self.people[0]);
    }

    /// The planted calls after the one of this start and id, in that order.
    pub(super) fn planted_after(&self, after: Option<(Timestamp, String)>) -> Vec<Arc<Planted>> {
        let calls = self.planted.read().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        calls.by_start.range((from, Bound::Unbounded)).map(|(_, planted)| planted.clone()).collect()
    }

    /// The first call that may start at or after `instant`.
    pub(super) fn first_at(&self, instant: Timestamp) -> u64 {
        self.calendar.first_at(instant)
    }

    /// Whether call `n` and all after it start at or after `instant`.
    pub(super) fn is_past(&self, n: u64, instant: Timestamp) -> bool {
        self.calendar.drawn(n).is_none_or(|drawn| drawn - CUT >= instant)
    }

    /// The calls from number `n` on, without end.
    pub(super) fn calls_from(&self, n: u64) -> impl Iterator<Item = Call> + '_ {
        (n..).map_while(|n| self.call(n))
    }

    /// The calls drawn from `from` until before `to` that telephones may have taken part in, also those whose records are
    /// long gone.
    pub(super) fn telephone_calls(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Call> + '_ {
        let first = Timestamp(self.calendar.first_day() * Age::days(1).0);
        let numbers = |calendar: &Calendar, from, to| calendar.first_at(from)..calendar.first_at(to);
        let bygone = numbers(&self.bygone, from, to.min(first)).map(|n| n | BYGONE);
        let numbers = bygone.chain(numbers(&self.calendar, from.max(first), to.max(first)));
        let may_have = |n: &u64| call::shape_of(self.seed, *n, self.crowd(*n)) != Shape::PeerToPeer;
        numbers.filter(may_have).filter_map(|n| self.call(n))
    }

    pub(super) fn calls_per_workday(&self) -> u64 {
        self.calls_per_workday
    }

    /// How many calls begin on a day, counted from 1970.
    pub(super) fn calls_on(&self, day: i64) -> u64 {
        self.calendar.calls_on(day - self.calendar.first_day())
    }

    /// One of ours, the busy ones more often.
    pub(super) fn somebody(&self, dice: &mut Dice) -> Party {
        self.busy_person(dice)
    }

    pub(super) fn call(&self, n: u64) -> Option<Call> {
        let start = if n < BYGONE { self.calendar.start(n) } else { self.bygone.start(n - BYGONE) }?;
        Some(Call::new(self.seed, n, start, self.crowd(n)))
    }

    pub(super) fn find(&self, id: &str) -> Option<Record> {
        if let Some(n) = number_of(self.seed, id) {
            return self.call(n).filter(|_| n < BYGONE).map(|call| Record::Generated(Box::new(call)));
        }
        let planted = self.planted.read().unwrap_or_else(PoisonError::into_inner);
        planted.by_id.get(id).cloned().map(Record::Planted)
    }

    /// Everybody in a call's last version, organizer first; earlier versions name the first of them.
    pub(super) fn parties(&self, call: &Call) -> Vec<Party> {
        let mut dice = Dice::of(self.seed, &[0x9a47, call.n]);
        let host = self.host(call.n);
        match call.shape {
            Shape::PeerToPeer => vec![host, self.peer(&mut dice, host)],
            Shape::Pstn => {
                let outside = Party::Phone(dice.below(400));
                let inside = if dice.chance(0.12) { Party::Queue(dice.below(3)) } else { host };
                if dice.chance(0.5) { vec![outside, inside] } else { vec![host, outside] }
            }
            Shape::Group { .. } => self.group(&mut dice, host, call.people()),
        }
    }

    /// The sessions of one version of a call.
    pub(super) fn sessions(&self, call: &Call, edition: &Edition) -> impl Iterator<Item = Session> {
        let parties = self.parties(call);
        (0..edition.sessions).map(move |place| call.session(self.seed, edition, &parties, place))
    }

    /// The id under which Graph names somebody.
    pub(super) fn id_of(&self, party: Party) -> String {
        match party {
            Party::User(place) => self.people[place].id.clone(),
            Party::Phone(number) => people::outside_phone(self.seed, number),
            Party::Guest(number) => Dice::of(self.seed, &[0x90e57, number]).hex(),
            Party::External(number) => Dice::of(self.seed, &[0xe07, number]).guid(),
            Party::Queue(number) => Dice::of(self.seed, &[0x90e, number]).guid(),
            Party::AcsUser(number) => {
                let mut dice = Dice::of(self.seed, &[0xac5, number]);
                format!("8:acs:{}_{:016x}", dice.guid(), dice.throw())
            }
        }
    }

    /// Who Graph says called or invited.
    pub(super) fn organizer(&self, call: &Call) -> Option<Party> {
        match call.shape {
            _ if !call.organizer_known => None,
            Shape::Group { .. } => Some(self.host(call.n)),
            Shape::PeerToPeer | Shape::Pstn => self.parties(call).first().copied(),
        }
    }

    /// The one of ours who calls, or is called from outside.
    fn host(&self, n: u64) -> Party {
        self.busy_person(&mut Dice::of(self.seed, &[0x405, n]))
    }

    fn busy_person(&self, dice: &mut Dice) -> Party {
        let throw = dice.unit() * self.activity.last().copied().unwrap_or(0.0);
        Party::User(self.activity.partition_point(|sum| *sum < throw).min(self.people.len() - 1))
    }

    /// Mostly somebody of the same team of twelve.
    fn colleague(&self, dice: &mut Dice, of: Party) -> Party {
        match of {
            Party::User(place) if dice.chance(0.6) => {
                Party::User((place / 12 * 12 + dice.index(12)).min(self.people.len() - 1))
            }
            _ => self.busy_person(dice),
        }
    }

    fn peer(&self, dice: &mut Dice, host: Party) -> Party {
        if dice.chance(0.05) {
            return Party::External(dice.below(200));
        }
        let tries = (0..8).map(|_| self.colleague(dice, host)).find(|party| *party != host);
        tries.unwrap_or(if host == Party::User(0) { Party::User(1) } else { Party::User(0) })
    }

    fn group(&self, dice: &mut Dice, host: Party, count: u64) -> Vec<Party> {
        let mut parties = vec![host];
        let mut taken = HashSet::from([host]);
        while (parties.len() as u64) < count {
            let party = match dice.below(1000) {
                0..880 => self.colleague(dice, host),
                880..925 => Party::Guest(dice.below(5000)),
                925..970 => Party::External(dice.below(200)),
                970..992 => Party::Phone(dice.below(400)),
                _ => Party::AcsUser(dice.below(50)),
            };
            // Once everybody of ours is in, the rest of a crowd are guests.
            let party = if taken.contains(&party) { Party::Guest(dice.below(1 << 40)) } else { party };
            let party = if count < 12 && matches!(party, Party::Guest(_)) && dice.chance(0.7) {
                self.busy_person(dice)
            } else {
                party
            };
            if taken.insert(party) {
                parties.push(party);
            }
        }
        parties
    }

    /// The number of sessions when call `n` is the large meeting of its four weeks.
    fn crowd(&self, n: u64) -> Option<u64> {
        let period = self.calls_per_workday * WORKDAYS_PER_CROWD;
        let is_crowd = self.calls_per_workday >= 20 && n % period == period * 31 / 50;
        is_crowd.then(|| 1001 + Dice::of(self.seed, &[0xc70d, n]).below(120))
    }

    /// The ids of calls `from` to `to` - 1, for tests that pick some.
    pub fn ids(&self, from: u64, to: u64) -> Vec<String> {
        (from..to).map(|n| id_of(self.seed, n)).collect()
    }
}

/// The id of a call's record, if there ever was one to be asked for.
pub(super) fn record_id(call: &Call) -> Option<String> {
    (call.n < BYGONE).then(|| call.id.clone())
}

impl Record {
    pub(super) fn id(&self) -> &str {
        match self {
            Record::Generated(call) => &call.id,
            Record::Planted(planted) => &planted.id,
        }
    }

    pub(super) fn start(&self) -> Timestamp {
        match self {
            Record::Generated(call) => call.start,
            Record::Planted(planted) => planted.start,
        }
    }

    /// When Graph forgets it.
    pub(super) fn expiry(&self) -> Timestamp {
        let expiry = self.start() + RETENTION;
        match self {
            Record::Planted(planted) => planted.gone_at.map_or(expiry, |gone| gone.min(expiry)),
            Record::Generated(_) => expiry,
        }
    }

    pub(super) fn has_expired(&self, at: Timestamp) -> bool {
        self.expiry() <= at
    }

    /// How many versions there will ever be.
    pub(super) fn editions(&self) -> usize {
        match self {
            Record::Generated(call) => call.editions.len(),
            Record::Planted(planted) => planted.versions.len(),
        }
    }

    /// The number of a version, and since when it can be seen.
    pub(super) fn edition(&self, place: usize) -> (i64, Timestamp) {
        match self {
            Record::Generated(call) => (call.editions[place].version, call.editions[place].visible_at),
            Record::Planted(planted) => (planted.versions[place].version, planted.versions[place].visible_at),
        }
    }

    /// The newest version to be seen at `at`.
    pub(super) fn newest(&self, at: Timestamp) -> Option<usize> {
        if self.has_expired(at) {
            return None;
        }
        (0..self.editions()).rev().find(|place| self.edition(*place).1 <= at)
    }
}
