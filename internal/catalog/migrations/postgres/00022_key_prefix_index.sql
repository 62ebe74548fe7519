-- +goose NO TRANSACTION
-- +goose Up
-- Finds whose prefix an object key begins with.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS tenants_key_prefix; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY tenants_key_prefix ON tenants (key_prefix) WHERE key_prefix <> '';

-- +goose Down
DROP INDEX tenants_key_prefix;
