-- Step 3: when a listing last brought something new of a stretch of time. Working: `status` tells it, nothing depends on it.
CREATE TABLE changed (
    source     TEXT NOT NULL,
    from_ns    INTEGER NOT NULL, -- beginning of the bucket: an hour of call starts, a day of a log
    changed_ns INTEGER NOT NULL, -- Graph's time when a page last had something that the archive lacked
    PRIMARY KEY (source, from_ns)
) STRICT, WITHOUT ROWID;
