-- +goose NO TRANSACTION
-- +goose Up
-- What is counted every few seconds: days and archives that need a hand, however long the history.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS days_unsettled; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY days_unsettled ON days (day, tenant) WHERE (n_pending > 0 OR n_failed > 0) AND expired_us IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS days_cut_short; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY days_cut_short ON days (expired_us) WHERE expired_us IS NOT NULL AND (planned_us IS NULL OR n_pending > 0 OR n_failed > 0);
DROP INDEX CONCURRENTLY IF EXISTS archives_missing; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY archives_missing ON archives (object_key, missing_count) WHERE state = 'published' AND missing_count > 0;

-- +goose Down
DROP INDEX archives_missing;
DROP INDEX days_cut_short;
DROP INDEX days_unsettled;
