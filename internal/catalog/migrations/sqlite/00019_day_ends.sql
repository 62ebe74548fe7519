-- +goose Up
-- What a day lacked when it ended, and tenants of which more days are to be planned.

ALTER TABLE tenants ADD COLUMN grown INTEGER NOT NULL DEFAULT 1; -- raised when more of the tenant's days are to be planned; 0 once they are
ALTER TABLE days ADD COLUMN unbuilt INTEGER; -- hours of which something was in no archive when the day ended; null before

-- +goose Down
ALTER TABLE days DROP COLUMN unbuilt;
ALTER TABLE tenants DROP COLUMN grown;
