-- +goose Up
-- Whoever lets days end looks at the clock first, and leaves behind what it saw: a clock that was
-- wrong at the start of a process cannot be told otherwise.

ALTER TABLE clock ADD COLUMN seen_us BIGINT NOT NULL DEFAULT 0; -- when a scheduler or sweeper last looked; 0: never

-- Days that had ended when a retention was raised stay ended, also those without a row.
ALTER TABLE tenants ADD COLUMN floor_us BIGINT NOT NULL DEFAULT 0; -- days over by then, and never named, are expired

-- +goose Down
ALTER TABLE tenants DROP COLUMN floor_us;
ALTER TABLE clock DROP COLUMN seen_us;
