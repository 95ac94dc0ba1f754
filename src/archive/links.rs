//! Which call records and rows of logs belong together, looked up when somebody asks. Candidates come by indexes alone: by the
//! ids that rows name, by who is in both, and by the time of their start. `model::link` judges them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    archive::{
        error::Result,
        guid,
        rows::{kind_code, kind_of},
    },
    model::{
        id::{RecordId, RecordKey},
        kind::Kind,
        link::{self, Call, Confidence, Leg, Link, LogRow, NEAR, Stretch},
        time::{Age, Timestamp},
    },
};

/// No more are given for one record.
pub const LINKS_MAX: usize = 100;
/// So many candidates of one sort are looked at, the nearest in time first.
const CANDIDATES_MAX: i64 = 1000;
/// How long before a row of it a call may have begun: a meeting may run 30 hours.
const LONGEST: Age = Age::hours(30);
/// Ringing: the start by which a row is found and its invite, which may be the one that counts, lie so far apart at most.
const RINGING: Age = Age::minutes(3);

const ROWS_THAT_NAME: &str = "SELECT record_id FROM direct_routing WHERE correlation_id = ?1 COLLATE NOCASE
    UNION SELECT record_id FROM direct_routing WHERE transferor_correlation_id = ?1 COLLATE NOCASE
    UNION SELECT record_id FROM pstn WHERE call_id = ?1 COLLATE NOCASE LIMIT ?2";
const TRANSFERS: &str = "SELECT record_id FROM direct_routing WHERE correlation_id = ?1 COLLATE NOCASE
    UNION SELECT record_id FROM direct_routing WHERE transferor_correlation_id = ?2 COLLATE NOCASE LIMIT ?3";
const WITH_SOMEBODY: &str = "SELECT record_id FROM (
         SELECT DISTINCT record_id FROM json_each(?1) AS ours
         JOIN party ON party.identity_id = ours.value AND party.start_ns BETWEEN ?2 AND ?3)
     JOIN hit USING (record_id) WHERE hit.kind IN (SELECT value FROM json_each(?4))
     ORDER BY abs(hit.start_ns - ?5) LIMIT ?6";
const WITH_A_NUMBER: &str =
    "SELECT record_id FROM hit WHERE start_ns BETWEEN ?1 AND ?2 AND kind IN (SELECT value FROM json_each(?3))
    AND EXISTS (SELECT 1 FROM party JOIN identity USING (identity_id)
                WHERE party.record_id = hit.record_id AND phone_reversed IS NOT NULL)
    ORDER BY abs(start_ns - ?4) LIMIT ?5";

/// A record that belongs to the one asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    pub key: RecordKey,
    pub start: Option<Timestamp>,
    pub confidence: Confidence,
    pub reason: String,
}

/// Who is linked with `key`: the surest first, calls before rows, then the nearest in time; at most [`LINKS_MAX`]. Nothing for kinds that are about no
/// single call.
pub(crate) fn of(connection: &Connection, key: &RecordKey) -> Result<Vec<Linked>> {
    let found = connection
        .prepare_cached("SELECT record_id FROM record WHERE kind = ?1 AND id = ?2")?
        .query_row(params![kind_code(key.kind), guid::to_sql(&key.id)], |row| row.get(0).map(RecordId))
        .optional()?;
    let Some(record_id) = found else { return Ok(Vec::new()) };
    let look = Look { connection };
    let (start, mut linked) = match key.kind {
        Kind::Call => look.of_call(record_id)?,
        Kind::Pstn | Kind::DirectRouting => look.of_row(key.kind, record_id)?,
        _ => return Ok(Vec::new()),
    };
    let gap = |other: &Linked| other.start.zip(start).map(|(one, other)| (one - other).0.saturating_abs());
    let is_row = |one: &Linked| one.key.kind != Kind::Call;
    linked.sort_by_cached_key(|one| (one.confidence, is_row(one), gap(one).unwrap_or(i64::MAX), one.key.clone()));
    linked.truncate(LINKS_MAX);
    Ok(linked)
}

struct Look<'a> {
    connection: &'a Connection,
}

