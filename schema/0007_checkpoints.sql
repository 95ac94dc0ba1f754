-- Step 7: the ledger as a Merkle tree (RFC 6962) with signed checkpoints.

-- Whole nodes over 256, 65,536, … entries: beside them a proof needs some hundred entries at the most. Made of the ledger, never changed.
CREATE TABLE node (
    height INTEGER NOT NULL, -- above the entries: 8, 16, 24, …
    n      INTEGER NOT NULL, -- among those of its height, from 0
    hash   BLOB NOT NULL,
    PRIMARY KEY (height, n)
) STRICT, WITHOUT ROWID;

-- Signed notes (C2SP tlog-checkpoint). The newest covers the whole ledger: each commit replaces it, unless it is to be kept.
CREATE TABLE checkpoint (
    size      INTEGER PRIMARY KEY, -- entries that it covers
    note      TEXT NOT NULL,
    kept_ns   INTEGER,             -- when a run ended with it, or the key changed; null: the next commit replaces it
    timestamp BLOB                 -- a time-stamp authority's answer about it (RFC 3161), if there is one
) STRICT;

-- The ledger's last entry when a run began; null: an earlier program's.
ALTER TABLE run ADD COLUMN head INTEGER;
