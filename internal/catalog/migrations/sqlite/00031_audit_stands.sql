-- +goose Up
-- A line of the audit log can't be replaced either. REPLACE deletes without the triggers of a deletion, so the
-- insertion itself is refused: a line's number is always the database's. Before an insertion without a number it
-- is -1, hence the second look. The links of a day are inserted again and again, always the same under their sum.

-- +goose StatementBegin
CREATE TRIGGER audit_stands_insert BEFORE INSERT ON audit WHEN NEW.seq >= 0
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_stands_inserted AFTER INSERT ON audit WHEN NEW.seq < 1
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_insert BEFORE INSERT ON audit_links
    WHEN NEW.rowid >= 0 OR EXISTS (SELECT 1 FROM audit_links WHERE sum = NEW.sum AND links <> NEW.links)
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_inserted AFTER INSERT ON audit_links WHEN NEW.rowid < 1
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER audit_links_stand_inserted;
DROP TRIGGER audit_links_stand_insert;
DROP TRIGGER audit_stands_inserted;
DROP TRIGGER audit_stands_insert;
