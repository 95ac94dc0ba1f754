//! Rows of a record → what the contract says of it. People and words that were read once are remembered: most records name the same.

use std::collections::HashMap;

use foldhash::fast;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use crate::{
    archive::{error::Result, guid, rows::kind_of, select::Wanted, who::Who},
    model::{
        hit::{Hit, Matched, Person},
        id::{RecordId, Seq, Version},
        kind::Kind,
        time::{Age, Timestamp},
    },
};

/// The columns that [`HitReader::hit`] reads.
pub(crate) const COLUMNS: &str = "SELECT hit.record_id, hit.seq, hit.kind, record.id, version.version, hit.start_ns, hit.end_ns, \
    hit.type_id, hit.modalities_id, hit.organizer_id, hit.session_count, hit.failed";
/// `hit` comes first, in its own order. Versions are looked up in the index of their numbers, by which no frame has to be passed: a
/// frame is most of a page.
pub(crate) const JOINS: &str = "CROSS JOIN record USING (record_id) \
    CROSS JOIN version ON version.record_id = hit.record_id AND +version.seq = hit.seq";

/// People and words remembered, some 300 bytes each; then it starts over.
const REMEMBERED_MAX: usize = 8192;

/// What was read once.
#[derive(Default)]
pub(crate) struct Known {
    people: HashMap<i64, Person, fast::RandomState>,
    texts: HashMap<i64, Option<String>, fast::RandomState>,
    /// Lists of modalities, read.
    modalities: HashMap<i64, Vec<String>, fast::RandomState>,
    /// SQLite's count of what others changed, as of which all this holds.
    data_version: i64,
}

/// Reads hits from their rows.
pub(crate) struct HitReader<'a> {
    connection: &'a Connection,
    known: &'a mut Known,
    parties: CachedStatement<'a>,
    person: CachedStatement<'a>,
}

impl<'a> HitReader<'a> {
    /// To be made within the transaction in which it reads. Forgets what is `known` if a writer has changed the archive since.
    pub(crate) fn new(connection: &'a Connection, known: &'a mut Known) -> Result<Self> {
        let now = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if known.data_version != now {
            *known = Known { data_version: now, ..Known::default() };
        }
        Ok(Self {
            connection,
            known,
            parties: connection.prepare_cached("SELECT identity_id FROM party WHERE record_id = ?1 ORDER BY n")?,
            person: connection.prepare_cached(PERSON)?,
        })
    }

    /// The hit of a row of [`COLUMNS`].
    pub(crate) fn hit(&mut self, row: &Row<'_>, wanted: &Wanted) -> Result<Hit> {
        let start = row.get::<_, Option<i64>>(5)?.map(Timestamp);
        let end = row.get::<_, Option<i64>>(6)?.map(Timestamp);
        let duration: Option<Age> = start.zip(end).map(|(start, end)| end - start);
        let kind = kind_of(row.get(2)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, row.get(2)?))?;
        let record_id = RecordId(row.get(0)?);
        let participants = self.participants(record_id)?;
        let organizer: Option<i64> = row.get(9)?;
        let organizer = match organizer {
            Some(id) => Some((id, self.known.person(&mut self.person, id)?.cloned().unwrap_or_default())),
            None => None,
        };
        let call_type = row.get::<_, Option<i64>>(7)?.map(|id| self.text(id)).transpose()?.flatten();
        let modalities = match (kind, row.get(8)?) {
            (Kind::Call, Some(id)) => Some(self.modalities(id)?),
            (Kind::Call, None) => Some(Vec::new()),
            _ => None,
        };
        Ok(Hit {
            next: None,
            matched: matched(wanted, &participants, organizer.as_ref()),
            kind,
            id: guid::from_sql(row.get_ref(3)?).unwrap_or_default(),
            version: Version(row.get(4)?),
            start,
            end,
            duration_s: duration.map(Age::as_seconds_f64),
            call_type,
            modalities,
            organizer: organizer.map(|(_, person)| person),
            participants: participants.into_iter().map(|(_, person)| person).collect(),
            sessions: (kind == Kind::Call).then(|| row.get(10)).transpose()?,
            failed: row.get(11)?,
            seq: Seq(row.get(1)?),
            record_id,
        })
    }

    /// Everybody in a record, each with the number of their identity.
    fn participants(&mut self, record_id: RecordId) -> Result<Vec<(i64, Person)>> {
        let mut rows = self.parties.query([record_id.0])?;
        let mut participants = Vec::new();
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            participants.extend(self.known.person(&mut self.person, id)?.map(|person| (id, person.clone())));
        }
        Ok(participants)
    }

    fn text(&mut self, text_id: i64) -> Result<Option<String>> {
        if let Some(text) = self.known.texts.get(&text_id) {
            return Ok(text.clone());
        }
        let sql = "SELECT value FROM text WHERE text_id = ?1";
        let text = self.connection.prepare_cached(sql)?.query_row([text_id], |row| row.get(0)).optional()?;
        make_room(&mut self.known.texts).insert(text_id, text.clone());
        Ok(text)
    }

    fn modalities(&mut self, text_id: i64) -> Result<Vec<String>> {
        if let Some(modalities) = self.known.modalities.get(&text_id) {
            return Ok(modalities.clone());
        }
        let json = self.text(text_id)?;
        let modalities: Vec<String> = json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        make_room(&mut self.known.modalities).insert(text_id, modalities.clone());
        Ok(modalities)
    }
}

