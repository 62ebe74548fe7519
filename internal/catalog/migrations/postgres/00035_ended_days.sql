-- +goose NO TRANSACTION
-- +goose Up
-- What a day was when it ended. Programs before this step end days without it.
ALTER TABLE days
    ADD COLUMN IF NOT EXISTS ended_us BIGINT,       -- the expired_us that the other two tell of; NULL or another one: nothing was kept
    ADD COLUMN IF NOT EXISTS ended_missing INT,     -- recordings that the archives served at the end lacked
    ADD COLUMN IF NOT EXISTS ended_lacking INT;     -- available hours that lacked recordings at the end, or waited for a newer revision
ALTER TABLE hours
    ADD COLUMN IF NOT EXISTS ended_state TEXT,      -- pending, available, no_data or failed
    ADD COLUMN IF NOT EXISTS ended_files INT,       -- in its archive
    ADD COLUMN IF NOT EXISTS ended_missing INT,     -- recordings that its archive lacked
    ADD COLUMN IF NOT EXISTS ended_unbuilt BOOLEAN; -- it had recordings in no archive

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits

-- Days that are or ended incomplete, and those that are not over yet.
DROP INDEX CONCURRENTLY IF EXISTS days_incomplete;
CREATE INDEX CONCURRENTLY days_incomplete ON days (tenant, day)
    WHERE planned_us IS NULL OR n_pending > 0 OR n_failed > 0 OR unbuilt > 0 OR ended_missing > 0;

-- Hours whose last attempt failed and that are tried again.
DROP INDEX CONCURRENTLY IF EXISTS hours_tried;
CREATE INDEX CONCURRENTLY hours_tried ON hours (failed_us) WHERE failed_us IS NOT NULL AND state <> 'failed' AND state <> 'expired';
