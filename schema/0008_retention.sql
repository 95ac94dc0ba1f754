-- Step 8: holds, rules of retention, and what was disposed of by them.

-- Records that nobody may dispose of, for a matter. What is held is asked again at each disposal.
CREATE TABLE hold (
    hold_id      INTEGER PRIMARY KEY,
    name         TEXT,    -- unique among those in force; null: emptied by an erasure, as the next two
    matter       TEXT,
    scope        TEXT,    -- JSON: text and filter of `query`
    salt         BLOB,    -- what the entry's hash begins with
    seq          INTEGER NOT NULL REFERENCES ledger (seq), -- its entry
    added_ns     INTEGER NOT NULL,
    released_seq INTEGER REFERENCES ledger (seq),
    released_ns  INTEGER
) STRICT;
CREATE UNIQUE INDEX hold_in_force ON hold (name) WHERE released_seq IS NULL; -- hold release NAME

-- What a hold covered when it was added: that stays covered, whatever becomes of names and rows.
CREATE TABLE held (
    hold_id   INTEGER NOT NULL REFERENCES hold (hold_id),
    record_id INTEGER NOT NULL REFERENCES record (record_id),
    PRIMARY KEY (hold_id, record_id)
) STRICT, WITHOUT ROWID;

-- Plans of disposal that were entered, by the SHA-256 of their file.
CREATE TABLE plan (
    sha256       BLOB PRIMARY KEY,
    seq          INTEGER NOT NULL REFERENCES ledger (seq),
    made_by      INTEGER NOT NULL, -- uid, as the next
    approved_by  INTEGER,
    approved_seq INTEGER REFERENCES ledger (seq),
    done_seq     INTEGER REFERENCES ledger (seq)
) STRICT, WITHOUT ROWID;

-- Disposals.
CREATE TABLE purge (
    seq         INTEGER PRIMARY KEY REFERENCES ledger (seq), -- its entry
    finished    INTEGER NOT NULL DEFAULT 0, -- 1: nothing of it is left in files, index and unused pages
    words       TEXT,                       -- of an erasure until it is finished: what names who was erased, a JSON array
    certificate TEXT                        -- JSON
) STRICT;

-- Tombstones: versions that were disposed of. Their entries stay, so that proofs of old still hold.
CREATE TABLE purged (
    seq       INTEGER PRIMARY KEY REFERENCES ledger (seq), -- the version's entry
    record_id INTEGER NOT NULL REFERENCES record (record_id),
    version   INTEGER NOT NULL,
    purge_seq INTEGER NOT NULL REFERENCES purge (seq)
) STRICT;
CREATE INDEX purged_of_record ON purged (record_id);   -- sync: what was disposed of is not fetched again
CREATE INDEX purged_by ON purged (purge_seq);          -- verify: what a disposal took

-- The disposal after which a file of sealed bodies was made anew without what was disposed of; null: it is in use.
ALTER TABLE volume ADD COLUMN gone_seq INTEGER REFERENCES ledger (seq);
