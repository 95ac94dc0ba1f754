//! Who is erased: everything that names them, and where it stands beside the records.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    archive::{
        Archive,
        error::Result,
        guid, people,
        policy::{self, Hold},
        rows::kind_code,
        who,
    },
    model::{
        id::{RecordId, RecordKey},
        kind::Kind,
    },
};

/// Who somebody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub object_ids: Vec<String>,
    /// Names, UPNs, mail addresses, numbers.
    pub words: Vec<String>,
}

impl Names {
    /// Adds what another look at the archive found of the same person.
    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.object_ids, other.object_ids), (&mut self.words, other.words)] {
            mine.extend(theirs);
            mine.sort();
            mine.dedup();
        }
    }
}

impl Archive {
    /// Object ids of all who are meant by `asked`, and everything by which records and directory name them.
    pub fn names_of(&self, asked: &str) -> Result<Names> {
        names_of(&self.connection, asked)
    }

    /// Whether the directory knows a number as nobody's but of people with these object ids.
    pub fn is_nobody_elses(&self, number: &str, object_ids: &[String]) -> Result<bool> {
        let digits = crate::model::phone::reversed_digits(number);
        let end: String = digits.chars().take(who::OWN_DIGITS_MIN).collect();
        let sql = "SELECT DISTINCT person.id FROM person_term JOIN person USING (record_id, version)
                   WHERE what = ?1 AND term >= ?2 AND term < ?2 || ':'";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![people::What::Number as i64, end], |row| Ok(guid::from_sql(row.get_ref(0)?)))?;
        let ids = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(ids.into_iter().flatten().all(|id| object_ids.contains(&id.to_lowercase())))
    }

    /// Records of the directory about people with these object ids.
    pub fn directory_records(&self, object_ids: &[String]) -> Result<Vec<(RecordId, RecordKey)>> {
        let sql = "SELECT record_id FROM record WHERE kind = ?1 AND id = ?2 AND newest_seq IS NOT NULL";
        let mut found = Vec::new();
        for id in object_ids {
            let ids = params![kind_code(Kind::Person), guid::to_sql(id)];
            let record_id: Option<i64> = self.connection.query_row(sql, ids, |row| row.get(0)).optional()?;
            found.extend(record_id.map(|record| (RecordId(record), RecordKey { kind: Kind::Person, id: id.clone() })));
        }
        Ok(found)
    }
}

fn names_of(connection: &Connection, asked: &str) -> Result<Names> {
    let meant = who::who(connection, asked)?;
    let (mut ids, mut words) = (HashSet::new(), HashSet::from([asked.trim().to_owned()]));
    let sql = "SELECT id, display_name, user_principal_name FROM identity WHERE identity_id = ?1";
    let mut statement = connection.prepare(sql)?;
    for identity_id in meant.found.keys() {
        let row = statement.query_row([identity_id], |row| {
            let id = guid::from_sql(row.get_ref(0)?);
            Ok((id, row.get::<_, Option<String>>(1)?, row.get::<_, Option<String>>(2)?))
        })?;
        let (id, name, upn) = row;
        words.extend(id.iter().cloned());
        ids.extend(id.as_deref().and_then(guid::object_id));
        words.extend([name, upn].into_iter().flatten());
    }
    ids.extend(guid::object_id(asked.trim()));
    ids.extend(who::directory_ids(connection, asked)?);
    let sql = format!("SELECT {} FROM person WHERE id = ?1", people::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    for id in &ids {
        let versions = statement.query_map([guid::to_sql(id)], people::person_of)?;
        for person in versions.collect::<rusqlite::Result<Vec<_>>>()? {
            words.extend(person.mails().chain(person.numbers()).map(str::to_owned));
            words.extend([person.display_name, person.user_principal_name].into_iter().flatten());
        }
        words.insert(id.clone());
    }
    words.retain(|word| word.chars().count() > 2);
    let sorted = |set: HashSet<String>| {
        let mut list: Vec<_> = set.into_iter().collect();
        list.sort();
        list
    };
    Ok(Names { object_ids: sorted(ids), words: sorted(words) })
}

/// Whether a hold names who is to be erased, be there a record or not.
pub(super) fn is_about(connection: &Connection, hold: &Hold, person: Option<&str>) -> Result<bool> {
    let Some(person) = person else { return Ok(false) };
    let ids: HashSet<String> = names_of(connection, person)?.object_ids.into_iter().collect();
    for named in hold.scope.participants.iter().chain(&hold.scope.organizers) {
        if named.trim().eq_ignore_ascii_case(person.trim())
            || names_of(connection, named)?.object_ids.iter().any(|id| ids.contains(id))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Holds that were released and have any of `words` in them are emptied: who was erased is not to be read there.
pub(super) fn empty_holds(connection: &Connection, words: &[String]) -> Result<()> {
    for hold in policy::holds(connection)?.into_iter().filter(|hold| hold.released.is_some()) {
        let scope = serde_json::to_string(&hold.scope).unwrap_or_default();
        let text = format!("{} {} {scope}", hold.name, hold.matter).to_lowercase();
        if words.iter().any(|word| text.contains(&word.to_lowercase())) {
            let sql = "UPDATE hold SET name = NULL, matter = NULL, scope = NULL, salt = NULL WHERE hold_id = ?1";
            connection.execute(sql, [hold.id])?;
        }
    }
    Ok(())
}
