-- +goose Up
-- Objects that stayed in the recordings bucket when their recordings ended or were erased, because
-- callvault did not write them. Nobody but their tenant may name their keys, also after the tenant
-- was deleted.
CREATE TABLE left_objects (
    key     TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL,
    left_us INTEGER NOT NULL
) WITHOUT ROWID;
