//! Who is meant by an id, a UPN, a mail address, a name or a number: identities as records name them, and why each.
//!
//! 1. Whoever a record itself names so.
//! 2. Whoever bears or bore it by the directory's versions or by another record. They are known by their object ids and by nothing
//!    else: people of one name stay different people, and all of them are meant.
//! 3. Every identity of those object ids, whatever its name was then, and the numbers that were ever theirs.
//!
//! Every step is a look-up in an index; nothing reads all identities.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::{
    archive::{
        error::Result,
        guid,
        people::{self, What},
    },
    model::{
        hit::{By, Through},
        id::RecordKey,
        kind::Kind,
        name,
        phone::PhoneQuery,
        rows::Person,
    },
};

/// A number that stands in the directory without its country is somebody's from so many digits on: fewer are an extension or lack
/// their area, and others have the same.
pub(crate) const OWN_DIGITS_MIN: usize = 8;

/// Identities that may be meant.
#[derive(Debug, Default)]
pub(crate) struct Who {
    pub(crate) asked: String,
    /// By `identity_id`.
    pub(crate) found: BTreeMap<i64, Why>,
}

/// Why an identity is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) by: By,
    pub(crate) masked: bool,
    pub(crate) through: Option<Through>,
}

/// Object ids, each with what was asked for and where it stands.
type People = BTreeMap<String, (By, Option<Through>)>;

/// Looks up who `asked` names.
pub(crate) fn who(connection: &Connection, asked: &str) -> Result<Who> {
    named(connection, asked).map(|(who, _)| who)
}

/// The records of the directory of all that `asked` may mean, by their ids.
pub(crate) fn people_named(connection: &Connection, asked: &str) -> Result<Vec<RecordKey>> {
    let (_, people) = named(connection, asked)?;
    let mut found = BTreeSet::new();
    for object_id in people.keys() {
        let sql = "SELECT record.id FROM person JOIN record USING (record_id) WHERE person.id IN (?1, ?2)";
        let mut statement = connection.prepare_cached(sql)?;
        let upper = object_id.to_uppercase();
        for id in statement.query_map(params![guid::to_sql(object_id), guid::to_sql(&upper)], |row| {
            Ok(guid::from_sql(row.get_ref(0)?))
        })? {
            found.extend(id?);
        }
    }
    Ok(found.into_iter().map(|id| RecordKey { kind: Kind::Person, id }).collect())
}

fn named(connection: &Connection, asked: &str) -> Result<(Who, People)> {
    let text = asked.trim();
    let number = PhoneQuery::parse(text);
    let mut who = Who { asked: asked.to_owned(), found: BTreeMap::new() };
    let mut people = People::new();
    // Numbers first: in records they stand as ids.
    if let Some(number) = &number {
        by_number(connection, number, &mut who, &mut people)?;
    }
    by_id(connection, text, &mut who, &mut people)?;
    by_address(connection, text, &mut who, &mut people)?;
    if number.is_none() && !text.contains('@') {
        by_name(connection, text, &mut who, &mut people)?;
    }
    also_in_records(connection, &who, &mut people)?;
    add_people(connection, &people, &mut who)?;
    Ok((who, people))
}

/// Object ids of the people of the directory who are meant, also of those in no record.
pub(crate) fn directory_ids(connection: &Connection, asked: &str) -> Result<Vec<String>> {
    let text = asked.trim();
    let (mut who, mut people) = (Who::default(), People::new());
    if let Some(number) = PhoneQuery::parse(text) {
        by_number(connection, &number, &mut who, &mut people)?;
    } else if !text.contains('@') {
        by_name(connection, text, &mut who, &mut people)?;
    }
    by_id(connection, text, &mut who, &mut people)?;
    by_address(connection, text, &mut who, &mut people)?;
    Ok(people.into_keys().collect())
}

impl Who {
    /// What a record says itself comes first and stays.
    fn add(&mut self, identity_id: i64, by: By, through: Option<&Through>) {
        self.found.entry(identity_id).or_insert_with(|| Why { by, masked: false, through: through.cloned() });
    }
}

