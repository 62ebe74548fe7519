-- +goose Up
-- The identity of log_records takes no id that an insertion names. SQLite gets a trigger for that.
SELECT 1;
