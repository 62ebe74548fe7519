-- +goose NO TRANSACTION
-- +goose Up
-- Finds the prefixes that an object key begins with.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS tenants_key_prefix; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY tenants_key_prefix ON tenants (key_prefix) WHERE key_prefix <> '';
DROP INDEX CONCURRENTLY IF EXISTS tenants_key_prefix_pending; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY tenants_key_prefix_pending ON tenants (key_prefix_pending) WHERE key_prefix_pending <> '';

-- +goose Down
DROP INDEX tenants_key_prefix_pending;
DROP INDEX tenants_key_prefix;
