//! Derived rows of a record: replaced as a whole whenever its newest version changes.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::{
    archive::{error::Result, guid, log, memory::Memory, people, rows_read},
    model::{
        id::{RecordId, RecordKey, Seq, Sha256, Version},
        kind::{Kind, Roles},
        name,
        phone::{self, Masked},
        rows::{
            DERIVE_VERSION, Derived, Endpoint, Failure, Feedback, Identity, Party, Record, Segment, Session, UserAgent,
        },
        time::Timestamp,
        view::log::log,
    },
};

/// A segment with the row numbers of its endpoints.
struct Placed<'s> {
    segment: &'s Segment,
    caller: Option<i64>,
    callee: Option<i64>,
}

impl Placed<'_> {
    /// Whether it says nothing of its own but figures.
    fn is_of(&self, session: &Session, endpoints: (Option<i64>, Option<i64>)) -> bool {
        let Segment { id, start, end, failure, .. } = self.segment;
        (id, start, end, failure) == (&session.id, &session.start, &session.end, &session.failure)
            && (self.caller, self.callee) == endpoints
    }
}

/// Remembers the row numbers of values that repeat from call to call, so that most records meet no look-up.
#[derive(Default)]
pub(crate) struct RowWriter {
    texts: Memory,
    identities: Memory,
    user_agents: Memory,
    endpoints: Memory,
}

impl RowWriter {
    /// Forgets everything: row numbers given in a transaction that was rolled back must not be used.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Replaces the rows of `record_id`, which is marked as derived, by those of the version at `seq`. A person's older versions keep theirs;
    /// where they are still to be made, the mark goes.
    pub(crate) fn replace(
        &mut self,
        connection: &Connection,
        record_id: RecordId,
        key: &RecordKey,
        of: (Seq, Version),
        derived: &Derived,
    ) -> Result<()> {
        if key.kind != Kind::Person {
            remove(connection, record_id, key.kind)?;
        }
        self.insert(connection, record_id, key, of, derived)
    }

