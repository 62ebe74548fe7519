-- +goose Up
-- Recordings that corrections took from a conversation.
CREATE INDEX corrected_recordings_conversation ON corrected_recordings (tenant, conversation_id);
