-- +goose Up
-- Operators correct recordings that were registered wrongly. The line that registered one may come
-- again: what it said stays known.

CREATE TABLE corrected_recordings (
    object_key      TEXT PRIMARY KEY,
    tenant          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    session_id      TEXT NOT NULL,
    message_id      INTEGER NOT NULL,
    type            TEXT NOT NULL,
    ts_us           INTEGER NOT NULL,
    size            INTEGER,
    crc32           INTEGER
);

-- +goose Down
DROP TABLE corrected_recordings;
