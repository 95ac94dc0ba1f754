-- Derived tables, whole: rows of the newest version of each record. Changed freely: raise DERIVE_VERSION, and the next writer
-- makes them again from the frames. What repeats from call to call (identities, endpoints, agents, words) is stored once.

-- Words of open sets: call types, lists of modalities, stages and reasons of failures, types of endpoints, names of processors.
CREATE TABLE text (
    text_id INTEGER PRIMARY KEY,
    value   TEXT NOT NULL UNIQUE -- a list of modalities is a JSON array
) STRICT;

-- Somebody or something, as one identity set named them. A person whose name or UPN changed has several.
CREATE TABLE identity (
    identity_id         INTEGER PRIMARY KEY,
    fingerprint         BLOB NOT NULL UNIQUE, -- first 16 bytes of a SHA-256 over the columns below
    set_key             TEXT NOT NULL,        -- key of the identity set: user, phone, guest, applicationInstance, …
    id                  ANY,                  -- object id, guest id, or the number of a phone
    display_name        TEXT,
    user_principal_name TEXT,
    tenant_id           ANY,
    phone_reversed      TEXT,                 -- digits of a number, last first: a number is found by its end
    masked_count        INTEGER,              -- of a number that ends in stars: how many digits they hide
    masked_reversed     TEXT                  -- of a number that ends in stars: the digits before them, last first
) STRICT;
CREATE INDEX identity_id_of ON identity (id) WHERE id IS NOT NULL;                                                        -- --participant ID
CREATE INDEX identity_upn ON identity (lower(user_principal_name)) WHERE user_principal_name IS NOT NULL;                 -- --participant UPN
CREATE INDEX identity_phone ON identity (phone_reversed) WHERE phone_reversed IS NOT NULL;                                -- --participant NUMBER
CREATE INDEX identity_masked ON identity (masked_count, masked_reversed) WHERE masked_count IS NOT NULL;                  -- --participant NUMBER, that the logs star

