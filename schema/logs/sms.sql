-- smsLogRow (beta): text messages of calling plans. Numbers may end in stars.
CREATE TABLE sms (
    record_id                 INTEGER PRIMARY KEY REFERENCES record (record_id) ON DELETE CASCADE,
    version                   INTEGER NOT NULL,
    id                        TEXT,
    sms_id                    TEXT,    -- not unique
    sms_type                  TEXT,    -- sms_in, …
    sms_units                 INTEGER,
    sent_ns                   INTEGER,
    user_id                   TEXT,
    user_principal_name       TEXT,
    user_display_name         TEXT,
    source_number             TEXT,
    destination_number        TEXT,
    call_charge               TEXT,    -- decimal, in currency
    currency                  TEXT,    -- ISO 4217
    destination_context       TEXT,
    destination_name          TEXT,
    license_capability        TEXT,
    tenant_country_code       TEXT,    -- ISO 3166-1 alpha-2, as the next two
    user_country_code         TEXT,
    other_party_country_code  TEXT,
    administrative_unit_infos TEXT     -- JSON
) STRICT;

CREATE VIEW sms_messages AS
SELECT
    guid_text.id AS id, version, sms_type, sms_units,
    strftime('%Y-%m-%dT%H:%M:%S', sent_ns / 1000000000, 'unixepoch') || printf('.%07dZ', sent_ns % 1000000000 / 100) AS sent_date_time,
    user_id, user_principal_name, user_display_name, source_number, destination_number, call_charge, currency,
    destination_context, destination_name, license_capability, sms_id, tenant_country_code, user_country_code,
    other_party_country_code, administrative_unit_infos, record_id, sent_ns
FROM sms JOIN guid_text USING (record_id);
