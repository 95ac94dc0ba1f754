//! The resource of a subscription: all call records, or those with certain participants.

use std::collections::BTreeSet;

use crate::simulate::query::percent_decode;

const RECORDS: &str = "communications/callRecords";
const ANY: &str = "participants/any(p:";

/// Which records a subscription is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    All,
    /// Those with one of these participants.
    With(BTreeSet<String>),
}

impl Watched {
    /// Reads a resource, with or without its leading slash; the error is the message of a 400.
    pub(super) fn of(resource: &str) -> Result<Self, String> {
        let refused = || format!("The resource '{resource}' is not supported for subscriptions.");
        let decoded = percent_decode(resource);
        let below = decoded.strip_prefix('/').unwrap_or(&decoded);
        if below == RECORDS {
            return Ok(Watched::All);
        }
        let filter = below.strip_prefix(RECORDS).and_then(|rest| rest.strip_prefix("?$filter=")).ok_or_else(refused)?;
        // A condition may stand in one `any` with others, or in one of its own.
        let conditions = filter.split(" or ").map(|part| part.strip_prefix(ANY).unwrap_or(part));
        let is_whole = filter.starts_with(ANY)
            && filter.matches(ANY).count() == filter.matches("participants").count()
            && is_balanced(filter);
        let ids = conditions.map(ids_of).collect::<Option<Vec<_>>>().filter(|_| is_whole);
        ids.map(|ids| Watched::With(ids.into_iter().flatten().collect())).ok_or_else(refused)
    }
}

/// The ids of `p/id eq 'A'` or `p/id in ('A','B')`, whose `any` may end behind it.
fn ids_of(condition: &str) -> Option<Vec<String>> {
    let value = condition.strip_prefix("p/id ")?;
    if let Some(id) = value.strip_prefix("eq ") {
        return quoted(id.strip_suffix(')').unwrap_or(id)).map(|id| vec![id]);
    }
    let list = value.strip_prefix("in (")?;
    let list = list.strip_suffix("))").or_else(|| list.strip_suffix(')'))?;
    list.split(',').map(|id| quoted(id.trim())).collect()
}

fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.is_empty() && !inner.contains(['\'', '(', ')'])).then(|| inner.to_owned())
}

/// Whether each bracket is closed, and none that was not open.
fn is_balanced(text: &str) -> bool {
    let depth = text.chars().try_fold(0_u32, |depth, letter| match letter {
        '(' => Some(depth + 1),
        ')' => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(ids: &[&str]) -> Watched {
        Watched::With(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn a_resource_is_all_records_or_those_of_participants() {
        let filtered = |filter: &str| Watched::of(&format!("/communications/callRecords?$filter={filter}"));
        assert_eq!(Watched::of("/communications/callRecords"), Ok(Watched::All));
        assert_eq!(Watched::of("communications/callRecords"), Ok(Watched::All));
        assert_eq!(filtered("participants/any(p:p/id eq 'a-1')"), Ok(with(&["a-1"])));
        assert_eq!(filtered("participants/any(p:p/id%20eq%20'a%2D1')"), Ok(with(&["a-1"])));
        assert_eq!(filtered("participants/any(p:p/id eq 'a' or p/id eq 'b')"), Ok(with(&["b", "a"])));
        assert_eq!(
            filtered("participants/any(p:p/id eq 'a') or participants/any(p:p/id eq 'b')"),
            Ok(with(&["a", "b"]))
        );
        assert_eq!(filtered("participants/any(p:p/id in ('a', 'b'))"), Ok(with(&["a", "b"])));
        assert_eq!(filtered("participants/any(p:p/id in ('a','b') or p/id eq 'c')"), Ok(with(&["a", "b", "c"])));
        for wrong in [
            "",
            "participants/any(p:p/id eq 'a'",
            "participants/any(p:p/id eq a)",
            "participants/any(p:p/id eq '')",
            "participants/any(p:p/id ne 'a')",
            "participants/any(p:p/id eq 'a' and p/id eq 'b')",
            "participants_v2/any(p:p/id eq 'a')",
            "p/id eq 'a'",
            "startDateTime ge 2026-11-20T15:00:00Z",
        ] {
            assert!(filtered(wrong).is_err(), "{wrong}");
        }
        assert!(Watched::of("/communications/calls").is_err());
        assert!(Watched::of("/communications/callRecords/a").is_err());
    }
}
