-- inbox.db: ids brought by change notifications until a sync has taken them over, and the subscriptions that bring them. A database of its
-- own, so that what faces the internet can write nothing else. It may be lost: the lists find the records, subscriptions are made anew.
-- Times are `_ns`: nanoseconds since 1970 in UTC, by the receiver's clock.

-- Ids to be taken over; however often one is announced, it stands here once.
CREATE TABLE announced (
    id       TEXT PRIMARY KEY,
    first_ns INTEGER NOT NULL,
    last_ns  INTEGER NOT NULL,
    times    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX announced_first ON announced (first_ns); -- taken over in the order of arrival

-- Subscriptions that this receiver keeps, with the secret that their notifications carry.
CREATE TABLE subscription (
    id               TEXT PRIMARY KEY,
    notification_url TEXT NOT NULL,
    client_state     TEXT NOT NULL,
    expires_ns       INTEGER NOT NULL,
    created_ns       INTEGER NOT NULL,
    renewed_ns       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Time in which notifications may have been missed: it is listed before anything else, then forgotten.
CREATE TABLE missed (
    missed_id INTEGER PRIMARY KEY,
    from_ns   INTEGER NOT NULL,
    to_ns     INTEGER NOT NULL,
    why       TEXT NOT NULL
) STRICT;

-- How often something happened, since the file was made.
CREATE TABLE tally (
    name  TEXT PRIMARY KEY,
    times INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Instants: alive (the receiver was up), notified (the last id came), taken (a sync last took ids over), subscribed (Graph was last seen to
-- have the subscription), reauthorize (Graph asks for a look at it), keeping_failed (the last look failed).
CREATE TABLE instant (
    name    TEXT PRIMARY KEY,
    time_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
