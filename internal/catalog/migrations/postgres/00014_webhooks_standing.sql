-- +goose NO TRANSACTION
-- +goose Up
-- What is counted every few seconds: deliveries that keep failing or were given up, however many arrived.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_failing; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY webhook_deliveries_failing ON webhook_deliveries (endpoint) WHERE state = 'pending' AND tries > 2;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_given_up; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY webhook_deliveries_given_up ON webhook_deliveries (last_us, endpoint) WHERE state = 'failed';

-- +goose Down
DROP INDEX webhook_deliveries_given_up;
DROP INDEX webhook_deliveries_failing;
