//! One call of the world as facts: who, when, how often corrected. No JSON here.
//!
//! Everything is a function of the seed and the call's number, and each session of the call and the session's number, so a
//! page in the middle of a thousand sessions is made without the pages before it.

use crate::{
    model::time::{Age, Timestamp},
    simulate::dice::{Dice, guid_of, mix, whole},
};

/// Somebody or something at one end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Party {
    /// Place in [`World::people`](crate::simulate::World::people).
    User(usize),
    Phone(u64),
    /// Joined without an account; every third one without a name.
    Guest(u64),
    /// Of another tenant.
    External(u64),
    /// A call queue or auto attendant of ours.
    Queue(u64),
    /// Came in over Azure Communication Services.
    AcsUser(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    PeerToPeer,
    /// Between somebody of ours and the telephone network: two segments.
    Pstn,
    /// `grown`: began as a call of two, whose leg stays as the first session.
    Group {
        grown: bool,
    },
}

/// The media lines negotiated; `audio` is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) video: bool,
    pub(super) sharing: bool,
    pub(super) data: bool,
}

/// How much of the telemetry has not arrived yet in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thin {
    No,
    /// Two sessions of three have no media.
    Most,
    /// One session of five has no media.
    Some,
    All,
}

/// One version of a call.
#[derive(Clone, Debug)]
pub(super) struct Edition {
    pub(super) version: i64,
    pub(super) visible_at: Timestamp,
    pub(super) last_modified: Timestamp,
    /// How many of the call's sessions it has, from the first.
    pub(super) sessions: u64,
    pub(super) thin: Thin,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) n: u64,
    pub(super) id: String,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) shape: Shape,
    pub(super) lines: Lines,
    /// Whether Graph says who invited.
    pub(super) organizer_known: bool,
    /// Of the last version.
    pub(super) sessions: u64,
    /// Oldest first.
    pub(super) editions: Vec<Edition>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) stage: &'static str,
    pub(super) reason: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) caller: Party,
    /// `None`: the meeting service.
    pub(super) callee: Option<Party>,
    pub(super) lines: Lines,
    pub(super) failure: Option<Failure>,
    pub(super) segments: u64,
    /// Segments without media: too early, or the leg that a group call grew out of.
    pub(super) without_media: bool,
    /// What the session's telemetry is thrown with.
    pub(super) seed: u64,
}

const REASONS: [&str; 6] = [
    "DeviceNotFound",
    "Media connectivity failure: candidate pairs failed",
    "CallSetup timed out waiting for answer",
    "Client lost connection to the service",
    "SIP 480 Temporarily Unavailable",
    "Unexpected server error 500",
];

impl Call {
    /// The call's facts without its people; `crowd` is the number of sessions when it is the month's large meeting.
    pub(super) fn new(seed: u64, n: u64, start: Timestamp, crowd: Option<u64>) -> Self {
        let mut dice = Dice::of(seed, &[0xca11, n]);
        let shape = shape(&mut dice, crowd);
        let group = matches!(shape, Shape::Group { .. });
        let seconds = seconds(&mut dice, group);
        let fraction = Age(dice.between(0, 10_000_000) * 100);
        let end = if seconds == 0 { start } else { start + Age::seconds(seconds) + fraction };
        let lines = lines(&mut dice, shape);
        let sessions = if group { crowd.unwrap_or_else(|| group_size(&mut dice)) } else { 1 };
        let organizer_known = !(group && dice.chance(0.01));
        let editions = editions(&mut dice, end, group, sessions);
        Self { n, id: id_of(seed, n), start, end, shape, lines, organizer_known, sessions, editions }
    }

    /// How many different people the last version names.
    pub(super) fn people(&self) -> u64 {
        if matches!(self.shape, Shape::Group { .. }) { (self.sessions - self.sessions / 12).max(2) } else { 2 }
    }

    /// How many of [`Call::people`] a version names.
    pub(super) fn people_in(&self, edition: &Edition) -> u64 {
        if matches!(self.shape, Shape::Group { .. }) { self.people().min(edition.sessions.max(2)) } else { 2 }
    }

