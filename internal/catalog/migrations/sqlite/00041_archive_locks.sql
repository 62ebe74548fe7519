-- +goose Up
ALTER TABLE archives ADD COLUMN version_id TEXT;         -- of its object, where the bucket keeps versions
ALTER TABLE archives ADD COLUMN locked_until_us INTEGER; -- until when the store locks the object; while it is written: would lock it
ALTER TABLE archives ADD COLUMN lock_short BOOLEAN NOT NULL DEFAULT FALSE; -- when it was last checked, it was locked for less long than its day is kept

CREATE INDEX archives_lock_short ON archives (object_key) WHERE lock_short;
-- Archives that only a hold keeps, by the end of their lock.
CREATE INDEX archives_held ON archives (coalesce(locked_until_us, 0)) WHERE state IN ('superseded', 'retained') AND delete_after_us IS NULL;
