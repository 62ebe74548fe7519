-- +goose Up
-- Source data that ends by its tenant's retention, and tenants that close.
ALTER TABLE tenants ADD COLUMN source_retention_days INTEGER NOT NULL DEFAULT 0; -- how old conversations become; 0: they never end
ALTER TABLE tenants ADD COLUMN ends_from_us INTEGER; -- until then none ends by that; NULL: no such time
ALTER TABLE tenants ADD COLUMN closed_us INTEGER;                                -- when it was closed; NULL: it is open

-- When the key was first named. It tells the row from a later one of the same key. NULL for rows
-- that a program before this step wrote.
ALTER TABLE objects ADD COLUMN named_us INTEGER;

-- Ids of tenants that were deleted. They are never used again.
CREATE TABLE retired_tenants (
    id         TEXT PRIMARY KEY,
    retired_us INTEGER NOT NULL
);

-- Conversations that have ended and have too many messages or recordings for one transaction. Their
-- own rows are gone, and nobody may read or name them until the rest is gone too.
CREATE TABLE endings (
    tenant          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    ended_us        INTEGER NOT NULL,
    PRIMARY KEY (tenant, conversation_id)
);

-- Whose own recording an object is.
CREATE INDEX conversations_recording ON conversations (recording_key) WHERE recording_key IS NOT NULL;

-- Uploads that no recording's line has named.
CREATE INDEX objects_unnamed ON objects (tenant, key) WHERE day IS NULL;

CREATE INDEX tenants_ends ON tenants (id) WHERE source_retention_days > 0;
