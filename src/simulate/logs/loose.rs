//! Rows that no call record stands behind: attempts nobody answered, voicemail, text messages, blocked users.

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        call::Party,
        dice::Dice,
        logs::{
            DAY_NS, LogKind,
            row::{LogRow, Row, SipFailure},
            rows::{FREE, appearing, call_id, money},
        },
    },
};

/// Sets these rows apart from those of calls where both start at once.
const LOOSE: u64 = 1 << 62;
/// How many of them come with a call of the world.
const ATTEMPTS_PER_CALL: f64 = 0.03;
const VOICEMAILS_PER_CALL: f64 = 0.01;
const MESSAGES_PER_CALL: f64 = 0.02;

const REFUSALS: [(u16, &str); 7] = [
    (480, "Temporarily Unavailable"),
    (408, "Request Timeout"),
    (486, "Busy Here"),
    (487, "Request Terminated"),
    (404, "Not Found"),
    (603, "Decline"),
    (503, "Service Unavailable"),
];

impl World {
    /// The rows of `log` without a call that begin, with their pairs, on a day; a pair's second may start on the next.
    pub(super) fn loose_rows(&self, log: LogKind, day: i64, into: &mut Vec<Row>) {
        if self.calls_per_workday() == 0 {
            return;
        }
        if log == LogKind::BlockedUsers {
            self.blocked_on(day, into);
            return;
        }
        let per_call = match log {
            LogKind::DirectRouting => ATTEMPTS_PER_CALL,
            LogKind::Sms => MESSAGES_PER_CALL,
            _ => VOICEMAILS_PER_CALL,
        };
        for place in 0..self.count_on(log, day, per_call) {
            let mut dice = Dice::of(self.seed(), &[0x1005e, log as u64, day.unsigned_abs(), place]);
            let step_ns = if log == LogKind::DirectRouting { 1_000_000 } else { 100 };
            // Between six and eighteen hours UTC, when people are up.
            let of_day_ns = dice.between(6 * 3600, 18 * 3600) * 1_000_000_000 + dice.between(0, 10_000_000) * 100;
            let start = Timestamp(day * DAY_NS + of_day_ns / step_ns * step_ns);
            let key = LOOSE | day.unsigned_abs() << 32 | place << 12;
            let somebody = self.somebody(&mut dice);
            match log {
                LogKind::DirectRouting => self.attempt(key, somebody, start, &mut dice, into),
                LogKind::Sms => self.message(key, somebody, start, &mut dice, into),
                _ => self.voicemail(key, somebody, start, &mut dice, into),
            }
        }
    }

    /// How many there are on a day, in the mean `per_call` times the day's calls.
    fn count_on(&self, log: LogKind, day: i64, per_call: f64) -> u64 {
        let mut dice = Dice::of(self.seed(), &[0x1005f, log as u64, day.unsigned_abs()]);
        #[expect(clippy::cast_precision_loss, reason = "a mean of some rows a day")]
        let mean = self.calls_on(day) as f64 * per_call;
        u64::try_from(crate::simulate::dice::whole(mean + dice.unit())).unwrap_or(0)
    }

    /// A direct routing call that was never set up.
    fn attempt(&self, key: u64, somebody: Party, start: Timestamp, dice: &mut Dice, into: &mut Vec<Row>) {
        let inbound = dice.chance(0.6);
        let inside = if dice.chance(0.15) { Party::Queue(2) } else { somebody };
        let mut row = self.row_about(inside, start, dice);
        self.ends(&mut row, inbound, dice.below(400), inside, dice);
        if inbound && dice.chance(0.15) {
            row.caller = Some((*dice.pick(&["Unavailable", "spam likely", "+1001", "sip:door-3"])).to_owned());
        }
        row.call_type = String::from(if inbound { "ByotIn" } else { "ByotOut" });
        row.call_id = Some(dice.guid());
        let (code, phrase) = *dice.pick(&REFUSALS);
        row.failure = Some(SipFailure { code, phrase: phrase.to_owned() });
        self.finish(LogKind::DirectRouting, key, row, dice, into);
    }

    /// A PSTN call that a mailbox took: Graph has no record of it.
    fn voicemail(&self, key: u64, somebody: Party, start: Timestamp, dice: &mut Dice, into: &mut Vec<Row>) {
        let mut row = self.row_about(somebody, start, dice);
        self.ends(&mut row, true, dice.below(400), somebody, dice);
        row.duration_s = dice.between(3, 90);
        row.call_type = String::from("user_in");
        row.call_id = Some(call_id(dice));
        (row.charge, row.connection_charge) = (Some(FREE.to_owned()), Some(FREE.to_owned()));
        self.finish(LogKind::Pstn, key, row, dice, into);
    }

    /// A text message; one in eight goes to two numbers under one id.
    fn message(&self, key: u64, somebody: Party, start: Timestamp, dice: &mut Dice, into: &mut Vec<Row>) {
        let inbound = dice.chance(0.5);
        let mut row = self.row_about(somebody, start, dice);
        self.ends(&mut row, inbound, dice.below(400), somebody, dice);
        row.call_type = String::from(if inbound { "sms_in" } else { "sms_out" });
        row.call_id = Some(dice.guid());
        row.destination_context = row.destination_context.or_else(|| Some("Domestic".to_owned()));
        row.charge = Some(money(if inbound { 0 } else { 75 }));
        // Most rows have no id member at all, as in the published sample.
        row.id = dice.chance(0.1).then(|| dice.guid());
        if !inbound && dice.chance(0.125) {
            let mut second = LogRow { noise: dice.throw(), ..row.clone() };
            self.ends(&mut second, false, 400 + dice.below(400), somebody, dice);
            second.id = None;
            into.push(appearing(LogKind::Sms, key | 1, second, dice));
        }
        into.push(appearing(LogKind::Sms, key, row, dice));
    }

    /// Once a week somebody is blocked, and mostly let off again within a day. Both rows have one remediation id.
    fn blocked_on(&self, day: i64, into: &mut Vec<Row>) {
        let mut dice = Dice::of(self.seed(), &[0xb10c, day.div_euclid(7).unsigned_abs()]);
        if dice.between(0, 7) != day.rem_euclid(7) {
            return;
        }
        let somebody = self.somebody(&mut dice);
        let at = Timestamp(day * DAY_NS + dice.between(0, DAY_NS / 1_000_000) * 1_000_000);
        let mut row = self.row_about(somebody, at, &mut dice);
        if let Party::User(place) = somebody {
            row.caller = Some(self.people()[place].phone.clone());
        }
        row.call_type = String::from("Blocked");
        row.call_id = Some(dice.guid());
        let key = LOOSE | day.unsigned_abs() << 32;
        if dice.chance(0.8) {
            let after = Age(dice.between(600_000, 20 * 3_600_000) * 1_000_000);
            let second = LogRow { start: at + after, call_type: "Unblocked".to_owned(), ..row.clone() };
            into.push(appearing(LogKind::BlockedUsers, key | 1, second, &mut dice));
        }
        into.push(appearing(LogKind::BlockedUsers, key, row, &mut dice));
    }
}