impl Look<'_> {
    fn of_call(&self, record_id: RecordId) -> Result<(Option<Timestamp>, Vec<Linked>)> {
        let Some((_, call)) = self.call(record_id)? else { return Ok((None, Vec::new())) };
        let kinds = [Kind::Pstn, Kind::DirectRouting];
        let mut candidates = self.rows_that_name(&call.id)?;
        if let Some(start) = call.span.start {
            let end = call.span.end.unwrap_or(start);
            candidates.extend(self.with_somebody_of(record_id, &kinds, start, (start - RINGING, end + RINGING))?);
            if !call.numbers.is_empty() {
                candidates.extend(self.with_a_number_at(&kinds, start)?);
            }
        }
        let mut linked = Vec::new();
        for candidate in candidates {
            let Some((key, row)) = self.row(candidate)? else { continue };
            linked.extend(link::link(&row, &call).map(|link| made(key, row.span.start, link)));
        }
        Ok((call.span.start, linked))
    }

    fn of_row(&self, kind: Kind, record_id: RecordId) -> Result<(Option<Timestamp>, Vec<Linked>)> {
        let Some((_, row)) = self.row(record_id)? else { return Ok((None, Vec::new())) };
        let mut candidates = BTreeSet::new();
        for id in [&row.correlation_id, &row.call_id, &row.transferor_correlation_id].into_iter().flatten() {
            candidates.extend(self.call_named(id)?);
        }
        if let Some(start) = row.span.start.filter(|_| !row.names_a_call) {
            let span = (start - LONGEST - RINGING, start + RINGING);
            candidates.extend(self.with_somebody_of(record_id, &[Kind::Call], start, span)?);
            if row.user_id.is_none() {
                candidates.extend(self.with_a_number_at(&[Kind::Call], start)?);
            }
        }
        let mut linked = Vec::new();
        for candidate in candidates {
            let Some((key, call)) = self.call(candidate)? else { continue };
            linked.extend(link::link(&row, &call).map(|link| made(key, call.span.start, link)));
        }
        if kind == Kind::DirectRouting {
            for candidate in self.transfers(&row)? {
                let Some((key, other)) = self.row(candidate)?.filter(|_| candidate != record_id) else { continue };
                linked.extend(link::tie(&row, &other).map(|link| made(key, other.span.start, link)));
            }
        }
        Ok((row.span.start, linked))
    }

    /// Rows that name a call record by its id. Case does not count: it is a GUID.
    fn rows_that_name(&self, call_id: &str) -> Result<BTreeSet<RecordId>> {
        self.ids(ROWS_THAT_NAME, params![call_id, CANDIDATES_MAX])
    }

    fn call_named(&self, id: &str) -> Result<Option<RecordId>> {
        let lower = id.to_lowercase();
        let sql = "SELECT record_id FROM record WHERE kind = ?1 AND id IN (?2, ?3) AND newest_seq IS NOT NULL LIMIT 1";
        let values = params![kind_code(Kind::Call), guid::to_sql(id), guid::to_sql(&lower)];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0).map(RecordId)).optional()?)
    }

    /// Rows of direct routing before and after a transfer.
    fn transfers(&self, row: &LogRow) -> Result<BTreeSet<RecordId>> {
        self.ids(TRANSFERS, params![row.transferor_correlation_id, row.correlation_id, CANDIDATES_MAX])
    }

    /// Everybody of a record, under every name that the same id has, in capitals too.
    fn identities_of(&self, record_id: RecordId) -> Result<Vec<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT DISTINCT id FROM party JOIN identity USING (identity_id) WHERE record_id = ?1 AND id IS NOT NULL",
        )?;
        let mut same = self.connection.prepare_cached("SELECT identity_id FROM identity WHERE id IN (?1, ?2, ?3)")?;
        let mut found = Vec::new();
        let mut rows = statement.query([record_id.0])?;
        while let Some(row) = rows.next()? {
            let Some(id) = guid::from_sql(row.get_ref(0)?) else { continue };
            let (lower, upper) = (id.to_lowercase(), id.to_uppercase());
            let spellings = params![guid::to_sql(&id), guid::to_sql(&lower), guid::to_sql(&upper)];
            for identity_id in same.query_map(spellings, |row| row.get(0))? {
                found.push(identity_id?);
            }
        }
        Ok(found)
    }

    /// Records of `kinds` that start between the two times and have a user or a number, letter for letter, of the record.
    fn with_somebody_of(
        &self,
        record_id: RecordId,
        kinds: &[Kind],
        start: Timestamp,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<BTreeSet<RecordId>> {
        self.ids(
            WITH_SOMEBODY,
            params![json(&self.identities_of(record_id)?), from.0, to.0, codes(kinds), start.0, CANDIDATES_MAX],
        )
    }

    /// Records of `kinds` that start about `start` and have a number, of which rows without a user are told by nothing else. A
    /// starred number stands in no index.
    fn with_a_number_at(&self, kinds: &[Kind], start: Timestamp) -> Result<BTreeSet<RecordId>> {
        self.ids(
            WITH_A_NUMBER,
            params![(start - NEAR - RINGING).0, (start + NEAR + RINGING).0, codes(kinds), start.0, CANDIDATES_MAX],
        )
    }

    fn ids(&self, sql: &str, values: impl rusqlite::Params) -> Result<BTreeSet<RecordId>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let ids = statement.query_map(values, |row| row.get(0).map(RecordId))?.collect::<rusqlite::Result<_>>()?;
        Ok(ids)
    }

    /// What a call record says; `None` where its rows are not made yet.
    fn call(&self, record_id: RecordId) -> Result<Option<(RecordKey, Call)>> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT record.kind, record.id, hit.start_ns, hit.end_ns, type.value FROM hit JOIN record USING (record_id)
                 LEFT JOIN text AS type ON type.text_id = hit.type_id WHERE record_id = ?1",
            )?
            .query_row([record_id.0], |row| Ok((key(row)?, stretch(row, 2)?, row.get(4)?)))
            .optional()?;
        let Some((Some(key), span, call_type)) = found else { return Ok(None) };
        let mut call = Call { id: key.id.clone(), call_type, span, ..Call::default() };
        let mut parties = self.connection.prepare_cached(
            "SELECT id, phone_reversed IS NOT NULL FROM party JOIN identity USING (identity_id)
             WHERE record_id = ?1 AND id IS NOT NULL ORDER BY n",
        )?;
        let mut rows = parties.query([record_id.0])?;
        while let Some(row) = rows.next()? {
            let list = if row.get(1)? { &mut call.numbers } else { &mut call.people };
            list.extend(guid::from_sql(row.get_ref(0)?));
        }
        let mut sessions = self.connection.prepare_cached(
            "SELECT session.start_ns, session.end_ns, caller.id, callee.id FROM session_own AS session
             LEFT JOIN endpoint AS from_end ON from_end.endpoint_id = session.caller_id
             LEFT JOIN identity AS caller ON caller.identity_id = from_end.identity_id
             LEFT JOIN endpoint AS to_end ON to_end.endpoint_id = session.callee_id
             LEFT JOIN identity AS callee ON callee.identity_id = to_end.identity_id
             WHERE record_id = ?1 ORDER BY n",
        )?;
        let legs = sessions.query_map([record_id.0], |row| {
            let who = [guid::from_sql(row.get_ref(2)?), guid::from_sql(row.get_ref(3)?)];
            Ok(Leg { span: stretch(row, 0)?, who: who.into_iter().flatten().collect() })
        })?;
        call.legs = legs.collect::<rusqlite::Result<_>>()?;
        Ok(Some((key, call)))
    }

    /// What a row of the PSTN or direct routing log says; `None` where its columns are not made yet.
    fn row(&self, record_id: RecordId) -> Result<Option<(RecordKey, LogRow)>> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT record.kind, record.id, hit.start_ns, hit.end_ns, call_type, invite_ns, duration_s, user_id, caller_number,
                        callee_number, correlation_id, transferor_correlation_id, NULL
                 FROM direct_routing JOIN hit USING (record_id) JOIN record USING (record_id) WHERE record_id = ?1
                 UNION ALL
                 SELECT record.kind, record.id, hit.start_ns, hit.end_ns, call_type, NULL, duration_s, user_id, caller_number,
                        callee_number, NULL, NULL, call_id
                 FROM pstn JOIN hit USING (record_id) JOIN record USING (record_id) WHERE record_id = ?1",
            )?
            .query_row([record_id.0], |row| Ok((key(row)?, log_row(row)?)))
            .optional()?;
        let Some((Some(key), mut row)) = found else { return Ok(None) };
        for id in [&row.correlation_id, &row.call_id].into_iter().flatten() {
            row.names_a_call |= self.call_named(id)?.is_some();
        }
        Ok(Some((key, row)))
    }
}

