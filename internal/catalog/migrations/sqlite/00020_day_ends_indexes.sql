-- +goose Up
-- What is looked for every second and every few seconds: tenants with days to plan, and days that ended too early.

CREATE INDEX tenants_grown ON tenants (id) WHERE grown > 0 AND recordings;
CREATE INDEX days_short ON days (expired_us)
    WHERE expired_us IS NOT NULL AND (planned_us IS NULL OR n_pending > 0 OR n_failed > 0 OR unbuilt > 0);

-- +goose Down
DROP INDEX days_short;
DROP INDEX tenants_grown;
