-- +goose Up
-- The prefix of object keys that only this tenant may use.

ALTER TABLE tenants ADD COLUMN key_prefix TEXT COLLATE "C" NOT NULL DEFAULT ''; -- '' is none
ALTER TABLE tenants ADD COLUMN key_prefix_pending TEXT COLLATE "C" NOT NULL DEFAULT ''; -- the next prefix, while others' keys under it are counted

-- +goose Down
ALTER TABLE tenants DROP COLUMN key_prefix_pending;
ALTER TABLE tenants DROP COLUMN key_prefix;
