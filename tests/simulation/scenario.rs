//! What happens in one tenant over some weeks, thrown from a seed: calls, weather, and when somebody syncs.

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{Fault, Limits, PageSizes, Planted, PlantedFaults, Weather},
};

use crate::telephony::Telephony;

/// How long Graph keeps a record, from the start of its call.
pub(crate) const RETENTION: Age = Age::days(30);

pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) began: Timestamp,
    pub(crate) calls: Vec<Call>,
    /// Each from its time on until the next.
    pub(crate) skies: Vec<(Timestamp, Sky)>,
    /// In the order of their times; the last ones are in calm weather.
    pub(crate) rounds: Vec<Round>,
    pub(crate) page_sizes: PageSizes,
    pub(crate) skip_token_life: Option<Age>,
    pub(crate) limits: Limits,
    pub(crate) concurrency: usize,
    /// Whether hours are listed again by the doubling rule, as in a large tenant.
    pub(crate) doubling: bool,
    /// Logs and people, of some tenants.
    pub(crate) telephony: Option<Telephony>,
}

/// A call as it truly was.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// Number and since when it can be seen, rising.
    pub(crate) versions: Vec<(i64, Timestamp)>,
    /// When it vanishes before its time.
    pub(crate) gone: Option<Timestamp>,
    pub(crate) sessions: usize,
    pub(crate) participants: usize,
    pub(crate) faults: Option<PlantedFaults>,
}

#[derive(Clone, Debug)]
pub(crate) enum Sky {
    Weather(Weather),
    /// Nobody answers.
    Down,
    /// The login host refuses so many times by this number.
    Refused(u32, u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) at: Timestamp,
    /// The process dies after so many events.
    pub(crate) dies_after: Option<u64>,
    /// A stop is asked for after so many events.
    pub(crate) stops_after: Option<u64>,
    /// How wrong this machine's clock is.
    pub(crate) skew: Age,
    /// As a service: what failed lately waits for its time.
    pub(crate) as_service: bool,
    /// Only this span is asked for.
    pub(crate) asks: Option<(Timestamp, Timestamp)>,
    /// With the thread of the search index.
    pub(crate) follows: bool,
}

/// Throws from a seed: splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
    }

    pub(crate) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `from` to `to`, both included.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.throw() % (to - from + 1).unsigned_abs()).unwrap()
    }

    pub(crate) fn chance(&mut self, of_100: i64) -> bool {
        self.between(0, 99) < of_100
    }

    pub(crate) fn minutes(&mut self, from: i64, to: i64) -> Age {
        Age::minutes(self.between(from, to)) + Age::seconds(self.between(0, 59))
    }

    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.between(0, i64::try_from(of.len()).unwrap() - 1)).unwrap()].clone()
    }
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let has_telephony = seed % 3 == 2;
        // Logs are kept for five months.
        let is_long = has_telephony && dice.chance(40);
        let days = if is_long { dice.between(160, 230) } else { dice.between(36, 52) };
        let began = Timestamp::from_second(1_790_000_000 + dice.between(0, 86_400 * 7));
        let ends = began + Age::days(days);
        let calls = calls(&mut dice, began, days, if has_telephony { 1 } else { 3 });
        let skies = skies(&mut dice, began, ends);
        let rounds = rounds(&mut dice, began, ends, is_long);
        let small_pages =
            PageSizes { list: 10, sessions: 3, participants: 4, log: 3, users: 2, ..PageSizes::default() };
        Self {
            seed,
            began,
            calls,
            skies,
            rounds,
            page_sizes: if dice.chance(50) { small_pages } else { PageSizes::default() },
            skip_token_life: dice.chance(50).then(|| dice.minutes(10, 60 * 24)),
            limits: if dice.chance(50) { Limits::documented() } else { Limits::off() },
            concurrency: usize::try_from(dice.one(&[1, 2, 4, 16])).unwrap(),
            doubling: dice.chance(40),
            telephony: has_telephony.then(|| Telephony::new(&mut dice, began, days)),
        }
    }
}

/// Calls from a month before the beginning on.
fn calls(dice: &mut Dice, began: Timestamp, days: i64, most_a_day: i64) -> Vec<Call> {
    let most_a_day = dice.between(1, most_a_day);
    let mut calls = Vec::new();
    for day in -32..days {
        for _ in 0..dice.between(0, most_a_day) {
            let start = began + Age::days(day) + dice.minutes(0, 24 * 60 - 1);
            calls.push(call(dice, start));
        }
    }
    calls
}

