//! Records in groups. SQLite walks over the rows, in the order of records; adding up is done here, which costs a third of its sorting
//! them by group.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::{
    archive::{
        error::Result,
        hits,
        rows::kind_of,
        select::{self, Wanted},
    },
    model::{
        group::{By, Group, Sum},
        id::{RecordId, Seq},
        time::Timestamp,
    },
};

/// Groups that are being filled.
pub struct Groups<'a> {
    connection: &'a Connection,
    by: By,
    filling: Vec<Filling>,
    /// The groups of each value met: a list of modalities is in several.
    known: HashMap<i64, Box<[usize]>>,
    named: HashMap<Option<String>, usize>,
}

struct Filling {
    group: Group,
    /// Rows of one record follow each other, and each record counts once.
    last: Option<RecordId>,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(connection: &'a Connection, by: By) -> Self {
        Self { connection, by, filling: Vec::new(), known: HashMap::new(), named: HashMap::new() }
    }

    /// Adds all that is wanted, or of it the versions `found` that are their records' newest, at most [`select::FOUND_MAX`] at a time.
    /// No record may be added twice.
    pub fn add(&mut self, wanted: &Wanted, found: Option<&[(RecordId, Seq)]>) -> Result<()> {
        let (columns, joins) = walk(self.by);
        let sql = format!("SELECT hit.record_id, hit.end_ns - hit.start_ns, hit.failed, {columns} FROM hit {joins}");
        let condition = if matches!(self.by, By::Stage | By::Reason) { "hit.failed = 1" } else { "1" };
        let mut record: Option<Record> = None;
        select::each_row(self.connection, &sql, condition, wanted, found, &mut |row| {
            let record_id = RecordId(row.get(0)?);
            if record.as_ref().is_none_or(|record| record.id != record_id) {
                let next = Record { id: record_id, duration_ns: row.get(1)?, failed: row.get(2)?, is_in_one: false };
                self.close(record.replace(next));
            }
            let Some(record) = &mut record else { return Ok(()) };
            for column in 3..row.as_ref().column_count() {
                if let Some(value) = row.get(column)? {
                    self.add_to(value, record)?;
                }
            }
            Ok(())
        })?;
        self.close(record);
        Ok(())
    }

    /// Every group that has a record, in no order.
    #[must_use]
    pub fn finish(self) -> Vec<Group> {
        self.filling.into_iter().map(|filling| filling.group).filter(|group| group.sum.records > 0).collect()
    }

    fn add_to(&mut self, value: i64, record: &mut Record) -> Result<()> {
        let value = if self.by.is_calendar() { self.by.bucket(Timestamp(value)) } else { value };
        if !self.known.contains_key(&value) {
            let groups = self.groups_of(value)?;
            self.known.insert(value, groups);
        }
        for group in self.known.get(&value).into_iter().flatten() {
            self.filling[*group].add(record);
            record.is_in_one = true;
        }
        Ok(())
    }

    /// A record that has nothing of what is asked for is in the group of those.
    fn close(&mut self, record: Option<Record>) {
        if let Some(record) = record.filter(|record| !record.is_in_one) {
            let group = self.group(None, 0);
            self.filling[group].add(&record);
        }
    }

    /// The groups that a value stands for; none where it says nothing.
    fn groups_of(&mut self, value: i64) -> Result<Box<[usize]>> {
        let names = match self.by {
            By::Participant | By::Organizer => return Ok(self.person(value)?.into_iter().collect()),
            By::Kind => kind_of(value).map(|kind| kind.name().to_owned()).into_iter().collect(),
            By::Type | By::Stage => self.text(value)?.into_iter().collect(),
            By::Modality => serde_json::from_str(&self.text(value)?.unwrap_or_default()).unwrap_or_default(),
            By::Reason if value < 0 => self.phrase(-value)?.into_iter().collect(),
            By::Reason => self.text(value)?.into_iter().collect::<Vec<_>>(),
            By::Agent | By::Platform | By::Device => self.endpoint(value)?.into_iter().collect(),
            By::Month | By::Week | By::Day | By::Hour | By::Weekday | By::HourOfDay => vec![self.by.name(value)],
        };
        Ok(names.into_iter().filter(|name| !name.is_empty()).map(|name| self.group(Some(name), value)).collect())
    }

