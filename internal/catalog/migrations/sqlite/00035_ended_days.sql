-- +goose Up
-- What a day was when it ended. Programs before this step end days without it.
ALTER TABLE days ADD COLUMN ended_us INTEGER;       -- the expired_us that the other two tell of; NULL or another one: nothing was kept
ALTER TABLE days ADD COLUMN ended_missing INTEGER;  -- recordings that the archives served at the end lacked
ALTER TABLE days ADD COLUMN ended_lacking INTEGER;  -- available hours that lacked recordings at the end, or waited for a newer revision
ALTER TABLE hours ADD COLUMN ended_state TEXT;      -- pending, available, no_data or failed
ALTER TABLE hours ADD COLUMN ended_files INTEGER;   -- in its archive
ALTER TABLE hours ADD COLUMN ended_missing INTEGER; -- recordings that its archive lacked
ALTER TABLE hours ADD COLUMN ended_unbuilt BOOLEAN; -- it had recordings in no archive

-- Days that are or ended incomplete, and those that are not over yet.
CREATE INDEX days_incomplete ON days (tenant, day)
    WHERE planned_us IS NULL OR n_pending > 0 OR n_failed > 0 OR unbuilt > 0 OR ended_missing > 0;

-- Hours whose last attempt failed and that are tried again.
CREATE INDEX hours_tried ON hours (failed_us) WHERE failed_us IS NOT NULL AND state <> 'failed' AND state <> 'expired';
