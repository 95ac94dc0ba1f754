//! Which records a filter means: the one place where filters become SQL.

use std::{collections::HashSet, ops::ControlFlow};

use rusqlite::{Connection, Row, ToSql};

use crate::{
    archive::{
        error::Result,
        hits::{self, HitReader, Known},
        rows::kind_code,
        who::{self, Who},
    },
    model::{
        filter::{Filter, Selection, Sort},
        hit::Hit,
        id::{RecordId, Seq},
        place::Place,
        time::{Span, Timestamp},
    },
};

/// Longest list of records that one statement looks up.
pub const FOUND_MAX: usize = 4096;

/// A filter made ready: who is meant was looked up, and the rest is a condition.
#[derive(Default)]
pub struct Wanted {
    conditions: Conditions,
    /// For each participant asked for, in their order.
    pub(crate) participants: Vec<Who>,
    pub(crate) organizers: Vec<Who>,
}

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

    /// The clause with one more condition, on records and their versions that [`Self::bound_with`] binds.
    fn clause_among(&self) -> String {
        format!(
            "{} AND hit.record_id IN (SELECT value FROM json_each(?)) AND hit.seq IN (SELECT value FROM json_each(?))",
            self.clause()
        )
    }

    fn bound_with<'a>(&'a self, [ids, seqs]: &'a [String; 2]) -> Vec<&'a dyn ToSql> {
        self.values.iter().map(AsRef::as_ref).chain([ids as &dyn ToSql, seqs]).collect()
    }
}

/// Looks up who is meant by `filter`.
pub(crate) fn wanted(connection: &Connection, filter: &Filter) -> Result<Wanted> {
    let people = |asked: &[String]| asked.iter().map(|asked| who::who(connection, asked)).collect::<Result<Vec<_>>>();
    let mut wanted = Wanted {
        conditions: Conditions::default(),
        participants: people(&filter.participants)?,
        organizers: people(&filter.organizers)?,
    };
    wanted.conditions = conditions(connection, filter, &wanted)?;
    Ok(wanted)
}

