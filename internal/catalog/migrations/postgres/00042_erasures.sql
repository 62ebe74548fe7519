-- +goose Up
-- Raised by every conversation that is erased. Whoever takes lines in compares it.
ALTER TABLE tenants ADD COLUMN erased BIGINT NOT NULL DEFAULT 0;

-- Orders to erase conversations. Each is also an object in the archives bucket, which outlives a
-- catalog that is restored from an older backup.
CREATE TABLE erasures (
    id         TEXT COLLATE "C" PRIMARY KEY, -- ascending
    tenant     TEXT COLLATE "C" NOT NULL,
    state      TEXT NOT NULL,                -- repeating or asked, hiding, rebuilding, deleting, proven
    reason     TEXT NOT NULL,
    asked_by   TEXT NOT NULL,                -- the actor, as of the audit log
    asked_us   BIGINT NOT NULL,
    hidden_us  BIGINT,                       -- when nothing of it was given to tenants any more
    gone_us    BIGINT,                       -- when the last copy went
    proven_us  BIGINT,
    waits_us   BIGINT,                       -- of a proven one: when the last lock of a copy ends; NULL where none is left
    blocked    TEXT,                         -- the hold that it waits for
    counts     TEXT NOT NULL DEFAULT '{}',   -- JSON: what was removed until now
    proof      TEXT                          -- JSON
);
CREATE INDEX erasures_tenant ON erasures (tenant, id);
CREATE INDEX erasures_open ON erasures (asked_us) WHERE proven_us IS NULL;
CREATE INDEX erasures_waiting ON erasures (waits_us) WHERE waits_us IS NOT NULL;

-- The conversations of an order.
CREATE TABLE erasure_targets (
    erasure         TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C" NOT NULL,
    removed_us      BIGINT, -- when its rows went
    PRIMARY KEY (erasure, conversation_id)
);

-- The hours that had something of it.
CREATE TABLE erasure_hours (
    erasure TEXT COLLATE "C" NOT NULL,
    day     TEXT COLLATE "C" NOT NULL,
    hour    INT NOT NULL,
    PRIMARY KEY (erasure, day, hour)
);

-- The objects that hold something of it, until the proof says what became of them.
CREATE TABLE erasure_objects (
    erasure         TEXT COLLATE "C" NOT NULL,
    archive         BOOLEAN NOT NULL, -- in the archives bucket; else in that of recordings
    key             TEXT COLLATE "C" NOT NULL,
    size            BIGINT,           -- bytes; NULL where it is not known
    sha256          BYTEA,            -- NULL where it is not known
    left_us         BIGINT,           -- it is not callvault's to delete: it was left to the platform
    gone_us         BIGINT,
    locked_until_us BIGINT,           -- until then the store's lock keeps it
    PRIMARY KEY (erasure, archive, key)
);
CREATE INDEX erasure_objects_object ON erasure_objects (key);

-- Which conversations and object keys are erased, as keyed hashes. Their lines may come again.
CREATE TABLE erased (
    tenant TEXT COLLATE "C" NOT NULL,
    sum    BYTEA NOT NULL, -- HMAC-SHA-256 of the conversation's id, or of the object key
    PRIMARY KEY (tenant, sum)
);

-- How many recordings were erased, for the control totals.
CREATE TABLE erased_recordings (
    tenant     TEXT COLLATE "C" NOT NULL,
    day        TEXT COLLATE "C" NOT NULL,
    hour       INT NOT NULL,
    recordings BIGINT NOT NULL,
    PRIMARY KEY (tenant, day, hour)
);
