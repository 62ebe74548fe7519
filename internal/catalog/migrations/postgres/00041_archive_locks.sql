-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE archives
    ADD COLUMN IF NOT EXISTS version_id TEXT,         -- of its object, where the bucket keeps versions
    ADD COLUMN IF NOT EXISTS locked_until_us BIGINT,  -- until when the store locks the object; while it is written: would lock it
    ADD COLUMN IF NOT EXISTS lock_short BOOLEAN NOT NULL DEFAULT FALSE; -- when it was last checked, it was locked for less long than its day is kept

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits

DROP INDEX CONCURRENTLY IF EXISTS archives_lock_short;
CREATE INDEX CONCURRENTLY archives_lock_short ON archives (object_key) WHERE lock_short;
-- Archives that only a hold keeps, by the end of their lock.
DROP INDEX CONCURRENTLY IF EXISTS archives_held;
CREATE INDEX CONCURRENTLY archives_held ON archives (coalesce(locked_until_us, 0)) WHERE state IN ('superseded', 'retained') AND delete_after_us IS NULL;
