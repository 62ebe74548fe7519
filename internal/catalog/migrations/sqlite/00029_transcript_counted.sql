-- +goose Up
-- Says by which line the turns of a transcript were counted under today's rules. Where that is not the
-- line that stands, former rules counted them, and they are counted again.

ALTER TABLE conversations ADD COLUMN transcript_counted BLOB; -- the line_hash; NULL while former rules hold

-- +goose Down
ALTER TABLE conversations DROP COLUMN transcript_counted;
