-- +goose Up
-- Finds the prefixes that an object key begins with.

CREATE INDEX tenants_key_prefix ON tenants (key_prefix) WHERE key_prefix <> '';
CREATE INDEX tenants_key_prefix_pending ON tenants (key_prefix_pending) WHERE key_prefix_pending <> '';

-- +goose Down
DROP INDEX tenants_key_prefix_pending;
DROP INDEX tenants_key_prefix;
