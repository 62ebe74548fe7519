-- +goose Up
-- Days that need a hand: few, however long the history.

CREATE INDEX days_failed ON days (day, tenant) WHERE n_failed > 0 AND expired_us IS NULL;

-- +goose Down
DROP INDEX days_failed;