    /// Stores the rows of a record that has none.
    pub(crate) fn insert(
        &mut self,
        connection: &Connection,
        record_id: RecordId,
        key: &RecordKey,
        (seq, version): (Seq, Version),
        derived: &Derived,
    ) -> Result<()> {
        if key.kind == Kind::Person {
            let is_whole = people::append(connection, record_id, version, derived.person.as_ref())?;
            return if is_whole { Ok(()) } else { people::forget(connection, record_id) };
        }
        let record = &derived.record;
        let parties = derived
            .parties
            .iter()
            .map(|party| Ok((party, self.identity(connection, &party.identity)?)))
            .collect::<Result<Vec<_>>>()?;
        let organizer = parties.iter().find(|(party, _)| party.roles.contains(Roles::ORGANIZER)).map(|(_, id)| *id);
        connection
            .prepare_cached(
                "INSERT INTO hit (record_id, seq, kind, start_ns, end_ns, type_id, modalities_id, organizer_id, session_count, failed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                record_id.0,
                seq.0,
                kind_code(key.kind),
                ns(record.start),
                ns(record.end),
                self.text_opt(connection, record.call_type.as_deref())?,
                self.modalities(connection, &record.modalities)?,
                organizer,
                count(derived.sessions.len()),
                record.failed,
            ])?;
        match log(key.kind) {
            Some(log) => log::insert(connection, log, record_id, version, &derived.log)?,
            None => insert_call(connection, record_id, version, record)?,
        }
        insert_parties(connection, record_id, &parties, record.start)?;
        for (n, session) in derived.sessions.iter().enumerate() {
            self.insert_session(connection, (record_id, key, record), count(n), session)?;
        }
        Ok(())
    }

    fn insert_session(
        &mut self,
        connection: &Connection,
        (record_id, key, record): (RecordId, &RecordKey, &Record),
        n: i64,
        session: &Session,
    ) -> Result<()> {
        let caller = self.endpoint_opt(connection, session.caller.as_deref())?;
        let callee = self.endpoint_opt(connection, session.callee.as_deref())?;
        let (stage, reason) = self.failure(connection, session.failure.as_ref())?;
        let segments =
            session.segments.iter().map(|segment| self.segment(connection, segment, (session, caller, callee)));
        let segments = segments.collect::<Result<Vec<_>>>()?;
        let within = segments.first().filter(|first| first.is_of(session, (caller, callee)));
        let quality = within.map(|first| &first.segment.quality);
        let id = session.id.as_deref().filter(|id| *id != key.id);
        let after = stretch(record.start, session.start);
        let before = stretch(session.end, record.end);
        let own = i64::from(id.is_some() || session.id.is_none())
            | i64::from(after.is_none()) << 1
            | i64::from(before.is_none()) << 2;
        connection
            .prepare_cached(
                "INSERT INTO session (record_id, n, own, id, start_ns, end_ns, modalities_id, is_test, failed, failure_stage_id,
                 failure_reason_id, caller_id, callee_id, media_count, stream_count, max_packet_loss_rate, max_jitter_ns,
                 max_round_trip_time_ns, max_audio_degradation)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
            )?
            .execute(params![
                record_id.0,
                n,
                own,
                id.map(guid::to_sql),
                after.or(ns(session.start)),
                before.or(ns(session.end)),
                self.modalities(connection, &session.modalities)?,
                session.is_test,
                session.failure.is_some(),
                stage,
                reason,
                caller,
                callee,
                quality.map(|quality| quality.media_count),
                quality.map(|quality| quality.stream_count),
                quality.and_then(|quality| quality.max_packet_loss_rate),
                quality.and_then(|quality| quality.max_jitter).map(|age| age.0),
                quality.and_then(|quality| quality.max_round_trip_time).map(|age| age.0),
                quality.and_then(|quality| quality.max_audio_degradation),
            ])?;
        insert_feedback(connection, record_id, n, session)?;
        for (segment_n, segment) in segments.iter().enumerate().skip(usize::from(quality.is_some())) {
            self.insert_segment(connection, (record_id, n, count(segment_n)), (session, caller, callee), segment)?;
        }
        Ok(())
    }

    /// Finds the row numbers of its endpoints: those of its session as a rule.
    fn segment<'s>(
        &mut self,
        connection: &Connection,
        segment: &'s Segment,
        (session, caller, callee): (&Session, Option<i64>, Option<i64>),
    ) -> Result<Placed<'s>> {
        let mut endpoint = |own: &Option<Arc<Endpoint>>, of_session: &Option<Arc<Endpoint>>, its| {
            if own == of_session { Ok(its) } else { self.endpoint_opt(connection, own.as_deref()) }
        };
        let caller = endpoint(&segment.caller, &session.caller, caller)?;
        let callee = endpoint(&segment.callee, &session.callee, callee)?;
        Ok(Placed { segment, caller, callee })
    }

    fn insert_segment(
        &mut self,
        connection: &Connection,
        (record_id, session_n, n): (RecordId, i64, i64),
        (session, session_caller, session_callee): (&Session, Option<i64>, Option<i64>),
        &Placed { segment, caller, callee }: &Placed<'_>,
    ) -> Result<()> {
        let (stage, reason) = self.failure(connection, segment.failure.as_ref())?;
        let same = [
            segment.id == session.id,
            segment.start == session.start,
            segment.end == session.end,
            caller == session_caller,
            callee == session_callee,
        ];
        let mask = same.iter().enumerate().fold(0_i64, |mask, (bit, same)| mask | i64::from(*same) << bit);
        let quality = &segment.quality;
        connection
            .prepare_cached(
                "INSERT INTO segment (record_id, session_n, n, same, id, start_ns, end_ns, failed, failure_stage_id, failure_reason_id,
                 caller_id, callee_id, media_count, stream_count, max_packet_loss_rate, max_jitter_ns, max_round_trip_time_ns,
                 max_audio_degradation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            )?
            .execute(params![
                record_id.0,
                session_n,
                n,
                mask,
                segment.id.as_deref().filter(|_| !same[0]).map(guid::to_sql),
                ns(segment.start).filter(|_| !same[1]),
                ns(segment.end).filter(|_| !same[2]),
                segment.failure.is_some(),
                stage,
                reason,
                caller.filter(|_| !same[3]),
                callee.filter(|_| !same[4]),
                quality.media_count,
                quality.stream_count,
                quality.max_packet_loss_rate,
                quality.max_jitter.map(|age| age.0),
                quality.max_round_trip_time.map(|age| age.0),
                quality.max_audio_degradation,
            ])?;
        Ok(())
    }

    fn failure(&mut self, connection: &Connection, failure: Option<&Failure>) -> Result<(Option<i64>, Option<i64>)> {
        let stage = self.text_opt(connection, failure.and_then(|failure| failure.stage.as_deref()))?;
        let reason = self.text_opt(connection, failure.and_then(|failure| failure.reason.as_deref()))?;
        Ok((stage, reason))
    }

    fn modalities(&mut self, connection: &Connection, modalities: &[String]) -> Result<i64> {
        self.text(connection, &serde_json::to_string(modalities).unwrap_or_default())
    }

    fn text_opt(&mut self, connection: &Connection, value: Option<&str>) -> Result<Option<i64>> {
        value.map(|value| self.text(connection, value)).transpose()
    }

    fn text(&mut self, connection: &Connection, value: &str) -> Result<i64> {
        let name = self.texts.name(value);
        if let Some(id) = self.texts.get(name) {
            return Ok(id);
        }
        let find = "SELECT text_id FROM text WHERE value = ?1";
        let id = match connection.prepare_cached(find)?.query_row([value], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => connection.prepare_cached("INSERT INTO text (value) VALUES (?1)")?.insert([value])?,
        };
        self.texts.put(name, id);
        Ok(id)
    }

    fn identity(&mut self, connection: &Connection, identity: &Identity) -> Result<i64> {
        let name = self.identities.name(identity);
        if let Some(id) = self.identities.get(name) {
            return Ok(id);
        }
        let fingerprint = identity_fingerprint(identity);
        let find = "SELECT identity_id FROM identity WHERE fingerprint = ?1";
        let id = match connection.prepare_cached(find)?.query_row([fingerprint], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => insert_identity(connection, identity, fingerprint)?,
        };
        self.identities.put(name, id);
        Ok(id)
    }

    fn endpoint_opt(&mut self, connection: &Connection, endpoint: Option<&Endpoint>) -> Result<Option<i64>> {
        endpoint.map(|endpoint| self.endpoint(connection, endpoint)).transpose()
    }

    fn endpoint(&mut self, connection: &Connection, endpoint: &Endpoint) -> Result<i64> {
        let name = self.endpoints.name(endpoint);
        if let Some(id) = self.endpoints.get(name) {
            return Ok(id);
        }
        let identity = endpoint.identity.as_ref().map(|identity| self.identity(connection, identity)).transpose()?;
        let agent = endpoint.user_agent.as_ref().map(|agent| self.user_agent(connection, agent)).transpose()?;
        let numbers = [identity, agent, endpoint.cpu_cores_count, endpoint.cpu_processor_speed_mhz]
            .map(|n| n.map(|n| n.to_string()));
        let fingerprint = fingerprint(&[
            Some(&endpoint.endpoint_type),
            endpoint.name.as_ref(),
            endpoint.cpu_name.as_ref(),
            numbers[0].as_ref(),
            numbers[1].as_ref(),
            numbers[2].as_ref(),
            numbers[3].as_ref(),
        ]);
        let find = "SELECT endpoint_id FROM endpoint WHERE fingerprint = ?1";
        let id = match connection.prepare_cached(find)?.query_row([fingerprint], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => connection
                .prepare_cached(
                    "INSERT INTO endpoint (fingerprint, endpoint_type_id, identity_id, name, cpu_name_id, cpu_cores_count,
                     cpu_processor_speed_mhz, user_agent_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .insert(params![
                    fingerprint,
                    self.text(connection, &endpoint.endpoint_type)?,
                    identity,
                    endpoint.name,
                    self.text_opt(connection, endpoint.cpu_name.as_deref())?,
                    endpoint.cpu_cores_count,
                    endpoint.cpu_processor_speed_mhz,
                    agent,
                ])?,
        };
        self.endpoints.put(name, id);
        Ok(id)
    }

    fn user_agent(&mut self, connection: &Connection, agent: &UserAgent) -> Result<i64> {
        let name = self.user_agents.name(agent);
        if let Some(id) = self.user_agents.get(name) {
            return Ok(id);
        }
        let values = [
            Some(&agent.user_agent_type),
            agent.header_value.as_ref(),
            agent.application_version.as_ref(),
            agent.platform.as_ref(),
            agent.product_family.as_ref(),
            agent.role.as_ref(),
            agent.azure_ad_app_id.as_ref(),
            agent.communication_service_id.as_ref(),
        ];
        let fingerprint = fingerprint(&values);
        let find = "SELECT user_agent_id FROM user_agent WHERE fingerprint = ?1";
        let id = match connection.prepare_cached(find)?.query_row([fingerprint], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => {
                let mut columns: Vec<&dyn ToSql> = vec![&fingerprint];
                columns.extend(values.iter().map(|value| value as &dyn ToSql));
                connection
                    .prepare_cached(
                        "INSERT INTO user_agent (fingerprint, user_agent_type, header_value, application_version, platform,
                         product_family, role, azure_ad_app_id, communication_service_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    )?
                    .insert(columns.as_slice())?
            }
        };
        self.user_agents.put(name, id);
        Ok(id)
    }
}

