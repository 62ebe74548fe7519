-- +goose Up
-- For queries that run every few seconds: tenants that need a backfill, and days that were cut short.

CREATE INDEX tenants_backfill ON tenants (id) WHERE backfill > 0 AND recordings;
CREATE INDEX days_short ON days (expired_us)
    WHERE expired_us IS NOT NULL AND (planned_us IS NULL OR n_pending > 0 OR n_failed > 0 OR unbuilt > 0);

-- +goose Down
DROP INDEX days_short;
DROP INDEX tenants_backfill;
