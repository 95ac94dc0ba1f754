//! Comparisons and ranges over the numeric fields of a query.
//!
//! A date stands for its whole day (UTC), so that `[2026-11-01 TO 2026-11-07]` ends with the last moment of the 7th, and
//! `[2026-11-01 TO 2026-11-08}` is the same.

use crate::{
    model::time::{Age, Timestamp},
    search::{error::SyntaxError, language::Node},
};

/// A field that has an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberField {
    Start,
    End,
    Duration,
    Version,
}

/// What a value covers: at or after `from`, before `to`.
struct Extent {
    from: i64,
    to: i64,
}

/// Reads `>=V`, `>V`, `<=V`, `<V` or `V` alone.
pub(crate) fn comparison(field: NumberField, text: &str, column: usize) -> Result<Node, SyntaxError> {
    let operator: String = text.chars().take_while(|c| matches!(c, '<' | '>' | '=')).collect();
    let value = extent(field, &text[operator.len()..], column + operator.len())?;
    let (from, to) = match operator.as_str() {
        ">=" => (Some(value.from), None),
        ">" => (Some(value.to), None),
        "<=" => (None, Some(value.to)),
        "<" => (None, Some(value.from)),
        // Nobody knows a duration to the nanosecond: `60` alone is the whole second.
        "" | "=" if field == NumberField::Duration => {
            (Some(value.from), Some(value.from.saturating_add(Age::seconds(1).0)))
        }
        "" | "=" => (Some(value.from), Some(value.to)),
        _ => return Err(SyntaxError::at(column, format!("there is no comparison '{operator}'; write >, >=, < or <="))),
    };
    Ok(Node::Range { field, from, to })
}

/// Reads what stands between the brackets of a range: `A TO B`, either of which may be `*`.
pub(crate) fn range(
    field: NumberField,
    inside: &str,
    from_included: bool,
    to_included: bool,
    column: usize,
) -> Result<Node, SyntaxError> {
    let [low, "TO", high] = inside.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(SyntaxError::at(column, "a range is written [A TO B], with '}' where B is not included"));
    };
    let bound = |text: &str| match text {
        "*" => Ok(None),
        text => extent(field, text.trim_matches('"'), column).map(Some),
    };
    let from = bound(low)?.map(|value| if from_included { value.from } else { value.to });
    let to = bound(high)?.map(|value| if to_included { value.to } else { value.from });
    Ok(Node::Range { field, from, to })
}

fn extent(field: NumberField, text: &str, column: usize) -> Result<Extent, SyntaxError> {
    match field {
        NumberField::Start | NumberField::End => time(text).ok_or_else(|| {
            SyntaxError::at(column, format!("'{text}' is not a time: write 2026-11-01 or 2026-11-01T00:00:00Z"))
        }),
        NumberField::Duration => duration(text).ok_or_else(|| {
            SyntaxError::at(
                column,
                format!("'{text}' is not a duration: write seconds, or a number with a unit such as 90s, 15m, 2h"),
            )
        }),
        NumberField::Version => text
            .parse()
            .ok()
            .map(exactly)
            .ok_or_else(|| SyntaxError::at(column, format!("'{text}' is not a version: write a whole number"))),
    }
}

fn exactly(value: i64) -> Extent {
    Extent { from: value, to: value.saturating_add(1) }
}

fn time(text: &str) -> Option<Extent> {
    if let Some(instant) = Timestamp::parse(text) {
        return Some(exactly(instant.0));
    }
    // An age such as 7d would need to know the time of asking; a date is what begins with a year.
    let date = text.len() == 10 && text.contains('-');
    let midnight = date.then(|| Timestamp::parse_argument(text, Timestamp(0)).ok()).flatten()?;
    Some(Extent { from: midnight.0, to: (midnight + Age::days(1)).0 })
}

fn duration(text: &str) -> Option<Extent> {
    if let Ok(age) = text.parse::<Age>() {
        return Some(exactly(age.0));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
    let seconds: i64 = whole.parse().ok()?;
    seconds.checked_mul(Age::seconds(1).0)?.checked_add(nanoseconds).map(exactly)
}
