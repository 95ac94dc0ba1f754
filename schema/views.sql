-- Documented views for people with the sqlite3 shell: docs/schema.md. Times are text in UTC with 7 digits, as Graph's.
-- Made anew with the derived tables.

CREATE VIEW calls AS
SELECT
    guid_text.id                                  AS id,
    call.version                                  AS version,
    type.value                                    AS type,
    modalities.value                              AS modalities,       -- JSON array
    strftime('%Y-%m-%dT%H:%M:%S', hit.start_ns / 1000000000, 'unixepoch') || printf('.%07dZ', hit.start_ns % 1000000000 / 100) AS start_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', hit.end_ns / 1000000000, 'unixepoch') || printf('.%07dZ', hit.end_ns % 1000000000 / 100)     AS end_date_time,
    (hit.end_ns - hit.start_ns) / 1e9             AS duration_s,
    strftime('%Y-%m-%dT%H:%M:%S', call.last_modified_ns / 1000000000, 'unixepoch') || printf('.%07dZ', call.last_modified_ns % 1000000000 / 100) AS last_modified_date_time,
    call.join_web_url                             AS join_web_url,
    organizer.display_name                        AS organizer_name,
    organizer.user_principal_name                 AS organizer_upn,
    organizer.id_text                             AS organizer_id,
    hit.session_count                             AS session_count,
    (SELECT count(*) FROM party WHERE party.record_id = hit.record_id) AS party_count,
    hit.failed                                    AS failed,
    hit.record_id                                 AS record_id,
    hit.start_ns                                  AS start_ns
FROM hit
JOIN call USING (record_id)
JOIN guid_text USING (record_id)
LEFT JOIN text AS type ON type.text_id = hit.type_id
LEFT JOIN text AS modalities ON modalities.text_id = hit.modalities_id
LEFT JOIN identities AS organizer ON organizer.identity_id = hit.organizer_id;

-- Ids of records as Graph writes them.
CREATE VIEW guid_text AS
SELECT record_id, kind,
    CASE typeof(id) WHEN 'blob' THEN lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) ELSE id END AS id
FROM record;

CREATE VIEW identities AS
SELECT
    identity_id,
    set_key,
    CASE typeof(id) WHEN 'blob' THEN lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) ELSE id END AS id_text,
    display_name,
    user_principal_name,
    CASE typeof(tenant_id) WHEN 'blob' THEN lower(substr(hex(tenant_id), 1, 8) || '-' || substr(hex(tenant_id), 9, 4) || '-' || substr(hex(tenant_id), 13, 4) || '-' || substr(hex(tenant_id), 17, 4) || '-' || substr(hex(tenant_id), 21)) ELSE tenant_id END AS tenant_id_text
FROM identity;

-- Endpoints with their agent and identity.
CREATE VIEW endpoints AS
SELECT
    endpoint.endpoint_id, endpoint_type.value AS endpoint_type, endpoint.identity_id,
    identities.id_text AS id, identities.display_name, identities.user_principal_name, identities.tenant_id_text AS tenant_id, identities.set_key,
    name, cpu_name.value AS cpu_name, cpu_cores_count, cpu_processor_speed_mhz,
    user_agent_type, header_value, application_version, platform, product_family, role, azure_ad_app_id, communication_service_id
FROM endpoint
LEFT JOIN text AS endpoint_type ON endpoint_type.text_id = endpoint_type_id
LEFT JOIN text AS cpu_name ON cpu_name.text_id = cpu_name_id
LEFT JOIN identities USING (identity_id)
LEFT JOIN user_agent USING (user_agent_id);

-- Sessions with what they share with their record filled in.
CREATE VIEW session_own AS
SELECT
    session.record_id, session.n,
    CASE WHEN own & 1 THEN session.id ELSE record.id END                            AS id,
    CASE WHEN own & 2 THEN session.start_ns ELSE hit.start_ns + session.start_ns END AS start_ns,
    CASE WHEN own & 4 THEN session.end_ns ELSE hit.end_ns - session.end_ns END       AS end_ns,
    session.modalities_id, is_test, session.failed, failure_stage_id, failure_reason_id, caller_id, callee_id,
    media_count, stream_count, max_packet_loss_rate, max_jitter_ns, max_round_trip_time_ns, max_audio_degradation
FROM session
JOIN record USING (record_id)
JOIN hit USING (record_id);

