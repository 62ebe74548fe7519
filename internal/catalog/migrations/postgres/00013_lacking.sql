-- +goose NO TRANSACTION
-- +goose Up
-- What days lack although their hours are served: missing files, and newer revisions. Such archives and
-- hours are few, however long the history, so the calendar reads them beside the days' own counts.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS archives_lacking; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY archives_lacking ON archives (tenant, day, missing_count) WHERE state = 'published' AND missing_count > 0;
DROP INDEX CONCURRENTLY IF EXISTS hours_rebuilding; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY hours_rebuilding ON hours (tenant, day) WHERE archive IS NOT NULL AND wanted <> built;

-- +goose Down
DROP INDEX hours_rebuilding;
DROP INDEX archives_lacking;
