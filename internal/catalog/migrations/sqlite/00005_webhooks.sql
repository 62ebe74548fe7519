-- +goose Up
-- Who is told of what happens to a tenant's days, and what became of telling it.

ALTER TABLE days ADD COLUMN whole_us INTEGER; -- when no hour was pending or failed, first since the day was opened
ALTER TABLE days ADD COLUMN told_failed INTEGER NOT NULL DEFAULT 0; -- failed hours of which the tenant was told

CREATE TABLE webhook_endpoints (
    id               TEXT PRIMARY KEY,
    tenant           TEXT NOT NULL REFERENCES tenants (id),
    url              TEXT NOT NULL,
    events           TEXT NOT NULL, -- types with a space between
    secret           BLOB NOT NULL,
    encrypted        BOOLEAN NOT NULL,
    former           BLOB, -- the secret before; it signs too until former_until_us
    former_encrypted BOOLEAN NOT NULL,
    former_until_us  INTEGER,
    disabled_us      INTEGER,
    disabled_reason  TEXT,
    created_us       INTEGER NOT NULL
);
CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant, id);

CREATE TABLE webhook_events ( -- written in the transaction that they tell of
    id         TEXT PRIMARY KEY, -- made of the cause, so that one cause is one event
    tenant     TEXT NOT NULL,
    type       TEXT NOT NULL,
    payload    TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX webhook_events_age ON webhook_events (created_us);

CREATE TABLE webhook_deliveries ( -- one event to one endpoint
    id           TEXT PRIMARY KEY,
    event        TEXT NOT NULL,
    endpoint     TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    type         TEXT NOT NULL,
    day          TEXT, -- null for a test
    state        TEXT NOT NULL, -- pending, delivered, failed
    tries        INTEGER NOT NULL DEFAULT 0, -- since it was made or replayed: its place in the schedule
    attempts     INTEGER NOT NULL DEFAULT 0, -- ever
    next_us      INTEGER NOT NULL, -- when it may be taken: also the end of the lease of who has it
    token        TEXT, -- of who has it
    last_us      INTEGER,
    last_status  INTEGER, -- null when no answer came
    last_error   TEXT,
    took_us      INTEGER,
    delivered_us INTEGER,
    created_us   INTEGER NOT NULL,
    UNIQUE (event, endpoint)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_us) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_held ON webhook_deliveries (tenant, next_us) WHERE token IS NOT NULL;
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (tenant, created_us, id);
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint, created_us, id);

CREATE TABLE webhook_attempts ( -- the latest of each delivery
    delivery TEXT NOT NULL,
    n        INTEGER NOT NULL,
    at_us    INTEGER NOT NULL,
    status   INTEGER,
    error    TEXT,
    took_us  INTEGER NOT NULL,
    PRIMARY KEY (delivery, n)
);

-- +goose Down
DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_events;
DROP TABLE webhook_endpoints;
ALTER TABLE days DROP COLUMN told_failed;
ALTER TABLE days DROP COLUMN whole_us;