CREATE VIEW sessions AS
SELECT
    guid_text.id AS call_id,
    session.n    AS n,
    CASE typeof(session.id) WHEN 'blob' THEN lower(substr(hex(session.id), 1, 8) || '-' || substr(hex(session.id), 9, 4) || '-' || substr(hex(session.id), 13, 4) || '-' || substr(hex(session.id), 17, 4) || '-' || substr(hex(session.id), 21)) ELSE session.id END AS id,
    strftime('%Y-%m-%dT%H:%M:%S', session.start_ns / 1000000000, 'unixepoch') || printf('.%07dZ', session.start_ns % 1000000000 / 100) AS start_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', session.end_ns / 1000000000, 'unixepoch') || printf('.%07dZ', session.end_ns % 1000000000 / 100)     AS end_date_time,
    (session.end_ns - session.start_ns) / 1e9 AS duration_s,
    modalities.value AS modalities,
    session.is_test  AS is_test,
    session.failed   AS failed,
    stage.value      AS failure_stage,
    reason.value     AS failure_reason,
    caller.display_name AS caller_name, caller.user_principal_name AS caller_upn, caller.id AS caller_id,
    caller.name AS caller_machine, caller.platform AS caller_platform, caller.header_value AS caller_agent,
    callee.display_name AS callee_name, callee.user_principal_name AS callee_upn, callee.id AS callee_id,
    callee.name AS callee_machine, callee.platform AS callee_platform, callee.header_value AS callee_agent,
    session.caller_id AS caller_endpoint_id, session.callee_id AS callee_endpoint_id,
    session.record_id AS record_id, session.start_ns AS start_ns
FROM session_own AS session
JOIN guid_text USING (record_id)
LEFT JOIN text AS modalities ON modalities.text_id = session.modalities_id
LEFT JOIN text AS stage ON stage.text_id = session.failure_stage_id
LEFT JOIN text AS reason ON reason.text_id = session.failure_reason_id
LEFT JOIN endpoints AS caller ON caller.endpoint_id = session.caller_id
LEFT JOIN endpoints AS callee ON callee.endpoint_id = session.callee_id;

CREATE VIEW segments AS
SELECT
    guid_text.id AS call_id,
    own.session_n AS session_n,
    own.n AS n,
    CASE typeof(own.id) WHEN 'blob' THEN lower(substr(hex(own.id), 1, 8) || '-' || substr(hex(own.id), 9, 4) || '-' || substr(hex(own.id), 13, 4) || '-' || substr(hex(own.id), 17, 4) || '-' || substr(hex(own.id), 21)) ELSE own.id END AS id,
    strftime('%Y-%m-%dT%H:%M:%S', own.start_ns / 1000000000, 'unixepoch') || printf('.%07dZ', own.start_ns % 1000000000 / 100) AS start_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', own.end_ns / 1000000000, 'unixepoch') || printf('.%07dZ', own.end_ns % 1000000000 / 100)     AS end_date_time,
    (own.end_ns - own.start_ns) / 1e9 AS duration_s,
    own.failed AS failed,
    stage.value    AS failure_stage,
    reason.value   AS failure_reason,
    caller.display_name AS caller_name, caller.user_principal_name AS caller_upn, caller.name AS caller_machine,
    callee.display_name AS callee_name, callee.user_principal_name AS callee_upn, callee.name AS callee_machine,
    own.media_count, own.stream_count, own.max_packet_loss_rate,
    own.max_jitter_ns / 1e6 AS max_jitter_ms, own.max_round_trip_time_ns / 1e6 AS max_round_trip_time_ms,
    own.max_audio_degradation,
    own.caller_id AS caller_endpoint_id, own.callee_id AS callee_endpoint_id,
    own.record_id AS record_id, own.start_ns AS start_ns
FROM segment_own AS own
JOIN guid_text ON guid_text.record_id = own.record_id
LEFT JOIN text AS stage ON stage.text_id = own.failure_stage_id
LEFT JOIN text AS reason ON reason.text_id = own.failure_reason_id
LEFT JOIN endpoints AS caller ON caller.endpoint_id = own.caller_id
LEFT JOIN endpoints AS callee ON callee.endpoint_id = own.callee_id;

