//! Rows against calls, as a table.

use super::*;

const USER: &str = "0f3c8a1e-5555-4444-3333-222211110000";
const CALL: &str = "e523d2ed-2966-4b6b-925b-754a88034cc5";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds)
}

fn stretch(from: i64, to: i64) -> Stretch {
    Stretch { start: Some(at(from)), end: Some(at(to)) }
}

/// A call of one of ours with a telephone: 300 seconds.
fn call() -> Call {
    let who = vec![USER.to_owned(), "+4989123456".to_owned()];
    Call {
        id: CALL.into(),
        call_type: Some("peerToPeer".into()),
        span: stretch(0, 300),
        people: vec![USER.into()],
        numbers: vec!["+4989123456".into()],
        legs: vec![Leg { span: stretch(0, 300), who }],
    }
}

/// A meeting of an hour to which the telephone came after 20 minutes, for ten.
fn meeting() -> Call {
    let leg = |who: &str, from, to| Leg { span: stretch(from, to), who: vec![who.to_owned()] };
    Call {
        call_type: Some("groupCall".into()),
        span: stretch(0, 3600),
        people: vec![USER.into(), "somebody else".into()],
        legs: vec![
            leg(USER, 0, 3600),
            leg("+4989123456", 1200, 1800),
            leg("somebody else", 600, 900),
            leg(USER, 2400, 2700),
        ],
        ..call()
    }
}

/// The row of [`call`].
fn row() -> LogRow {
    LogRow {
        call_type: Some("user_out".into()),
        span: stretch(3, 303),
        duration: Some(Age::seconds(300)),
        user_id: Some(USER.to_uppercase()),
        numbers: vec!["+498955501".into(), "+4989123***".into()],
        ..LogRow::default()
    }
}

fn bot(row: LogRow) -> LogRow {
    LogRow { user_id: None, ..row }
}

fn from(row: LogRow, start: i64, end: i64) -> LogRow {
    LogRow { span: stretch(start, end), duration: Some(Age::seconds(end - start)), ..row }
}

fn numbers(row: LogRow, numbers: &[&str]) -> LogRow {
    LogRow { numbers: numbers.iter().map(|text| (*text).to_owned()).collect(), ..row }
}

fn of_type(row: LogRow, call_type: &str) -> LogRow {
    LogRow { call_type: Some(call_type.into()), ..row }
}