fn by_id(connection: &Connection, text: &str, who: &mut Who, people: &mut People) -> Result<()> {
    let lower = text.to_lowercase();
    let sql = "SELECT identity_id FROM identity WHERE id = ?1 OR id = ?2";
    for identity_id in column(connection, sql, params![guid::to_sql(text), guid::to_sql(&lower)])? {
        who.add(identity_id, By::Id, None);
    }
    // Their numbers are meant as well, even where no record names them.
    if let Some(object_id) = guid::object_id(text) {
        people.entry(object_id).or_insert((By::Id, None));
    }
    Ok(())
}

fn by_address(connection: &Connection, text: &str, who: &mut Who, people: &mut People) -> Result<()> {
    let lower = text.to_lowercase();
    let sql =
        "SELECT identity_id FROM identity WHERE lower(user_principal_name) = ?1 AND user_principal_name IS NOT NULL";
    for identity_id in column(connection, sql, [&lower])? {
        who.add(identity_id, By::Upn, None);
    }
    for (what, by) in [(What::Upn, By::Upn), (What::Mail, By::Mail)] {
        let sql = "SELECT DISTINCT record_id FROM person_term WHERE what = ?1 AND term = ?2";
        for record_id in column(connection, sql, params![what as i64, lower])? {
            let is_it = |text: &str| text.to_lowercase() == lower;
            add_known(connection, record_id, by, people, |person| match by {
                By::Upn => person.user_principal_name.clone().filter(|upn| is_it(upn)),
                _ => person.mails().find(|mail| is_it(mail)).map(str::to_owned),
            })?;
        }
    }
    Ok(())
}

fn by_number(connection: &Connection, number: &PhoneQuery, who: &mut Who, people: &mut People) -> Result<()> {
    for identity_id in numbered(connection, number)? {
        who.add(identity_id, By::Phone, None);
    }
    for identity_id in masked(connection, number)? {
        who.found.entry(identity_id).or_insert(Why { by: By::Phone, masked: true, through: None });
    }
    let sql = "SELECT DISTINCT record_id FROM person_term WHERE what = ?1 AND term >= ?2 AND term < ?2 || ':'";
    for record_id in column(connection, sql, params![What::Number as i64, number.end_reversed()])? {
        add_known(connection, record_id, By::Phone, people, |person| {
            let is_it = |stored: &&str| PhoneQuery::parse(stored).is_some_and(|own| number.matches(&own.plain()));
            person.numbers().find(is_it).map(str::to_owned)
        })?;
    }
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT user_telephone_number, user_id FROM blocked_user WHERE user_telephone_number IS NOT NULL AND user_id IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stored: String = row.get(0)?;
        let object_id = guid::object_id(&row.get::<_, String>(1)?);
        if let Some(object_id) = object_id.filter(|_| !stored.contains('*') && number.matches(&stored)) {
            people.entry(object_id).or_insert((By::Phone, Some(Through::Records { known_as: stored })));
        }
    }
    Ok(())
}

/// Identities of a number that is not starred.
fn numbered(connection: &Connection, number: &PhoneQuery) -> Result<Vec<i64>> {
    let sql = "SELECT identity_id, id FROM identity WHERE phone_reversed >= ?1 AND phone_reversed < ?1 || ':'";
    matching(connection, sql, params![number.end_reversed()], number)
}

/// Identities of starred numbers that may be this one.
fn masked(connection: &Connection, number: &PhoneQuery) -> Result<Vec<i64>> {
    let sql = "SELECT identity_id, id FROM identity WHERE masked_count = ?1 AND masked_reversed >= ?2 AND masked_reversed < ?2 || ':'";
    let mut found = Vec::new();
    for mut masked in number.maskings() {
        if number.exact {
            // A number kept without its country code, which has up to three digits, begins later.
            let all = masked.visible_reversed.len();
            masked.visible_reversed.truncate(all.saturating_sub(3).max(4));
        }
        found.extend(matching(connection, sql, params![masked.hidden, masked.visible_reversed], number)?);
    }
    Ok(found)
}

