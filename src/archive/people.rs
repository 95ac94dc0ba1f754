//! Derived rows of people: one for each version of each, and the terms that find it. Unlike other records, people are asked for
//! by what they were as well as by what they are.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    archive::{
        error::Result,
        guid,
        versions::{VersionInfo, VersionReader},
    },
    model::{
        derive,
        id::{RecordId, Seq, Version},
        name, phone,
        rows::{Person, Saying},
        time::Timestamp,
    },
};

/// Tables and view.
pub(crate) const SCHEMA: &str = include_str!("../../schema/people.sql");

/// The tables, in an order in which they can be dropped.
pub(crate) const TABLES: [&str; 2] = ["person_term", "person"];

/// What a term is: the numbers of `person_term.what`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Word = 1,
    Upn = 2,
    Mail = 3,
    Number = 4,
}

/// What the rows of one version of a person say, or have to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    pub version: Version,
    pub person: Person,
    /// Number of [`What`], and the term.
    pub terms: BTreeSet<(i64, String)>,
}

impl PersonRow {
    #[must_use]
    pub fn expected(version: Version, person: Person) -> Self {
        let terms = terms(&person);
        Self { version, person, terms }
    }
}

/// A version of a person as its document tells it.
#[derive(Clone, Debug)]
pub struct PersonVersion {
    pub info: VersionInfo,
    pub person: Person,
}

/// Everything by which `person` is found, their object id aside.
fn terms(person: &Person) -> BTreeSet<(i64, String)> {
    let words = person.display_name.iter().flat_map(|name| name::words(name)).map(|word| (What::Word, word));
    let upns = person.user_principal_name.iter().map(|upn| (What::Upn, upn.to_lowercase()));
    let mails = person.mails().map(|mail| (What::Mail, mail.to_lowercase()));
    let numbers = person.plain_numbers().map(|number| (What::Number, phone::reversed_digits(&number)));
    words.chain(upns).chain(mails).chain(numbers).map(|(what, term)| (what as i64, term)).collect()
}

/// Adds the row of a person's highest version, just stored. False where rows of versions before it are still to be made: then all
/// are to be made together.
pub(crate) fn append(
    connection: &Connection,
    record_id: RecordId,
    version: Version,
    saying: Option<&Saying>,
) -> Result<bool> {
    let sql = "SELECT (SELECT count(*) FROM version WHERE record_id = ?1 AND version < ?2),
                      (SELECT count(*) FROM person WHERE record_id = ?1 AND version < ?2)";
    let (versions, rows): (i64, i64) = connection
        .prepare_cached(sql)?
        .query_row(params![record_id.0, version.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(saying) = saying.filter(|_| versions == rows) else { return Ok(false) };
    let before = if rows == 0 { None } else { before(connection, record_id, version)? };
    insert(connection, record_id, &PersonRow::expected(version, derive::person::person(saying, before.as_ref())))?;
    Ok(true)
}

/// Makes all rows of a person anew, from the frames of all versions.
pub(crate) fn remake(connection: &Connection, reader: &mut VersionReader<'_>, record_id: RecordId) -> Result<()> {
    let history = history(connection, reader, record_id)?;
    forget(connection, record_id)?;
    for PersonVersion { info, person } in history {
        insert(connection, record_id, &PersonRow::expected(info.version, person))?;
    }
    Ok(())
}

/// Removes the rows of a person, who is then still to be made.
pub(crate) fn forget(connection: &Connection, record_id: RecordId) -> Result<()> {
    for sql in [
        "DELETE FROM person_term WHERE record_id = ?1",
        "DELETE FROM person WHERE record_id = ?1",
        "UPDATE record SET derived = NULL WHERE record_id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([record_id.0])?;
    }
    Ok(())
}

/// Who somebody was in each version, oldest first, read from the frames.
pub(crate) fn history(
    connection: &Connection,
    reader: &mut VersionReader<'_>,
    record_id: RecordId,
) -> Result<Vec<PersonVersion>> {
    let seqs: Vec<Seq> = connection
        .prepare_cached("SELECT seq FROM version WHERE record_id = ?1 ORDER BY version")?
        .query_map([record_id.0], |row| row.get(0).map(Seq))?
        .collect::<rusqlite::Result<_>>()?;
    let mut history: Vec<PersonVersion> = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let stored = reader.read(seq)?;
        if let Some(saying) = derive::derive(&stored.document, &stored.json).person {
            let before = history.last().map(|version| &version.person);
            let person = derive::person::person(&saying, before);
            history.push(PersonVersion { info: stored.info, person });
        }
    }
    Ok(history)
}

/// Object ids of those whose newest version does not say that they were removed.
pub(crate) fn there(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT person.id FROM person JOIN record USING (record_id) JOIN version ON version.seq = record.newest_seq
         WHERE person.version = version.version AND person.removed IS NULL",
    )?;
    let rows = statement.query_map([], |row| Ok(guid::from_sql(row.get_ref(0)?)))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn insert(connection: &Connection, record_id: RecordId, row: &PersonRow) -> Result<()> {
    let person = &row.person;
    connection
        .prepare_cached(
            "INSERT INTO person (record_id, version, seen_ns, id, display_name, user_principal_name, mail, other_mails, department,
             business_phones, mobile_phone, account_enabled, removed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            record_id.0,
            row.version.0,
            person.seen.0,
            person.id.as_deref().map(guid::to_sql),
            person.display_name,
            person.user_principal_name,
            person.mail,
            json(&person.other_mails),
            person.department,
            json(&person.business_phones),
            person.mobile_phone,
            person.account_enabled,
            person.removed,
        ])?;
    let mut insert = connection
        .prepare_cached("INSERT INTO person_term (record_id, version, what, term) VALUES (?1, ?2, ?3, ?4)")?;
    for (what, term) in &row.terms {
        insert.execute(params![record_id.0, row.version.0, what, term])?;
    }
    Ok(())
}

