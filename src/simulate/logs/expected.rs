//! The truth about the logs that archives are judged by.

use crate::{
    model::time::Timestamp,
    simulate::{
        World,
        logs::{
            DAY_NS, LogKind,
            row::{LogRow, Row},
        },
    },
};

/// What an archive that missed nothing holds as the newest text of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedRow {
    pub log: LogKind,
    /// `startDateTime`, `sentDateTime` or `blockDateTime`.
    pub start: Timestamp,
    /// As Graph sends it: for some rows `None`, for some the same as another row's.
    pub id: Option<String>,
    pub user_id: Option<String>,
    pub user_display_name: Option<String>,
    /// `callerNumber`, `sourceNumber` or `userTelephoneNumber`.
    pub caller: Option<String>,
    /// `calleeNumber` or `destinationNumber`.
    pub callee: Option<String>,
    /// `callType`, `smsType` or `userBlockMode`.
    pub call_type: String,
    pub duration_s: i64,
    /// `charge` or `callCharge` as its text.
    pub charge: Option<String>,
    pub connection_charge: Option<String>,
    /// `callId`, `correlationId`, `smsId` or `remediationId`.
    pub call_id: Option<String>,
    /// The call record of the same call that the world has, whether or not the row names it.
    pub call_record_id: Option<String>,
}

/// A line of the dial-out report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedDialOut {
    pub user_id: Option<String>,
    pub usage_location: String,
    pub destination_context: Option<String>,
    pub currency: String,
    pub total_calls: u32,
    pub total_call_seconds: i64,
    /// As its text.
    pub total_call_charge: String,
}

impl World {
    /// What an archive that looked at a log all the time since the simulator began, up to `at`, holds: the newest text seen of
    /// every row, also of those that are gone by then. By start. Empty for [`LogKind::DialOut`], which has no rows of its own:
    /// see [`World::expected_dial_outs`].
    pub fn expected_rows(&self, log: LogKind, at: Timestamp) -> Vec<ExpectedRow> {
        if log == LogKind::DialOut {
            return Vec::new();
        }
        let retention = self.telephony.retention.of(log);
        let planted = self.telephony.planted_between(log, Timestamp(i64::MIN), Timestamp(i64::MAX));
        let first = planted.iter().map(|row| row.start()).chain([self.telephony.first]).min();
        let last = planted.iter().map(|row| row.start()).chain([at]).max();
        let days = first.unwrap_or(at).max(self.began - retention).0.div_euclid(DAY_NS)
            ..=last.unwrap_or(at).0.div_euclid(DAY_NS);
        let held = |row: &Row| {
            let expiry = row.start() + retention;
            let seen_at = (expiry > self.began).then(|| at.min(Timestamp(expiry.0 - 1)))?;
            row.newest(seen_at).map(|newest| expected(log, newest))
        };
        days.flat_map(|day| self.rows_of_day(log, day)).filter_map(|row| held(&row)).collect()
    }

    /// What Graph's report of the dial-outs from `from` until before `to` says when it is asked at `at`.
    pub fn expected_dial_outs(&self, from: Timestamp, to: Timestamp, at: Timestamp) -> Vec<ExpectedDialOut> {
        let lines = self.dial_outs(from, to, at).into_iter();
        lines
            .map(|line| ExpectedDialOut {
                total_call_charge: line.charge(),
                user_id: line.user_id,
                usage_location: line.usage_location,
                destination_context: line.destination_context,
                currency: line.currency,
                total_calls: line.calls,
                total_call_seconds: line.seconds,
            })
            .collect()
    }
}

fn expected(log: LogKind, row: &LogRow) -> ExpectedRow {
    ExpectedRow {
        log,
        start: row.start,
        // No schema gives them one, whatever a test planted.
        id: row.id.clone().filter(|_| log != LogKind::BlockedUsers),
        user_id: row.user_id.clone(),
        user_display_name: row.user_display_name.clone(),
        caller: row.caller.clone(),
        callee: row.callee.clone(),
        call_type: row.call_type.clone(),
        duration_s: row.duration_s,
        charge: row.charge.clone(),
        connection_charge: row.connection_charge.clone(),
        call_id: row.call_id.clone(),
        call_record_id: row.call_record_id.clone(),
    }
}