fn call(dice: &mut Dice, start: Timestamp) -> Call {
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        dice.throw() >> 32,
        dice.throw() >> 48,
        dice.throw() >> 52,
        dice.throw() >> 52,
        dice.throw() >> 16
    );
    let end = start
        + match dice.between(0, 99) {
            0..3 => dice.minutes(60 * 24 * 5, 60 * 24 * 9),
            3..8 => dice.minutes(60 * 8, 60 * 30),
            _ => dice.minutes(0, 90),
        };
    let mut versions = vec![(dice.between(1, 3), end + dice.minutes(5, 150))];
    for _ in 0..dice.one(&[0, 0, 0, 1, 1, 2]) {
        let (number, before) = *versions.last().unwrap();
        let later = match dice.between(0, 9) {
            // Very late: shortly before Graph forgets it, or after.
            0 => start + RETENTION - dice.minutes(-600, 60 * 24 * 4),
            1..4 => before + dice.minutes(60 * 12, 60 * 24 * 12),
            _ => before + dice.minutes(1, 60 * 6),
        };
        versions.push((number + dice.between(1, 2), later.max(before + Age::seconds(1))));
    }
    let gone = dice.chance(3).then(|| versions[0].1 + dice.minutes(0, 60 * 24 * 20));
    let status = |status| PlantedFaults { status, ..PlantedFaults::default() };
    let fault = |fault| PlantedFaults { fault: Some(fault), ..PlantedFaults::default() };
    let faults = dice.chance(4).then(|| PlantedFaults {
        fail_gets: u32::try_from(dice.between(1, 40)).unwrap(),
        ..match dice.between(0, 3) {
            0 => status(404),
            1 => status(500),
            2 => fault(Fault::LinkLoop),
            _ => fault(Fault::LaggingReplica),
        }
    });
    let (sessions, participants) = match dice.between(0, 9) {
        0 => (dice.between(3, 20), dice.between(3, 20)),
        _ => (dice.between(1, 3), dice.between(2, 4)),
    };
    let [sessions, participants] = [sessions, participants].map(|count| usize::try_from(count).unwrap());
    Call {
        id,
        start,
        end,
        versions,
        gone: gone.filter(|gone| *gone < start + RETENTION),
        sessions,
        participants,
        faults,
    }
}

