//! One row of a log: what a person asks first at the top, then every other member under the name that Graph documents.
//!
//! What is null or empty is left out. All text from Graph passes [`plain`] on its way out, where the lines are written.
//!
//! [`plain`]: crate::cli::render::plain

use std::io::{self, Write};

use crate::{
    cli::render::{
        Shown,
        branch::{Branch, write_head, write_section},
        figures::length,
        person,
    },
    model::{
        kind::Roles,
        rows::SearchField,
        source::Source,
        time::Age,
        view::{
            self,
            leaf::Leaf,
            log::{Holds, Log, Row, log},
        },
    },
};

/// Writes a row as text.
pub(super) fn show(shown: &Shown<'_>, out: &mut dyn Write) -> io::Result<()> {
    let row = view::read::<Row<'_>>(shown.json).0.unwrap_or_default();
    let log = log(shown.info.key.kind);
    let mut head = Head { row: &row, told: vec!["id"], lines: Vec::new() };
    if let Some(log) = log {
        head.fill(shown, log);
    }
    head.say("version", shown.version());
    write_head(&shown.info.key.to_string(), &head.lines, out)?;
    let members = members(&row, log, &head.told, &shown.info.key.id);
    write_section("members", &members, members.len(), out)
}

/// The lines at the top, and the members that they tell.
struct Head<'a> {
    row: &'a Row<'a>,
    told: Vec<&'static str>,
    lines: Vec<(&'static str, String)>,
}

impl Head<'_> {
    fn fill(&mut self, shown: &Shown<'_>, log: &Log) {
        let kind = shown.info.key.kind;
        if let Some(record_type) = log.record_type.and_then(|member| self.take(member)) {
            let direction = direction(log, &record_type);
            self.say("type", format!("{record_type}{direction}"));
        }
        if Source::ALL.into_iter().any(|source| source.kind() == kind && source.is_beta()) {
            self.say("source", "beta: Graph may change or withdraw this log at any time".into());
        }
        self.times(shown, log);
        self.length(shown);
        self.people(shown, log);
        self.money();
        self.outcome(log);
    }

    fn say(&mut self, label: &'static str, text: String) {
        self.lines.push((label, text));
    }

    /// The text of a member, which is then told.
    fn take(&mut self, member: &'static str) -> Option<String> {
        let text = self.row.get(member).owned()?;
        self.told.push(member);
        Some(text)
    }

    fn times(&mut self, shown: &Shown<'_>, log: &Log) {
        let record = &shown.derived.record;
        if log.start.is_empty() {
            self.say(
                "sum of",
                shown.asked.map_or_else(|| "an unknown time".into(), |span| format!("{} → {}", span.from, span.to)),
            );
            return;
        }
        // The first that has a time is the start; the others stand among the members.
        let start = log.start.iter().find(|member| self.row.get(member).timestamp().is_some());
        for (label, member, time) in [("start", start, record.start), ("end", log.end.as_ref(), record.end)] {
            if let Some((member, time)) = member.zip(time) {
                self.told.push(member);
                self.say(label, time.to_string());
            }
        }
    }

    fn length(&mut self, shown: &Shown<'_>) {
        let connected = self.row.get("duration").integer().map(Age::seconds);
        if let Some(age) = connected.or(shown.derived.record.duration()) {
            self.told.push("duration");
            self.say("duration", length(age));
        }
        if let Some(calls) = self.take("totalCalls") {
            let seconds = self.row.get("totalCallSeconds").integer();
            let lasting =
                seconds.map(|seconds| format!(", {} together", length(Age::seconds(seconds)))).unwrap_or_default();
            self.told.push("totalCallSeconds");
            self.say("calls", format!("{calls}{lasting}"));
        }
        if let Some(units) = self.take("smsUnits") {
            self.say("units", units);
        }
    }

    fn people(&mut self, shown: &Shown<'_>, log: &Log) {
        let user = shown.derived.parties.iter().find(|party| party.identity.set_key == "user");
        if let Some(user) = user {
            self.told.extend(["userId", "userPrincipalName", "userDisplayName"]);
            let name = person(&user.identity);
            let id = user.identity.id.as_ref().filter(|id| **id != name).map(|id| format!("  id {id}"));
            self.say("user", format!("{name}{}", id.unwrap_or_default()));
        }
        for (member, role) in log.numbers {
            let label = match *role {
                Roles::CALLER => "from",
                Roles::CALLEE => "to",
                _ => "number",
            };
            if let Some(number) = self.take(member) {
                self.say(label, masked(number));
            }
        }
    }

    fn money(&mut self) {
        let currency = self.row.get("currency").owned();
        let in_currency =
            |amount: String| currency.as_ref().map_or(amount.clone(), |currency| format!("{amount} {currency}"));
        let mut parts = Vec::new();
        for (member, what) in
            [("charge", ""), ("callCharge", ""), ("totalCallCharge", ""), ("connectionCharge", " for the connection")]
        {
            parts.extend(self.take(member).map(|amount| format!("{}{what}", in_currency(amount))));
        }
        if !parts.is_empty() {
            self.told.push("currency");
            self.say("charge", parts.join(" · "));
        }
    }

    /// Whether it came about, and what the telephone network said to it.
    fn outcome(&mut self, log: &Log) {
        let Some(member) = log.succeeded else { return };
        let mut parts = Vec::new();
        if let Some(succeeded) = self.row.get(member).boolean() {
            self.told.push(member);
            parts.push(if succeeded { "successful".to_owned() } else { "FAILED".to_owned() });
        }
        let (code, phrase) = (self.take("finalSipCode"), self.take("finalSipCodePhrase"));
        if code.is_some() || phrase.is_some() {
            parts.push([Some("SIP".to_owned()), code, phrase].into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
        parts.extend(self.take("callEndSubReason").map(|code| format!("sub reason {code}")));
        if !parts.is_empty() {
            self.say("outcome", parts.join(" · "));
        }
    }
}

/// What the type of a call or message says of its direction; its two numbers' names are not to be relied on.
fn direction(log: &Log, record_type: &str) -> &'static str {
    let record_type = record_type.to_ascii_lowercase();
    match () {
        () if log.numbers.len() < 2 => "",
        () if record_type.contains("out") => " (outbound)",
        () if record_type.contains("in") => " (inbound)",
        () => "",
    }
}

