-- +goose NO TRANSACTION
-- +goose Up
-- Source data that ends by its tenant's retention, and tenants that close.
ALTER TABLE tenants
    ADD COLUMN IF NOT EXISTS source_retention_days INT NOT NULL DEFAULT 0, -- how old conversations become; 0: they never end
    ADD COLUMN IF NOT EXISTS ends_from_us BIGINT, -- until then none ends by that; NULL: no such time
    ADD COLUMN IF NOT EXISTS closed_us BIGINT;                             -- when it was closed; NULL: it is open

-- When the key was first named. It tells the row from a later one of the same key. NULL for rows
-- that a program before this step wrote.
ALTER TABLE objects ADD COLUMN IF NOT EXISTS named_us BIGINT;

-- Ids of tenants that were deleted. They are never used again.
CREATE TABLE IF NOT EXISTS retired_tenants (
    id         TEXT COLLATE "C" PRIMARY KEY,
    retired_us BIGINT NOT NULL
);

-- Conversations that have ended and have too many messages or recordings for one transaction. Their
-- own rows are gone, and nobody may read or name them until the rest is gone too.
CREATE TABLE IF NOT EXISTS endings (
    tenant          TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C" NOT NULL,
    ended_us        BIGINT NOT NULL,
    PRIMARY KEY (tenant, conversation_id)
);

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits

-- Whose own recording an object is.
DROP INDEX CONCURRENTLY IF EXISTS conversations_recording;
CREATE INDEX CONCURRENTLY conversations_recording ON conversations (recording_key) WHERE recording_key IS NOT NULL;

-- Uploads that no recording's line has named.
DROP INDEX CONCURRENTLY IF EXISTS objects_unnamed;
CREATE INDEX CONCURRENTLY objects_unnamed ON objects (tenant, key) WHERE day IS NULL;

DROP INDEX CONCURRENTLY IF EXISTS tenants_ends;
CREATE INDEX CONCURRENTLY tenants_ends ON tenants (id) WHERE source_retention_days > 0;
