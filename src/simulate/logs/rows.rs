//! Rows that come from the world's calls: who talked to the telephone network, over which line, at what price.

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        call::{Call, Party, Shape},
        dice::Dice,
        logs::{
            DAY_NS, LogKind,
            row::{LogRow, Row, SipFailure, blank},
        },
        people, world,
    },
};

/// How long after its call's start a row may start: a participant comes late to a meeting of six hours, then its twin.
const LATEST: Age = Age::hours(4);
/// Rows without a usable id in a month, whatever the size of the organisation.
const ODD_PER_MONTH: f64 = 5.0;
const WORKDAYS_PER_MONTH: f64 = 21.0;
/// Rows of one log per call of the world, roughly.
const ROWS_PER_CALL: f64 = 0.06;
/// Countries that do not let an outside number be told in full.
const MASKING: [&str; 1] = ["DE"];

/// Over what somebody of ours reaches the telephone network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    CallingPlan,
    OperatorConnect,
    DirectRouting,
}

impl World {
    /// All rows of one log that start on a UTC day, counted from 1970: by start.
    pub(super) fn rows_of_day(&self, log: LogKind, day: i64) -> Vec<Row> {
        let (from, to) = (Timestamp(day * DAY_NS), Timestamp((day + 1) * DAY_NS));
        let mut rows = Vec::new();
        if self.telephony.first <= from {
            // The report counts what the PSTN log has single.
            let made = if log == LogKind::DialOut { LogKind::Pstn } else { log };
            if matches!(made, LogKind::Pstn | LogKind::DirectRouting) {
                let earlier = (from - LATEST).max(self.telephony.first);
                for call in self.telephone_calls(earlier, to + Age::seconds(2)) {
                    self.rows_of_call(made, &call, &mut rows);
                }
            }
            let yesterday = (from > self.telephony.first).then_some(day - 1);
            for day in yesterday.into_iter().chain([day]) {
                self.loose_rows(made, day, &mut rows);
            }
            rows.retain(|row| (from..to).contains(&row.start()));
            if log == LogKind::DialOut {
                rows.retain(|row| row.newest(Timestamp(i64::MAX)).is_some_and(|row| row.call_type == "conf_out"));
            }
        }
        let planted = |log| self.telephony.planted_between(log, from, to);
        rows.extend(planted(log).iter().map(|row| Row::clone(row)));
        if log == LogKind::DialOut {
            let is_dial_out =
                |row: &Row| row.newest(Timestamp(i64::MAX)).is_some_and(|row| row.call_type == "conf_out");
            rows.extend(planted(LogKind::Pstn).iter().filter(|row| is_dial_out(row)).map(|row| Row::clone(row)));
        }
        rows.sort_by_key(|row| (row.start(), row.key));
        rows
    }

    fn rows_of_call(&self, log: LogKind, call: &Call, into: &mut Vec<Row>) {
        match call.shape {
            Shape::Pstn => self.row_of_pair(log, call, into),
            Shape::Group { grown } if log == LogKind::Pstn => self.rows_of_conference(call, grown, into),
            Shape::Group { .. } | Shape::PeerToPeer => {}
        }
    }

    /// The row of a call between one of ours and a telephone.
    fn row_of_pair(&self, log: LogKind, call: &Call, into: &mut Vec<Row>) {
        let parties = self.parties(call);
        let (inbound, outside, inside) = match parties[..] {
            [Party::Phone(number), inside] => (true, number, inside),
            [inside, Party::Phone(number)] => (false, number, inside),
            _ => return,
        };
        let line = self.line(inside);
        if (line == Line::DirectRouting) != (log == LogKind::DirectRouting) {
            return;
        }
        let mut dice = Dice::of(self.seed(), &[0x10f0, call.n]);
        let duration_s = (call.end - call.start).0 / 1_000_000_000;
        // Not every call leaves a row, and a PSTN call that nobody answered leaves none.
        if dice.chance(0.05) || (duration_s == 0 && log == LogKind::Pstn) {
            return;
        }
        let start = near(&mut dice, call.start, log);
        let mut row = self.row_about(inside, start, &mut dice);
        row.duration_s = duration_s;
        self.ends(&mut row, inbound, outside, inside, &mut dice);
        row.call_record_id = world::record_id(call);
        if log == LogKind::DirectRouting {
            row.call_id = Some(call.id.clone());
            row.call_type = String::from(byot_type(inside, inbound, &mut dice));
            if duration_s == 0 {
                row.failure = Some(SipFailure { code: 487, phrase: "Request Terminated".to_owned() });
            }
            if inbound && dice.chance(0.05) {
                // What a border controller sends in place of a number.
                row.caller = Some((*dice.pick(&["Internal Revenue Service", "anonymous", "+1001"])).to_owned());
            }
        } else {
            let operator_connect = line == Line::OperatorConnect;
            let prefix = if operator_connect { "oc_" } else { "" };
            row.call_type = format!("{prefix}{}", pstn_type(inside, inbound, &mut dice));
            row.call_id = Some(if operator_connect { call.id.clone() } else { call_id(&mut dice) });
            price(&mut row, inbound, &mut dice);
        }
        self.finish(log, call.n << 12, row, &mut dice, into);
    }

