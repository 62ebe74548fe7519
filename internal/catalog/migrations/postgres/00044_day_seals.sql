-- +goose NO TRANSACTION
-- +goose Up
-- The seals of days. Their texts are leaves of the log.
CREATE TABLE IF NOT EXISTS day_seals (
    tenant    TEXT COLLATE "C" NOT NULL,
    day       TEXT COLLATE "C" NOT NULL, -- YYYY-MM-DD, UTC
    record    BIGINT NOT NULL,           -- id in log_records
    sealed_us BIGINT NOT NULL,
    PRIMARY KEY (tenant, day, record)
);
ALTER TABLE days
    ADD COLUMN IF NOT EXISTS seal BIGINT; -- record of the newest seal; NULL: the day needs another one once no hour is pending

-- A new revision needs a seal. Programs before this step make none.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION day_unsealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE days SET seal = NULL WHERE tenant = NEW.tenant AND day = NEW.day AND seal IS NOT NULL;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE OR REPLACE TRIGGER day_unsealed AFTER UPDATE OF revision ON hours
    FOR EACH ROW WHEN (NEW.revision <> OLD.revision) EXECUTE FUNCTION day_unsealed();

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits

-- Days that need a seal.
DROP INDEX CONCURRENTLY IF EXISTS days_unsealed;
CREATE INDEX CONCURRENTLY days_unsealed ON days (day, tenant) WHERE seal IS NULL AND completed_us IS NOT NULL AND n_pending = 0 AND expired_us IS NULL;
