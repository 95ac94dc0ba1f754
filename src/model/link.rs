//! Whether a row of a log is about a call record, and how sure that is: from what both sides say, and nothing else.
//!
//! Graph names the call in some rows only: direct routing's `correlationId` and operator connect's `callId` may be a call record's
//! id. Otherwise the same user, the same number and the same time have to tell, and how well they do is said with the
//! link. Computed when somebody asks; nothing is stored, so nothing can be out of date.
//!
//! Rows of text messages, blocked users and sums of dial-outs are about no single call and never linked.

use std::fmt;

use serde::Serialize;

use crate::model::{
    phone::PhoneQuery,
    time::{Age, Timestamp},
};

/// A row and its call start no farther apart: their clocks are different services'.
pub const NEAR: Age = Age::minutes(2);
/// Lengths and ends that differ by no more are alike: one side counts the ringing, the other does not.
const ALIKE: Age = Age::seconds(30);
/// Lengths that differ by no more are the same; logs count whole seconds.
const SAME: Age = Age::seconds(5);

/// How sure a link is, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// One side names the other.
    Certain,
    High,
    Medium,
    Low,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Confidence::Certain => "certain",
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        })
    }
}

/// That two records are about the same call, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub confidence: Confidence,
    /// For people: a fragment without a full stop.
    pub reason: String,
}

/// What a call record says that a row may say as well.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub id: String,
    pub call_type: Option<String>,
    pub span: Stretch,
    /// Ids of everybody in it, numbers aside.
    pub people: Vec<String>,
    pub numbers: Vec<String>,
    pub legs: Vec<Leg>,
}

/// From when to when, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
}

/// A session: when, and the ids or numbers of caller and callee.
#[derive(Clone, Debug, Default)]
pub struct Leg {
    pub span: Stretch,
    pub who: Vec<String>,
}

/// What a row of the PSTN or direct routing log says that a call record may say as well.
#[derive(Clone, Debug, Default)]
pub struct LogRow {
    pub call_type: Option<String>,
    pub span: Stretch,
    /// Of direct routing: when the first invite went out, which may be the call's start too.
    pub invited: Option<Timestamp>,
    /// `duration`: how long it was connected.
    pub duration: Option<Age>,
    pub user_id: Option<String>,
    /// As written, stars and all.
    pub numbers: Vec<String>,
    pub correlation_id: Option<String>,
    pub transferor_correlation_id: Option<String>,
    pub call_id: Option<String>,
    /// Whether the archive holds a call record whose id is the row's `correlationId` or `callId`: then no other is meant.
    pub names_a_call: bool,
}

/// Whether `row` is about `call`.
#[must_use]
pub fn link(row: &LogRow, call: &Call) -> Option<Link> {
    let is_call = |id: &Option<String>| id.as_ref().is_some_and(|id| same(id, &call.id));
    let found = |confidence, reason: &str| Some(Link { confidence, reason: reason.to_owned() });
    if is_call(&row.correlation_id) {
        return found(Confidence::Certain, "correlationId is the call's id");
    }
    if is_call(&row.call_id) {
        return found(Confidence::High, "callId is the call's id, as operator connect writes it");
    }
    if is_call(&row.transferor_correlation_id) {
        return found(Confidence::High, "transferorCorrelationId is the call's id: the call that was transferred");
    }
    if row.names_a_call {
        return None;
    }
    let who = Who::of(row, call)?;
    let legs = who.legs(call).into_iter().map(|leg| (leg.span, " from a session of the call"));
    std::iter::once((call.span, " apart"))
        .chain(legs)
        .filter_map(|(span, what)| at_the_same_time(row, &who, span, what))
        .min_by_key(|(link, gap)| (link.confidence, *gap))
        .map(|(link, _)| link)
        .or_else(|| part_of_a_meeting(row, &who, call))
}

/// Whether `there` is what `here` was transferred from or to: two rows of direct routing.
#[must_use]
pub fn tie(here: &LogRow, there: &LogRow) -> Option<Link> {
    let names = |one: &Option<String>, other: &Option<String>| {
        one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| same(one, other))
    };
    let reason = if names(&here.transferor_correlation_id, &there.correlation_id) {
        "its correlationId is the transferorCorrelationId here: the call that was transferred"
    } else if names(&there.transferor_correlation_id, &here.correlation_id) {
        "its transferorCorrelationId is the correlationId here: where the call was transferred to"
    } else {
        return None;
    };
    Some(Link { confidence: Confidence::Certain, reason: reason.to_owned() })
}

/// Ids are compared without case: a GUID is one in capitals too.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Who is the same on both sides: at least one of user and number is.
struct Who<'a> {
    user: Option<&'a str>,
    number: Option<Number<'a>>,
}

/// A number that both sides have.
struct Number<'a> {
    /// As the row writes it.
    text: &'a str,
    of_call: &'a str,
}

impl Number<'_> {
    fn is_starred(&self) -> bool {
        self.text.contains('*') || self.of_call.contains('*')
    }
}