impl Known {
    /// Who an identity is, by [`PERSON`] where it is not known yet.
    fn person(&mut self, statement: &mut CachedStatement<'_>, identity_id: i64) -> Result<Option<&Person>> {
        if !self.people.contains_key(&identity_id) {
            let found = statement.query_row([identity_id], person_of).optional()?;
            let Some(person) = found else { return Ok(None) };
            make_room(&mut self.people).insert(identity_id, person);
        }
        Ok(self.people.get(&identity_id))
    }
}

fn make_room<T>(remembered: &mut HashMap<i64, T, fast::RandomState>) -> &mut HashMap<i64, T, fast::RandomState> {
    if remembered.len() >= REMEMBERED_MAX {
        remembered.clear();
    }
    remembered
}

/// Who of a record's people was asked for, in the order in which it was asked.
fn matched(wanted: &Wanted, participants: &[(i64, Person)], organizer: Option<&(i64, Person)>) -> Vec<Matched> {
    let of = |who: &Who, (identity_id, person): &(i64, Person)| {
        let why = who.found.get(identity_id)?.clone();
        let (asked, person) = (who.asked.clone(), person.clone());
        Some(Matched { asked, person, by: why.by, masked: why.masked, through: why.through })
    };
    let as_participant =
        wanted.participants.iter().flat_map(|who| participants.iter().filter_map(move |party| of(who, party)));
    let as_organizer = wanted.organizers.iter().filter_map(|who| of(who, organizer?));
    let mut matched: Vec<Matched> = Vec::new();
    for one in as_participant.chain(as_organizer) {
        if !matched.contains(&one) {
            matched.push(one);
        }
    }
    matched
}

/// Who an identity is.
pub(crate) fn person(connection: &Connection, identity_id: i64) -> Result<Option<Person>> {
    Ok(connection.prepare_cached(PERSON)?.query_row([identity_id], person_of).optional()?)
}

/// The columns that [`person_of`] reads.
const PERSON: &str = "SELECT id, display_name, user_principal_name, set_key FROM identity WHERE identity_id = ?1";

fn person_of(row: &Row<'_>) -> rusqlite::Result<Person> {
    let id = guid::from_sql(row.get_ref(0)?);
    let is_phone = row.get_ref(3)?.as_str()? == "phone" || id.as_deref().is_some_and(|id| id.starts_with('+'));
    Ok(Person { phone: if is_phone { id.clone() } else { None }, id, name: row.get(1)?, upn: row.get(2)? })
}
