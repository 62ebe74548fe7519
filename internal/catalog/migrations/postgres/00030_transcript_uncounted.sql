-- +goose NO TRANSACTION
-- +goose Up
-- Finds whose turns are to be counted again.

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits
DROP INDEX CONCURRENTLY IF EXISTS conversations_uncounted; -- half made by a trial that broke off
CREATE INDEX CONCURRENTLY conversations_uncounted ON conversations (start_us)
    WHERE transcript_turns IS NOT NULL AND transcript_counted IS DISTINCT FROM line_hash;

-- +goose Down
DROP INDEX conversations_uncounted;