/// Removes the rows of a record; what they share with others stays.
pub(crate) fn remove(connection: &Connection, record_id: RecordId, kind: Kind) -> Result<()> {
    let had_rows = connection.prepare_cached("DELETE FROM hit WHERE record_id = ?1")?.execute([record_id.0])? > 0;
    if had_rows {
        for statement in [
            "DELETE FROM feedback WHERE record_id = ?1",
            "DELETE FROM segment WHERE record_id = ?1",
            "DELETE FROM session WHERE record_id = ?1",
            "DELETE FROM party WHERE record_id = ?1",
            "DELETE FROM call WHERE record_id = ?1",
        ] {
            connection.prepare_cached(statement)?.execute([record_id.0])?;
        }
        if let Some(log) = log(kind) {
            log::remove(connection, log, record_id)?;
        }
    }
    Ok(())
}

/// Notes which derivation a record's rows are of.
pub(crate) fn mark(connection: &Connection, record_id: RecordId) -> Result<()> {
    connection
        .prepare_cached("UPDATE record SET derived = ?2 WHERE record_id = ?1")?
        .execute(params![record_id.0, DERIVE_VERSION])?;
    Ok(())
}

fn insert_call(connection: &Connection, record_id: RecordId, version: Version, record: &Record) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO call (record_id, version, last_modified_ns, join_web_url) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![record_id.0, version.0, ns(record.last_modified), record.join_web_url])?;
    Ok(())
}

