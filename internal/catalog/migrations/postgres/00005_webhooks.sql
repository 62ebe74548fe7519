-- +goose Up
-- Who is told of what happens to a tenant's days, and what became of telling it.

ALTER TABLE days ADD COLUMN whole_us BIGINT; -- when no hour was pending or failed, first since the day was opened
ALTER TABLE days ADD COLUMN told_failed INT NOT NULL DEFAULT 0; -- failed hours of which the tenant was told

CREATE TABLE webhook_endpoints (
    id               TEXT COLLATE "C" PRIMARY KEY,
    tenant           TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    url              TEXT NOT NULL,
    events           TEXT NOT NULL, -- types with a space between
    secret           BYTEA NOT NULL,
    encrypted        BOOLEAN NOT NULL,
    former           BYTEA, -- the secret before; it signs too until former_until_us
    former_encrypted BOOLEAN NOT NULL,
    former_until_us  BIGINT,
    disabled_us      BIGINT,
    disabled_reason  TEXT,
    created_us       BIGINT NOT NULL
);
CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant, id);

CREATE TABLE webhook_events ( -- written in the transaction that they tell of
    id         TEXT COLLATE "C" PRIMARY KEY, -- made of the cause, so that one cause is one event
    tenant     TEXT COLLATE "C" NOT NULL,
    type       TEXT NOT NULL,
    payload    TEXT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX webhook_events_age ON webhook_events (created_us);

CREATE TABLE webhook_deliveries ( -- one event to one endpoint
    id           TEXT COLLATE "C" PRIMARY KEY,
    event        TEXT COLLATE "C" NOT NULL,
    endpoint     TEXT COLLATE "C" NOT NULL,
    tenant       TEXT COLLATE "C" NOT NULL,
    type         TEXT NOT NULL,
    day          TEXT COLLATE "C", -- null for a test
    state        TEXT NOT NULL, -- pending, delivered, failed
    tries        INT NOT NULL DEFAULT 0, -- since it was made or replayed: its place in the schedule
    attempts     INT NOT NULL DEFAULT 0, -- ever
    next_us      BIGINT NOT NULL, -- when it may be taken: also the end of the lease of who has it
    token        TEXT, -- of who has it
    last_us      BIGINT,
    last_status  INT, -- null when no answer came
    last_error   TEXT,
    took_us      BIGINT,
    delivered_us BIGINT,
    created_us   BIGINT NOT NULL,
    UNIQUE (event, endpoint)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_us) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_held ON webhook_deliveries (tenant, next_us) WHERE token IS NOT NULL;
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (tenant, created_us, id);
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint, created_us, id);

CREATE TABLE webhook_attempts ( -- the latest of each delivery
    delivery TEXT COLLATE "C" NOT NULL,
    n        INT NOT NULL,
    at_us    BIGINT NOT NULL,
    status   INT,
    error    TEXT,
    took_us  BIGINT NOT NULL,
    PRIMARY KEY (delivery, n)
);

-- +goose Down
DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_events;
DROP TABLE webhook_endpoints;
ALTER TABLE days DROP COLUMN told_failed;
ALTER TABLE days DROP COLUMN whole_us;
