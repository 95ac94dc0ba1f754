//! The rows of the logs over real HTTP, held against the world that they come from.

use std::collections::{HashMap, HashSet};

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        ExpectedRow, LogKind, LogRetention, PageSizes, PlantedRow, Settings, Simulator,
        tests::{
            Asker, empty,
            logs::{company, url},
            start, text,
        },
    },
};

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

#[tokio::test]
async fn rows_show_up_a_day_or_two_late_and_are_gone_after_their_time() {
    let kept = LogRetention { pstn: Age::days(20), ..LogRetention::default() };
    let simulator = Simulator::start(Settings { log_retention: kept, ..company() }).unwrap();
    let asker = Asker::new(&simulator).await;
    let path = url(LogKind::Pstn, start() - Age::days(28), start());
    let starts = |rows: &[Value]| rows.iter().map(|row| text(&row["startDateTime"])).collect::<Vec<_>>();
    let before = starts(&asker.all(&path).await);
    let newest = before.iter().map(|start| Timestamp::parse(start).unwrap()).max().unwrap();
    let oldest = before.iter().map(|start| Timestamp::parse(start).unwrap()).min().unwrap();
    assert!(newest < start() - Age::hours(24) && newest > start() - Age::days(5), "{newest}");
    assert!(oldest > start() - Age::days(20) && oldest < start() - Age::days(18), "{oldest}");
    simulator.advance(Age::hours(49));
    let later = starts(&asker.all(&path).await);
    let newest = later.iter().map(|start| Timestamp::parse(start).unwrap()).max().unwrap();
    assert!(newest > start() - Age::hours(24), "all up to the start are there now");
    assert!(before.iter().any(|start| !later.contains(start)), "the oldest are gone");
    let held = simulator.world().expected_rows(LogKind::Pstn, simulator.now());
    assert!(before.iter().all(|start| held.iter().any(|row| row.start.to_string() == *start)), "an archive keeps them");
}

#[tokio::test]
async fn prices_settle_and_names_come_later() {
    let simulator = Simulator::start(company()).unwrap();
    let asker = Asker::new(&simulator).await;
    let rows = |at: Timestamp| {
        let rows = simulator.world().expected_rows(LogKind::Pstn, at);
        rows.into_iter().map(|row| ((row.start, row.caller.clone(), row.callee.clone()), row))
    };
    let mut settled = Vec::new();
    let mut named = 0;
    for day in 0..28 {
        let later: HashMap<_, _> = rows(start() + Age::days(day + 1)).collect();
        for (key, row) in rows(start() + Age::days(day)) {
            let newer = &later[&key];
            if row.charge != newer.charge {
                assert_eq!(row.charge.as_deref(), Some("0.00"));
                settled.extend(newer.charge.clone());
            }
            named += usize::from(row.user_display_name.is_none() && newer.user_display_name.is_some());
        }
    }
    assert!(settled.len() > 3 && named > 0, "{} {named}", settled.len());
    simulator.advance(Age::days(28));
    let body =
        asker.get(&url(LogKind::Pstn, start() - Age::days(28), start() + Age::days(28))).await.text().await.unwrap();
    for charge in settled {
        assert!(charge.len() >= 6 && body.contains(&format!("\"charge\":{charge},")), "{charge} letter for letter");
    }
}