fn log_row(row: &Row<'_>) -> rusqlite::Result<LogRow> {
    let numbers: [Option<String>; 2] = [row.get(8)?, row.get(9)?];
    Ok(LogRow {
        call_type: row.get(4)?,
        span: stretch(row, 2)?,
        invited: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        duration: row.get::<_, Option<i64>>(6)?.map(|seconds| Age(seconds.saturating_mul(Age::seconds(1).0))),
        user_id: row.get(7)?,
        numbers: numbers.into_iter().flatten().collect(),
        correlation_id: row.get(10)?,
        transferor_correlation_id: row.get(11)?,
        call_id: row.get(12)?,
        names_a_call: false,
    })
}

fn key(row: &Row<'_>) -> rusqlite::Result<Option<RecordKey>> {
    let id = guid::from_sql(row.get_ref(1)?);
    Ok(kind_of(row.get(0)?).zip(id).map(|(kind, id)| RecordKey { kind, id }))
}

fn stretch(row: &Row<'_>, first: usize) -> rusqlite::Result<Stretch> {
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp));
    Ok(Stretch { start: time(first)?, end: time(first + 1)? })
}

fn made(key: RecordKey, start: Option<Timestamp>, link: Link) -> Linked {
    Linked { key, start, confidence: link.confidence, reason: link.reason }
}

fn codes(kinds: &[Kind]) -> String {
    json(&kinds.iter().map(|kind| kind_code(*kind)).collect::<Vec<_>>())
}

fn json(values: &[i64]) -> String {
    serde_json::to_string(values).unwrap_or_default()
}

#[cfg(test)]
mod tests;
