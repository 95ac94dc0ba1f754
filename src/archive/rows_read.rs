//! Rows of a record read back, in the form in which they can be compared with what its document derives to.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use rusqlite::{Connection, OptionalExtension, Row};

use crate::{
    archive::{
        error::Result,
        guid, log,
        rows::{feedback_rows, kind_of},
    },
    model::{
        id::{RecordId, RecordKey, Seq, Version},
        kind::{Kind, Roles},
        rows::{Derived, Endpoint, Failure, Feedback, Identity, Party, Quality, Record, Segment, Session, UserAgent},
        time::{Age, Timestamp},
        view,
    },
};

/// All that the rows of one record say, or have to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub kind: Option<Kind>,
    /// The version that `hit` says its rows are of, and the one that the kind's own table does.
    pub seq: Seq,
    pub version: Version,
    pub organizer: Option<Identity>,
    pub session_count: u32,
    /// The record's start as its parties repeat it; the record's own where they agree or there are none.
    pub parties_start: Option<Timestamp>,
    /// Without search texts, counts of unknown members and endpoints' feedback.
    pub derived: Derived,
    /// What users said: session, segment (-1: the session itself), side, and what.
    pub feedback: Vec<(i64, i64, Roles, Feedback)>,
    /// Positions of parties, sessions and segments run from 0 without gaps.
    pub in_order: bool,
}

impl Rows {
    /// What the rows of `key` have to say when the version at `seq` is its newest and derives to `derived`.
    #[must_use]
    pub fn expected(key: &RecordKey, (seq, version): (Seq, Version), mut derived: Derived) -> Self {
        derived.search.clear();
        derived.unknown_members = 0;
        let feedback = derived.sessions.iter().enumerate().flat_map(|(n, session)| feedback_rows(n, session));
        let feedback = feedback.map(|(n, segment, side, said)| (n, segment, side, said.clone())).collect();
        for Session { caller, callee, segments, .. } in &mut derived.sessions {
            silence(caller, segments.iter_mut().map(|segment| &mut segment.caller).collect());
            silence(callee, segments.iter_mut().map(|segment| &mut segment.callee).collect());
        }
        let organizer = derived.parties.iter().find(|party| party.roles.contains(Roles::ORGANIZER));
        Self {
            kind: Some(key.kind),
            seq,
            version,
            organizer: organizer.map(|party| party.identity.clone()),
            session_count: u32::try_from(derived.sessions.len()).unwrap_or(u32::MAX),
            parties_start: derived.record.start,
            feedback,
            in_order: true,
            derived,
        }
    }
}

/// Takes feedback away from an end of a session and the same of its segments, which share it as before.
fn silence(of_session: &mut Option<Arc<Endpoint>>, mut of_segments: Vec<&mut Option<Arc<Endpoint>>>) {
    let is_shared =
        |own: &Option<Arc<Endpoint>>, end: &Arc<Endpoint>| own.as_ref().is_some_and(|own| Arc::ptr_eq(own, end));
    if let Some(end) = of_session
        && end.feedback.is_some()
    {
        let silent = Arc::new(Endpoint { feedback: None, ..(**end).clone() });
        of_segments.iter_mut().filter(|own| is_shared(own, end)).for_each(|own| **own = Some(Arc::clone(&silent)));
        *end = silent;
    }
    for end in of_segments.into_iter().flatten().filter(|end| end.feedback.is_some()) {
        Arc::make_mut(end).feedback = None;
    }
}

/// Endpoints remembered, some 700 bytes each; then it starts over. Of agents and words as many.
const REMEMBERED_MAX: usize = 4096;