#[tokio::test]
async fn a_planted_row_says_what_it_was_told_to_when_it_was_told_to() {
    let simulator = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&simulator).await;
    let at = start() - Age::days(3);
    let path = url(LogKind::Pstn, at, start());
    let person = &simulator.world().people()[4];
    let row = PlantedRow::new(LogKind::Pstn, at)
        .id("row-1")
        .user(person)
        .numbers("+493012", "any text")
        .lasting(75)
        .charge("0.00")
        .appearing_at(start() + Age::hours(1))
        .change_at(start() + Age::days(1), |row| row.charge = Some("1.2400".to_owned()));
    simulator.plant_row(row);
    assert!(asker.all(&path).await.is_empty());
    simulator.advance(Age::hours(2));
    let first = asker.get(&path).await.text().await.unwrap();
    assert!(first.contains("\"charge\":0.00,") && first.contains("\"calleeNumber\":\"any text\""), "{first}");
    simulator.advance(Age::days(1));
    assert_eq!(first.replace("\"charge\":0.00,", "\"charge\":1.2400,"), asker.get(&path).await.text().await.unwrap());
    let expected = &simulator.world().expected_rows(LogKind::Pstn, simulator.now())[0];
    assert_eq!((expected.charge.as_deref(), expected.id.as_deref()), (Some("1.2400"), Some("row-1")));
    assert_eq!((expected.user_id.as_ref(), expected.duration_s), (Some(&person.id), 75));

    simulator.plant_row(PlantedRow::new(LogKind::Pstn, at).without_id().bot());
    simulator.plant_row(PlantedRow::new(LogKind::DirectRouting, at).unanswered(486, "Busy Here").of_call("call-1"));
    let rows = asker.all(&path).await;
    assert!(rows[1].get("id").is_none() && option(&rows[1]["userId"]).is_none(), "{}", rows[1]);
    let failed = &asker.all(&url(LogKind::DirectRouting, at, start())).await[0];
    assert_eq!((failed["finalSipCode"].as_i64(), failed["correlationId"].as_str()), (Some(486), Some("call-1")));
    assert_eq!(failed["failureDateTime"], failed["startDateTime"]);
}

#[tokio::test]
async fn direct_routing_rows_lead_to_their_call_records_and_the_other_way_round() {
    let simulator = Simulator::start(company()).unwrap();
    let asker = Asker::new(&simulator).await;
    let (mut linked, mut failed, mut starred) = (0, 0, 0);
    let expected = simulator.world().expected_rows(LogKind::DirectRouting, simulator.now());
    let rows = asker.all(&url(LogKind::DirectRouting, start() - Age::days(40), start())).await;
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row["failureDateTime"] == "0001-01-01T00:00:00Z", row["successfulCall"] == true, "{row}");
        failed += usize::from(row["successfulCall"] == false);
        let numbers = [text(&row["callerNumber"]), text(&row["calleeNumber"])];
        starred += numbers.iter().filter(|number| number.ends_with("***")).count();
        let Some(id) = &expected.call_record_id else { continue };
        linked += 1;
        assert_eq!(row["correlationId"].as_str(), Some(id.as_str()));
        let call = simulator.world().expected_call(id, simulator.now()).unwrap();
        let start = Timestamp::parse(row["startDateTime"].as_str().unwrap()).unwrap();
        assert!(start >= call.start && start - call.start < Age::seconds(3));
        assert_eq!((call.end - call.start).0 / 1_000_000_000, row["duration"].as_i64().unwrap());
        let user = option(&row["userId"]);
        assert!(user.is_none_or(|user| call.participant_ids.contains(&user)), "{row}");
        let is_of_call = |number: &String| {
            let shown = number.trim_end_matches('*');
            call.participant_ids.iter().any(|id| id.starts_with(shown))
        };
        assert!(!numbers.iter().any(|number| number.ends_with("***")) || numbers.iter().any(is_of_call), "{row}");
    }
    assert!(linked > 20 && failed > 5 && starred > 20, "{linked} {failed} {starred}");
    let abroad = Simulator::start(Settings { tenant_country: "US".to_owned(), ..company() }).unwrap();
    let told = abroad.world().expected_rows(LogKind::DirectRouting, abroad.now());
    assert!(told.iter().all(|row| !row.caller.as_ref().unwrap().contains('*')), "in full where the law allows it");
}

#[tokio::test]
async fn ids_are_missing_or_repeated_now_and_then() {
    let simulator = Simulator::start(Settings { days: 84, ..company() }).unwrap();
    let rows = simulator.world().expected_rows(LogKind::Pstn, simulator.now());
    let without = rows.iter().filter(|row| row.id.is_none()).count();
    let ids: Vec<_> = rows.iter().filter_map(|row| row.id.as_ref()).collect();
    let repeated = ids.len() - ids.iter().collect::<HashSet<_>>().len();
    let call_ids: HashSet<_> = rows.iter().map(|row| &row.call_id).collect();
    assert!((1..30).contains(&without) && (1..30).contains(&repeated), "{without} {repeated}");
    assert!(call_ids.len() < rows.len(), "call ids repeat");
    assert!(rows.iter().any(|row| row.user_id.is_none() && row.call_type.contains("ucap_in")));
    for call_type in ["user_in", "user_out", "conf_in", "conf_out", "oc_user_out", "oc_user_in"] {
        assert!(rows.iter().any(|row| row.call_type == call_type), "no {call_type}");
    }
    let messages = simulator.world().expected_rows(LogKind::Sms, simulator.now());
    assert!(messages.iter().filter(|row| row.id.is_none()).count() * 2 > messages.len());
    let blocked = simulator.world().expected_rows(LogKind::BlockedUsers, simulator.now());
    assert!(blocked.iter().any(|row| row.call_type == "Unblocked") && blocked.iter().all(|row| row.id.is_none()));
}

