//! Which records a filter means, and what the contract says of each: the one place where filters become SQL.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use crate::{
    archive::{
        error::Result,
        guid,
        rows::{kind_code, kind_of},
    },
    model::{
        filter::{Filter, Sort},
        hit::{Hit, Person},
        id::{RecordId, Seq, Version},
        kind::Kind,
        name,
        phone::PhoneQuery,
        time::{Age, Timestamp},
    },
};

/// Longest list of ledger numbers that one statement looks up.
pub const SEQS_MAX: usize = 4096;

/// The conditions of a statement and the values bound to them.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    /// Adds a condition; each `?` in it stands for the next of `values`.
    fn push(&mut self, sql: impl Into<String>, values: impl IntoIterator<Item = Box<dyn ToSql>>) {
        self.sql.push(sql.into());
        self.values.extend(values);
    }

    fn push_one(&mut self, sql: &str, value: impl ToSql + 'static) {
        self.push(sql, [Box::new(value) as Box<dyn ToSql>]);
    }

    /// Adds a condition that a column is among `values`, given to SQLite as one JSON array.
    fn push_among(&mut self, column: &str, values: &[i64]) {
        self.push_one(&format!("{column} IN (SELECT value FROM json_each(?))"), json(values));
    }

    fn clause(&self) -> String {
        if self.sql.is_empty() { "1".into() } else { self.sql.join(" AND ") }
    }

    fn bound(&self) -> Vec<&dyn ToSql> {
        self.values.iter().map(AsRef::as_ref).collect()
    }
}

