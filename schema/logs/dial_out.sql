-- pstnOnlineMeetingDialoutReport (beta): what a user's meetings called out for, summed up over one day in UTC.
CREATE TABLE dial_out (
    record_id           INTEGER PRIMARY KEY REFERENCES record (record_id) ON DELETE CASCADE,
    version             INTEGER NOT NULL,
    user_id             TEXT,
    user_principal_name TEXT,
    user_display_name   TEXT,
    usage_location      TEXT,    -- ISO 3166-1 alpha-2
    destination_context TEXT,
    total_calls         INTEGER,
    total_call_s        INTEGER,
    total_call_charge   TEXT,    -- decimal, in currency
    currency            TEXT     -- ISO 4217
) STRICT;

CREATE VIEW dial_outs AS
SELECT
    guid_text.id AS id, dial_out.version AS version,
    date(hit.start_ns / 1000000000, 'unixepoch') AS day,
    user_id, user_principal_name, user_display_name, usage_location, destination_context,
    total_calls, total_call_s, total_call_charge, currency, record_id
FROM dial_out JOIN guid_text USING (record_id) JOIN hit USING (record_id);
