-- +goose Up
-- Key prefixes of deleted tenants. Objects under them may have stayed in the recordings bucket, so
-- nobody may name keys under them.
CREATE TABLE left_prefixes (
    key_prefix TEXT COLLATE "C" PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL,
    left_us    BIGINT NOT NULL
);
