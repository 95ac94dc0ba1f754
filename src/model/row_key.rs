//! By which key a row of a log is the same row when it is read again.
//!
//! The key is Graph's `id` where the row has one. Where it has none, or where the id stands on two rows that are not the same, it
//! is made of what the row is about (its natural key): a UUID of version 8, the first 16 bytes of a SHA-256, so that
//! anybody can make it again. docs/schema.md says it for people.

use std::fmt::Write;

use uuid::Builder;

use crate::model::{
    id::Sha256,
    kind::Kind,
    time::{Span, Timestamp},
    view::{
        self,
        log::{Row, log},
    },
};

/// The keys that a row may have, the first choice first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKeys {
    pub has_id: bool,
    pub first: String,
    /// Where the first choice is another row's: with the natural key beside the id, or over the whole row.
    pub twin: String,
    /// What the row is about: the members of the natural key, in their order.
    about: Vec<Option<String>>,
}

impl RowKeys {
    /// The keys of the row that `json` is; `None` of what is no object. `asked` is the span it was asked for with.
    #[must_use]
    pub fn of(kind: Kind, json: &str, asked: Option<Span>) -> Option<Self> {
        let row = view::read::<Row<'_>>(json).0?;
        // What is summed up over a span is another thing in another span. Rows of events are asked for in ever other spans.
        let asked = asked.filter(|_| log(kind).is_some_and(|log| log.start.is_empty()));
        let about = about(kind, &row);
        let natural = natural(kind, &about, asked);
        let whole = || row.canonical().iter().fold(String::new(), |all, (name, value)| all + name + "=" + value + "\n");
        Some(match row.get("id").owned() {
            Some(id) => {
                let twin = made(kind, &format!("id={id}\n{natural}"));
                Self { has_id: true, first: id, twin, about }
            }
            None => {
                let span = asked.map(|span| format!("{span}\n")).unwrap_or_default();
                let twin = made(kind, &format!("{span}{}", whole()));
                let first = if natural.is_empty() { twin.clone() } else { made(kind, &natural) };
                Self { has_id: false, first, twin, about }
            }
        })
    }

    /// Whether a row of the same id is about something else: both say what they are about, and not the same. What one of them
    /// leaves out, such as a user who is named later, tells nothing.
    #[must_use]
    pub fn contradict(&self, other: &Self) -> bool {
        let mut both = self.about.iter().zip(&other.about).filter_map(|(one, other)| one.as_ref().zip(other.as_ref()));
        both.any(|(one, other)| !are_alike(one, other))
    }
}

/// The members of the natural key. Escapes are a matter of spelling, and `""` is as good as null.
fn about(kind: Kind, row: &Row<'_>) -> Vec<Option<String>> {
    let members = log(kind).map_or(&[][..], |log| log.natural_key);
    members.iter().map(|member| row.get(member).owned()).collect()
}

/// The members of the natural key, a line each; empty where all are missing.
fn natural(kind: Kind, about: &[Option<String>], asked: Option<Span>) -> String {
    let Some(log) = log(kind).filter(|_| about.iter().any(Option::is_some)) else { return String::new() };
    let mut text = String::new();
    if let Some(span) = asked {
        let _ = writeln!(text, "asked={span}");
    }
    for (member, value) in log.natural_key.iter().zip(about) {
        let _ = writeln!(text, "{member}={}", serde_json::json!(value));
    }
    text
}

/// Texts that may stand for the same: the same instant, or numbers of which one has its last digits starred.
fn are_alike(one: &str, other: &str) -> bool {
    let same_instant = || Timestamp::parse(one).is_some_and(|time| Timestamp::parse(other) == Some(time));
    let mut pairs = one.bytes().zip(other.bytes());
    one == other || same_instant() || (one.len() == other.len() && pairs.all(|(a, b)| a == b || a == b'*' || b == b'*'))
}