/// The columns that [`person_of`] reads, from the first on.
pub(crate) const COLUMNS: &str = "seen_ns, id, display_name, user_principal_name, mail, other_mails, department, business_phones, \
    mobile_phone, account_enabled, removed";

pub(crate) fn person_of(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        seen: Timestamp(row.get(0)?),
        id: guid::from_sql(row.get_ref(1)?),
        display_name: row.get(2)?,
        user_principal_name: row.get(3)?,
        mail: row.get(4)?,
        other_mails: texts(row.get(5)?),
        department: row.get(6)?,
        business_phones: texts(row.get(7)?),
        mobile_phone: row.get(8)?,
        account_enabled: row.get(9)?,
        removed: row.get(10)?,
    })
}

fn before(connection: &Connection, record_id: RecordId, version: Version) -> Result<Option<Person>> {
    let sql =
        format!("SELECT {COLUMNS} FROM person WHERE record_id = ?1 AND version < ?2 ORDER BY version DESC LIMIT 1");
    let found = connection.prepare_cached(&sql)?.query_row(params![record_id.0, version.0], person_of);
    Ok(found.optional()?)
}

/// The rows of a person, oldest version first.
pub(crate) fn rows(connection: &Connection, record_id: RecordId) -> Result<Vec<PersonRow>> {
    let sql = format!("SELECT {COLUMNS}, version FROM person WHERE record_id = ?1 ORDER BY version");
    let mut terms = connection.prepare_cached(
        "SELECT what, term FROM person_term WHERE record_id = ?1 AND version = ?2 ORDER BY what, term",
    )?;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query([record_id.0])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let version = Version(row.get(11)?);
        let terms = terms
            .query_map(params![record_id.0, version.0], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        rows.push(PersonRow { version, person: person_of(row)?, terms });
    }
    Ok(rows)
}

fn json(texts: &[String]) -> String {
    serde_json::to_string(texts).unwrap_or_default()
}

/// A list that cannot be read equals no list that a document has.
fn texts(json: String) -> Vec<String> {
    serde_json::from_str(&json).unwrap_or_else(|_| vec![json])
}
