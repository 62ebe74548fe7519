-- +goose Up
-- Finds whose prefix an object key begins with.

CREATE INDEX tenants_key_prefix ON tenants (key_prefix) WHERE key_prefix <> '';

-- +goose Down
DROP INDEX tenants_key_prefix;
