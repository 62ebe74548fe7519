-- +goose Up
-- Raised by every conversation that is erased. Whoever takes lines in compares it.
ALTER TABLE tenants ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;

-- Orders to erase conversations. Each is also an object in the archives bucket, which outlives a
-- catalog that is restored from an older backup.
CREATE TABLE erasures (
    id         TEXT PRIMARY KEY,           -- ascending
    tenant     TEXT NOT NULL,
    state      TEXT NOT NULL,              -- repeating or asked, hiding, rebuilding, deleting, proven
    reason     TEXT NOT NULL,
    asked_by   TEXT NOT NULL,              -- the actor, as of the audit log
    asked_us   INTEGER NOT NULL,
    hidden_us  INTEGER,                    -- when nothing of it was given to tenants any more
    gone_us    INTEGER,                    -- when the last copy went
    proven_us  INTEGER,
    waits_us   INTEGER,                    -- of a proven one: when the last lock of a copy ends; NULL where none is left
    blocked    TEXT,                       -- the hold that it waits for
    counts     TEXT NOT NULL DEFAULT '{}', -- JSON: what was removed until now
    proof      TEXT                        -- JSON
);
CREATE INDEX erasures_tenant ON erasures (tenant, id);
CREATE INDEX erasures_open ON erasures (asked_us) WHERE proven_us IS NULL;
CREATE INDEX erasures_waiting ON erasures (waits_us) WHERE waits_us IS NOT NULL;

-- The conversations of an order.
CREATE TABLE erasure_targets (
    erasure         TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    removed_us      INTEGER, -- when its rows went
    PRIMARY KEY (erasure, conversation_id)
);

-- The hours that had something of it.
CREATE TABLE erasure_hours (
    erasure TEXT NOT NULL,
    day     TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    PRIMARY KEY (erasure, day, hour)
);

-- The objects that hold something of it, until the proof says what became of them.
CREATE TABLE erasure_objects (
    erasure         TEXT NOT NULL,
    archive         BOOLEAN NOT NULL, -- in the archives bucket; else in that of recordings
    key             TEXT NOT NULL,
    size            INTEGER,          -- bytes; NULL where it is not known
    sha256          BLOB,             -- NULL where it is not known
    left_us         INTEGER,          -- it is not callvault's to delete: it was left to the platform
    gone_us         INTEGER,
    locked_until_us INTEGER,          -- until then the store's lock keeps it
    PRIMARY KEY (erasure, archive, key)
);
CREATE INDEX erasure_objects_object ON erasure_objects (key);

-- Which conversations and object keys are erased, as keyed hashes. Their lines may come again.
CREATE TABLE erased (
    tenant TEXT NOT NULL,
    sum    BLOB NOT NULL, -- HMAC-SHA-256 of the conversation's id, or of the object key
    PRIMARY KEY (tenant, sum)
);

-- How many recordings were erased, for the control totals.
CREATE TABLE erased_recordings (
    tenant     TEXT NOT NULL,
    day        TEXT NOT NULL,
    hour       INTEGER NOT NULL,
    recordings INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, hour)
);
