-- Step 5: months whose bodies moved from frames into files of their own. Kept: where each body is cannot be made again without
-- reading every file.

-- A file of sealed bodies: sealed/MONTH/parts.ndjson.zst, a second one of the same month parts-2.ndjson.zst.
CREATE TABLE volume (
    volume_id       INTEGER PRIMARY KEY,
    month           TEXT NOT NULL,                  -- YYYY-MM
    n               INTEGER NOT NULL,               -- 1, 2, … within its month
    seq             INTEGER REFERENCES ledger (seq), -- its entry; null: is being written, and nothing is in it yet
    bytes           INTEGER NOT NULL,               -- of the file
    sha256          BLOB NOT NULL,                  -- of the file
    manifest_sha256 BLOB NOT NULL,                  -- of the manifest beside it
    emptied         INTEGER NOT NULL DEFAULT 0,     -- 1: of what it holds no frame is left in `version`
    UNIQUE (month, n)
) STRICT;

-- How much of each kind a volume holds.
CREATE TABLE volume_kind (
    volume_id INTEGER NOT NULL REFERENCES volume (volume_id),
    kind      INTEGER NOT NULL, -- as in record
    records   INTEGER NOT NULL,
    versions  INTEGER NOT NULL,
    raw_bytes INTEGER NOT NULL, -- of all bodies
    PRIMARY KEY (volume_id, kind)
) STRICT, WITHOUT ROWID;

-- Where the bodies of a version are.
CREATE TABLE sealed (
    seq         INTEGER PRIMARY KEY REFERENCES version (seq),
    volume_id   INTEGER NOT NULL REFERENCES volume (volume_id),
    frame_from  INTEGER NOT NULL, -- where in the file its zstd frame begins
    frame_bytes INTEGER NOT NULL, -- and how long that is
    lines_from  INTEGER NOT NULL, -- where in the decompressed frame its lines begin
    lines_bytes INTEGER NOT NULL
) STRICT;
