-- +goose Up
-- Finds whose turns are to be counted again.

CREATE INDEX conversations_uncounted ON conversations (start_us)
    WHERE transcript_turns IS NOT NULL AND transcript_counted IS DISTINCT FROM line_hash;

-- +goose Down
DROP INDEX conversations_uncounted;
