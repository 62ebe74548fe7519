-- +goose Up
-- The log: one Merkle tree (RFC 6962) over all audit lines, and over records such as seals of days.

-- What waits for its number. A trigger puts each audit line here, so that lines of programs before
-- this step are covered.
CREATE TABLE log_queue (
    kind TEXT COLLATE "C" NOT NULL,      -- line or that of a row of log_records
    ref  BIGINT NOT NULL,                -- audit.seq or log_records.id
    gone BOOLEAN NOT NULL DEFAULT FALSE, -- the sealer found no such row: somebody took it away before it had a number
    PRIMARY KEY (kind, ref)
);
CREATE INDEX log_queue_gone ON log_queue (ref) WHERE gone;

-- Leaves of the log that are not audit lines.
CREATE TABLE log_records (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL, -- seal
    data TEXT NOT NULL              -- the leaf's data
);
CREATE TRIGGER log_records_stand BEFORE UPDATE OR DELETE ON log_records
    FOR EACH ROW EXECUTE FUNCTION audit_stands();
CREATE TRIGGER log_records_stand_truncate BEFORE TRUNCATE ON log_records
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();

-- Which row each leaf is of. A leaf whose row was lost, by the restore of a backup, has neither
-- kind nor ref.
CREATE TABLE log_leaves (
    n    BIGINT PRIMARY KEY, -- from 0
    ref  BIGINT,
    kind TEXT COLLATE "C",
    UNIQUE (kind, ref)
);

-- Leaves that were adopted from the bucket and whose rows are not known (yet).
CREATE TABLE log_adopted (
    hash BYTEA PRIMARY KEY, -- of the leaf
    n    BIGINT NOT NULL
);

-- The tree's hashes, in tiles of 256 as in the bucket (c2sp.org/tlog-tiles). The last tile of each
-- level grows.
CREATE TABLE log_tiles (
    level  INT NOT NULL,
    n      BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    PRIMARY KEY (level, n)
);

-- The signed checkpoints, as they are in the bucket.
CREATE TABLE log_checkpoints (
    n     BIGINT PRIMARY KEY, -- from 1
    size  BIGINT NOT NULL,    -- leaves
    root  BYTEA NOT NULL,
    note  TEXT NOT NULL,      -- c2sp.org/tlog-checkpoint, signed
    at_us BIGINT NOT NULL     -- when it was recorded here
);

-- The public keys that have signed checkpoints. They stay for ever; the private ones are in keys.
CREATE TABLE log_keys (
    id         TEXT COLLATE "C" PRIMARY KEY, -- as in keys
    verifier   TEXT NOT NULL,                -- c2sp.org/signed-note
    created_us BIGINT NOT NULL,
    retired_us BIGINT                        -- NULL for the one that signs
);

CREATE TABLE log_state (
    one             INT PRIMARY KEY CHECK (one = 1),
    token           BIGINT NOT NULL DEFAULT 0, -- raised by each sealer that takes over; a former one can write nothing
    lease_us        BIGINT NOT NULL DEFAULT 0, -- until when the present one may be waited for
    size            BIGINT NOT NULL DEFAULT 0, -- leaves with a number
    checkpoint      BIGINT NOT NULL DEFAULT 0, -- the newest one known to be in the bucket
    checkpoint_size BIGINT NOT NULL DEFAULT 0, -- its leaves
    checkpoint_us   BIGINT NOT NULL DEFAULT 0, -- when it was recorded
    tiled           BIGINT NOT NULL DEFAULT 0, -- leaves whose full tiles are in the bucket
    backfilled      BIGINT NOT NULL DEFAULT 0, -- of the audit lines before this step, the last one with a number
    backfill_to     BIGINT NOT NULL            -- the last one before this step
);

-- +goose StatementBegin
CREATE FUNCTION log_queue_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log_queue (kind, ref) VALUES ('line', NEW.seq);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER log_queue_line AFTER INSERT ON audit
    FOR EACH ROW EXECUTE FUNCTION log_queue_line();

-- The trigger's lock has let all insertions of before end, so every line is either up to this one
-- or in the queue.
INSERT INTO log_state (one, backfill_to) SELECT 1, coalesce(max(seq), 0) FROM audit;
