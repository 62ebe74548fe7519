-- +goose Up
-- The log: one Merkle tree (RFC 6962) over all audit lines, and over records such as seals of days.

-- What waits for its number. A trigger puts each audit line here, so that lines of programs before
-- this step are covered.
CREATE TABLE log_queue (
    kind TEXT NOT NULL,                  -- line or that of a row of log_records
    ref  INTEGER NOT NULL,               -- audit.seq or log_records.id
    gone BOOLEAN NOT NULL DEFAULT FALSE, -- the sealer found no such row: somebody took it away before it had a number
    PRIMARY KEY (kind, ref)
) WITHOUT ROWID;
CREATE INDEX log_queue_gone ON log_queue (ref) WHERE gone;

-- Leaves of the log that are not audit lines.
CREATE TABLE log_records (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, -- seal
    data TEXT NOT NULL  -- the leaf's data
);
-- +goose StatementBegin
CREATE TRIGGER log_records_stand_update BEFORE UPDATE ON log_records
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_records_stand_delete BEFORE DELETE ON log_records
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE deletes without the triggers of a deletion, so that an insertion may not name
-- its id.
-- +goose StatementBegin
CREATE TRIGGER log_records_stand_insert BEFORE INSERT ON log_records WHEN NEW.id >= 0
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd

-- Which row each leaf is of. A leaf whose row was lost, by the restore of a backup, has neither
-- kind nor ref.
CREATE TABLE log_leaves (
    n    INTEGER PRIMARY KEY, -- from 0
    ref  INTEGER,
    kind TEXT,
    UNIQUE (kind, ref)
);

-- Leaves that were adopted from the bucket and whose rows are not known (yet).
CREATE TABLE log_adopted (
    hash BLOB PRIMARY KEY, -- of the leaf
    n    INTEGER NOT NULL
);

-- The tree's hashes, in tiles of 256 as in the bucket (c2sp.org/tlog-tiles). The last tile of each
-- level grows.
CREATE TABLE log_tiles (
    level  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, n)
);

-- The signed checkpoints, as they are in the bucket.
CREATE TABLE log_checkpoints (
    n     INTEGER PRIMARY KEY, -- from 1
    size  INTEGER NOT NULL,    -- leaves
    root  BLOB NOT NULL,
    note  TEXT NOT NULL,       -- c2sp.org/tlog-checkpoint, signed
    at_us INTEGER NOT NULL     -- when it was recorded here
);

-- The public keys that have signed checkpoints. They stay for ever; the private ones are in keys.
CREATE TABLE log_keys (
    id         TEXT PRIMARY KEY, -- as in keys
    verifier   TEXT NOT NULL,    -- c2sp.org/signed-note
    created_us INTEGER NOT NULL,
    retired_us INTEGER           -- NULL for the one that signs
);

CREATE TABLE log_state (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    token           INTEGER NOT NULL DEFAULT 0, -- raised by each sealer that takes over; a former one can write nothing
    lease_us        INTEGER NOT NULL DEFAULT 0, -- until when the present one may be waited for
    size            INTEGER NOT NULL DEFAULT 0, -- leaves with a number
    checkpoint      INTEGER NOT NULL DEFAULT 0, -- the newest one known to be in the bucket
    checkpoint_size INTEGER NOT NULL DEFAULT 0, -- its leaves
    checkpoint_us   INTEGER NOT NULL DEFAULT 0, -- when it was recorded
    tiled           INTEGER NOT NULL DEFAULT 0, -- leaves whose full tiles are in the bucket
    backfilled      INTEGER NOT NULL DEFAULT 0, -- of the audit lines before this step, the last one with a number
    backfill_to     INTEGER NOT NULL            -- the last one before this step
);

-- +goose StatementBegin
CREATE TRIGGER log_queue_line AFTER INSERT ON audit
BEGIN
    INSERT INTO log_queue (kind, ref) VALUES ('line', NEW.seq);
END;
-- +goose StatementEnd

INSERT INTO log_state (one, backfill_to) SELECT 1, coalesce(max(seq), 0) FROM audit;
