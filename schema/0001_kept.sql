-- Kept and working tables: step 1. Steps are append-only after the first release; see schema/README.md.
-- Times are `_ns`: nanoseconds since 1970 in UTC. Ids that are GUIDs in their usual spelling are 16-byte blobs, others text.

-- The spine: whatever the archive learns or does for good is one entry. AUTOINCREMENT, so a number is never given twice.
CREATE TABLE ledger (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT, -- 1, 2, 3, … without gaps
    entry TEXT NOT NULL                      -- one line of JSON, no personal data; docs/format.md lists the kinds
) STRICT;

-- Whatever has an id at Graph.
CREATE TABLE record (
    record_id   INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL, -- 1 call, 2 pstn, 3 direct-routing, 4 blocked-user, 5 dial-out, 6 sms
    id          ANY NOT NULL,     -- Graph's id
    newest_seq  INTEGER UNIQUE REFERENCES version (seq) DEFERRABLE INITIALLY DEFERRED, -- its highest version
    derived     INTEGER,          -- which DERIVE_VERSION made its rows; null: none yet
    modified_ns INTEGER,          -- newest lastModifiedDateTime that was seen and dealt with
    UNIQUE (kind, id)
) STRICT;

CREATE INDEX record_underived ON record (record_id) WHERE derived IS NULL AND newest_seq IS NOT NULL; -- rows still to make

-- Every version of every record, as it came over the wire.
CREATE TABLE version (
    seq           INTEGER PRIMARY KEY REFERENCES ledger (seq),
    record_id     INTEGER NOT NULL REFERENCES record (record_id),
    version       INTEGER NOT NULL, -- Graph's counter
    dictionary_id INTEGER REFERENCES dictionary (dictionary_id), -- null: none used
    raw_bytes     INTEGER NOT NULL, -- lengths of all bodies together
    frame         BLOB,             -- zstd: envelopes and bodies, docs/format.md; last, so that nothing reads it to get past it
    UNIQUE (record_id, version)
) STRICT;

-- zstd dictionaries; a frame cannot be read without its own.
CREATE TABLE dictionary (
    dictionary_id INTEGER PRIMARY KEY, -- zstd's own id, also inside each frame
    bytes         BLOB NOT NULL,
    sha256        BLOB NOT NULL,
    added_ns      INTEGER NOT NULL
) STRICT;

-- Which spans of start times were listed, and how far. Coverage is computed from here and `todo`, never stored.
CREATE TABLE listing (
    listing_id INTEGER PRIMARY KEY,
    source     TEXT NOT NULL,
    from_ns    INTEGER NOT NULL, -- included
    to_ns      INTEGER NOT NULL, -- not included
    begun_ns   INTEGER NOT NULL, -- Graph's time when its first page was asked for
    listed_ns  INTEGER,          -- Graph's time when its last page was in; null until then
    cursor     TEXT,             -- next link still to follow
    pages      INTEGER NOT NULL DEFAULT 0,
    rows       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX listing_span ON listing (source, to_ns); -- coverage and plan: listings of a source that reach into a span

-- Ids to fetch. A row leaves only in the transaction that stores the record or enters it as lost. `why` is 4 where a notification alone
-- says that there is something: then `start_ns` is its arrival, unless the archive has the record, and the row may end with nothing.
CREATE TABLE todo (
    kind         INTEGER NOT NULL,
    id           ANY NOT NULL,
    want_version INTEGER NOT NULL, -- as listed
    modified_ns  INTEGER,          -- lastModifiedDateTime as listed
    why          INTEGER NOT NULL, -- 1 missing, 2 newer version, 3 same version modified later
    start_ns     INTEGER NOT NULL, -- as listed; the end of the listing where the row had none
    due_ns       INTEGER NOT NULL, -- not before
    attempts     INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT,
    tried_ns     INTEGER,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX todo_oldest ON todo (kind, start_ns, id); -- sync: nearest deadline first

-- Records that Graph listed and no longer gave.
CREATE TABLE lost (
    seq      INTEGER PRIMARY KEY REFERENCES ledger (seq),
    kind     INTEGER NOT NULL,
    id       ANY NOT NULL,
    version  INTEGER NOT NULL, -- as listed
    start_ns INTEGER NOT NULL,
    lost_ns  INTEGER NOT NULL
) STRICT;

-- Facts about the archive itself: created_ns, derive_version (which one the derived tables follow).
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- What each writing command did.
CREATE TABLE run (
    run_id    INTEGER PRIMARY KEY,
    command   TEXT NOT NULL,
    begun_ns  INTEGER NOT NULL,
    ended_ns  INTEGER, -- null: still at it, or it died
    exit_code INTEGER,
    report    TEXT     -- JSON, the command's own
) STRICT;
