-- +goose Up
-- BEFORE INSERT sees -1 for an id that is not named, so that it lets through ids below 0 that are.
-- +goose StatementBegin
CREATE TRIGGER log_records_stand_inserted AFTER INSERT ON log_records WHEN NEW.id < 1
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