#[test]
fn what_speaks_for_a_link_is_weighed_and_said() {
    use Confidence::{Certain, High, Low, Medium};
    let id = |id: &str| Some(id.to_owned());
    let shown = "same user and number +4989123*** (as far as it is shown)";
    let bots = "same number +4989123*** (as far as it is shown)";
    let full = ["+498955501", "+4989123456"];
    let cases = [
        (row(), call(), Some((High, format!("{shown}, started 3 s apart, same length")))),
        (
            numbers(row(), &full),
            call(),
            Some((High, "same user and number +4989123456, started 3 s apart, same length".into())),
        ),
        // One side counts the ringing.
        (from(row(), 20, 301), call(), Some((High, format!("{shown}, started 20 s apart, lengths 19 s apart")))),
        (from(row(), 60, 302), call(), Some((High, format!("{shown}, started 60 s apart, ended 2 s apart")))),
        (from(row(), 3, 100), call(), Some((Medium, format!("{shown}, started 3 s apart, lengths 203 s apart")))),
        (from(row(), 121, 421), call(), None),
        // The numbers say nothing, or another thing.
        (
            numbers(row(), &["+498955501", "Internal Revenue Service"]),
            call(),
            Some((Medium, "same user, no number to compare, started 3 s apart, same length".into())),
        ),
        (numbers(from(row(), 3, 100), &["anonymous"]), call(), None),
        (numbers(row(), &["+498955501", "+4989124***"]), call(), None),
        (LogRow { user_id: id("somebody not in it"), ..row() }, call(), None),
        // Rows of bots have no user.
        (bot(row()), call(), Some((Low, format!("{bots}, started 3 s apart, same length")))),
        (
            numbers(bot(row()), &full),
            call(),
            Some((Medium, "same number +4989123456, started 3 s apart, same length".into())),
        ),
        (
            numbers(bot(from(row(), 3, 100)), &full),
            call(),
            Some((Low, "same number +4989123456, started 3 s apart, lengths 203 s apart".into())),
        ),
        (numbers(bot(row()), &[]), call(), None),
        // One leg of a meeting.
        (
            from(row(), 1201, 1801),
            meeting(),
            Some((High, format!("{shown}, started 1 s from a session of the call, same length"))),
        ),
        (from(row(), 602, 902), meeting(), None),
        (
            numbers(from(row(), 2401, 2701), &["anonymous"]),
            meeting(),
            Some((
                Medium,
                "same user, no number to compare, started 1 s from a session of the call, same length".into(),
            )),
        ),
        // The user's own time in the meeting is not the telephone's.
        (from(row(), 2401, 2701), meeting(), None),
        (
            of_type(from(row(), 602, 902), "conf_in"),
            meeting(),
            Some((Medium, format!("{shown}, within the meeting's time: the row may be one leg of it"))),
        ),
        (
            of_type(bot(from(row(), 602, 902)), "dr_out_user_conf"),
            meeting(),
            Some((Low, format!("{bots}, within the meeting's time: the row may be one leg of it"))),
        ),
        (of_type(from(row(), 3600, 3900), "conf_in"), meeting(), None),
        (of_type(from(row(), 130, 200), "conf_in"), call(), None),
        // An id is stronger than all the rest, for a link and against one.
        (
            LogRow { correlation_id: id(&CALL.to_uppercase()), ..LogRow::default() },
            call(),
            Some((Certain, "correlationId is the call's id".into())),
        ),
        (
            LogRow { call_id: id(CALL), ..row() },
            call(),
            Some((High, "callId is the call's id, as operator connect writes it".into())),
        ),
        (
            LogRow { transferor_correlation_id: id(CALL), names_a_call: true, ..row() },
            call(),
            Some((High, "transferorCorrelationId is the call's id: the call that was transferred".into())),
        ),
        (LogRow { correlation_id: id("another call"), names_a_call: true, ..row() }, call(), None),
        (
            LogRow { correlation_id: id("no call"), ..row() },
            call(),
            Some((High, format!("{shown}, started 3 s apart, same length"))),
        ),
        (LogRow::default(), Call::default(), None),
    ];
    for (n, (row, call, expected)) in cases.into_iter().enumerate() {
        let found = link(&row, &call).map(|link| (link.confidence, link.reason));
        assert_eq!(found, expected, "case {n}: {row:?}");
    }
}

#[test]
fn an_invite_counts_as_a_start() {
    let late = LogRow { invited: Some(at(1)), ..from(row(), 130, 300) };
    assert_eq!(link(&late, &call()).unwrap().confidence, Confidence::High);
}

#[test]
fn a_transferred_call_names_the_one_before_it() {
    let before = LogRow { correlation_id: Some("a".into()), ..LogRow::default() };
    let after =
        LogRow { correlation_id: Some("b".into()), transferor_correlation_id: Some("A".into()), ..before.clone() };
    assert!(tie(&after, &before).unwrap().reason.ends_with("the call that was transferred"));
    assert!(tie(&before, &after).unwrap().reason.ends_with("where the call was transferred to"));
    assert_eq!(tie(&before, &before), None);
    assert_eq!(tie(&LogRow::default(), &LogRow::default()), None);
}

#[test]
fn the_surest_comes_first() {
    let mut all = [Confidence::Low, Confidence::Certain, Confidence::Medium, Confidence::High];
    all.sort();
    assert_eq!(all.map(|confidence| confidence.to_string()), ["certain", "high", "medium", "low"]);
}
