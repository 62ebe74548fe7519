-- +goose Up
-- The links that a day's answers gave, once for all answers that gave the same.

CREATE TABLE audit_links (
    sum   BYTEA PRIMARY KEY, -- SHA-256 of links
    links TEXT NOT NULL      -- JSON array
);

CREATE TRIGGER audit_links_stand BEFORE UPDATE OR DELETE ON audit_links
    FOR EACH ROW EXECUTE FUNCTION audit_stands();

ALTER TABLE audit ADD COLUMN links BYTEA; -- those that the line tells of; null when its detail says all

-- +goose Down
ALTER TABLE audit DROP COLUMN links;
DROP TABLE audit_links;
