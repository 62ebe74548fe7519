-- +goose Up
ALTER TABLE archives ADD COLUMN deletion_told BOOLEAN NOT NULL DEFAULT FALSE; -- the audit log says that its bytes go
ALTER TABLE archives ADD COLUMN suspect BOOLEAN NOT NULL DEFAULT FALSE; -- its object has another ETag than was written: the patrol reads it next

CREATE INDEX archives_suspect ON archives (object_key) WHERE suspect;