/// The number of a kind in columns.
pub(crate) fn kind_code(kind: Kind) -> i64 {
    Kind::ALL.iter().position(|other| *other == kind).map_or(0, |n| count(n) + 1)
}

/// The kind of a number in columns.
pub(crate) fn kind_of(code: i64) -> Option<Kind> {
    let n = usize::try_from(code).ok()?.checked_sub(1)?;
    Kind::ALL.get(n).copied()
}

fn insert_parties(
    connection: &Connection,
    record_id: RecordId,
    parties: &[(&Party, i64)],
    start: Option<Timestamp>,
) -> Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO party (record_id, n, identity_id, roles, start_ns) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (n, (party, identity_id)) in parties.iter().enumerate() {
        insert.execute(params![record_id.0, count(n), identity_id, party.roles.0, ns(start)])?;
    }
    Ok(())
}

fn insert_identity(connection: &Connection, identity: &Identity, fingerprint: [u8; 16]) -> Result<i64> {
    let masked = identity.phone().and_then(Masked::of);
    let id = connection
        .prepare_cached(
            "INSERT INTO identity (fingerprint, set_key, id, display_name, user_principal_name, tenant_id, phone_reversed,
             masked_count, masked_reversed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .insert(params![
            fingerprint,
            identity.set_key,
            identity.id.as_deref().map(guid::to_sql),
            identity.display_name,
            identity.user_principal_name,
            identity.tenant_id.as_deref().map(guid::to_sql),
            identity.phone().map(phone::reversed_digits),
            masked.as_ref().map(|masked| masked.hidden),
            masked.as_ref().map(|masked| &masked.visible_reversed),
        ])?;
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO identity_word (word, identity_id) VALUES (?1, ?2)")?;
    for word in identity.display_name.iter().flat_map(|display_name| name::words(display_name)) {
        insert.execute(params![word, id])?;
    }
    Ok(id)
}

fn insert_feedback(connection: &Connection, record_id: RecordId, n: i64, session: &Session) -> Result<()> {
    for (session_n, segment_n, side, feedback) in feedback_rows(usize::try_from(n).unwrap_or(usize::MAX), session) {
        connection
            .prepare_cached(
                "INSERT INTO feedback (record_id, session_n, segment_n, side, rating, text, tokens)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                record_id.0,
                session_n,
                segment_n,
                side.0,
                feedback.rating,
                feedback.text,
                feedback.tokens
            ])?;
    }
    Ok(())
}