impl Call {
    fn participant(&self, place: usize) -> String {
        let id = format!("{}-{place:04x}", &self.id[..31]);
        format!(r#"{{"id":"{id}","identity":{{"user":{{"id":"{id}","displayName":"Zofia {place}"}}}}}}"#)
    }

    /// A session of the fewest words: what is in one is tested elsewhere, and takes its time to read.
    fn session(&self, place: usize) -> String {
        let [start, end] = [self.start, self.end].map(Timestamp::to_seconds_text);
        let times = format!(r#""startDateTime":"{start}","endDateTime":"{end}""#);
        let id = format!("{}-{place:04x}", &self.id[..31]);
        format!(
            r#"{{"id":"{id}","modalities":["audio"],{times},"caller":null,"callee":null,"failureInfo":null,"segments":[{{"id":"{id}",{times},"caller":null,"callee":null,"media":[]}}]}}"#
        )
    }

    /// What the simulator is told.
    pub(crate) fn planted(&self) -> Planted {
        let ((first, seen), later) = (self.versions[0], &self.versions[1..]);
        let mut planted = Planted::meeting(&self.id, self.start)
            .ending(self.end)
            .raw_participants((0..self.participants).map(|place| self.participant(place)))
            .raw_sessions((0..self.sessions).map(|place| self.session(place)))
            .visible_at(seen);
        planted.versions[0].version = first;
        for (number, seen) in later {
            planted = planted.version(*number, *seen);
        }
        planted.gone_at = self.gone;
        planted.faults = self.faults.unwrap_or_default();
        planted
    }
}

/// Weather by spells of hours and days; the last spell is calm.
fn skies(dice: &mut Dice, began: Timestamp, ends: Timestamp) -> Vec<(Timestamp, Sky)> {
    let mut skies = Vec::new();
    let mut at = began;
    let storminess = dice.between(0, 80);
    while at < ends {
        let (sky, hours) = match dice.between(0, 99) {
            throw if throw >= storminess => (Sky::Weather(Weather::calm()), dice.between(4, 96)),
            throw if throw % 8 == 0 => {
                let long = dice.chance(10);
                (Sky::Down, if long { dice.between(48, 24 * 25) } else { dice.between(1, 48) })
            }
            throw if throw % 8 == 1 => {
                // A secret that has run out, and a login host with troubles of its own.
                let code = dice.one(&[7_000_222, 90_033]);
                (Sky::Refused(code, u32::try_from(dice.between(1, 30)).unwrap()), dice.between(1, 96))
            }
            _ => (Sky::Weather(storm(dice)), dice.between(1, 48)),
        };
        skies.push((at, sky));
        at = at + Age::hours(hours);
    }
    skies.push((ends, Sky::Weather(Weather::calm())));
    skies
}

fn storm(dice: &mut Dice) -> Weather {
    let rate = f64::from(i32::try_from(dice.between(1, 60)).unwrap()) / 100.0;
    let weather = match dice.between(0, 3) {
        0 => Weather::only(
            &[Fault::ThrottledSeconds, Fault::ThrottledDate, Fault::ThrottledBare],
            rate / 3.0,
            dice.throw(),
        ),
        1 => Weather::only(&[dice.one(&Fault::ALL)], rate, dice.throw()),
        _ => Weather::faults(rate, dice.throw()),
    };
    let seconds = |seconds: i64| std::time::Duration::from_secs(seconds.unsigned_abs());
    Weather {
        in_a_row_max: u32::try_from(dice.one(&[1, 2, 2, 4, 9])).unwrap(),
        retry_after: seconds(dice.one(&[0, 1, 10, 60, 300, 700])),
        slow_body: seconds(dice.one(&[1, 10, 100, 200])),
        ..weather
    }
}

/// When somebody syncs, and what then happens to the process.
fn rounds(dice: &mut Dice, began: Timestamp, ends: Timestamp, is_long: bool) -> Vec<Round> {
    let pace = if is_long { 10 } else { dice.between(0, 9) };
    let deaths = dice.one(&[0, 5, 30]);
    let as_service = dice.chance(30);
    let skew = match dice.between(0, 3) {
        0 => Age::days(dice.between(-40, 40)),
        1 => Age::minutes(dice.between(-90, 90)),
        _ => Age::default(),
    };
    let mut rounds = Vec::new();
    let mut at = began;
    let mut off_until = began;
    while at < ends {
        if off_until <= at {
            let dies_after = dice.chance(deaths).then(|| dice.throw() % 60);
            let stops_after = dice.chance(3).then(|| dice.throw() % 40);
            rounds.push(Round {
                at,
                dies_after,
                stops_after,
                skew,
                as_service,
                asks: dice.chance(6).then(|| {
                    let from = at - dice.minutes(0, 60 * 24 * 33);
                    (from, from + dice.minutes(0, 60 * 24 * 12))
                }),
                // The thread would outlive a death that is only played. One that is told to leave must come back to what it left.
                follows: (dice.chance(1) || stops_after.is_some()) && dies_after.is_none(),
            });
        }
        // Now and then the machine is off for days or weeks.
        if dice.chance(2) {
            let days = if is_long { dice.one(&[8, 33, 60, 158]) } else { dice.one(&[0, 1, 3, 10, 25, 33]) };
            off_until = at + Age::days(days) + dice.minutes(60 * 6, 60 * 18);
        }
        let died = rounds.last().is_some_and(|round: &Round| round.at == at && round.dies_after.is_some());
        at = at
            + match pace {
                _ if died && dice.chance(50) => dice.minutes(1, 10),
                0..5 => Age::days(1) + dice.minutes(-20, 20),
                // By the quarter of a day or by the hour for some days, then by the day: each round costs the test its time.
                5..7 if at < began + Age::days(8) => Age::hours(6) + dice.minutes(-5, 5),
                7 if at < began + Age::days(1) => Age::hours(1),
                5..8 => Age::days(1),
                10 => dice.minutes(60 * 6, 60 * 24 * 9),
                _ => dice.minutes(60 * 6, 60 * 24 * 4),
            };
    }
    let calm =
        |at| Round { at, dies_after: None, stops_after: None, skew, as_service: false, asks: None, follows: false };
    rounds.extend([calm(ends + Age::hours(1)), calm(ends + Age::hours(14))]);
    rounds
}