fn made(kind: Kind, text: &str) -> String {
    let hash = Sha256::of(format!("{kind}\n{text}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.0[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Age;

    fn keys(kind: Kind, json: &str) -> RowKeys {
        RowKeys::of(kind, json, None).unwrap()
    }

    #[test]
    fn a_row_keeps_its_key_whatever_is_settled_later() {
        let with = |charge: &str| {
            keys(
                Kind::Sms,
                &format!(r#"{{"smsId":"s","userId":"u","sentDateTime":"2026-11-01T00:00:00Z","callCharge":{charge}}}"#),
            )
        };
        assert_eq!(with("0.00").first, with("1.20").first);
        assert_ne!(with("0.00").twin, with("1.20").twin);
        let named = |name: &str| keys(Kind::Pstn, &format!(r#"{{"id":"7","callId":"c","userDisplayName":{name}}}"#));
        assert_eq!((named("null").first.as_str(), named("null")), ("7", named("\"Ada\"")));
    }

    #[test]
    fn one_id_on_two_calls_makes_two_keys() {
        let at = |start: &str| keys(Kind::Pstn, &format!(r#"{{"id":"7","callId":"c","startDateTime":"{start}"}}"#));
        let (one, other) = (at("2026-11-01T08:00:00Z"), at("2026-11-01T09:00:00Z"));
        assert_eq!(one.first, other.first);
        assert_ne!(one.twin, other.twin);
        assert!(one.contradict(&other));
    }

    #[test]
    fn a_row_that_is_told_more_of_later_or_spelt_otherwise_is_the_same() {
        let first = r#"{"id":"7","callId":"c","userId":null,"startDateTime":"2026-11-01T08:00:00Z","calleeNumber":"+4989555777"}"#;
        let later = [
            first.replace("null", "\"u\""),
            first.replace(r#""+49"#, r#""\u002B49"#),
            first.replace(":00Z", ":00.0000000Z"),
            first.replace("777", "***"),
        ];
        for row in later {
            assert!(!keys(Kind::Pstn, first).contradict(&keys(Kind::Pstn, &row)), "{row}");
        }
        let of = |number: &str| keys(Kind::Sms, &format!(r#"{{"smsId":"s","userId":"","sourceNumber":"{number}49"}}"#));
        assert_eq!(of("+").first, of("\\u002b").first);
    }

    #[test]
    fn a_sum_belongs_to_the_day_it_was_asked_for() {
        let day = |n| Span::new(Timestamp(Age::days(n).0), Timestamp(Age::days(n + 1).0));
        let of = |n| RowKeys::of(Kind::DialOut, r#"{"userId":"u","currency":"EUR"}"#, Some(day(n))).unwrap();
        assert_ne!(of(1).first, of(2).first);
        assert_eq!(of(1), of(1));
    }

    #[test]
    fn an_event_has_its_keys_whatever_span_it_was_asked_for_with() {
        let span = |n| Span::new(Timestamp(0), Timestamp(Age::days(n).0));
        for json in [r#"{"smsId":"s","callCharge":1}"#, r#"{"messageIdentifier":1}"#] {
            let of = |n| RowKeys::of(Kind::Sms, json, Some(span(n))).unwrap();
            assert_eq!(of(1), of(2));
        }
    }

    #[test]
    fn a_row_of_a_shape_never_seen_has_a_key_too() {
        let one = keys(Kind::Sms, r#"{"messageIdentifier":1}"#);
        assert_eq!(one.first, one.twin);
        assert_ne!(one.first, keys(Kind::Sms, r#"{"messageIdentifier":2}"#).first);
        assert_eq!(RowKeys::of(Kind::Sms, "[1]", None), None);
    }

    #[test]
    fn keys_are_what_they_were_in_every_release() {
        let json = r#"{"smsId":"s","userId":null,"sentDateTime":"2026-11-01T00:00:00Z","sourceNumber":"+1","destinationNumber":"+2"}"#;
        // printf 'sms\nsmsId="s"\nuserId=null\nsentDateTime="2026-11-01T00:00:00Z"\nsourceNumber="+1"\ndestinationNumber="+2"\n' | sha256sum
        assert_eq!(keys(Kind::Sms, json).first, "2b28da49-7bb2-885d-bba9-7e7eeaeac8b2");
    }
}
