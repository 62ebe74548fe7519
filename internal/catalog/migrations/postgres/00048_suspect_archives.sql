-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE archives
    ADD COLUMN IF NOT EXISTS deletion_told BOOLEAN NOT NULL DEFAULT FALSE, -- the audit log says that its bytes go
    ADD COLUMN IF NOT EXISTS suspect BOOLEAN NOT NULL DEFAULT FALSE; -- its object has another ETag than was written: the patrol reads it next

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits

DROP INDEX CONCURRENTLY IF EXISTS archives_suspect;
CREATE INDEX CONCURRENTLY archives_suspect ON archives (object_key) WHERE suspect;
