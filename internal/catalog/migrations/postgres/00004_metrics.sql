-- +goose Up
-- What is counted every few seconds: days and archives that need a hand, however long the history.

CREATE INDEX days_unsettled ON days (day, tenant) WHERE (n_pending > 0 OR n_failed > 0) AND expired_us IS NULL;
CREATE INDEX days_cut_short ON days (expired_us) WHERE expired_us IS NOT NULL AND (planned_us IS NULL OR n_pending > 0 OR n_failed > 0);
CREATE INDEX archives_missing ON archives (object_key, missing_count) WHERE state = 'published' AND missing_count > 0;

-- +goose Down
DROP INDEX archives_missing;
DROP INDEX days_cut_short;
DROP INDEX days_unsettled;