#[tokio::test]
async fn the_dial_out_report_sums_up_the_window_that_was_asked_for() {
    let simulator = Simulator::start(company()).unwrap();
    let asker = Asker::new(&simulator).await;
    let (first, half, end) = (start() - Age::days(28), start() - Age::days(14), start());
    let mut calls = Vec::new();
    for (from, to) in [(first, end), (first, half), (half, end)] {
        let lines = asker.all(&url(LogKind::DialOut, from, to)).await;
        let expected = simulator.world().expected_dial_outs(from, to, simulator.now());
        assert_eq!(lines.len(), expected.len());
        for (line, expected) in lines.iter().zip(&expected) {
            assert_eq!(option(&line["userId"]), expected.user_id);
            assert_eq!(line["totalCalls"], expected.total_calls);
            assert_eq!(line["totalCallSeconds"], expected.total_call_seconds);
            let charge: Value = serde_json::from_str(&expected.total_call_charge).unwrap();
            assert_eq!(line["totalCallCharge"], charge);
        }
        let single = simulator.world().expected_rows(LogKind::Pstn, simulator.now());
        let single = single.iter().filter(|row| row.call_type == "conf_out" && from <= row.start && row.start < to);
        calls.push(expected.iter().map(|line| line.total_calls).sum::<u32>());
        assert_eq!(single.count(), *calls.last().unwrap() as usize);
    }
    assert!(calls[0] > 4 && calls[0] == calls[1] + calls[2], "{calls:?}");

    let person = &simulator.world().people()[0];
    let alone = Simulator::start(empty()).unwrap();
    let asker = Asker::new(&alone).await;
    for (minute, charge) in [(0, "0.10"), (1, "0.2000"), (2, "3")] {
        let call = PlantedRow::new(LogKind::DialOut, half + Age::minutes(minute)).user(person).charge(charge);
        alone.plant_row(call.lasting(20));
    }
    let body = asker.get(&url(LogKind::DialOut, half, end)).await.text().await.unwrap();
    assert!(body.contains("\"totalCalls\":3,\"totalCallCharge\":3.3000,\"totalCallSeconds\":60}"), "{body}");
    assert!(asker.all(&url(LogKind::Pstn, half, end)).await.is_empty());
}

#[tokio::test]
async fn logs_may_reach_back_further_than_call_records() {
    let near = Simulator::start(company()).unwrap();
    let far = Simulator::start(Settings { log_days: Some(200), ..company() }).unwrap();
    let at = near.now();
    assert_eq!(near.world().expected(at), far.world().expected(at), "the calls are the same");
    let rows = |simulator: &Simulator, log| simulator.world().expected_rows(log, at);
    for log in [LogKind::Pstn, LogKind::DirectRouting, LogKind::Sms, LogKind::BlockedUsers] {
        let (few, many) = (rows(&near, log), rows(&far, log));
        assert!(many.len() > few.len() * 4, "{log:?} {} {}", many.len(), few.len());
        let since = start() - Age::days(26);
        let new = |rows: &[ExpectedRow]| rows.iter().filter(|row| row.start > since).cloned().collect::<Vec<_>>();
        assert_eq!(new(&few), new(&many), "{log:?}");
        let retention = LogRetention::default().of(log);
        assert!(many.iter().all(|row| row.start + retention > start()));
    }
    let old: Vec<_> = rows(&far, LogKind::DirectRouting);
    let old: Vec<_> = old.iter().filter(|row| row.start < start() - Age::days(30)).collect();
    assert!(old.len() > 50 && old.iter().all(|row| row.call_record_id.is_none()));
    let asker = Asker::new(&far).await;
    for row in old.iter().take(20) {
        let id = row.call_id.as_ref().unwrap();
        let record = asker.get(&format!("/v1.0/communications/callRecords/{id}")).await;
        assert_eq!(record.status(), StatusCode::NOT_FOUND);
    }
}
