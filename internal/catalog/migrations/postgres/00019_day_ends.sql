-- +goose Up
-- What a day lacked when it ended, and tenants whose past days need a backfill.

ALTER TABLE tenants ADD COLUMN backfill INT NOT NULL DEFAULT 1; -- raised when more past days are to be planned; 0 once they are
ALTER TABLE days ADD COLUMN unbuilt INT; -- hours with recordings in no archive when the day ended; null before

-- +goose Down
ALTER TABLE days DROP COLUMN unbuilt;
ALTER TABLE tenants DROP COLUMN backfill;
