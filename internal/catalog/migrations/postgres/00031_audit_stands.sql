-- +goose Up
-- The audit log can't be emptied at once either.

CREATE TRIGGER audit_stands_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_links_stand_truncate BEFORE TRUNCATE ON audit_links
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();

-- +goose Down
DROP TRIGGER audit_links_stand_truncate ON audit_links;
DROP TRIGGER audit_stands_truncate ON audit;