    /// The rows of a meeting's telephones: dialled in, or called by the meeting. They share one call id.
    fn rows_of_conference(&self, call: &Call, grown: bool, into: &mut Vec<Row>) {
        let parties = self.parties(call);
        let Some(edition) = call.editions.last() else { return };
        let shared = call_id(&mut Dice::of(self.seed(), &[0x10fc, call.n]));
        for (place, party) in (0_u64..).zip(&parties) {
            let Party::Phone(outside) = *party else { continue };
            let mut dice = Dice::of(self.seed(), &[0x10f1, call.n, place]);
            let session = call.session(self.seed(), edition, &parties, place);
            let duration_s = (session.end - session.start).0 / 1_000_000_000;
            if duration_s == 0 {
                continue;
            }
            let start = near(&mut dice, session.start, LogKind::Pstn);
            let mut row = self.row_about(parties[0], start, &mut dice);
            row.duration_s = duration_s;
            let inbound = dice.chance(0.45);
            row.call_type = String::from(match inbound {
                true => "conf_in",
                false if grown => "user_out_conf",
                false => "conf_out",
            });
            self.ends(&mut row, inbound, outside, Party::Queue(0), &mut dice);
            row.call_id = Some(shared.clone());
            row.call_record_id = world::record_id(call);
            price(&mut row, inbound, &mut dice);
            self.finish(LogKind::Pstn, call.n << 12 | (place + 1) & 0xfff, row, &mut dice, into);
        }
    }

    /// A row with the members that name somebody of ours, as he was called at `start`.
    pub(super) fn row_about(&self, inside: Party, start: Timestamp, dice: &mut Dice) -> LogRow {
        let mut row = blank(start, dice.throw());
        row.user_country = match inside {
            Party::User(place) => {
                let person = &self.people()[place];
                let (name, upn) = self.named_at(place, start);
                row.user_id = Some(person.id.clone());
                row.user_display_name = Some(name);
                row.user_principal_name = Some(upn);
                person.country.to_owned()
            }
            _ => self.telephony.country.clone(),
        };
        row.currency = currency(&row.user_country).to_owned();
        row
    }

    /// Fills in the numbers: ours in full, the one outside as far as the tenant's country lets it be told.
    pub(super) fn ends(&self, row: &mut LogRow, inbound: bool, outside: u64, inside: Party, dice: &mut Dice) {
        let ours = match inside {
            Party::User(place) => self.people()[place].phone.clone(),
            _ => people::outside_phone(self.seed(), 1_000_000 + dice.below(3)),
        };
        let theirs = self.masked(people::outside_phone(self.seed(), outside));
        let country = people::outside_country(self.seed(), outside);
        (row.caller, row.callee) = if inbound { (Some(theirs), Some(ours)) } else { (Some(ours), Some(theirs)) };
        row.destination_context = (!inbound)
            .then(|| if country == row.user_country { "Domestic" } else { "International" })
            .map(str::to_owned);
        row.other_country = Some(country.to_owned());
    }

    fn masked(&self, number: String) -> String {
        if !MASKING.contains(&self.telephony.country.as_str()) {
            return number;
        }
        let kept = number.len().saturating_sub(3);
        format!("{}***", &number[..kept])
    }

    /// Puts a row with its id among the others: with the time of its appearance, a later text for some, and for a few a
    /// second call of the same id.
    pub(super) fn finish(&self, log: LogKind, key: u64, mut row: LogRow, dice: &mut Dice, into: &mut Vec<Row>) {
        let id = dice.guid();
        let odd = self.odd_share();
        let throw = dice.unit();
        row.id = (throw > odd).then_some(id);
        if (odd..odd * 2.0).contains(&throw) {
            let mut twin =
                LogRow { call_record_id: None, noise: dice.throw(), call_id: Some(call_id(dice)), ..row.clone() };
            twin.start = twin.start + Age::seconds(dice.between(120, 2400));
            into.push(appearing(log, key | 0x800, twin, dice));
        }
        into.push(appearing(log, key, row, dice));
    }

