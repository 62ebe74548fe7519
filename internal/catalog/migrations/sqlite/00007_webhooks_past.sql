-- +goose Up
-- What was told, in a way, before anybody could be told: days that are complete, hours that failed.

UPDATE days SET whole_us = completed_us WHERE n_pending = 0 AND n_failed = 0 AND whole_us IS NULL;
UPDATE days SET told_failed = n_failed WHERE completed_us IS NOT NULL AND n_pending = 0 AND told_failed = 0;

-- +goose Down
SELECT 1;