/// Reads rows, remembering what sessions share.
pub struct RowReader<'a> {
    connection: &'a Connection,
    endpoints: HashMap<i64, Option<Arc<Endpoint>>>,
    user_agents: HashMap<i64, Option<UserAgent>>,
    texts: HashMap<i64, Option<String>>,
    /// Lists of modalities, read.
    modalities: HashMap<Option<i64>, Vec<String>>,
    /// SQLite's count of what others changed, as of which they are remembered.
    data_version: i64,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            endpoints: HashMap::new(),
            user_agents: HashMap::new(),
            texts: HashMap::new(),
            modalities: HashMap::new(),
            data_version: 0,
        }
    }

    /// Forgets what is remembered if a writer has changed the archive since. To be called at the beginning of each transaction
    /// in which rows are read.
    pub fn begin(&mut self) -> Result<()> {
        let now = self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.data_version != now {
            *self = Self { data_version: now, ..Self::new(self.connection) };
        }
        Ok(())
    }

    /// The rows of a record; `None` when it has none.
    pub fn read(&mut self, record_id: RecordId) -> Result<Option<Rows>> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT hit.kind, hit.seq, hit.start_ns, hit.end_ns, hit.type_id, hit.modalities_id, hit.organizer_id,
                        hit.session_count, hit.failed, call.version, call.last_modified_ns, call.join_web_url
                 FROM hit LEFT JOIN call USING (record_id) WHERE hit.record_id = ?1",
            )?
            .query_row([record_id.0], |row| {
                let derived = Derived { record: record(row)?, ..Derived::default() };
                let rows = Rows {
                    kind: kind_of(row.get(0)?),
                    seq: Seq(row.get(1)?),
                    version: Version(row.get::<_, Option<i64>>(9)?.unwrap_or(0)),
                    organizer: None,
                    session_count: row.get(7)?,
                    parties_start: derived.record.start,
                    derived,
                    feedback: Vec::new(),
                    in_order: true,
                };
                let named: [Option<i64>; 3] = [row.get(4)?, row.get(5)?, row.get(6)?];
                Ok((rows, named))
            })
            .optional()?;
        let Some((mut rows, [call_type, modalities, organizer])) = found else { return Ok(None) };
        rows.derived.record.call_type = self.text(call_type)?;
        rows.derived.record.modalities = self.modalities(modalities)?;
        rows.organizer = organizer.map(|id| self.identity(id)).transpose()?.flatten();
        self.read_parties(record_id, &mut rows)?;
        if let Some(log) = rows.kind.and_then(view::log::log) {
            // A missing row shows as version 0.
            (rows.version, rows.derived.log) = log::read(self.connection, log, record_id)?.unwrap_or_default();
            return Ok(Some(rows));
        }
        self.read_sessions(record_id, &mut rows)?;
        self.read_segments(record_id, &mut rows)?;
        self.read_feedback(record_id, &mut rows)?;
        Ok(Some(rows))
    }

    fn read_parties(&self, record_id: RecordId, rows: &mut Rows) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT set_key, id, display_name, user_principal_name, tenant_id, n, roles, start_ns
             FROM party JOIN identity USING (identity_id) WHERE record_id = ?1 ORDER BY n",
        )?;
        let mut found = statement.query([record_id.0])?;
        while let Some(row) = found.next()? {
            rows.in_order &= row.get::<_, i64>(5)? == position(rows.derived.parties.len());
            let start = timestamp(row, 7)?;
            if start != rows.derived.record.start {
                rows.parties_start = start;
            }
            rows.derived.parties.push(Party { identity: identity_of(row)?, roles: Roles(row.get(6)?) });
        }
        Ok(())
    }

    fn read_sessions(&mut self, record_id: RecordId, rows: &mut Rows) -> Result<()> {
        let connection = self.connection;
        let mut statement = connection.prepare_cached(
            "SELECT n, id, start_ns, end_ns, modalities_id, is_test, failed, failure_stage_id, failure_reason_id, caller_id, callee_id,
                    media_count, stream_count, max_packet_loss_rate, max_jitter_ns, max_round_trip_time_ns, max_audio_degradation
             FROM session_own WHERE record_id = ?1 ORDER BY n",
        )?;
        let mut found = statement.query([record_id.0])?;
        while let Some(row) = found.next()? {
            rows.in_order &= row.get::<_, i64>(0)? == position(rows.derived.sessions.len());
            let mut session = Session {
                id: guid::from_sql(row.get_ref(1)?),
                start: timestamp(row, 2)?,
                end: timestamp(row, 3)?,
                modalities: self.modalities(row.get(4)?)?,
                is_test: row.get(5)?,
                failure: self.failure(row, 6)?,
                caller: self.endpoint(row.get(9)?)?,
                callee: self.endpoint(row.get(10)?)?,
                segments: Vec::new(),
            };
            if row.get::<_, Option<i64>>(11)?.is_some() {
                session.segments.push(Segment {
                    id: session.id.clone(),
                    start: session.start,
                    end: session.end,
                    failure: session.failure.clone(),
                    caller: session.caller.clone(),
                    callee: session.callee.clone(),
                    quality: quality(row)?,
                });
            }
            rows.derived.sessions.push(session);
        }
        Ok(())
    }

    fn read_segments(&mut self, record_id: RecordId, rows: &mut Rows) -> Result<()> {
        let connection = self.connection;
        let mut statement = connection.prepare_cached(
            "SELECT session_n, n, same, id, start_ns, end_ns, failed, failure_stage_id, failure_reason_id, caller_id, callee_id,
                    media_count, stream_count, max_packet_loss_rate, max_jitter_ns, max_round_trip_time_ns, max_audio_degradation
             FROM segment WHERE record_id = ?1 ORDER BY session_n, n",
        )?;
        let mut found = statement.query([record_id.0])?;
        while let Some(row) = found.next()? {
            let n = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
            let Some(session) = rows.derived.sessions.get_mut(n) else {
                rows.in_order = false;
                continue;
            };
            rows.in_order &= row.get::<_, i64>(1)? == position(session.segments.len());
            let same: i64 = row.get(2)?;
            let shares = |bit: i64| same & bit != 0;
            let segment = Segment {
                id: if shares(1) { session.id.clone() } else { guid::from_sql(row.get_ref(3)?) },
                start: if shares(2) { session.start } else { timestamp(row, 4)? },
                end: if shares(4) { session.end } else { timestamp(row, 5)? },
                failure: self.failure(row, 6)?,
                caller: if shares(8) { session.caller.clone() } else { self.endpoint(row.get(9)?)? },
                callee: if shares(16) { session.callee.clone() } else { self.endpoint(row.get(10)?)? },
                quality: quality(row)?,
            };
            session.segments.push(segment);
        }
        Ok(())
    }

    fn read_feedback(&self, record_id: RecordId, rows: &mut Rows) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT session_n, segment_n, side, rating, text, tokens FROM feedback WHERE record_id = ?1
             ORDER BY session_n, segment_n, side",
        )?;
        let found = statement.query_map([record_id.0], |row| {
            let feedback = Feedback { rating: row.get(3)?, text: row.get(4)?, tokens: row.get(5)? };
            Ok((row.get(0)?, row.get(1)?, Roles(row.get(2)?), feedback))
        })?;
        rows.feedback = found.collect::<rusqlite::Result<_>>()?;
        Ok(())
    }

    fn identity(&self, identity_id: i64) -> Result<Option<Identity>> {
        let sql =
            "SELECT set_key, id, display_name, user_principal_name, tenant_id FROM identity WHERE identity_id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([identity_id], identity_of).optional()?)
    }

    fn endpoint(&mut self, endpoint_id: Option<i64>) -> Result<Option<Arc<Endpoint>>> {
        let Some(endpoint_id) = endpoint_id else { return Ok(None) };
        if let Some(endpoint) = self.endpoints.get(&endpoint_id) {
            return Ok(endpoint.clone());
        }
        let found = self
            .connection
            .prepare_cached(
                "SELECT name, cpu_cores_count, cpu_processor_speed_mhz, endpoint_type_id, cpu_name_id, identity_id, user_agent_id
                 FROM endpoint WHERE endpoint_id = ?1",
            )?
            .query_row([endpoint_id], |row| {
                let endpoint = Endpoint {
                    name: row.get(0)?,
                    cpu_cores_count: row.get(1)?,
                    cpu_processor_speed_mhz: row.get(2)?,
                    ..Endpoint::default()
                };
                let named: [Option<i64>; 4] = [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
                Ok((endpoint, named))
            })
            .optional()?;
        let endpoint = match found {
            Some((mut endpoint, [endpoint_type, cpu_name, identity, agent])) => {
                endpoint.endpoint_type = self.text(endpoint_type)?.unwrap_or_default();
                endpoint.cpu_name = self.text(cpu_name)?;
                endpoint.identity = identity.map(|id| self.identity(id)).transpose()?.flatten();
                endpoint.user_agent = agent.map(|id| self.user_agent(id)).transpose()?.flatten();
                Some(Arc::new(endpoint))
            }
            None => None,
        };
        remember(&mut self.endpoints, endpoint_id, endpoint.clone());
        Ok(endpoint)
    }

    /// The text of a number; `None` also where the number is nobody's.
    fn text(&mut self, text_id: Option<i64>) -> Result<Option<String>> {
        let Some(text_id) = text_id else { return Ok(None) };
        if let Some(text) = self.texts.get(&text_id) {
            return Ok(text.clone());
        }
        let sql = "SELECT value FROM text WHERE text_id = ?1";
        let text = self.connection.prepare_cached(sql)?.query_row([text_id], |row| row.get(0)).optional()?;
        remember(&mut self.texts, text_id, text.clone());
        Ok(text)
    }

    /// A list that cannot be read equals no list that a document has.
    fn modalities(&mut self, text_id: Option<i64>) -> Result<Vec<String>> {
        if let Some(modalities) = self.modalities.get(&text_id) {
            return Ok(modalities.clone());
        }
        let modalities = match self.text(text_id)? {
            Some(json) => serde_json::from_str(&json).unwrap_or_else(|_| vec![json]),
            None => vec!["unreadable".into()],
        };
        remember(&mut self.modalities, text_id, modalities.clone());
        Ok(modalities)
    }

    /// The columns failed, stage and reason, from `first` on.
    fn failure(&mut self, row: &Row<'_>, first: usize) -> Result<Option<Failure>> {
        let failure = Failure { stage: self.text(row.get(first + 1)?)?, reason: self.text(row.get(first + 2)?)? };
        // A stage without the mark is not what the writer writes; shown as a failure, it differs from what is expected.
        Ok((row.get::<_, bool>(first)? || failure != Failure::default()).then_some(failure))
    }

    fn user_agent(&mut self, user_agent_id: i64) -> Result<Option<UserAgent>> {
        if let Some(agent) = self.user_agents.get(&user_agent_id) {
            return Ok(agent.clone());
        }
        let agent = self
            .connection
            .prepare_cached(
                "SELECT user_agent_type, header_value, application_version, platform, product_family, role, azure_ad_app_id,
                        communication_service_id FROM user_agent WHERE user_agent_id = ?1",
            )?
            .query_row([user_agent_id], |row| {
                Ok(UserAgent {
                    user_agent_type: row.get(0)?,
                    header_value: row.get(1)?,
                    application_version: row.get(2)?,
                    platform: row.get(3)?,
                    product_family: row.get(4)?,
                    role: row.get(5)?,
                    azure_ad_app_id: row.get(6)?,
                    communication_service_id: row.get(7)?,
                })
            })
            .optional()?;
        remember(&mut self.user_agents, user_agent_id, agent.clone());
        Ok(agent)
    }
}

