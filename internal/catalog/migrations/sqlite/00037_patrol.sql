-- +goose Up
-- The patrol's rounds over the objects of the store: one row for recordings, one for archives.
CREATE TABLE patrols (
    kind       TEXT PRIMARY KEY,         -- recordings, archives
    running    BOOLEAN NOT NULL DEFAULT FALSE,       -- a round is under way
    started_us INTEGER NOT NULL DEFAULT 0,            -- of the latest round; 0 before the first
    due_us     INTEGER NOT NULL DEFAULT 0,            -- when it must have ended
    ended_us   INTEGER NOT NULL DEFAULT 0,            -- when the last whole round ended; 0 before the first
    expected   INTEGER NOT NULL DEFAULT 0,            -- bytes that the latest round had to read when it began
    objects    INTEGER NOT NULL DEFAULT 0,            -- that it has read
    bytes      INTEGER NOT NULL DEFAULT 0,            -- of these
    tenant     TEXT NOT NULL DEFAULT '', -- with the next two: the last object that it has read
    day        TEXT NOT NULL DEFAULT '',
    object_key TEXT NOT NULL DEFAULT '',
    token      TEXT,                                 -- of the worker that reads
    lease_us   INTEGER                                -- when its claim lapses unless it is renewed
);

-- Objects whose bytes are gone, changed or unreadable, until they are right again.
CREATE TABLE faults (
    kind       TEXT NOT NULL, -- recording, archive
    tenant     TEXT NOT NULL,
    object_key TEXT NOT NULL,
    day        TEXT NOT NULL, -- of the recording or archive
    hour       INTEGER NOT NULL,
    reason     TEXT NOT NULL,             -- not_found, size_changed, checksum_mismatch, unreadable
    first_us   INTEGER NOT NULL,           -- when it was found
    checked_us INTEGER NOT NULL,           -- when it was last looked at; 0: look at once
    PRIMARY KEY (kind, tenant, object_key)
);
CREATE INDEX faults_checked ON faults (checked_us);
CREATE INDEX faults_hour ON faults (tenant, day, hour);
