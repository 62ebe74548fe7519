-- +goose NO TRANSACTION
-- +goose Up
-- What was told, in a way, before anybody could be told: days that are complete, hours that failed.
-- Tenant by tenant, so that no day is locked for long.

-- +goose StatementBegin
DO $$
DECLARE
    t RECORD;
BEGIN
    FOR t IN SELECT id FROM tenants LOOP
        UPDATE days SET whole_us = completed_us
            WHERE tenant = t.id AND n_pending = 0 AND n_failed = 0 AND completed_us IS NOT NULL AND whole_us IS NULL;
        UPDATE days SET told_failed = n_failed
            WHERE tenant = t.id AND completed_us IS NOT NULL AND n_pending = 0 AND n_failed > 0 AND told_failed = 0;
        COMMIT;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