-- Segments: those of `segment` with the columns that they share with their session filled in, and those that their session has in it.
CREATE VIEW segment_own AS
SELECT
    segment.record_id, segment.session_n, segment.n,
    CASE WHEN same & 1 THEN session.id ELSE segment.id END                AS id,
    CASE WHEN same & 2 THEN session.start_ns ELSE segment.start_ns END    AS start_ns,
    CASE WHEN same & 4 THEN session.end_ns ELSE segment.end_ns END        AS end_ns,
    CASE WHEN same & 8 THEN session.caller_id ELSE segment.caller_id END  AS caller_id,
    CASE WHEN same & 16 THEN session.callee_id ELSE segment.callee_id END AS callee_id,
    segment.failed, segment.failure_stage_id, segment.failure_reason_id, segment.media_count, segment.stream_count,
    segment.max_packet_loss_rate, segment.max_jitter_ns, segment.max_round_trip_time_ns, segment.max_audio_degradation
FROM segment
JOIN session_own AS session ON session.record_id = segment.record_id AND session.n = segment.session_n
UNION ALL
SELECT
    record_id, n, 0, id, start_ns, end_ns, caller_id, callee_id, failed, failure_stage_id, failure_reason_id, media_count, stream_count,
    max_packet_loss_rate, max_jitter_ns, max_round_trip_time_ns, max_audio_degradation
FROM session_own
WHERE media_count IS NOT NULL;

-- One row for each person and call: who they were, how they took part, when they joined and left.
-- Join and leave are the first start and last end of the sessions that they called or answered; null where they are in none.
CREATE VIEW participations AS
SELECT
    guid_text.id AS call_id,
    party.n      AS n,
    identities.display_name AS name, identities.user_principal_name AS upn, identities.id_text AS id, identities.set_key AS set_key,
    identities.tenant_id_text AS tenant_id,
    (party.roles & 1) > 0 AS organizer, (party.roles & 2) > 0 AS participant, (party.roles & 4) > 0 AS caller, (party.roles & 8) > 0 AS callee,
    strftime('%Y-%m-%dT%H:%M:%S', presence.joined_ns / 1000000000, 'unixepoch') || printf('.%07dZ', presence.joined_ns % 1000000000 / 100) AS joined_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', presence.left_ns / 1000000000, 'unixepoch') || printf('.%07dZ', presence.left_ns % 1000000000 / 100)     AS left_date_time,
    presence.session_count AS session_count,
    party.record_id AS record_id, party.identity_id AS identity_id, party.start_ns AS start_ns
FROM party
JOIN guid_text USING (record_id)
JOIN identities USING (identity_id)
LEFT JOIN presence ON presence.record_id = party.record_id AND presence.person = coalesce(identities.id_text, identities.display_name);

-- When somebody was in a call, over all sessions in which they are caller or callee.
CREATE VIEW presence AS
SELECT session.record_id AS record_id, coalesce(identities.id_text, identities.display_name) AS person,
    min(session.start_ns) AS joined_ns, max(session.end_ns) AS left_ns, count(*) AS session_count
FROM session_own AS session
JOIN endpoint ON endpoint.endpoint_id IN (session.caller_id, session.callee_id)
JOIN identities USING (identity_id)
GROUP BY session.record_id, person;

-- What was listed and when; `complete` once the last page was in.
CREATE VIEW coverage AS
SELECT
    source,
    strftime('%Y-%m-%dT%H:%M:%SZ', from_ns / 1000000000, 'unixepoch')   AS from_date_time,
    strftime('%Y-%m-%dT%H:%M:%SZ', to_ns / 1000000000, 'unixepoch')     AS to_date_time,
    strftime('%Y-%m-%dT%H:%M:%SZ', begun_ns / 1000000000, 'unixepoch')  AS begun_date_time,
    strftime('%Y-%m-%dT%H:%M:%SZ', listed_ns / 1000000000, 'unixepoch') AS listed_date_time,
    listed_ns IS NOT NULL AS complete,
    pages, rows,
    (SELECT count(*) FROM todo WHERE todo.start_ns >= listing.from_ns AND todo.start_ns < listing.to_ns) AS still_to_fetch
FROM listing;

-- Every entry of the ledger as its line.
CREATE VIEW entries AS
SELECT seq,
    CASE WHEN entry <> '' THEN entry ELSE
        '{"op":"version","kind":"'
        || CASE kind WHEN 1 THEN 'call' WHEN 2 THEN 'pstn' WHEN 3 THEN 'direct-routing' WHEN 4 THEN 'blocked-user'
                     WHEN 5 THEN 'dial-out' WHEN 6 THEN 'sms' WHEN 7 THEN 'person' END
        || '","id":"' || lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21))
        || '","version":' || version || ',"json":"' || lower(hex(json)) || '","parts":"' || lower(hex(parts)) || '"}'
    END AS line
FROM ledger;
