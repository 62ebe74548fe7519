-- +goose Up
-- What the object store was tried for, and whether it can do it. Roles use this instead of trying again.

CREATE TABLE store_capabilities (
    endpoint   TEXT NOT NULL, -- URL; "embedded" for the store of standalone
    bucket     TEXT NOT NULL,
    capability TEXT NOT NULL,
    has        BOOLEAN NOT NULL,
    saw        TEXT NOT NULL, -- what was seen instead; "" when it has it
    tried_us   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, bucket, capability)
);

-- +goose Down
DROP TABLE store_capabilities;
