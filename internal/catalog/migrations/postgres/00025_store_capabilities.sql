-- +goose Up
-- What the object store was tried for, and whether it can do it. Roles use this instead of trying again.

CREATE TABLE store_capabilities (
    endpoint   TEXT COLLATE "C" NOT NULL, -- URL; "embedded" for the store of standalone
    bucket     TEXT COLLATE "C" NOT NULL,
    capability TEXT COLLATE "C" NOT NULL,
    has        BOOLEAN NOT NULL,
    saw        TEXT NOT NULL, -- what was seen instead; "" when it has it
    tried_us   BIGINT NOT NULL,
    PRIMARY KEY (endpoint, bucket, capability)
);

-- +goose Down
DROP TABLE store_capabilities;
