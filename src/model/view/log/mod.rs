//! Rows of the logs: one description a kind, which says where each member of Graph's row goes. Rows, index and keys are all made
//! from it, so a further log is one more description, one more schema file under `schema/logs/`, and its row in
//! [`crate::model::source`].

mod blocked_user;
mod dial_out;
mod direct_routing;
mod pstn;
mod sms;

use std::borrow::Cow;

use crate::model::{
    kind::{Kind, Roles},
    rows::SearchField,
    view::{Object, Reader, leaf::Leaf},
};

/// What a log's rows hold, and what of it means what.
#[derive(Debug)]
pub struct Log {
    /// The derived table.
    pub table: &'static str,
    /// Every documented member.
    pub columns: &'static [Column],
    /// Members that tell when it began, the first that has a time counts; none where the window asked for tells.
    pub start: &'static [&'static str],
    pub end: Option<&'static str>,
    /// What the contract calls the record's type.
    pub record_type: Option<&'static str>,
    /// A truth that, where it is false, makes the record one that failed.
    pub succeeded: Option<&'static str>,
    /// Members with numbers, and the part that the number took.
    pub numbers: &'static [(&'static str, Roles)],
    /// Members that tell one row from another where `id` is missing or repeated; charges and names, which change, are not
    /// among them.
    pub natural_key: &'static [&'static str],
}

/// One member of a row.
#[derive(Debug)]
pub struct Column {
    pub member: &'static str,
    /// The column of the derived table.
    pub name: &'static str,
    pub holds: Holds,
    /// Where a text search finds it.
    pub search: Option<SearchField>,
}

impl Column {
    /// What people see over it, in views and exported tables, where an instant is text: `start_ns` is `start_date_time`.
    #[must_use]
    pub fn title(&self) -> Cow<'static, str> {
        match self.name.strip_suffix("_ns") {
            Some(stem) => format!("{stem}_date_time").into(),
            None => self.name.into(),
        }
    }
}

/// What a member holds, and as what it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Text,
    Integer,
    Boolean,
    /// Money: the number's own digits as text, its scale with it.
    Decimal,
    /// Nanoseconds; `0001-01-01T00:00:00Z`, by which Graph means none, is null.
    Time,
    /// A collection, as JSON.
    Json,
}

const fn column(member: &'static str, name: &'static str, holds: Holds) -> Column {
    Column { member, name, holds, search: None }
}

const fn found(member: &'static str, name: &'static str, search: SearchField) -> Column {
    Column { member, name, holds: Holds::Text, search: Some(search) }
}

/// The description of a kind's rows; `None` for what is no log.
#[must_use]
pub fn log(kind: Kind) -> Option<&'static Log> {
    match kind {
        Kind::Pstn => Some(&pstn::LOG),
        Kind::DirectRouting => Some(&direct_routing::LOG),
        Kind::Sms => Some(&sms::LOG),
        Kind::BlockedUser => Some(&blocked_user::LOG),
        Kind::DialOut => Some(&dial_out::LOG),
        Kind::Call | Kind::Person => None,
    }
}

/// A row as it stands: its members, in their order.
#[derive(Clone, Debug, Default)]
pub struct Row<'a> {
    members: Vec<(String, Leaf<'a>)>,
}

impl<'a> Row<'a> {
    /// The value of a member; nothing where it is missing. Of a member that stands twice the last counts.
    #[must_use]
    pub fn get(&self, member: &str) -> Leaf<'a> {
        self.members.iter().rev().find(|(name, _)| name == member).map_or_else(Leaf::default, |(_, leaf)| *leaf)
    }

    #[must_use]
    pub fn text(&self, member: &str) -> Option<Cow<'a, str>> {
        self.get(member).text()
    }

    /// Its members as they stand, in their order.
    pub fn members(&self) -> impl Iterator<Item = (&str, Leaf<'a>)> {
        self.members.iter().map(|(name, leaf)| (name.as_str(), *leaf))
    }

    /// How many of its members no description has.
    #[must_use]
    pub fn unknown_members(&self, log: &Log) -> u32 {
        let is_known = |name: &str| name.starts_with('@') || log.columns.iter().any(|column| column.member == name);
        u32::try_from(self.members.iter().filter(|(name, _)| !is_known(name)).count()).unwrap_or(u32::MAX)
    }

    /// Members and values, sorted by name: the same for two texts that say the same, whatever their order.
    #[must_use]
    pub fn canonical(&self) -> Vec<(&str, &'a str)> {
        let mut members: Vec<_> =
            self.members.iter().map(|(name, leaf)| (name.as_str(), leaf.json().unwrap_or_default())).collect();
        members.sort_unstable();
        members
    }
}

impl<'a> Object<'a> for Row<'a> {
    fn read_members(&mut self, reader: &mut Reader<'a>) {
        reader.members(|reader, key| self.members.push((key.to_owned(), reader.leaf())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_a_description_names_stands_among_its_columns_once() {
        for log in Kind::HITS.into_iter().filter_map(log) {
            let members: HashSet<_> = log.columns.iter().map(|column| column.member).collect();
            assert_eq!(members.len(), log.columns.len(), "{}", log.table);
            let named = log.start.iter().chain(&log.end).chain(&log.record_type).chain(&log.succeeded);
            let named = named.chain(log.numbers.iter().map(|(member, _)| member)).chain(log.natural_key);
            for member in named {
                assert!(members.contains(member), "{}: {member}", log.table);
            }
        }
    }

    #[test]
    fn the_order_of_members_makes_no_other_row() {
        let read = |text| crate::model::view::read::<Row<'_>>(text).0.unwrap();
        let (one, other) = (r#"{"b":0.10,"a":{"x":1}}"#, r#"{"a":{"x":1},"b":0.10}"#);
        assert_eq!(read(one).canonical(), read(other).canonical());
        assert_ne!(read(one).canonical(), read(r#"{"a":{"x":1},"b":0.1}"#).canonical());
    }
}