/// Runs over the records that `filter` means, in the order of `sort`, until told to stop.
pub(crate) fn for_each(
    connection: &Connection,
    filter: &Filter,
    sort: Sort,
    limit: Option<usize>,
    on: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> Result<()> {
    let conditions = conditions(connection, filter)?;
    let order = match sort {
        Sort::Newest | Sort::Relevance => "hit.start_ns DESC, hit.record_id DESC",
        Sort::Oldest => "hit.start_ns NULLS LAST, hit.record_id",
        Sort::Longest => "hit.end_ns - hit.start_ns DESC, hit.start_ns DESC, hit.record_id DESC",
    };
    let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!("{HIT} WHERE {} ORDER BY {order} LIMIT {limit}", conditions.clause());
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(conditions.bound().as_slice())?;
    while let Some(row) = rows.next()? {
        if on(hit(connection, row)?).is_break() {
            break;
        }
    }
    Ok(())
}

/// How many records `filter` means.
pub(crate) fn count(connection: &Connection, filter: &Filter) -> Result<u64> {
    let conditions = conditions(connection, filter)?;
    let sql = format!("SELECT count(*) FROM hit WHERE {}", conditions.clause());
    let count: i64 = connection.prepare(&sql)?.query_row(conditions.bound().as_slice(), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Of the versions named, those that are their record's newest and that `filter` means, in no order.
///
/// At most [`SEQS_MAX`] at a time.
pub(crate) fn among(connection: &Connection, filter: &Filter, seqs: &[Seq]) -> Result<Vec<Hit>> {
    let mut conditions = conditions(connection, filter)?;
    push_seqs(&mut conditions, seqs);
    let mut statement = connection.prepare_cached(&format!("{HIT} WHERE {}", conditions.clause()))?;
    let mut rows = statement.query(conditions.bound().as_slice())?;
    let mut hits = Vec::new();
    while let Some(row) = rows.next()? {
        hits.push(hit(connection, row)?);
    }
    Ok(hits)
}

/// How many of the versions named are their record's newest and meant by `filter`.
pub(crate) fn count_among(connection: &Connection, filter: &Filter, seqs: &[Seq]) -> Result<u64> {
    let mut conditions = conditions(connection, filter)?;
    push_seqs(&mut conditions, seqs);
    let sql = format!("SELECT count(*) FROM hit WHERE {}", conditions.clause());
    let count: i64 = connection.prepare_cached(&sql)?.query_row(conditions.bound().as_slice(), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn push_seqs(conditions: &mut Conditions, seqs: &[Seq]) {
    let seqs: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
    let text = json(&seqs);
    conditions.push(
        "hit.record_id IN (SELECT record_id FROM version WHERE seq IN (SELECT value FROM json_each(?))) \
         AND hit.seq IN (SELECT value FROM json_each(?))",
        [Box::new(text.clone()) as Box<dyn ToSql>, Box::new(text)],
    );
}

/// The columns that [`hit`] reads.
const HIT: &str = "SELECT hit.record_id, hit.seq, hit.kind, record.id, version.version, hit.start_ns, hit.end_ns, type.value, \
    modalities.value, hit.organizer_id, hit.session_count, hit.failed FROM hit JOIN record USING (record_id) \
    JOIN version ON version.seq = hit.seq LEFT JOIN text AS type ON type.text_id = hit.type_id \
    LEFT JOIN text AS modalities ON modalities.text_id = hit.modalities_id";

fn hit(connection: &Connection, row: &Row<'_>) -> Result<Hit> {
    let start = row.get::<_, Option<i64>>(5)?.map(Timestamp);
    let end = row.get::<_, Option<i64>>(6)?.map(Timestamp);
    let duration: Option<Age> = start.zip(end).map(|(start, end)| end - start);
    let modalities: Option<String> = row.get(8)?;
    let organizer: Option<i64> = row.get(9)?;
    let kind = kind_of(row.get(2)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, row.get(2)?))?;
    Ok(Hit {
        kind,
        id: guid::from_sql(row.get_ref(3)?).unwrap_or_default(),
        version: Version(row.get(4)?),
        start,
        end,
        duration_s: duration.map(Age::as_seconds_f64),
        call_type: row.get(7)?,
        modalities: (kind == Kind::Call)
            .then(|| modalities.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()),
        organizer: organizer.map(|id| person(connection, id)).transpose()?,
        participants: participants(connection, RecordId(row.get(0)?))?,
        sessions: (kind == Kind::Call).then(|| row.get(10)).transpose()?,
        failed: row.get(11)?,
        seq: Seq(row.get(1)?),
    })
}

fn participants(connection: &Connection, record_id: RecordId) -> Result<Vec<Person>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, display_name, user_principal_name, set_key FROM party JOIN identity USING (identity_id)
         WHERE record_id = ?1 ORDER BY n",
    )?;
    let people = statement.query_map([record_id.0], person_of)?.collect::<rusqlite::Result<_>>()?;
    Ok(people)
}

fn person(connection: &Connection, identity_id: i64) -> Result<Person> {
    Ok(connection
        .prepare_cached("SELECT id, display_name, user_principal_name, set_key FROM identity WHERE identity_id = ?1")?
        .query_row([identity_id], person_of)
        .optional()?
        .unwrap_or_default())
}

fn person_of(row: &Row<'_>) -> rusqlite::Result<Person> {
    let id = guid::from_sql(row.get_ref(0)?);
    let is_phone = row.get_ref(3)?.as_str()? == "phone" || id.as_deref().is_some_and(|id| id.starts_with('+'));
    Ok(Person { phone: id.clone().filter(|_| is_phone), id, name: row.get(1)?, upn: row.get(2)? })
}

fn conditions(connection: &Connection, filter: &Filter) -> Result<Conditions> {
    let mut conditions = Conditions::default();
    if let Some(from) = filter.from {
        conditions.push_one("hit.start_ns >= ?", from.0);
    }
    if let Some(to) = filter.to {
        conditions.push_one("hit.start_ns < ?", to.0);
    }
    if !filter.kinds.is_empty() {
        let kinds: Vec<i64> = filter.kinds.iter().map(|kind| kind_code(*kind)).collect();
        conditions.push_among("hit.kind", &kinds);
    }
    if !filter.types.is_empty() {
        conditions.push_among("hit.type_id", &texts(connection, |value| filter.types.iter().any(|t| same(t, value)))?);
    }
    for modality in &filter.modalities {
        let has = |value: &str| {
            let list: Vec<String> = serde_json::from_str(value).unwrap_or_default();
            list.iter().any(|one| same(one, modality))
        };
        conditions.push_among("hit.modalities_id", &texts(connection, has)?);
    }
    if let Some(duration) = filter.min_duration {
        conditions.push_one("hit.end_ns - hit.start_ns >= ?", duration.0);
    }
    if filter.failed {
        conditions.push("hit.failed = 1", []);
    }
    for participant in &filter.participants {
        let mut sql =
            "hit.record_id IN (SELECT record_id FROM party WHERE identity_id IN (SELECT value FROM json_each(?))"
                .to_owned();
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(json(&identities(connection, participant)?))];
        for (time, condition) in [(filter.from, " AND start_ns >= ?"), (filter.to, " AND start_ns < ?")] {
            if let Some(time) = time {
                sql.push_str(condition);
                values.push(Box::new(time.0));
            }
        }
        sql.push(')');
        conditions.push(sql, values);
    }
    if !filter.organizers.is_empty() {
        let mut ids = Vec::new();
        for organizer in &filter.organizers {
            ids.extend(identities(connection, organizer)?);
        }
        conditions.push_among("hit.organizer_id", &ids);
    }
    Ok(conditions)
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Row numbers of the interned texts that `wanted` takes. There are few: types, lists of modalities, reasons.
fn texts(connection: &Connection, wanted: impl Fn(&str) -> bool) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT text_id, value FROM text")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if wanted(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?) {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

/// All identities that a person's way of naming somebody means: an id, a UPN, a number in any spelling, words of a name.
pub(crate) fn identities(connection: &Connection, text: &str) -> Result<Vec<i64>> {
    let text = text.trim();
    let lower = text.to_lowercase();
    let mut found = column(
        connection,
        "SELECT identity_id FROM identity WHERE id = ?1 UNION SELECT identity_id FROM identity WHERE id = ?2
         UNION SELECT identity_id FROM identity WHERE lower(user_principal_name) = ?3",
        params![guid::to_sql(text), guid::to_sql(&lower), lower],
    )?;
    if let Some(query) = PhoneQuery::parse(text) {
        let reversed: String = query.digits.chars().rev().collect();
        let mut statement = connection.prepare_cached(
            "SELECT identity_id, id FROM identity WHERE phone_reversed >= ?1 AND phone_reversed < ?1 || ':'",
        )?;
        let mut rows = statement.query([reversed])?;
        while let Some(row) = rows.next()? {
            if guid::from_sql(row.get_ref(1)?).is_some_and(|id| query.matches(&id)) {
                found.push(row.get(0)?);
            }
        }
    } else if !text.contains('@') {
        found.extend(named(connection, text)?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Identities whose display name has all the words of `text`.
fn named(connection: &Connection, text: &str) -> Result<Vec<i64>> {
    let mut found: Option<Vec<i64>> = None;
    for word in name::query_words(text) {
        let exact = "SELECT identity_id FROM identity_word WHERE word = ?1 ORDER BY identity_id";
        let prefix = "SELECT DISTINCT identity_id FROM identity_word WHERE word >= ?1 AND word < ?1 || char(0x10ffff) ORDER BY identity_id";
        let with_word = column(connection, if word.prefix { prefix } else { exact }, [&word.text])?;
        found = Some(match found {
            None => with_word,
            Some(before) => before.into_iter().filter(|id| with_word.binary_search(id).is_ok()).collect(),
        });
    }
    Ok(found.unwrap_or_default())
}

fn column(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn json(values: &[i64]) -> String {
    serde_json::to_string(values).unwrap_or_default()
}
