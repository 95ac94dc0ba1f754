-- Step 2: where delta queries go on. Working: losing a row costs one query for everything.
CREATE TABLE delta (
    source   TEXT PRIMARY KEY,
    link     TEXT NOT NULL,    -- Graph's delta link, verbatim
    asked_ns INTEGER NOT NULL  -- Graph's time when the query that gave it was begun: the directory is known up to then
) STRICT, WITHOUT ROWID;
