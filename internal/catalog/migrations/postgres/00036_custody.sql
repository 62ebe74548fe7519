-- +goose Up
-- SHA-256 of recordings. A sum that callvault computed has the ETag of the object that it read;
-- one that was only told has none.
ALTER TABLE recordings
    ADD COLUMN sha256        BYTEA,
    ADD COLUMN sha256_origin TEXT,           -- who gave the sum first: line, upload, build, patrol or correction
    ADD COLUMN etag          TEXT;           -- of the object whose bytes callvault found to have the sum
ALTER TABLE objects
    ADD COLUMN sha256 BYTEA,                 -- of an upload
    ADD COLUMN etag   TEXT;                  -- of an upload, as the store answered it
ALTER TABLE corrected_recordings
    ADD COLUMN sha256 BYTEA;                 -- as the line told it