    fn group(&mut self, name: Option<String>, place: i64) -> usize {
        let filling = &mut self.filling;
        *self.named.entry(name).or_insert_with_key(|name| {
            let group = Group { name: name.clone(), person: None, place, sum: Sum::default() };
            filling.push(Filling { group, last: None });
            filling.len() - 1
        })
    }

    /// The group of a person, who is called what the last of their identities says.
    fn person(&mut self, identity_id: i64) -> Result<Option<usize>> {
        let Some(person) = hits::person(self.connection, identity_id)? else { return Ok(None) };
        let known_as = [&person.name, &person.phone, &person.upn, &person.id].into_iter().flatten().next().cloned();
        let Some(key) = person.id.as_ref().map(|id| id.to_lowercase()).or_else(|| known_as.clone()) else {
            return Ok(None);
        };
        let at = self.group(Some(key), identity_id);
        let group = &mut self.filling[at].group;
        if group.person.is_none() || identity_id > group.place && person.name.is_some() {
            group.name = known_as;
            group.place = identity_id;
            group.person = Some(person);
        }
        Ok(Some(at))
    }

    fn text(&self, text_id: i64) -> Result<Option<String>> {
        self.one("SELECT value FROM text WHERE text_id = ?1", text_id)
    }

    fn phrase(&self, record_id: i64) -> Result<Option<String>> {
        self.one("SELECT final_sip_code_phrase FROM direct_routing WHERE record_id = ?1", record_id)
    }

    fn endpoint(&self, endpoint_id: i64) -> Result<Option<String>> {
        let column = match self.by {
            By::Device => "name",
            By::Platform => "platform",
            _ => "coalesce(header_value, application_version)",
        };
        let sql =
            format!("SELECT {column} FROM endpoint LEFT JOIN user_agent USING (user_agent_id) WHERE endpoint_id = ?1");
        self.one(&sql, endpoint_id)
    }

    fn one(&self, sql: &str, value: i64) -> Result<Option<String>> {
        Ok(self.connection.prepare_cached(sql)?.query_row([value], |row| row.get(0)).optional()?.flatten())
    }
}

/// What is added to groups.
struct Record {
    id: RecordId,
    duration_ns: Option<i64>,
    failed: bool,
    is_in_one: bool,
}

impl Filling {
    fn add(&mut self, record: &Record) {
        if self.last.replace(record.id) != Some(record.id) {
            self.group.sum.records += 1;
            self.group.sum.duration_ns += i128::from(record.duration_ns.unwrap_or(0));
            self.group.sum.failures += u64::from(record.failed);
        }
    }
}

const SESSIONS: &str = "LEFT JOIN session ON session.record_id = hit.record_id
    LEFT JOIN segment ON segment.record_id = session.record_id AND segment.session_n = session.n";

/// The columns that say what a record is grouped by, and what is joined to `hit` for them.
fn walk(by: By) -> (&'static str, String) {
    match by {
        By::Participant => ("party.identity_id", "LEFT JOIN party ON party.record_id = hit.record_id".to_owned()),
        By::Organizer => ("hit.organizer_id", String::new()),
        By::Kind => ("hit.kind", String::new()),
        By::Type => ("hit.type_id", String::new()),
        By::Modality => ("hit.modalities_id", String::new()),
        By::Month | By::Week | By::Day | By::Hour | By::Weekday | By::HourOfDay => ("hit.start_ns", String::new()),
        By::Agent | By::Platform | By::Device => {
            ("session.caller_id, session.callee_id, segment.caller_id, segment.callee_id", SESSIONS.to_owned())
        }
        By::Stage => ("session.failure_stage_id, segment.failure_stage_id", SESSIONS.to_owned()),
        // What a row of direct routing says has no number of its own, and goes by the row's, below zero.
        By::Reason => (
            "session.failure_reason_id, segment.failure_reason_id, -direct_routing.record_id",
            format!("{SESSIONS} LEFT JOIN direct_routing ON direct_routing.record_id = hit.record_id"),
        ),
    }
}
