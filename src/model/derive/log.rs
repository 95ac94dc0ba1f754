//! Rows of the logs: columns, parties and search texts, all by the log's description.

use crate::model::{
    derive::{parties::Parties, search::Texts},
    id::RecordKey,
    kind::Roles,
    rows::{Derived, Identity, LogValue, Record, SearchField},
    time::Span,
    view::{
        self,
        leaf::Leaf,
        log::{Holds, Log, Row},
    },
};

/// `window` is the span for which the row was asked: of a log that sums up, the time that it is about.
pub(super) fn derive(key: &RecordKey, window: Option<Span>, json: &str, log: &Log) -> Derived {
    let row = view::read::<Row<'_>>(json).0.unwrap_or_default();
    let parties = parties(&row, log);
    Derived {
        record: record(&row, window, log),
        search: search(key, &row, &parties, log),
        parties: parties.into_vec(),
        log: log.columns.iter().map(|column| value(row.get(column.member), column.holds)).collect(),
        unknown_members: row.unknown_members(log),
        ..Derived::default()
    }
}

fn record(row: &Row<'_>, window: Option<Span>, log: &Log) -> Record {
    let window = window.filter(|_| log.start.is_empty());
    Record {
        start: log.start.iter().find_map(|member| row.get(member).timestamp()).or(window.map(|span| span.from)),
        // What is summed up over a day did not last a day.
        end: log.end.and_then(|member| row.get(member).timestamp()),
        call_type: log.record_type.and_then(|member| row.get(member).owned()),
        failed: log.succeeded.is_some_and(|member| row.get(member).boolean() == Some(false)),
        ..Record::default()
    }
}

/// The user, then the numbers. Which of them called is told by the type: `user_in`, `ByotOut`, `sms_in`.
fn parties(row: &Row<'_>, log: &Log) -> Parties {
    let mut parties = Parties::default();
    let user = Identity {
        set_key: "user".into(),
        id: row.get("userId").owned(),
        display_name: row.get("userDisplayName").owned(),
        user_principal_name: row.get("userPrincipalName").owned(),
        tenant_id: None,
    };
    if user.id.is_some() || user.display_name.is_some() || user.user_principal_name.is_some() {
        let record_type = log.record_type.and_then(|member| row.text(member)).unwrap_or_default().to_ascii_lowercase();
        let side = match () {
            () if log.numbers.len() < 2 => Roles::default(),
            () if record_type.contains("out") => Roles::CALLER,
            () if record_type.contains("in") => Roles::CALLEE,
            () => Roles::default(),
        };
        parties.add(&user, Roles::PARTICIPANT.with(side));
    }
    for (member, role) in log.numbers {
        if let Some(number) = row.get(member).owned() {
            let identity = Identity { set_key: "phone".into(), id: Some(number), ..Identity::default() };
            parties.add(&identity, Roles::PARTICIPANT.with(*role));
        }
    }
    parties
}

fn search(key: &RecordKey, row: &Row<'_>, parties: &Parties, log: &Log) -> Vec<(SearchField, String)> {
    let named: Vec<_> = parties.named().collect();
    let mut texts = Texts::default();
    texts.add(SearchField::Id, Some(&key.id));
    for (identity, roles) in named {
        texts.add_identity(identity, roles);
    }
    for column in log.columns {
        if let Some(field) = column.search {
            texts.add_leaf(field, row.get(column.member));
        }
    }
    texts.into_found()
}

fn value(leaf: Leaf<'_>, holds: Holds) -> LogValue {
    let integer = |value: Option<i64>| value.map_or(LogValue::Null, LogValue::Integer);
    let text = |value: Option<String>| value.map_or(LogValue::Null, LogValue::Text);
    match holds {
        Holds::Text | Holds::Decimal => text(leaf.owned()),
        Holds::Integer => integer(leaf.integer()),
        Holds::Boolean => integer(leaf.boolean().map(i64::from)),
        Holds::Time => integer(leaf.timestamp().map(|time| time.0)),
        Holds::Json => text(leaf.json().filter(|json| *json != "[]").map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        kind::Kind,
        time::{Age, Timestamp},
        view::log::log,
    };

    #[test]
    fn a_sum_begins_with_its_day_and_has_no_length() {
        let key = RecordKey { kind: Kind::DialOut, id: "k".into() };
        let day = Span::new(Timestamp(0), Timestamp(0) + Age::days(1));
        let json = r#"{"userId":"u","totalCalls":2,"totalCallSeconds":90,"totalCallCharge":1.2400,"currency":"EUR"}"#;
        let derived = derive(&key, Some(day), json, log(Kind::DialOut).unwrap());
        assert_eq!((derived.record.start, derived.record.end), (Some(day.from), None));
        assert_eq!(derived.record.duration(), None);
        assert_eq!(derived.log[5..8], [LogValue::Integer(2), LogValue::Integer(90), LogValue::Text("1.2400".into())]);
    }

    #[test]
    fn a_call_that_was_not_set_up_failed_and_one_that_does_not_say_did_not() {
        let key = RecordKey { kind: Kind::DirectRouting, id: "k".into() };
        let failed = |json| derive(&key, None, json, log(Kind::DirectRouting).unwrap()).record.failed;
        assert_eq!(
            [r#"{"successfulCall":false}"#, r#"{"successfulCall":true}"#, "{}"].map(failed),
            [true, false, false]
        );
    }
}
