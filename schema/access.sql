-- access.db: who asked the archive what. A database of its own, so that whoever reads never waits for the archive's writer.

-- Appended to. What an act began with and what came of it are two rows.
CREATE TABLE act (
    n         INTEGER PRIMARY KEY, -- 1, 2, 3, … without gaps
    line      TEXT NOT NULL,       -- one line of JSON; docs/format.md
    hash      BLOB NOT NULL,       -- SHA-256 over the hash of the row before (32 zero bytes before the first) and the line
    salt      BLOB,                -- random bytes before the arguments when they are hashed, so that nobody guesses them
    arguments TEXT                 -- what was typed, a JSON array; null in an outcome, and where a disposal emptied it
) STRICT;