    pub(super) fn type_name(&self) -> &'static str {
        if matches!(self.shape, Shape::Group { .. }) { "groupCall" } else { "peerToPeer" }
    }

    /// Session number `place` as `edition` has it. `parties` are the call's people, organizer first.
    pub(super) fn session(&self, seed: u64, edition: &Edition, parties: &[Party], place: u64) -> Session {
        let mut dice = Dice::of(seed, &[0x5e55, self.n, place]);
        let group = matches!(self.shape, Shape::Group { .. });
        let own_id = dice.guid();
        let first_leg = place == 0 && matches!(self.shape, Shape::Group { grown: true });
        let caller = parties[usize::try_from(place).unwrap_or(0) % parties.len()];
        let (start, end) = if place == 0 { (self.start, self.end) } else { self.part(&mut dice) };
        let thin = match edition.thin {
            Thin::No => false,
            Thin::Most => !place.is_multiple_of(3),
            Thin::Some => place % 5 == 4,
            Thin::All => true,
        };
        let failure = failure(&mut dice, start == end);
        let dead = failure.is_some() && dice.chance(0.5);
        Session {
            id: if group && !first_leg { own_id } else { self.id.clone() },
            start,
            end,
            caller,
            callee: if group && !first_leg { None } else { parties.get(1).copied() },
            lines: if place == 0 { self.lines } else { self.lines.fewer(&mut dice, caller) },
            failure,
            segments: if self.shape == Shape::Pstn { 2 } else { 1 },
            without_media: thin || first_leg || dead,
            seed: dice.throw(),
        }
    }

    /// The stretch of a participant who came later or left earlier.
    fn part(&self, dice: &mut Dice) -> (Timestamp, Timestamp) {
        let whole_ns = (self.end - self.start).0;
        let late = Age(whole(dice.around(60e9, 1.2))).min(Age(whole_ns / 2)).max(Age(0));
        let early = Age(whole(dice.around(20e9, 1.4))).min(Age(whole_ns / 3)).max(Age(0));
        let start = Timestamp((self.start + late).0 / 100 * 100);
        (start, Timestamp((self.end - early).0 / 100 * 100).max(start))
    }
}

impl Lines {
    fn fewer(self, dice: &mut Dice, caller: Party) -> Self {
        if matches!(caller, Party::Phone(_) | Party::Queue(_)) {
            return Self::default();
        }
        Self {
            video: self.video && dice.chance(0.5),
            sharing: self.sharing && dice.chance(0.6),
            data: self.data && dice.chance(0.7),
        }
    }
}

/// The id of call `n`: looks like any GUID, and [`number_of`] finds the way back.
pub(super) fn id_of(seed: u64, n: u64) -> String {
    let high = high_half(seed, n);
    guid_of(high, n ^ mix(seed ^ high))
}

/// The number of the call that has this id, if the world made it.
pub(super) fn number_of(seed: u64, id: &str) -> Option<u64> {
    let digits: String = id.chars().filter(|letter| *letter != '-').collect();
    if digits.len() != 32 || id.len() != 36 {
        return None;
    }
    let high = u64::from_str_radix(digits.get(..16)?, 16).ok()?;
    let low = u64::from_str_radix(digits.get(16..)?, 16).ok()?;
    // The version digit stands in the middle of the upper half: put the 60 thrown bits together again.
    let high = (high >> 16 << 16) | ((high & 0xfff) << 4);
    let n = (low ^ mix(seed ^ high)) & (u64::MAX >> 2);
    (id_of(seed, n) == id).then_some(n)
}

fn high_half(seed: u64, n: u64) -> u64 {
    Dice::of(seed, &[0x1d, n]).throw() & !0xf
}

/// The shape of call `n` without the rest of it.
pub(super) fn shape_of(seed: u64, n: u64, crowd: Option<u64>) -> Shape {
    shape(&mut Dice::of(seed, &[0xca11, n]), crowd)
}

fn shape(dice: &mut Dice, crowd: Option<u64>) -> Shape {
    let throw = dice.unit();
    if crowd.is_some() {
        Shape::Group { grown: false }
    } else if throw < 0.30 {
        Shape::Group { grown: throw < 0.012 }
    } else if throw < 0.39 {
        Shape::Pstn
    } else {
        Shape::PeerToPeer
    }
}

fn seconds(dice: &mut Dice, group: bool) -> i64 {
    let seconds = whole(dice.around(if group { 1500.0 } else { 170.0 }, if group { 0.9 } else { 1.3 }));
    if group {
        seconds.clamp(60, 6 * 3600)
    } else if dice.chance(0.007) {
        0
    } else {
        seconds.clamp(2, 3 * 3600)
    }
}

