-- +goose Up
-- Why an hour has failed, file by file. It stands apart from the hour's row, which is written often.

CREATE TABLE failed_files (
    tenant  TEXT NOT NULL,
    day     TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    missing TEXT NOT NULL, -- JSON array: objectKey, messageId, reason
    PRIMARY KEY (tenant, day, hour)
);

-- +goose Down
DROP TABLE failed_files;