fn remember<K: Eq + Hash, V>(memory: &mut HashMap<K, V>, key: K, value: V) {
    if memory.len() >= REMEMBERED_MAX {
        memory.clear();
    }
    memory.insert(key, value);
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        start: timestamp(row, 2)?,
        end: timestamp(row, 3)?,
        last_modified: timestamp(row, 10)?,
        join_web_url: row.get(11)?,
        failed: row.get(8)?,
        ..Record::default()
    })
}

/// The columns set_key, id, display_name, user_principal_name and tenant_id, in this order.
pub(crate) fn identity_of(row: &Row<'_>) -> rusqlite::Result<Identity> {
    Ok(Identity {
        set_key: row.get(0)?,
        id: guid::from_sql(row.get_ref(1)?),
        display_name: row.get(2)?,
        user_principal_name: row.get(3)?,
        tenant_id: guid::from_sql(row.get_ref(4)?),
    })
}

fn quality(row: &Row<'_>) -> rusqlite::Result<Quality> {
    Ok(Quality {
        media_count: row.get(11)?,
        stream_count: row.get(12)?,
        max_packet_loss_rate: row.get(13)?,
        max_jitter: row.get::<_, Option<i64>>(14)?.map(Age),
        max_round_trip_time: row.get::<_, Option<i64>>(15)?.map(Age),
        max_audio_degradation: row.get(16)?,
    })
}

fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

fn position(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
