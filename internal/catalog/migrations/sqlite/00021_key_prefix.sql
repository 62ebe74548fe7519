-- +goose Up
-- The prefix of the object keys that are one tenant's alone.

ALTER TABLE tenants ADD COLUMN key_prefix TEXT NOT NULL DEFAULT ''; -- '' is none

-- +goose Down
ALTER TABLE tenants DROP COLUMN key_prefix;
