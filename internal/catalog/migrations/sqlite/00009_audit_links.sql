-- +goose Up
-- The links that a day's answers gave, once for all answers that gave the same.

CREATE TABLE audit_links (
    sum   BLOB PRIMARY KEY, -- SHA-256 of links
    links TEXT NOT NULL      -- JSON array
);

-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_update BEFORE UPDATE ON audit_links
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_delete BEFORE DELETE ON audit_links
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd

ALTER TABLE audit ADD COLUMN links BLOB; -- those that the line tells of; null when its detail says all

-- +goose Down
ALTER TABLE audit DROP COLUMN links;
DROP TABLE audit_links;
