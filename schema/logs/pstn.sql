-- pstnCallLogRow: calls over calling plans, operator connect and audio conferencing. Numbers may end in stars.
CREATE TABLE pstn (
    record_id                   INTEGER PRIMARY KEY REFERENCES record (record_id) ON DELETE CASCADE,
    version                     INTEGER NOT NULL,
    id                          TEXT,
    call_id                     TEXT,    -- not unique
    call_type                   TEXT,    -- user_in, user_out, conf_in, ucap_out, oc_user_in, …
    start_ns                    INTEGER,
    end_ns                      INTEGER,
    duration_s                  INTEGER,
    user_id                     TEXT,
    user_principal_name         TEXT,
    user_display_name           TEXT,
    caller_number               TEXT,
    callee_number               TEXT,
    call_duration_source        TEXT,
    charge                      TEXT,    -- decimal, in currency
    connection_charge           TEXT,    -- decimal, in currency
    currency                    TEXT,    -- ISO 4217
    conference_id               TEXT,
    destination_context         TEXT,
    destination_name            TEXT,
    inventory_type              TEXT,
    license_capability          TEXT,
    operator                    TEXT,
    tenant_country_code         TEXT,    -- ISO 3166-1 alpha-2, as the next two
    usage_country_code          TEXT,
    other_party_country_code    TEXT,
    client_local_ip_v4_address  TEXT,
    client_local_ip_v6_address  TEXT,
    client_public_ip_v4_address TEXT,
    client_public_ip_v6_address TEXT,
    administrative_unit_infos   TEXT     -- JSON
) STRICT;
CREATE INDEX pstn_call ON pstn (call_id COLLATE NOCASE); -- archive::links: rows of operator connect that name a call

CREATE VIEW pstn_calls AS
SELECT
    guid_text.id AS id, version, call_type,
    strftime('%Y-%m-%dT%H:%M:%S', start_ns / 1000000000, 'unixepoch') || printf('.%07dZ', start_ns % 1000000000 / 100) AS start_date_time,
    strftime('%Y-%m-%dT%H:%M:%S', end_ns / 1000000000, 'unixepoch') || printf('.%07dZ', end_ns % 1000000000 / 100)     AS end_date_time,
    duration_s, user_id, user_principal_name, user_display_name, caller_number, callee_number,
    charge, connection_charge, currency, destination_context, destination_name, operator, license_capability, inventory_type,
    call_id, conference_id, call_duration_source, tenant_country_code, usage_country_code, other_party_country_code,
    client_local_ip_v4_address, client_local_ip_v6_address, client_public_ip_v4_address, client_public_ip_v6_address,
    administrative_unit_infos, record_id, start_ns
FROM pstn JOIN guid_text USING (record_id);
