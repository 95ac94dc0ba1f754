//! The five logs over real HTTP.

use serde_json::Value;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        ExpectedRow, LogKind, PageSizes, Settings, Simulator,
        tests::{Asker, settings, start, text},
    },
};

/// A small company with a month of logs behind it.
fn company() -> Settings {
    Settings { calls_per_day: 50, days: 28, ..settings() }
}

/// A log's URL on beta.
fn url(log: LogKind, from: Timestamp, to: Timestamp) -> String {
    format!("/beta/communications/callRecords/{}(fromDateTime={from},toDateTime={to})", log.function())
}

fn option(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// What a row's JSON says, in the words of the truth but for the call record, which only the world knows.
fn told(log: LogKind, row: &Value) -> ExpectedRow {
    let [start, caller, callee, call_type, charge, call_id] = match log {
        LogKind::Pstn => ["startDateTime", "callerNumber", "calleeNumber", "callType", "charge", "callId"],
        LogKind::DirectRouting => {
            ["startDateTime", "callerNumber", "calleeNumber", "callType", "charge", "correlationId"]
        }
        LogKind::Sms => ["sentDateTime", "sourceNumber", "destinationNumber", "smsType", "callCharge", "smsId"],
        _ => ["blockDateTime", "userTelephoneNumber", "", "userBlockMode", "", "remediationId"],
    };
    let scale = |name: &str| row.get(name).map(ToString::to_string);
    ExpectedRow {
        log,
        start: Timestamp::parse(row[start].as_str().unwrap()).unwrap(),
        id: option(&row["id"]),
        user_id: option(&row["userId"]),
        user_display_name: option(&row["userDisplayName"]),
        caller: option(&row[caller]),
        callee: option(&row[callee]),
        call_type: text(&row[call_type]),
        duration_s: row["duration"].as_i64().unwrap_or(0),
        charge: scale(charge),
        connection_charge: scale("connectionCharge"),
        call_id: option(&row[call_id]),
        call_record_id: None,
    }
}

/// The truth as far as JSON can tell it: a number without the zeros that a reader drops.
fn without_record(expected: Vec<ExpectedRow>) -> Vec<ExpectedRow> {
    let plain =
        |charge: Option<String>| charge.map(|text| text.parse::<f64>().unwrap()).map(|number| format!("{number:?}"));
    let mut rows: Vec<_> = expected
        .into_iter()
        .map(|row| ExpectedRow {
            charge: plain(row.charge.clone()),
            connection_charge: plain(row.connection_charge.clone()),
            call_record_id: None,
            ..row
        })
        .collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn a_month_of_every_log_is_what_the_world_expects() {
    let simulator =
        Simulator::start(Settings { page_sizes: PageSizes { log: 7, ..PageSizes::default() }, ..company() });
    let simulator = simulator.unwrap();
    let asker = Asker::new(&simulator).await;
    for (log, at_least, at_most) in [
        (LogKind::Pstn, 30, 300),
        (LogKind::DirectRouting, 30, 300),
        (LogKind::Sms, 5, 100),
        (LogKind::BlockedUsers, 1, 20),
    ] {
        let rows = asker.all(&url(log, start() - Age::days(40), start())).await;
        let expected = simulator.world().expected_rows(log, simulator.now());
        assert!((at_least..at_most).contains(&expected.len()), "{log:?}: {}", expected.len());
        assert_eq!(simulator.requests().of_log(log), (expected.len() as u64).div_ceil(7));
        let mut seen: Vec<_> = rows.iter().map(|row| told(log, row)).collect();
        seen.sort();
        assert_eq!(seen, without_record(expected));
    }
}
