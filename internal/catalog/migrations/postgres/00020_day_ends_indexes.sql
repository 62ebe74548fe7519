-- +goose NO TRANSACTION
-- +goose Up
-- For queries that run every few seconds: tenants that need a backfill, and days that were cut short.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS tenants_backfill; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY tenants_backfill ON tenants (id) WHERE backfill > 0 AND recordings;
DROP INDEX CONCURRENTLY IF EXISTS days_short; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY days_short ON days (expired_us)
    WHERE expired_us IS NOT NULL AND (planned_us IS NULL OR n_pending > 0 OR n_failed > 0 OR unbuilt > 0);

-- +goose Down
DROP INDEX days_short;
DROP INDEX tenants_backfill;