/// Mostly a handful, rarely hundreds.
fn group_size(dice: &mut Dice) -> u64 {
    let tail = (1.0 - dice.unit()).powf(-0.625) - 1.0;
    u64::try_from(whole(2.0 + 2.4 * tail)).unwrap_or(2).min(400)
}

fn lines(dice: &mut Dice, shape: Shape) -> Lines {
    let throw = dice.unit();
    match shape {
        Shape::Pstn => Lines::default(),
        Shape::PeerToPeer => Lines { video: throw > 0.8, sharing: (0.55..0.88).contains(&throw), data: false },
        Shape::Group { .. } => {
            Lines { video: throw > 0.65, sharing: (0.3..0.85).contains(&throw), data: dice.chance(0.1) }
        }
    }
}

/// The versions of a call: most have one; a quarter of the meetings grow after about an hour, a few once more days later.
fn editions(dice: &mut Dice, end: Timestamp, group: bool, sessions: u64) -> Vec<Edition> {
    let grows = dice.chance(if group { 0.25 } else { 0.06 });
    let count = if !grows {
        1
    } else if dice.chance(0.12) {
        3
    } else {
        2
    };
    let first = if dice.chance(0.04) { 2 } else { 1 };
    let mut age = Age::seconds(first_delay_s(dice));
    (0..count)
        .map(|place| {
            let visible_at = end + age;
            age = Age(age.0 + later_delay(dice, place).0);
            let written = Age(dice.between(200_000_000, 2_400_000_000) * 100);
            let (kept, thin) = match count - place {
                1 => (sessions, Thin::No),
                2 if count == 3 => (sessions, Thin::Some),
                _ if group => (sessions - sessions / 3, Thin::Most),
                _ => (sessions, Thin::All),
            };
            Edition { version: first + place, visible_at, last_modified: visible_at - written, sessions: kept, thin }
        })
        .collect()
}

/// Usually 10 to 60 minutes, sometimes up to 150, and once in 200 calls the next day.
fn first_delay_s(dice: &mut Dice) -> i64 {
    let throw = dice.unit();
    if throw < 0.005 {
        dice.between(4 * 3600, 30 * 3600)
    } else if throw < 0.03 {
        dice.between(3600, 9000)
    } else {
        whole(dice.around(1100.0, 0.45)).clamp(600, 3600)
    }
}

fn later_delay(dice: &mut Dice, place: i64) -> Age {
    if place == 0 {
        Age::seconds(dice.between(55 * 60, 110 * 60))
    } else {
        Age::seconds(dice.between(6 * 3600, 5 * 86_400))
    }
}

fn failure(dice: &mut Dice, at_once: bool) -> Option<Failure> {
    let throw = dice.unit();
    let reason = *dice.pick(&REASONS);
    if !at_once && throw > 0.03 {
        return None;
    }
    let stage = if at_once || dice.chance(0.55) { "callSetup" } else { "midcall" };
    Some(Failure { stage, reason: [Some(reason), Some(reason), Some(reason), Some(""), None][dice.index(5)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_number() {
        for n in [0, 1, 77, 4_000_000_000] {
            assert_eq!(number_of(5, &id_of(5, n)), Some(n));
            assert_eq!(number_of(6, &id_of(5, n)), None);
        }
        assert_eq!(number_of(5, "3cf3bbc8-b21d-4f2e-bfd0-b13603ae6c65"), None);
        assert_eq!(number_of(5, "nonsense"), None);
        assert_eq!(number_of(5, &format!("€€€€€€€€{}", "-".repeat(4) + "12345678")), None);
    }

    #[test]
    fn most_meetings_are_small_and_versions_rise() {
        let calls: Vec<_> = (0..3000).map(|n| Call::new(1, n, Timestamp(0), None)).collect();
        let small = calls.iter().filter(|call| call.sessions < 15).count();
        assert!(small > 2900 && calls.iter().any(|call| call.sessions > 60), "{small}");
        let group = calls.iter().filter(|call| call.type_name() == "groupCall").count();
        assert!((750..1050).contains(&group), "{group}");
        for call in &calls {
            assert!(call.editions.windows(2).all(|pair| {
                pair[0].version < pair[1].version
                    && pair[0].visible_at < pair[1].visible_at
                    && pair[0].sessions <= pair[1].sessions
            }));
            assert!(
                call.editions
                    .iter()
                    .all(|edition| edition.last_modified > call.end && edition.last_modified < edition.visible_at)
            );
        }
    }
}
