-- +goose Up
-- The patrol's rounds over the objects of the store: one row for recordings, one for archives.
CREATE TABLE patrols (
    kind       TEXT COLLATE "C" PRIMARY KEY,         -- recordings, archives
    running    BOOLEAN NOT NULL DEFAULT FALSE,       -- a round is under way
    started_us BIGINT NOT NULL DEFAULT 0,            -- of the latest round; 0 before the first
    due_us     BIGINT NOT NULL DEFAULT 0,            -- when it must have ended
    ended_us   BIGINT NOT NULL DEFAULT 0,            -- when the last whole round ended; 0 before the first
    expected   BIGINT NOT NULL DEFAULT 0,            -- bytes that the latest round had to read when it began
    objects    BIGINT NOT NULL DEFAULT 0,            -- that it has read
    bytes      BIGINT NOT NULL DEFAULT 0,            -- of these
    tenant     TEXT COLLATE "C" NOT NULL DEFAULT '', -- with the next two: the last object that it has read
    day        TEXT COLLATE "C" NOT NULL DEFAULT '',
    object_key TEXT COLLATE "C" NOT NULL DEFAULT '',
    token      TEXT,                                 -- of the worker that reads
    lease_us   BIGINT                                -- when its claim lapses unless it is renewed
);

-- Objects whose bytes are gone, changed or unreadable, until they are right again.
CREATE TABLE faults (
    kind       TEXT COLLATE "C" NOT NULL, -- recording, archive
    tenant     TEXT COLLATE "C" NOT NULL,
    object_key TEXT COLLATE "C" NOT NULL,
    day        TEXT COLLATE "C" NOT NULL, -- of the recording or archive
    hour       INT NOT NULL,
    reason     TEXT NOT NULL,             -- not_found, size_changed, checksum_mismatch, unreadable
    first_us   BIGINT NOT NULL,           -- when it was found
    checked_us BIGINT NOT NULL,           -- when it was last looked at; 0: look at once
    PRIMARY KEY (kind, tenant, object_key)
);
CREATE INDEX faults_checked ON faults (checked_us);
CREATE INDEX faults_hour ON faults (tenant, day, hour);
