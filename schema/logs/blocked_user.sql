-- pstnBlockedUsersLogRow (beta): users kept from calling, and let call again.
CREATE TABLE blocked_user (
    record_id             INTEGER PRIMARY KEY REFERENCES record (record_id) ON DELETE CASCADE,
    version               INTEGER NOT NULL,
    remediation_id        TEXT,    -- of the action; not unique
    user_block_mode       TEXT,    -- blocked or unblocked, with or without a capital
    block_ns              INTEGER,
    block_reason          TEXT,
    user_id               TEXT,
    user_principal_name   TEXT,
    user_display_name     TEXT,
    user_telephone_number TEXT
) STRICT;
CREATE INDEX blocked_user_of_user ON blocked_user (user_id, user_telephone_number) WHERE user_telephone_number IS NOT NULL;    -- --participant: numbers of somebody
CREATE INDEX blocked_user_number ON blocked_user (user_telephone_number, user_id) WHERE user_telephone_number IS NOT NULL;     -- --participant NUMBER: there are few, all are looked at

CREATE VIEW blocked_users AS
SELECT
    guid_text.id AS id, version, user_block_mode,
    strftime('%Y-%m-%dT%H:%M:%S', block_ns / 1000000000, 'unixepoch') || printf('.%07dZ', block_ns % 1000000000 / 100) AS block_date_time,
    block_reason, user_id, user_principal_name, user_display_name, user_telephone_number, remediation_id, record_id, block_ns
FROM blocked_user JOIN guid_text USING (record_id);
