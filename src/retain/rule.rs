//! What rules say of a record: pure.

use crate::{
    archive::policy::{Aged, Rule},
    model::{
        kind::Kind,
        time::{Age, Timestamp},
    },
};

/// A year, so that none is kept too short.
const DAYS_A_YEAR: u32 = 366;

/// For how many days a record is kept: of several rules that meet it the longest counts. `None`: for ever.
#[must_use]
pub fn keep_days(rules: &[Rule], kind: &str, call_type: Option<&str>) -> Option<u32> {
    let meets = |rule: &&Rule| {
        rule.kind == kind
            && rule.call_type.as_ref().is_none_or(|wanted| {
                call_type.is_some_and(|call_type| call_type.to_lowercase() == wanted.to_lowercase())
            })
    };
    rules.iter().filter(meets).map(|rule| rule.keep_days).max()
}

/// Whether a record is kept no longer.
#[must_use]
pub fn is_due(rules: &[Rule], record: &Aged, now: Timestamp) -> bool {
    keep_days(rules, record.kind.name(), record.call_type.as_deref())
        .is_some_and(|days| record.ended + Age::days(i64::from(days)) < now)
}

/// Whether `new` keeps anything for a shorter time than `old`.
#[must_use]
pub fn is_shorter(old: &[Rule], new: &[Rule]) -> bool {
    let mut asked: Vec<(&str, Option<&str>)> = Kind::HITS.iter().map(|kind| (kind.name(), None)).collect();
    asked.extend(old.iter().chain(new).map(|rule| (rule.kind.as_str(), rule.call_type.as_deref())));
    asked.into_iter().any(|(kind, call_type)| {
        let [before, after] = [old, new].map(|rules| keep_days(rules, kind, call_type));
        after.is_some_and(|after| before.is_none_or(|before| after < before))
    })
}

/// Reads how long something is kept: days, weeks or years, such as `3650d`, `520w`, `10y` (of 366 days).
pub fn parse_keep(text: &str) -> Result<u32, String> {
    let refused =
        || format!("'{text}' is no time to keep something: write whole days, weeks or years, such as 400d, 520w, 10y");
    let (at, unit) = text.char_indices().next_back().ok_or_else(refused)?;
    let (number, per_unit) = match unit {
        'd' => (&text[..at], 1),
        'w' => (&text[..at], 7),
        'y' => (&text[..at], DAYS_A_YEAR),
        _ => return Err(refused()),
    };
    let number: u32 = number.parse().map_err(|_| refused())?;
    number.checked_mul(per_unit).filter(|days| (1..=36_600).contains(days)).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::RecordId;

    fn rule(kind: &str, call_type: Option<&str>, keep_days: u32) -> Rule {
        Rule { kind: kind.into(), call_type: call_type.map(str::to_owned), keep_days }
    }

    #[test]
    fn the_longest_rule_counts_and_without_one_all_is_kept() {
        let rules = [rule("call", None, 100), rule("call", Some("peerToPeer"), 10), rule("pstn", Some("user_out"), 20)];
        for (kind, call_type, days) in [
            ("call", None, Some(100)),
            ("call", Some("groupCall"), Some(100)),
            ("call", Some("PEERTOPEER"), Some(100)),
            ("pstn", Some("user_out"), Some(20)),
            ("pstn", Some("user_in"), None),
            ("pstn", None, None),
            ("sms", None, None),
        ] {
            assert_eq!(keep_days(&rules, kind, call_type), days, "{kind} {call_type:?}");
        }
    }

    #[test]
    fn a_record_is_due_when_it_is_older_not_before() {
        let aged = |ended| Aged {
            record_id: RecordId(1),
            kind: Kind::Call,
            id: "x".into(),
            call_type: None,
            start: None,
            ended,
            versions: 1,
        };
        let now = Timestamp(0) + Age::days(1000);
        let rules = [rule("call", None, 10)];
        assert!(!is_due(&rules, &aged(now - Age::days(10)), now));
        assert!(is_due(&rules, &aged(now - Age::days(10) - Age(1)), now));
        assert!(!is_due(&[], &aged(Timestamp(0)), now));
    }

    #[test]
    fn what_keeps_something_shorter_is_told_from_what_does_not() {
        let old = [rule("call", None, 100), rule("pstn", Some("user_in"), 50)];
        for (new, shorter) in [
            (vec![rule("call", None, 100), rule("pstn", Some("user_in"), 50)], false),
            (vec![rule("call", None, 200), rule("pstn", Some("user_in"), 50)], false),
            (vec![rule("call", None, 100)], false),
            (vec![], false),
            (vec![rule("call", None, 99)], true),
            (vec![rule("sms", None, 1000)], true),
            (vec![rule("pstn", None, 60)], true),
            (vec![rule("pstn", Some("user_in"), 49)], true),
        ] {
            assert_eq!(is_shorter(&old, &new), shorter, "{new:?}");
        }
    }

    #[test]
    fn times_to_keep_are_read() {
        let read = ["400d", "2w", "10y", "0d", "y", "5m", "", "-1d", "101y", "99999999y", "é"]
            .map(|text| parse_keep(text).ok());
        assert_eq!(read, [Some(400), Some(14), Some(3660), None, None, None, None, None, None, None, None]);
    }
}
