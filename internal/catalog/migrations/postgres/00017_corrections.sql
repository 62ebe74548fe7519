-- +goose Up
-- Operators correct recordings that were registered wrongly. The line that registered one may come
-- again: what it said stays known.

CREATE TABLE corrected_recordings (
    object_key      TEXT COLLATE "C" PRIMARY KEY,
    tenant          TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C" NOT NULL,
    session_id      TEXT COLLATE "C" NOT NULL,
    message_id      BIGINT NOT NULL,
    type            TEXT COLLATE "C" NOT NULL,
    ts_us           BIGINT NOT NULL,
    size            BIGINT,
    crc32           BIGINT
);

-- +goose Down
DROP TABLE corrected_recordings;