fn matching(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    number: &PhoneQuery,
) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if guid::from_sql(row.get_ref(1)?).is_some_and(|stored| number.matches(&stored)) {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

fn by_name(connection: &Connection, text: &str, who: &mut Who, people: &mut People) -> Result<()> {
    let exact = "SELECT identity_id, 0 FROM identity_word WHERE word = ?1";
    let prefix = "SELECT identity_id, 0 FROM identity_word WHERE word >= ?1 AND word < ?1 || char(0x10ffff)";
    for (identity_id, _) in with_all_words(connection, text, exact, prefix)? {
        who.add(identity_id, By::Name, None);
    }
    // All words in one version: a name made of the first name before and the last name after a wedding is nobody's.
    let exact = "SELECT record_id, version FROM person_term WHERE what = 1 AND term = ?1";
    let prefix =
        "SELECT record_id, version FROM person_term WHERE what = 1 AND term >= ?1 AND term < ?1 || char(0x10ffff)";
    let mut versions: BTreeMap<i64, BTreeSet<Option<String>>> = BTreeMap::new();
    for (record_id, version) in with_all_words(connection, text, exact, prefix)? {
        let sql = "SELECT display_name FROM person WHERE record_id = ?1 AND version = ?2";
        let name = connection.prepare_cached(sql)?.query_row([record_id, version], |row| row.get(0)).optional()?;
        versions.entry(record_id).or_default().insert(name.flatten());
    }
    for (record_id, names) in versions {
        add_known(connection, record_id, By::Name, people, |person| {
            person.display_name.clone().filter(|_| names.contains(&person.display_name))
        })?;
    }
    Ok(())
}

/// Rows of two numbers that have all the words of a reading of `text`; the statements take one word, or the beginning of one.
fn with_all_words(connection: &Connection, text: &str, exact: &str, prefix: &str) -> Result<BTreeSet<(i64, i64)>> {
    let mut found = BTreeSet::new();
    for words in name::query_readings(text) {
        let mut with_all: Option<BTreeSet<(i64, i64)>> = None;
        for word in words {
            let mut statement = connection.prepare_cached(if word.prefix { prefix } else { exact })?;
            let rows = statement.query_map([&word.text], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let with_word = rows.collect::<rusqlite::Result<BTreeSet<_>>>()?;
            with_all = Some(match with_all {
                None => with_word,
                Some(before) => before.intersection(&with_word).copied().collect(),
            });
        }
        found.extend(with_all.unwrap_or_default());
    }
    Ok(found)
}

/// Adds a person of the directory. `reading` gives what was asked for as a version has it, `None` of a version that does not.
fn add_known(
    connection: &Connection,
    record_id: i64,
    by: By,
    people: &mut People,
    reading: impl Fn(&Person) -> Option<String>,
) -> Result<()> {
    let sql = format!("SELECT {} FROM person WHERE record_id = ?1 ORDER BY version", people::COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let versions: Vec<Person> =
        statement.query_map([record_id], people::person_of)?.collect::<rusqlite::Result<_>>()?;
    let readings: Vec<Option<String>> = versions.iter().map(reading).collect();
    // Of several times at which they had it, the last is told.
    let Some(last) = readings.iter().rposition(Option::is_some) else { return Ok(()) };
    let first = readings[..last].iter().rposition(|earlier| *earlier != readings[last]).map_or(0, |other| other + 1);
    let through = Through::Directory {
        known_as: readings[last].clone().unwrap_or_default(),
        from: versions.get(first).filter(|_| first > 0).map(|version| version.seen),
        until: versions.get(last + 1).map(|version| version.seen),
    };
    if let Some(object_id) = versions[last].id.as_deref().and_then(guid::object_id) {
        people.entry(object_id).or_insert((by, Some(through)));
    }
    Ok(())
}

/// Adds the object ids under which records name somebody as asked.
fn also_in_records(connection: &Connection, who: &Who, people: &mut People) -> Result<()> {
    let sql = "SELECT identity_id, id, display_name, user_principal_name FROM identity
               WHERE identity_id IN (SELECT value FROM json_each(?1)) ORDER BY identity_id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([json(who.found.keys())])?;
    while let Some(row) = rows.next()? {
        let Some(why) = who.found.get(&row.get(0)?) else { continue };
        let id = guid::from_sql(row.get_ref(1)?);
        let Some(object_id) = id.as_deref().and_then(guid::object_id) else { continue };
        let (name, upn): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let known_as = if why.by == By::Upn { upn.or(name) } else { name.or(upn) };
        people.entry(object_id).or_insert((why.by, known_as.map(|known_as| Through::Records { known_as })));
    }
    Ok(())
}

/// Adds the identities of object ids, and those of their numbers. All in a few statements: a first name may mean hundreds of people.
fn add_people(connection: &Connection, people: &People, who: &mut Who) -> Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    // In capitals they stand as text.
    let object_ids = json(people.keys().flat_map(|object_id| [object_id.clone(), object_id.to_uppercase()]));
    let sql = "SELECT identity_id, id FROM identity
               WHERE id IN (SELECT iif(value = lower(value), unhex(value, '-'), value) FROM json_each(?1))
               ORDER BY identity_id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([&object_ids])?;
    while let Some(row) = rows.next()? {
        let object_id = guid::from_sql(row.get_ref(1)?).as_deref().and_then(guid::object_id);
        if let Some((by, through)) = object_id.and_then(|object_id| people.get(&object_id)) {
            who.add(row.get(0)?, *by, through.as_ref());
        }
    }
    for (object_id, own) in own_numbers(connection, &object_ids)? {
        let Some((by, _)) = people.get(&object_id) else { continue };
        let of = Through::NumberOf(own.name.unwrap_or(object_id));
        for number in own.texts.iter().filter_map(|text| PhoneQuery::parse(text)).filter(is_own) {
            for identity_id in numbered(connection, &number)? {
                who.add(identity_id, *by, Some(&of));
            }
        }
    }
    Ok(())
}

/// The numbers that were ever somebody's, in all their spellings, and what they are called at last.
#[derive(Default)]
struct Own {
    texts: BTreeSet<String>,
    name: Option<String>,
}

/// Of those among `object_ids` who have numbers or stand in the directory, by object id.
fn own_numbers(connection: &Connection, object_ids: &str) -> Result<BTreeMap<String, Own>> {
    let mut owners: BTreeMap<String, Own> = BTreeMap::new();
    let sql = format!(
        "SELECT {} FROM person WHERE id IN (SELECT unhex(value, '-') FROM json_each(?1)) ORDER BY version",
        people::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    for person in statement.query_map([object_ids], people::person_of)? {
        let person = person?;
        let Some(object_id) = person.id.as_deref().and_then(guid::object_id) else { continue };
        let own = owners.entry(object_id).or_default();
        own.texts.extend(person.numbers().map(str::to_owned));
        own.name = person.display_name.or(person.user_principal_name).or(own.name.take());
    }
    let sql = "SELECT user_id, user_telephone_number FROM blocked_user
               WHERE user_id IN (SELECT value FROM json_each(?1)) AND user_telephone_number IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([object_ids])?;
    while let Some(row) = rows.next()? {
        let Some(object_id) = guid::object_id(&row.get::<_, String>(0)?) else { continue };
        owners.entry(object_id).or_default().texts.insert(row.get(1)?);
    }
    Ok(owners)
}

fn is_own(number: &PhoneQuery) -> bool {
    !number.digits.contains('*') && (number.exact || number.digits.len() >= OWN_DIGITS_MIN)
}

/// A JSON array, as which a statement takes any number of values.
fn json<T: Serialize>(values: impl Iterator<Item = T>) -> String {
    serde_json::to_string(&values.collect::<Vec<_>>()).unwrap_or_default()
}

fn column(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests;
