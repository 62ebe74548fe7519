-- +goose NO TRANSACTION
-- +goose Up
SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits

-- Recordings that corrections took from a conversation.
DROP INDEX CONCURRENTLY IF EXISTS corrected_recordings_conversation;
CREATE INDEX CONCURRENTLY corrected_recordings_conversation ON corrected_recordings (tenant, conversation_id);
