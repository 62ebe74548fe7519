-- +goose Up
-- The seals of days. Their texts are leaves of the log.
CREATE TABLE day_seals (
    tenant    TEXT NOT NULL,
    day       TEXT NOT NULL,    -- YYYY-MM-DD, UTC
    record    INTEGER NOT NULL, -- id in log_records
    sealed_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, record)
) WITHOUT ROWID;
ALTER TABLE days ADD COLUMN seal INTEGER; -- record of the newest seal; NULL: the day needs another one once no hour is pending

-- A new revision needs a seal. Programs before this step make none.
-- +goose StatementBegin
CREATE TRIGGER day_unsealed AFTER UPDATE OF revision ON hours WHEN NEW.revision <> OLD.revision
BEGIN
    UPDATE days SET seal = NULL WHERE tenant = NEW.tenant AND day = NEW.day AND seal IS NOT NULL;
END;
-- +goose StatementEnd

-- Days that need a seal.
CREATE INDEX days_unsealed ON days (day, tenant) WHERE seal IS NULL AND completed_us IS NOT NULL AND n_pending = 0 AND expired_us IS NULL;