/// The records that a filter means.
pub(crate) fn record_ids(connection: &Connection, filter: &Filter) -> Result<HashSet<RecordId>> {
    let conditions = wanted(connection, filter)?.conditions;
    let mut statement = connection.prepare(&format!("SELECT hit.record_id FROM hit WHERE {}", conditions.clause()))?;
    let rows = statement.query_map(conditions.bound().as_slice(), |row| row.get(0).map(RecordId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Runs over the records that `selection` means, in its order and from its place on, until its limit or until told to stop.
pub(crate) fn for_each(
    connection: &Connection,
    known: &mut Known,
    selection: &Selection,
    on: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> Result<()> {
    let mut reader = HitReader::new(connection, known)?;
    each_stretch(connection, selection, &mut |wanted, limit, go_on| {
        for_each_wanted(connection, &mut reader, wanted, selection.sort, limit, &mut |hit| go_on(on(hit)))
    })
}

/// Runs over their ledger numbers alone: nothing else of the records is looked up.
pub(crate) fn for_each_seq(
    connection: &Connection,
    selection: &Selection,
    on: &mut dyn FnMut(Seq) -> ControlFlow<()>,
) -> Result<()> {
    each_stretch(connection, selection, &mut |wanted, limit, go_on| {
        let (conditions, order) = (&wanted.conditions, order(selection.sort));
        let limit = limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        let sql = format!("SELECT hit.seq FROM hit WHERE {} ORDER BY {order}{limit}", conditions.clause());
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(conditions.bound().as_slice())?;
        while let Some(row) = rows.next()? {
            if go_on(on(Seq(row.get(0)?))).is_break() {
                break;
            }
        }
        Ok(())
    })
}

/// Tells the walk of a stretch what became of one record, and hears whether to go on.
type GoOn<'a> = dyn FnMut(ControlFlow<()>) -> ControlFlow<()> + 'a;
/// Walks over what is wanted, at most so many.
type Walk<'a> = dyn FnMut(&Wanted, Option<usize>, &mut GoOn<'_>) -> Result<()> + 'a;

/// Walks over stretch after stretch of a selection, until its limit or until told to stop.
fn each_stretch(connection: &Connection, selection: &Selection, walk: &mut Walk<'_>) -> Result<()> {
    let mut left = selection.limit;
    for stretch in stretches(&selection.filter, selection.sort, selection.after) {
        let mut wanted = wanted(connection, &stretch.filter)?;
        wanted.conditions.push(stretch.condition, stretch.values.into_iter().map(|value| Box::new(value) as _));
        let limit = left;
        let mut is_over = false;
        walk(&wanted, limit, &mut |flow| {
            left = left.map(|left| left.saturating_sub(1));
            is_over = flow.is_break();
            flow
        })?;
        if is_over || left == Some(0) {
            break;
        }
    }
    Ok(())
}

/// A part of an order that one walk over an index gives: the records with a key, then those without.
struct Stretch {
    filter: Filter,
    condition: &'static str,
    values: Vec<i64>,
}

/// What comes after a place. Without one, everything in one stretch.
fn stretches(filter: &Filter, sort: Sort, after: Option<Place>) -> Vec<Stretch> {
    let Some(Place { key_ns, record_id: RecordId(id), .. }) = after else {
        return vec![Stretch { filter: filter.clone(), condition: "1", values: Vec::new() }];
    };
    let rest = |condition, values| Stretch { filter: filter.clone(), condition, values };
    let (keyed, unkeyed) = match (sort, key_ns) {
        (Sort::Oldest, None) => (None, rest("hit.start_ns IS NULL AND hit.record_id > ?", vec![id])),
        (Sort::Longest, None) => (None, rest("hit.end_ns - hit.start_ns IS NULL AND hit.record_id < ?", vec![id])),
        (_, None) => (None, rest("hit.start_ns IS NULL AND hit.record_id < ?", vec![id])),
        (Sort::Longest, Some(key)) => {
            let condition = "(hit.end_ns - hit.start_ns < ? OR hit.end_ns - hit.start_ns = ? AND hit.record_id < ?)";
            (Some(rest(condition, vec![key, key, id])), rest("hit.end_ns - hit.start_ns IS NULL", vec![]))
        }
        // The filter's own bounds lead the walk to the place, also that over the calls of a person.
        (Sort::Oldest, Some(key)) => {
            let from = filter.from.map_or(key, |from| from.0.max(key));
            let filter = Filter { from: Some(Timestamp(from)), ..filter.clone() };
            let condition = "(hit.start_ns > ? OR hit.record_id > ?)";
            (Some(Stretch { filter, condition, values: vec![key, id] }), rest("hit.start_ns IS NULL", vec![]))
        }
        (_, Some(key)) => {
            let behind = key.saturating_add(1);
            let to = filter.to.map_or(behind, |to| to.0.min(behind));
            let filter = Filter { to: Some(Timestamp(to)), ..filter.clone() };
            let condition = "(hit.start_ns < ? OR hit.record_id < ?)";
            (Some(Stretch { filter, condition, values: vec![key, id] }), rest("hit.start_ns IS NULL", vec![]))
        }
    };
    keyed.into_iter().chain([unkeyed]).collect()
}

fn for_each_wanted(
    connection: &Connection,
    reader: &mut HitReader<'_>,
    wanted: &Wanted,
    sort: Sort,
    limit: Option<usize>,
    on: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> Result<()> {
    let conditions = &wanted.conditions;
    let order = order(sort);
    let clause = conditions.clause();
    let sql = match limit {
        // Chosen and put in order before anything else of them is looked up: what the limit leaves out costs one row of `hit`.
        Some(limit) => format!(
            "{} FROM (SELECT * FROM hit WHERE {clause} ORDER BY {order} LIMIT {limit}) AS hit {} ORDER BY {order}",
            hits::COLUMNS,
            hits::JOINS
        ),
        None => format!("{} FROM hit {} WHERE {clause} ORDER BY {order}", hits::COLUMNS, hits::JOINS),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(conditions.bound().as_slice())?;
    while let Some(row) = rows.next()? {
        if on(reader.hit(row, wanted)?).is_break() {
            break;
        }
    }
    Ok(())
}

fn order(sort: Sort) -> &'static str {
    match sort {
        Sort::Newest | Sort::Relevance => "hit.start_ns DESC, hit.record_id DESC",
        Sort::Oldest => "hit.start_ns NULLS LAST, hit.record_id",
        Sort::Longest => "hit.end_ns - hit.start_ns DESC, hit.record_id DESC",
    }
}

/// How many records `wanted` means; of `found`, where it is given.
pub(crate) fn count(connection: &Connection, wanted: &Wanted, found: Option<&[(RecordId, Seq)]>) -> Result<u64> {
    let mut count = 0;
    each_row(connection, "SELECT count(*) FROM hit", "1", wanted, found, &mut |row| {
        count = row.get::<_, i64>(0)?.unsigned_abs();
        Ok(())
    })?;
    Ok(count)
}

/// Of the versions named, those that are their record's newest and that `wanted` means, in no order.
///
/// At most [`FOUND_MAX`] at a time.
pub(crate) fn among(
    connection: &Connection,
    known: &mut Known,
    wanted: &Wanted,
    found: &[(RecordId, Seq)],
) -> Result<Vec<Hit>> {
    let mut reader = HitReader::new(connection, known)?;
    // Which versions they are is asked here: a second list for SQLite to make and to look into would cost more.
    let seqs: HashSet<i64> = found.iter().map(|(_, seq)| seq.0).collect();
    let ids = json(&found.iter().map(|(id, _)| id.0).collect::<Vec<_>>());
    let clause = wanted.conditions.clause();
    let sql = format!(
        "{} FROM hit {} WHERE {clause} AND hit.record_id IN (SELECT value FROM json_each(?))",
        hits::COLUMNS,
        hits::JOINS
    );
    let mut bound = wanted.conditions.bound();
    bound.push(&ids);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(bound.as_slice())?;
    let mut hits = Vec::with_capacity(found.len());
    while let Some(row) = rows.next()? {
        if seqs.contains(&row.get(1)?) {
            hits.push(reader.hit(row, wanted)?);
        }
    }
    Ok(hits)
}

/// Runs over the rows that `select` (columns and tables, `hit` the first) gives of what is wanted, in no order but with the rows of one
/// record together: of `found`, where it is given, the versions that are their records' newest.
pub(crate) fn each_row(
    connection: &Connection,
    select: &str,
    condition: &str,
    wanted: &Wanted,
    found: Option<&[(RecordId, Seq)]>,
    on: &mut dyn FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let conditions = &wanted.conditions;
    let numbers = found.map(numbers);
    let (clause, bound) = match &numbers {
        None => (conditions.clause(), conditions.bound()),
        Some(numbers) => (conditions.clause_among(), conditions.bound_with(numbers)),
    };
    let mut statement = connection.prepare_cached(&format!("{select} WHERE {condition} AND {clause}"))?;
    let mut rows = statement.query(bound.as_slice())?;
    while let Some(row) = rows.next()? {
        on(row)?;
    }
    Ok(())
}

/// The first and the last start, each by one look into the index.
pub(crate) fn extent(connection: &Connection) -> Result<Option<Span>> {
    let sql = "SELECT (SELECT min(start_ns) FROM hit), (SELECT max(start_ns) FROM hit)";
    let (first, last): (Option<i64>, Option<i64>) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(first.zip(last).map(|(first, last)| Span::new(Timestamp(first), Timestamp(last))))
}

fn numbers(found: &[(RecordId, Seq)]) -> [String; 2] {
    let ids: Vec<i64> = found.iter().map(|(id, _)| id.0).collect();
    let seqs: Vec<i64> = found.iter().map(|(_, seq)| seq.0).collect();
    [json(&ids), json(&seqs)]
}

fn conditions(connection: &Connection, filter: &Filter, wanted: &Wanted) -> Result<Conditions> {
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
    for who in &wanted.participants {
        let mut sql =
            "hit.record_id IN (SELECT record_id FROM party WHERE identity_id IN (SELECT value FROM json_each(?))"
                .to_owned();
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(identities([who]))];
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
        conditions
            .push_one("hit.organizer_id IN (SELECT value FROM json_each(?))", identities(wanted.organizers.iter()));
    }
    Ok(conditions)
}

/// The identities of any of these people, as one JSON array.
fn identities<'a>(people: impl IntoIterator<Item = &'a Who>) -> String {
    json(&people.into_iter().flat_map(|who| who.found.keys().copied()).collect::<Vec<_>>())
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

fn json(values: &[i64]) -> String {
    serde_json::to_string(values).unwrap_or_default()
}
