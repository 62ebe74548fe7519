-- +goose Up
-- Find whose prefix an object key begins with.

CREATE INDEX tenants_key_prefix ON tenants (key_prefix) WHERE key_prefix <> '';
CREATE INDEX tenants_key_prefix_wanted ON tenants (key_prefix_wanted) WHERE key_prefix_wanted <> '';

-- +goose Down
DROP INDEX tenants_key_prefix_wanted;
DROP INDEX tenants_key_prefix;
