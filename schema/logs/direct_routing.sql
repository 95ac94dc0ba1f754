-- directRoutingLogRow: calls over the organisation's own session border controllers. Numbers may end in stars or be any text.
CREATE TABLE direct_routing (
    record_id                         INTEGER PRIMARY KEY REFERENCES record (record_id) ON DELETE CASCADE,
    version                           INTEGER NOT NULL,
    id                                TEXT,
    correlation_id                    TEXT,    -- not unique; the id of the call record, where there is one
    call_type                         TEXT,    -- ByotIn, ByotOut, ByotInUcap, dr_in, …
    invite_ns                         INTEGER,
    start_ns                          INTEGER,
    end_ns                            INTEGER,
    failure_ns                        INTEGER, -- null: did not fail
    duration_s                        INTEGER,
    successful_call                   INTEGER, -- 0: an attempt only
    final_sip_code                    INTEGER,
    final_sip_code_phrase             TEXT,
    call_end_sub_reason               INTEGER,
    user_id                           TEXT,
    user_principal_name               TEXT,
    user_display_name                 TEXT,
    caller_number                     TEXT,
    callee_number                     TEXT,
    media_bypass_enabled              INTEGER,
    media_path_location               TEXT,
    signaling_location                TEXT,
    trunk_fully_qualified_domain_name TEXT,
    transferor_correlation_id         TEXT,
    user_country_code                 TEXT,    -- ISO 3166-1 alpha-2, as the next
    other_party_country_code          TEXT,
    administrative_unit_infos         TEXT     -- JSON
) STRICT;
CREATE INDEX direct_routing_correlation ON direct_routing (correlation_id COLLATE NOCASE);                    -- archive::links: rows of a call
CREATE INDEX direct_routing_transferor ON direct_routing (transferor_correlation_id COLLATE NOCASE)
WHERE transferor_correlation_id IS NOT NULL;                                                                  -- archive::links: rows after a transfer

CREATE VIEW direct_routing_calls AS
SELECT
    guid_text.id AS id, version, call_type,
    strftime('%Y-%m-%dT%H:%M:%S', invite_ns / 1000000000, 'unixepoch') || printf('.%07dZ', invite_ns % 1000000000 / 100) AS invite_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', start_ns / 1000000000, 'unixepoch') || printf('.%07dZ', start_ns % 1000000000 / 100)    AS start_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', end_ns / 1000000000, 'unixepoch') || printf('.%07dZ', end_ns % 1000000000 / 100)        AS end_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', failure_ns / 1000000000, 'unixepoch') || printf('.%07dZ', failure_ns % 1000000000 / 100) AS failure_date_time,
    duration_s, successful_call, final_sip_code, final_sip_code_phrase, call_end_sub_reason,
    user_id, user_principal_name, user_display_name, caller_number, callee_number,
    media_bypass_enabled, media_path_location, signaling_location, trunk_fully_qualified_domain_name,
    correlation_id, transferor_correlation_id, user_country_code, other_party_country_code, administrative_unit_infos,
    record_id, start_ns
FROM direct_routing JOIN guid_text USING (record_id);
