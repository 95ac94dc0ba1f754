//! Rows made by hand for tests.

use crate::{
    model::time::Timestamp,
    simulate::{
        Person,
        dice::Dice,
        logs::{
            LogKind,
            row::{LogRow, Row, SipFailure, blank},
            rows::{FREE, currency},
        },
    },
};

/// A row added with [`Simulator::plant_row`](crate::simulate::Simulator::plant_row). It shows at once unless told otherwise,
/// has an id of its own unless told otherwise, and is about the first of [`World::people`](crate::simulate::World::people).
#[derive(Clone, Debug)]
pub struct PlantedRow {
    log: LogKind,
    /// Each with the time from which it is seen.
    editions: Vec<(Timestamp, LogRow)>,
    has_own_id: bool,
    has_own_user: bool,
}

impl PlantedRow {
    /// A row of `log` with the members that such a row has. One of [`LogKind::DialOut`] is a single dial-out of a conference,
    /// which the report counts and the PSTN log does not have; a planted PSTN row of type `conf_out` is in both.
    pub fn new(log: LogKind, start: Timestamp) -> Self {
        let mut row = blank(start, start.0.unsigned_abs());
        row.duration_s = if matches!(log, LogKind::Sms | LogKind::BlockedUsers) { 0 } else { 60 };
        row.caller = Some("+4930123456".to_owned());
        row.callee = (log != LogKind::BlockedUsers).then(|| "+4989555***".to_owned());
        row.other_country = Some("DE".to_owned());
        row.destination_context = Some("Domestic".to_owned());
        row.call_type = String::from(match log {
            LogKind::Pstn => "user_out",
            LogKind::DirectRouting => "ByotOut",
            LogKind::Sms => "sms_out",
            LogKind::BlockedUsers => "Blocked",
            LogKind::DialOut => "conf_out",
        });
        let is_priced = !matches!(log, LogKind::DirectRouting | LogKind::BlockedUsers);
        row.charge = is_priced.then(|| FREE.to_owned());
        row.connection_charge = (is_priced && log != LogKind::Sms).then(|| FREE.to_owned());
        Self { log, editions: vec![(Timestamp(i64::MIN), row)], has_own_id: false, has_own_user: false }
    }

    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        Self { has_own_id: true, ..self }.newest(|row| row.id = Some(id))
    }

    #[must_use]
    pub fn without_id(self) -> Self {
        Self { has_own_id: true, ..self }.newest(|row| row.id = None)
    }

    #[must_use]
    pub fn user(self, person: &Person) -> Self {
        Self { has_own_user: true, ..self }.newest(|row| about(row, person))
    }

    /// About nobody, as the rows of bots are.
    #[must_use]
    pub fn bot(self) -> Self {
        Self { has_own_user: true, ..self }
    }

    /// A blocked user's row has the first only.
    #[must_use]
    pub fn numbers(self, caller: impl Into<String>, callee: impl Into<String>) -> Self {
        let (caller, callee) = (caller.into(), callee.into());
        self.newest(|row| (row.caller, row.callee) = (Some(caller), Some(callee)))
    }

    #[must_use]
    pub fn call_type(self, call_type: impl Into<String>) -> Self {
        let call_type = call_type.into();
        self.newest(|row| row.call_type = call_type)
    }

    #[must_use]
    pub fn lasting(self, duration_s: i64) -> Self {
        self.newest(|row| row.duration_s = duration_s)
    }

    /// The text of a JSON number such as `1.2400`.
    #[must_use]
    pub fn charge(self, charge: impl Into<String>) -> Self {
        let charge = charge.into();
        self.newest(|row| row.charge = Some(charge))
    }

    /// `callId`, `correlationId`, `smsId` or `remediationId`.
    #[must_use]
    pub fn call_id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.newest(|row| row.call_id = Some(id))
    }

    /// The row of a call that has a record; direct routing names it as its `correlationId`.
    #[must_use]
    pub fn of_call(self, id: impl Into<String>) -> Self {
        let (id, names_it) = (id.into(), self.log == LogKind::DirectRouting);
        self.newest(|row| {
            row.call_id = if names_it { Some(id.clone()) } else { row.call_id.take() };
            row.call_record_id = Some(id);
        })
    }

    /// An attempt that failed, with a SIP code.
    #[must_use]
    pub fn unanswered(self, code: u16, phrase: impl Into<String>) -> Self {
        let phrase = phrase.into();
        self.newest(|row| {
            row.duration_s = 0;
            row.failure = Some(SipFailure { code, phrase });
        })
    }

    /// Splices members into the row.
    #[must_use]
    pub fn extra_members(self, members: impl Into<String>) -> Self {
        let members = members.into();
        self.newest(|row| row.extra_members = members)
    }

    /// Changes what the row says from the beginning (or since the last [`PlantedRow::change_at`]).
    #[must_use]
    pub fn with(self, change: impl FnOnce(&mut LogRow)) -> Self {
        self.newest(change)
    }

    /// Lets the row, as it is so far, show up at `at`.
    #[must_use]
    pub fn appearing_at(mut self, at: Timestamp) -> Self {
        if let Some((from, _)) = self.editions.last_mut() {
            *from = at;
        }
        self
    }

    /// Lets the row say something else from `at` on. Its start stays.
    #[must_use]
    pub fn change_at(mut self, at: Timestamp, change: impl FnOnce(&mut LogRow)) -> Self {
        if let Some((_, mut row)) = self.editions.last().cloned() {
            let start = row.start;
            change(&mut row);
            row.start = start;
            self.editions.push((at, row));
        }
        self
    }

    fn newest(mut self, change: impl FnOnce(&mut LogRow)) -> Self {
        if let Some((_, row)) = self.editions.last_mut() {
            change(row);
        }
        self
    }

    /// Fills in what was left open, for the `number`th planted row.
    pub(super) fn finish(mut self, number: u64, person: &Person) -> Row {
        let mut dice = Dice::of(number, &[0x91a2, self.log as u64]);
        let (id, call_id) = (dice.guid(), dice.guid());
        // Text messages and blocked users have no id in the published samples.
        let has_id = !self.has_own_id && !matches!(self.log, LogKind::Sms | LogKind::BlockedUsers);
        for (_, row) in &mut self.editions {
            if has_id && row.id.is_none() {
                row.id = Some(id.clone());
            }
            if !self.has_own_user && row.user_id.is_none() {
                about(row, person);
            }
            if row.user_country.is_empty() {
                row.user_country = String::from("DE");
            }
            if row.currency.is_empty() {
                row.currency = currency(&row.user_country).to_owned();
            }
            row.call_id.get_or_insert_with(|| call_id.clone());
        }
        Row { log: self.log, key: 1 << 63 | number, editions: self.editions }
    }
}

fn about(row: &mut LogRow, person: &Person) {
    row.user_id = Some(person.id.clone());
    row.user_display_name = Some(person.name.clone());
    row.user_principal_name = Some(person.upn.clone());
    person.country.clone_into(&mut row.user_country);
}
