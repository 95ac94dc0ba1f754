//! What the archive can vouch for in the period that was asked for, and what it cannot: no record found means no record only where the
//! time is covered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{
    id::{Seq, Version},
    time::{Span, Timestamp, intersect, subtract, union},
};

/// The document `data/coverage.json`. Spans are half-open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// The ledger's entry that says what was covered: a run that ended then. Null where none has said it yet.
    pub seq: Option<Seq>,
    /// As of when.
    pub time: Timestamp,
    /// The period that was asked for; null where it was open.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// One for each log that was searched.
    pub sources: Vec<SourceStatement>,
    /// Logs that nobody asked for by name and that the archive does not keep.
    pub not_kept: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceStatement {
    pub source: String,
    /// The period; where it was open, what the archive knows of.
    pub from: Timestamp,
    pub to: Timestamp,
    /// The whole period, in rising order, by what can be said of it.
    pub stretches: Vec<Stretch>,
    /// Records of the period that Microsoft Graph listed and no longer gave.
    pub lost_records: Vec<LostRecord>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    pub state: State,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Records that were listed in it and lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
    /// Until when its first record could still be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRecord {
    pub id: String,
    pub version: Version,
    /// As listed.
    pub start: Timestamp,
    /// When it was found to be gone.
    pub lost: Timestamp,
    /// The ledger's entry about it.
    pub seq: Seq,
}

/// What the entry of a run says.
#[derive(Debug, Deserialize)]
struct Ran {
    op: String,
    ended: Timestamp,
    coverage: Vec<Vouched>,
}

#[derive(Debug, Deserialize)]
struct Vouched {
    source: String,
    covered: Vec<Span>,
    #[serde(default)]
    lost: Vec<Span>,
}

/// What can be said of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Covered,
    /// Covered, and more records may still have appeared.
    Settling,
    Gap,
    AtRisk,
    Lost,
    /// After the last listing.
    NotYet,
    /// Before the archive began, or of a log that it does not keep.
    NotArchived,
}

impl State {
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            State::Covered => "covered",
            State::Settling => "covered, settling",
            State::Gap => "gap",
            State::AtRisk => "at risk",
            State::Lost => "lost",
            State::NotYet => "not listed yet",
            State::NotArchived => "not archived",
        }
    }

    /// Why it is so, in a sentence.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            State::Covered => {
                "Listed to the end after records had stopped appearing, and every record of the list is archived."
            }
            State::Settling => {
                "Listed to the end and archived; so young that Microsoft Graph might still have added records."
            }
            State::Gap => {
                "Not listed to the end, or records of the list were not yet fetched; Microsoft Graph still had them."
            }
            State::AtRisk => "As a gap, and Microsoft Graph was soon to forget them.",
            State::Lost => "Not listed to the end, or listed and no longer given, before Microsoft Graph forgot them.",
            State::NotYet => "Microsoft Graph had not been asked about it yet.",
            State::NotArchived => "The archive did not set out to keep this log at that time.",
        }
    }

    #[must_use]
    pub fn is_covered(self) -> bool {
        matches!(self, State::Covered | State::Settling)
    }
}

impl Statement {
    /// The document as it is written.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What of it the ledger's entries, given by their numbers, do not say.
    #[must_use]
    pub fn faults(&self, entries: &BTreeMap<Seq, String>) -> Vec<String> {
        let mut faults = Vec::new();
        let ran = self.seq.and_then(|seq| serde_json::from_str::<Ran>(entries.get(&seq)?).ok());
        match &ran {
            Some(ran) if ran.op == "run" && ran.ended == self.time => {}
            None if self.seq.is_none() => {}
            _ => faults.push("it names no entry of a run that ended at its time".to_owned()),
        }
        for source in &self.sources {
            let said = ran.iter().flat_map(|ran| &ran.coverage).find(|said| said.source == source.source);
            let (covered, lost) = said.map_or((&[][..], &[][..]), |said| (&said.covered[..], &said.lost[..]));
            let period = [Span::new(source.from, source.to)];
            let of = |is_it: fn(State) -> bool| {
                let spans = source.stretches.iter().filter(|stretch| is_it(stretch.state));
                union(spans.map(|stretch| Span::new(stretch.from, stretch.to)).collect())
            };
            if of(State::is_covered) != intersect(covered, &period)
                || of(|state| state == State::Lost) != intersect(&subtract(lost, covered), &period)
            {
                faults.push(format!("of {} it says other times than the ledger's entry", source.source));
            }
            for record in &source.lost_records {
                let is_entered = entries.get(&record.seq).is_some_and(|entry| {
                    entry.starts_with("{\"op\":\"lost\"")
                        && entry.contains(&serde_json::to_string(&record.id).unwrap_or_default())
                });
                if !is_entered {
                    faults.push(format!("that {} was lost is not what ledger entry {} says", record.id, record.seq));
                }
            }
        }
        faults
    }

    /// Whether nothing is missing, as far as anybody can know. Of a log of which no time is known yet, nobody does.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_covered = |source: &SourceStatement| {
            !source.stretches.is_empty() && source.stretches.iter().all(|stretch| stretch.state.is_covered())
        };
        self.seq.is_some() && self.sources.iter().all(is_covered)
    }

    /// The period in words.
    #[must_use]
    pub fn period(&self) -> String {
        match (self.from, self.to) {
            (None, None) => "all that the archive knows of".to_owned(),
            (Some(from), None) => format!("from {} on", from.to_seconds_text()),
            (None, Some(to)) => format!("before {}", to.to_seconds_text()),
            (Some(from), Some(to)) => format!("{} to {}", from.to_seconds_text(), to.to_seconds_text()),
        }
    }
}
