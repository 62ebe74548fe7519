-- +goose Up
-- The prefix of the object keys that are one tenant's alone.

ALTER TABLE tenants ADD COLUMN key_prefix TEXT NOT NULL DEFAULT ''; -- '' is none
ALTER TABLE tenants ADD COLUMN key_prefix_wanted TEXT NOT NULL DEFAULT ''; -- what it is to become, while the keys inside are counted

-- +goose Down
ALTER TABLE tenants DROP COLUMN key_prefix_wanted;
ALTER TABLE tenants DROP COLUMN key_prefix;
