-- +goose Up
-- Raised by every disabling; links that name a lower one are void.
ALTER TABLE api_keys ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