/// What users said in session `n`, in the order of the rows: session, segment (-1: the session itself), side, and what.
///
/// Endpoints that a segment shares with its session say it once.
pub(crate) fn feedback_rows(n: usize, session: &Session) -> Vec<(i64, i64, Roles, &Feedback)> {
    let own = [(-1, Roles::CALLER, session.caller.as_deref()), (-1, Roles::CALLEE, session.callee.as_deref())];
    let of_segments = session.segments.iter().enumerate().flat_map(|(segment_n, segment)| {
        [(Roles::CALLER, &segment.caller, &session.caller), (Roles::CALLEE, &segment.callee, &session.callee)]
            .map(|(side, own, of_session)| (count(segment_n), side, own.as_deref().filter(|_| own != of_session)))
    });
    own.into_iter()
        .chain(of_segments)
        .filter_map(|(segment_n, side, endpoint)| {
            let feedback = endpoint?.feedback.as_ref().filter(|feedback| says_something(feedback))?;
            Some((count(n), segment_n, side, feedback))
        })
        .collect()
}

fn says_something(feedback: &Feedback) -> bool {
    feedback.rating.as_deref().is_some_and(|rating| rating != "notRated")
        || feedback.text.is_some()
        || feedback.tokens.as_deref().is_some_and(|tokens| tokens != "{}")
}

/// Identities whose fingerprint, digits or words are not those that [`insert_identity`] writes.
pub(crate) fn identity_faults(connection: &Connection) -> Result<Vec<i64>> {
    let mut statement = connection.prepare(
        "SELECT set_key, id, display_name, user_principal_name, tenant_id, identity_id, fingerprint, phone_reversed,
                masked_count, masked_reversed FROM identity",
    )?;
    let mut words_of = connection.prepare("SELECT count(*) FROM identity_word WHERE identity_id = ?1 AND word = ?2")?;
    let mut rows = statement.query([])?;
    let mut faults = Vec::new();
    let mut words_expected = 0;
    while let Some(row) = rows.next()? {
        let identity = rows_read::identity_of(row)?;
        let identity_id: i64 = row.get(5)?;
        let digits: Option<String> = row.get(7)?;
        let masked: Option<Masked> = match row.get(8)? {
            Some(hidden) => Some(Masked { hidden, visible_reversed: row.get::<_, Option<_>>(9)?.unwrap_or_default() }),
            None => None,
        };
        let mut words = identity.display_name.as_deref().map(name::words).unwrap_or_default();
        words.sort();
        words.dedup();
        words_expected += count(words.len());
        let mut is_right = row.get::<_, Vec<u8>>(6)? == identity_fingerprint(&identity)
            && digits == identity.phone().map(phone::reversed_digits)
            && masked == identity.phone().and_then(Masked::of);
        for word in &words {
            is_right &= words_of.query_row(params![identity_id, word], |row| row.get::<_, i64>(0))? == 1;
        }
        if !is_right {
            faults.push(identity_id);
        }
    }
    let words_stored: i64 = connection.query_row("SELECT count(*) FROM identity_word", [], |row| row.get(0))?;
    if faults.is_empty() && words_stored != words_expected {
        faults.push(0);
    }
    Ok(faults)
}

fn identity_fingerprint(identity: &Identity) -> [u8; 16] {
    fingerprint(&[
        Some(&identity.set_key),
        identity.id.as_ref(),
        identity.display_name.as_ref(),
        identity.user_principal_name.as_ref(),
        identity.tenant_id.as_ref(),
    ])
}

/// Tells values apart in an index of 16 bytes each; 2^64 of them are expected before two meet.
fn fingerprint(values: &[Option<&String>]) -> [u8; 16] {
    let mut text = Vec::new();
    for value in values {
        match value {
            Some(value) => {
                text.extend_from_slice(&value.len().to_le_bytes());
                text.extend_from_slice(value.as_bytes());
            }
            None => text.extend_from_slice(&u64::MAX.to_le_bytes()),
        }
    }
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::of(&text).0[..16]);
    short
}

fn ns(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.0)
}

/// Nanoseconds from one to the other, where both are known and no further apart than can be told.
fn stretch(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<i64> {
    to?.0.checked_sub(from?.0)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