-- Folded words of display names; for scripts without spaces every ending of a run, so that any part is found by its beginning.
CREATE TABLE identity_word (
    word        TEXT NOT NULL,
    identity_id INTEGER NOT NULL REFERENCES identity (identity_id) ON DELETE CASCADE,
    PRIMARY KEY (word, identity_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_agent (
    user_agent_id            INTEGER PRIMARY KEY,
    fingerprint              BLOB NOT NULL UNIQUE,
    user_agent_type          TEXT NOT NULL, -- clientUserAgent, serviceUserAgent
    header_value             TEXT,
    application_version      TEXT,
    platform                 TEXT,
    product_family           TEXT,
    role                     TEXT,          -- of a service
    azure_ad_app_id          TEXT,
    communication_service_id TEXT
) STRICT;

CREATE TABLE endpoint (
    endpoint_id             INTEGER PRIMARY KEY,
    fingerprint             BLOB NOT NULL UNIQUE,
    endpoint_type_id        INTEGER NOT NULL REFERENCES text (text_id), -- participantEndpoint, serviceEndpoint
    identity_id             INTEGER REFERENCES identity (identity_id),
    name                    TEXT,          -- machine
    cpu_name_id             INTEGER REFERENCES text (text_id),
    cpu_cores_count         INTEGER,
    cpu_processor_speed_mhz INTEGER,
    user_agent_id           INTEGER REFERENCES user_agent (user_agent_id)
) STRICT;

-- One row a record of any kind: what every filter meets first.
CREATE TABLE hit (
    record_id     INTEGER PRIMARY KEY REFERENCES record (record_id) ON DELETE CASCADE,
    seq           INTEGER NOT NULL, -- the version that these rows are of
    kind          INTEGER NOT NULL,
    start_ns      INTEGER,
    end_ns        INTEGER,
    type_id       INTEGER REFERENCES text (text_id),
    modalities_id INTEGER REFERENCES text (text_id),
    organizer_id  INTEGER REFERENCES identity (identity_id),
    session_count INTEGER NOT NULL,
    failed        INTEGER NOT NULL -- 1: some session or segment has a failureInfo that is not null
) STRICT;
CREATE INDEX hit_start ON hit (start_ns); -- newest first, and ranges of start

CREATE TABLE call (
    record_id        INTEGER PRIMARY KEY REFERENCES record (record_id) ON DELETE CASCADE,
    version          INTEGER NOT NULL,
    last_modified_ns INTEGER,
    join_web_url     TEXT
) STRICT;

-- Who took part in a record, each identity once.
CREATE TABLE party (
    record_id   INTEGER NOT NULL REFERENCES record (record_id) ON DELETE CASCADE,
    n           INTEGER NOT NULL, -- order: organizer first, then as Graph lists them
    identity_id INTEGER NOT NULL REFERENCES identity (identity_id),
    roles       INTEGER NOT NULL, -- sum of 1 organizer, 2 participant, 4 caller, 8 callee
    start_ns    INTEGER,          -- the record's, for the index
    PRIMARY KEY (record_id, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX party_of_identity ON party (identity_id, start_ns); -- calls of a person, by time

-- A session, and its first segment with it, where that says nothing of its own but figures: nearly always.
CREATE TABLE session (
    record_id              INTEGER NOT NULL REFERENCES record (record_id) ON DELETE CASCADE,
    n                      INTEGER NOT NULL, -- position in the record, from 0
    own                    INTEGER NOT NULL, -- which columns stand as they are: 1 id, 2 start_ns, 4 end_ns; the others are told by the record's
    id                     ANY,              -- else null: the record's
    start_ns               INTEGER,          -- else the time from the record's start to the session's: 0 or a short number
    end_ns                 INTEGER,          -- else the time from the session's end to the record's
    modalities_id          INTEGER REFERENCES text (text_id),
    is_test                INTEGER,
    failed                 INTEGER NOT NULL, -- 1: failureInfo is not null
    failure_stage_id       INTEGER REFERENCES text (text_id),
    failure_reason_id      INTEGER REFERENCES text (text_id),
    caller_id              INTEGER REFERENCES endpoint (endpoint_id),
    callee_id              INTEGER REFERENCES endpoint (endpoint_id),
    media_count            INTEGER, -- from here on of the first segment; null: it has a row in `segment`, or there is none
    stream_count           INTEGER,
    max_packet_loss_rate   REAL,    -- worst stream; fraction, 0 to 1
    max_jitter_ns          INTEGER, -- worst stream
    max_round_trip_time_ns INTEGER, -- worst stream
    max_audio_degradation  REAL,    -- worst stream; points of network MOS lost
    PRIMARY KEY (record_id, n)
) STRICT, WITHOUT ROWID;

-- Segments that say more than figures.
CREATE TABLE segment (
    record_id               INTEGER NOT NULL,
    session_n               INTEGER NOT NULL,
    n                       INTEGER NOT NULL, -- position in the session, from 0
    same                    INTEGER NOT NULL, -- which columns are the session's and left null here: 1 id, 2 start, 4 end, 8 caller, 16 callee
    id                      ANY,
    start_ns                INTEGER,
    end_ns                  INTEGER,
    failed                  INTEGER NOT NULL,
    failure_stage_id        INTEGER REFERENCES text (text_id),
    failure_reason_id       INTEGER REFERENCES text (text_id),
    caller_id               INTEGER REFERENCES endpoint (endpoint_id),
    callee_id               INTEGER REFERENCES endpoint (endpoint_id),
    media_count             INTEGER NOT NULL,
    stream_count            INTEGER NOT NULL,
    max_packet_loss_rate    REAL,    -- worst stream; fraction, 0 to 1
    max_jitter_ns           INTEGER, -- worst stream
    max_round_trip_time_ns  INTEGER, -- worst stream
    max_audio_degradation   REAL,    -- worst stream; points of network MOS lost
    PRIMARY KEY (record_id, session_n, n),
    FOREIGN KEY (record_id, session_n) REFERENCES session (record_id, n) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What users said, where they said anything (a rating other than notRated, a text or tokens).
CREATE TABLE feedback (
    record_id INTEGER NOT NULL REFERENCES record (record_id) ON DELETE CASCADE,
    session_n INTEGER NOT NULL,
    segment_n INTEGER NOT NULL, -- -1: on the session itself
    side      INTEGER NOT NULL, -- 4 caller, 8 callee
    rating    TEXT,
    text      TEXT,
    tokens    TEXT,             -- JSON
    PRIMARY KEY (record_id, session_n, segment_n, side)
) STRICT, WITHOUT ROWID;