/// Microsoft stars the last digits of the outside party's number where the country demands it.
fn masked(number: String) -> String {
    if number.contains('*') { format!("{number}  (masked by Microsoft)") } else { number }
}

/// What the top does not tell, in the order of the documentation; then what no documentation has.
fn members(row: &Row<'_>, log: Option<&Log>, told: &[&str], id: &str) -> Vec<Branch> {
    let mut branches = Vec::new();
    if let Some(own) = row.get("id").owned().filter(|own| own != id) {
        branches.push(Branch::new(format!("id  {own}  (not this row's alone)")));
    }
    let columns = log.map(|log| log.columns).unwrap_or_default();
    for column in columns.iter().filter(|column| !told.contains(&column.member)) {
        let is_number = column.search == Some(SearchField::Phone);
        if let Some(value) = value(row.get(column.member), column.holds) {
            let value = if is_number { masked(value) } else { value };
            branches.push(Branch::new(format!("{}  {value}", column.member)));
        }
    }
    let is_documented = |name: &str| name == "id" || columns.iter().any(|column| column.member == name);
    for (name, leaf) in row.members().filter(|(name, _)| !is_documented(name)) {
        if let Some(value) = value(leaf, Holds::Json) {
            let note = if log.is_some() && !name.starts_with('@') { "  (not documented)" } else { "" };
            branches.push(Branch::new(format!("{name}  {value}{note}")));
        }
    }
    branches
}

/// A value that says something: text without its quotes, anything else as it stands.
fn value(leaf: Leaf<'_>, holds: Holds) -> Option<String> {
    let text = leaf.json()?;
    let is_none = match holds {
        Holds::Time => leaf.timestamp().is_none(),
        _ => matches!(text, "[]" | "{}" | "\"\""),
    };
    (!is_none).then(|| leaf.owned().unwrap_or_else(|| text.to_owned()))
}

#[cfg(test)]
mod tests;
