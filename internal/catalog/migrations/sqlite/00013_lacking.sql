-- +goose Up
-- What days lack although their hours are served: missing files, and newer revisions. Such archives and
-- hours are few, however long the history, so the calendar reads them beside the days' own counts.

CREATE INDEX archives_lacking ON archives (tenant, day, missing_count) WHERE state = 'published' AND missing_count > 0;
CREATE INDEX hours_rebuilding ON hours (tenant, day) WHERE archive IS NOT NULL AND wanted <> built;

-- +goose Down
DROP INDEX hours_rebuilding;
DROP INDEX archives_lacking;