impl<'a> Who<'a> {
    /// `None` where the sides contradict each other, or have nobody to compare.
    fn of(row: &'a LogRow, call: &'a Call) -> Option<Self> {
        let user = match &row.user_id {
            Some(id) => Some(call.people.iter().find(|person| same(person, id))?.as_str()),
            None => None,
        };
        let typed: Vec<_> = row.numbers.iter().filter_map(|text| Some((text, PhoneQuery::parse(text)?))).collect();
        let number = typed.iter().find_map(|(text, query)| {
            let of_call = call.numbers.iter().find(|number| query.matches(number))?;
            Some(Number { text: text.as_str(), of_call })
        });
        // One of a row's two numbers is the user's own: only when both can be read is a third one another.
        let is_another = number.is_none() && typed.len() > 1 && !call.numbers.is_empty();
        ((user.is_some() || number.is_some()) && !is_another).then_some(Self { user, number })
    }

    /// The sessions that the row may be one of: the number's, or the user's where no session names the number.
    fn legs<'b>(&self, call: &'b Call) -> Vec<&'b Leg> {
        let of = |id: Option<&str>| -> Vec<&'b Leg> {
            let is_in = |leg: &&Leg| id.is_some_and(|id| leg.who.iter().any(|who| same(who, id)));
            call.legs.iter().filter(is_in).collect()
        };
        let of_number = of(self.number.as_ref().map(|number| number.of_call));
        if of_number.is_empty() { of(self.user) } else { of_number }
    }

    fn has_starred_number(&self) -> bool {
        self.number.as_ref().is_some_and(Number::is_starred)
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, &self.number) {
            (Some(_), Some(number)) => write!(f, "same user and number {}", number.text)?,
            (None, Some(number)) => write!(f, "same number {}", number.text)?,
            _ => f.write_str("same user, no number to compare")?,
        }
        f.write_str(if self.has_starred_number() { " (as far as it is shown)" } else { "" })
    }
}

/// The row against the call, or against one session of it; with how far apart they start.
fn at_the_same_time(row: &LogRow, who: &Who<'_>, span: Stretch, apart: &str) -> Option<(Link, Age)> {
    let start = span.start?;
    let starts = [row.span.start, row.invited].into_iter().flatten();
    let gap = starts.map(|time| distance(time, start)).min().filter(|gap| *gap <= NEAR)?;
    let (is_alike, lengths) = lengths(row, span);
    let confidence = match (who.user, &who.number, is_alike) {
        (Some(_), Some(_), true) => Confidence::High,
        (Some(_), Some(_), false) | (Some(_), None, true) => Confidence::Medium,
        (None, Some(number), true) if !number.is_starred() => Confidence::Medium,
        (None, Some(_), _) => Confidence::Low,
        // At this time the same user may do many things.
        (_, None, _) => return None,
    };
    Some((Link { confidence, reason: format!("{who}, started {}{apart}, {lengths}", seconds(gap)) }, gap))
}

/// A row of a conference may be one leg of a meeting that was going on long before.
fn part_of_a_meeting(row: &LogRow, who: &Who<'_>, call: &Call) -> Option<Link> {
    let is_conference = row.call_type.as_ref().is_some_and(|text| text.to_ascii_lowercase().contains("conf"));
    let is_pair = call.call_type.as_ref().is_some_and(|text| text.eq_ignore_ascii_case("peerToPeer"));
    let (from, to) = (call.span.start? - NEAR, call.span.end? + NEAR);
    let is_within = row.span.start? >= from && row.span.end.or(row.span.start)? <= to;
    if !is_conference || is_pair || !is_within {
        return None;
    }
    let confidence = if who.user.is_some() { Confidence::Medium } else { Confidence::Low };
    Some(Link { confidence, reason: format!("{who}, within the meeting's time: the row may be one leg of it") })
}

/// Whether both lasted as long, and how to say it.
fn lengths(row: &LogRow, span: Stretch) -> (bool, String) {
    let length = |span: Stretch| Some(span.end? - span.start?);
    let Some((mine, theirs)) = row.duration.or_else(|| length(row.span)).zip(length(span)) else {
        return (false, "no length to compare".into());
    };
    let apart = Age(mine.0.saturating_sub(theirs.0).saturating_abs());
    let end_gap = row.span.end.zip(span.end).map(|(mine, theirs)| distance(mine, theirs));
    match end_gap {
        _ if apart <= SAME => (true, "same length".into()),
        _ if apart <= ALIKE => (true, format!("lengths {} apart", seconds(apart))),
        Some(gap) if gap <= SAME => (true, format!("ended {} apart", seconds(gap))),
        _ => (false, format!("lengths {} apart", seconds(apart))),
    }
}

fn distance(one: Timestamp, other: Timestamp) -> Age {
    Age((one - other).0.saturating_abs())
}

fn seconds(age: Age) -> String {
    format!("{} s", (age.0 + 500_000_000) / 1_000_000_000)
}

#[cfg(test)]
mod tests;