    /// The share of rows that lack an id, and that of rows whose id another one has too.
    fn odd_share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a share of some rows a month")]
        let rows_per_month = self.calls_per_workday() as f64 * WORKDAYS_PER_MONTH * ROWS_PER_CALL;
        (ODD_PER_MONTH / 2.0 / rows_per_month.max(1.0)).min(0.03)
    }

    fn line(&self, inside: Party) -> Line {
        let throw = match inside {
            Party::User(place) => Dice::of(self.seed(), &[0x11e, place as u64]).below(100),
            Party::Queue(number) => number % 3 * 40,
            _ => 0,
        };
        match throw {
            0..40 => Line::CallingPlan,
            40..55 => Line::OperatorConnect,
            _ => Line::DirectRouting,
        }
    }
}

/// A row that shows up one to two days after its end. Some prices settle a day later, and some names are filled in then.
pub(super) fn appearing(log: LogKind, key: u64, row: LogRow, dice: &mut Dice) -> Row {
    let shown = row.end() + Age::hours(24) + Age::seconds(dice.between(0, 24 * 3600));
    let is_priced = row.charge.as_deref().is_some_and(|charge| charge != FREE);
    let settles = dice.chance(0.4) && is_priced;
    let named_later = dice.chance(0.03) && row.user_id.is_some() && log != LogKind::BlockedUsers;
    if !settles && !named_later {
        return Row { log, key, editions: vec![(shown, row)] };
    }
    let mut first = row.clone();
    if settles {
        first.charge = Some(FREE.to_owned());
        first.connection_charge = first.connection_charge.map(|_| FREE.to_owned());
    }
    if named_later {
        (first.user_display_name, first.user_principal_name) = (None, None);
    }
    Row { log, key, editions: vec![(shown, first), (shown + Age::days(1), row)] }
}

pub(super) const FREE: &str = "0.00";

/// Money in ten-thousandths as Graph writes it.
pub(super) fn money(amount_e4: i64) -> String {
    if amount_e4 == 0 { FREE.to_owned() } else { format!("{}.{:04}", amount_e4 / 10_000, amount_e4 % 10_000) }
}

/// What a call costs: nothing inbound and mostly nothing in the country.
fn price(row: &mut LogRow, inbound: bool, dice: &mut Dice) {
    let abroad = row.destination_context.as_deref() == Some("International");
    let per_minute_e4 = match () {
        () if inbound => 0,
        () if abroad => dice.between(2, 90) * 50,
        () if dice.chance(0.8) => 0,
        () => 115,
    };
    let minutes = (row.duration_s + 59) / 60;
    row.charge = Some(money(per_minute_e4 * minutes));
    row.connection_charge = Some(if abroad && dice.chance(0.3) { money(700) } else { FREE.to_owned() });
}

/// Some moments after `start`, with as many digits as the log has.
fn near(dice: &mut Dice, start: Timestamp, log: LogKind) -> Timestamp {
    let step_ns = if log == LogKind::Pstn { 100 } else { 1_000_000 };
    let near = start + Age(dice.between(0, 2_500_000_000));
    Timestamp(near.0 - near.0.rem_euclid(step_ns))
}

fn pstn_type(inside: Party, inbound: bool, dice: &mut Dice) -> &'static str {
    match (inside, inbound) {
        (Party::Queue(_), true) => "ucap_in",
        (Party::Queue(_), false) => "ucap_out",
        (_, true) => "user_in",
        (_, false) => ["user_out", "user_out", "user_out", "user_out_forwarding", "user_out_transfer"][dice.index(5)],
    }
}

fn byot_type(inside: Party, inbound: bool, dice: &mut Dice) -> &'static str {
    match (inside, inbound) {
        (Party::Queue(_), true) => "ByotInUcap",
        (Party::Queue(_), false) => "ByotOutUcap",
        (_, true) => "ByotIn",
        (_, false) => ["ByotOut", "ByotOut", "ByotOut", "ByotOut", "ByotOutUserForwarding"][dice.index(5)],
    }
}

/// Hexadecimal without dashes, or two numbers at an address.
pub(super) fn call_id(dice: &mut Dice) -> String {
    if dice.chance(0.5) {
        return dice.hex();
    }
    format!("{}_{}@203.0.113.{}", dice.below(1 << 31), dice.below(1 << 28), dice.below(256))
}

pub(super) fn currency(country: &str) -> &'static str {
    match country {
        "GB" => "GBP",
        "DE" | "ES" | "FR" | "GR" => "EUR",
        "PL" => "PLN",
        "SE" => "SEK",
        "JP" => "JPY",
        _ => "USD",
    }
}
