-- +goose Up
-- Key prefixes of deleted tenants. Objects under them may have stayed in the recordings bucket, so
-- nobody may name keys under them.
CREATE TABLE left_prefixes (
    key_prefix TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    left_us    INTEGER NOT NULL
) WITHOUT ROWID;
