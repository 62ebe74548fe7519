-- +goose Up
-- Who asks for an hour may be traced: its build belongs to that trace, whoever dispatches it, and when.

ALTER TABLE hours ADD COLUMN trace TEXT; -- W3C traceparent; null once the hour is claimed

-- +goose Down
ALTER TABLE hours DROP COLUMN trace;
