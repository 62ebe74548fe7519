-- +goose Up
-- Bytes that the continuations of a counted download have sent or may be sending.
ALTER TABLE window_uses ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;

-- What the audit log tells once an hour, however often it happens.
CREATE TABLE audit_once (
    hour INTEGER NOT NULL, -- whole hours since 1970, UTC
    sum  BLOB NOT NULL,   -- SHA-256 of what happened: tenant, actor, action and subject
    PRIMARY KEY (hour, sum)
);
