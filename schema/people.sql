-- user (v1.0), as the delta query of the directory tells of one. One row a VERSION, not only the newest: calls keep the names that
-- people had, and somebody is to be found by any of them. What a version leaves out is what the version before said.
CREATE TABLE person (
    record_id           INTEGER NOT NULL REFERENCES record (record_id) ON DELETE CASCADE,
    version             INTEGER NOT NULL,
    seen_ns             INTEGER NOT NULL, -- when the answer that told it was in, by the local clock
    id                  ANY,              -- object id
    display_name        TEXT,
    user_principal_name TEXT,
    mail                TEXT,
    other_mails         TEXT NOT NULL,    -- JSON array
    department          TEXT,
    business_phones     TEXT NOT NULL,    -- JSON array; numbers as they were typed into the directory
    mobile_phone        TEXT,
    account_enabled     INTEGER,
    removed             TEXT,             -- changed: deleted, may come back; deleted: for good; null: they are there
    PRIMARY KEY (record_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_of_id ON person (id) WHERE id IS NOT NULL; -- --participant: everything that somebody was ever called

-- By what each version of a person is found.
CREATE TABLE person_term (
    record_id INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    what      INTEGER NOT NULL, -- 1 folded word of the display name, 2 UPN in lower case, 3 mail in lower case, 4 digits of a number, last first
    term      TEXT NOT NULL,
    PRIMARY KEY (record_id, version, what, term),
    FOREIGN KEY (record_id, version) REFERENCES person (record_id, version) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX person_term_of ON person_term (what, term); -- --participant NAME, UPN, MAIL or NUMBER

-- Who people were, and from when until when the archive knows them so.
CREATE VIEW people AS
SELECT
    guid_text.id AS id, display_name, user_principal_name, mail, department,
    strftime('%Y-%m-%dT%H:%M:%S', seen_ns / 1000000000, 'unixepoch') || printf('.%07dZ', seen_ns % 1000000000 / 100) AS known_from,
    lead(strftime('%Y-%m-%dT%H:%M:%S', seen_ns / 1000000000, 'unixepoch') || printf('.%07dZ', seen_ns % 1000000000 / 100))
        OVER (PARTITION BY record_id ORDER BY version) AS known_until,
    removed, other_mails, business_phones, mobile_phone, account_enabled, version, record_id, seen_ns
FROM person JOIN guid_text USING (record_id);
