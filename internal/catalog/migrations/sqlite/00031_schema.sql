-- +goose Up
-- The whole schema as of step 31. The steps before it are folded into it: a catalog that took them
-- has this one, and every later change is a step of its own.
--
-- Columns named _us are times: UTC microseconds since 1970. A time that is NULL has not come.
-- Text keys are compared bytewise.
-- Rows are locked in this order: day, its hours, archives.

--------------------------------------------------------------------------------------------------
-- The installation: its clock, its schema, its object store
--------------------------------------------------------------------------------------------------

-- The one clock that decides about data, as the view catalog_clock reads it.
CREATE TABLE clock (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    offset_us       INTEGER NOT NULL DEFAULT 0, -- added to the database's clock; set by tests only
    deletions_after INTEGER NOT NULL DEFAULT 0, -- expiry and deletions pause until then; like _us
    seen_us         INTEGER NOT NULL DEFAULT 0  -- when a scheduler or sweeper last looked at the clock; 0: never
);
INSERT INTO clock (one) VALUES (1);

CREATE VIEW catalog_clock AS
SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000 + offset_us AS now_us
FROM clock;

-- A catalog without days has nothing that a wrong clock could end, so its clock is trusted at once.
UPDATE clock SET seen_us = (SELECT now_us FROM catalog_clock);

-- Which programs may work with this schema. A step that takes something away, or changes what
-- something means, sets oldest to the newest step that a program must know. Older programs then
-- refuse to start.
CREATE TABLE schema_support (
    one    INT PRIMARY KEY CHECK (one = 1),
    oldest BIGINT NOT NULL
);
INSERT INTO schema_support (one, oldest) VALUES (1, 0);

-- Which installation this catalog belongs to. The object {prefix}/installation of the archives
-- bucket names it too, so that no other installation writes the same keys.
CREATE TABLE installation (
    one INT PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL
);

-- What the object store was tried for, and whether it can do it. Roles read this at their start.
CREATE TABLE store_capabilities (
    endpoint   TEXT NOT NULL, -- URL; "embedded" for the store of standalone
    bucket     TEXT NOT NULL,
    capability TEXT NOT NULL,
    has        BOOLEAN NOT NULL,
    saw        TEXT NOT NULL, -- what was seen instead; "" when the store has it
    tried_us   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, bucket, capability)
);

--------------------------------------------------------------------------------------------------
-- Tenants, and who may call
--------------------------------------------------------------------------------------------------

CREATE TABLE tenants (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL,
    recordings         BOOLEAN NOT NULL,           -- feature daily_audio_recordings
    export             BOOLEAN NOT NULL,           -- feature export_api
    retention_days     INTEGER NOT NULL,
    day_limit          INTEGER NOT NULL,           -- day requests per sliding hour
    download_limit     INTEGER NOT NULL,           -- downloads per link and sliding hour
    created_us         INTEGER NOT NULL,
    floor_us           INTEGER NOT NULL DEFAULT 0, -- days over by then that have no row are expired
    backfill           INTEGER NOT NULL DEFAULT 1, -- raised when more past days are wanted; 0 once they are planned
    key_prefix         TEXT NOT NULL DEFAULT '',   -- object keys under it are the tenant's alone; '' is none
    key_prefix_pending TEXT NOT NULL DEFAULT ''    -- the next one, while others' keys under it are counted
);
CREATE INDEX tenants_backfill ON tenants (id) WHERE backfill > 0 AND recordings;
CREATE INDEX tenants_key_prefix ON tenants (key_prefix) WHERE key_prefix <> '';
CREATE INDEX tenants_key_prefix_pending ON tenants (key_prefix_pending) WHERE key_prefix_pending <> '';

-- Applications get OAuth tokens by their secret.
CREATE TABLE applications (
    id           TEXT PRIMARY KEY,           -- the OAuth client_id
    tenant       TEXT NOT NULL REFERENCES tenants (id),
    name         TEXT NOT NULL,
    secret_hash  BLOB NOT NULL,              -- SHA-256 of a random secret of 256 bits
    scopes       TEXT NOT NULL,
    disabled_us  INTEGER,
    epoch        INTEGER NOT NULL DEFAULT 0, -- raised by every disabling; tokens that name a lower one are void
    created_us   INTEGER NOT NULL,
    last_used_us INTEGER
);
CREATE INDEX applications_tenant ON applications (tenant, id);

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL REFERENCES tenants (id),
    name         TEXT NOT NULL,
    secret_hash  BLOB NOT NULL UNIQUE, -- SHA-256 of the key
    disabled_us  INTEGER,
    created_us   INTEGER NOT NULL,
    last_used_us INTEGER
);
CREATE INDEX api_keys_tenant ON api_keys (tenant, id);

-- The keys that callvault signs and seals with, shared by all replicas.
CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    purpose    TEXT NOT NULL,    -- access, link or cursor
    algorithm  TEXT NOT NULL,
    material   BLOB NOT NULL,
    encrypted  BOOLEAN NOT NULL, -- by the master key
    created_us INTEGER NOT NULL,
    retired_us INTEGER           -- NULL for the one that signs
);
CREATE UNIQUE INDEX keys_current ON keys (purpose) WHERE retired_us IS NULL;

-- Sessions of the console that were signed out before their end.
CREATE TABLE ended_sessions (
    id       TEXT PRIMARY KEY,
    until_us INTEGER NOT NULL -- when the session would have ended; the row goes then
);

--------------------------------------------------------------------------------------------------
-- What platforms send: agents, conversations, messages
--------------------------------------------------------------------------------------------------

CREATE TABLE agents (
    tenant      TEXT NOT NULL,
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    body        TEXT NOT NULL, -- the JSON of its lines, merged
    updated_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX agents_name ON agents (tenant, name);

-- A conversation of which only recordings or messages are known has a row too: whoever writes one
-- of them locks that row. Columns are NULL while unknown.
CREATE TABLE conversations (
    tenant                TEXT NOT NULL,
    id                    TEXT NOT NULL,
    external_id           TEXT,
    session_id            TEXT,
    agent_id              TEXT,
    status                TEXT,
    call_successful       TEXT,
    user_id               TEXT,    -- the id within user_body
    start_us              INTEGER, -- NULL while only its recordings or messages are known
    end_us                INTEGER,
    last_action_us        INTEGER,
    session_type          TEXT,
    session_status        TEXT,
    locale                TEXT,
    tags                  TEXT,    -- JSON array
    metadata              TEXT,    -- JSON object
    call_direction        TEXT,
    caller_phone          TEXT,
    callee_phone          TEXT,
    key_mode              TEXT,
    agent_model           TEXT,
    agent_architecture    TEXT,
    base_cost             TEXT,    -- JSON number as it came in
    total_cost            TEXT,    -- JSON number as it came in
    user_body             TEXT,    -- JSON object
    transcript_created_us INTEGER,
    transcript_turns      INTEGER, -- turns of the raw transcript in which somebody speaks
    analysis              TEXT,    -- JSON object
    analyzed_us           INTEGER,
    recording_id          TEXT,
    recording_key         TEXT,    -- object key of the whole conversation's recording
    recording_created_us  INTEGER,
    created_us            INTEGER NOT NULL,
    updated_us            INTEGER NOT NULL,
    line_hash             BLOB,    -- SHA-256 of the lines that last changed it, by which a repeat is known
    PRIMARY KEY (tenant, id)
);
-- Exports and lists are in the order of the time as printed, in whole seconds, then of the id.
CREATE INDEX conversations_start_printed ON conversations (tenant, (start_us / 1000000), id);
CREATE INDEX conversations_agent_printed ON conversations (tenant, agent_id, (start_us / 1000000), id);
CREATE INDEX conversations_user_printed ON conversations (tenant, user_id, (start_us / 1000000), id);
CREATE INDEX conversations_outcome_printed
    ON conversations (tenant, coalesce(call_successful, 'unknown'), (start_us / 1000000), id);

-- Raw transcripts may have megabytes, so they are apart from their conversations.
CREATE TABLE transcripts (
    tenant          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    raw             TEXT NOT NULL,
    PRIMARY KEY (tenant, conversation_id)
);

CREATE TABLE messages (
    tenant          TEXT NOT NULL,
    id              TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    time_us         INTEGER NOT NULL,
    type            TEXT NOT NULL,
    body            TEXT NOT NULL, -- the JSON of its lines, merged
    agent_id        TEXT,          -- its conversation's; NULL while that is unknown
    PRIMARY KEY (tenant, id)
);
-- A conversation's messages, which are also counted by type.
CREATE INDEX messages_conversation ON messages (tenant, conversation_id, time_us, id, type);
-- Exports are in the order of the time as printed, in milliseconds, then of the id.
CREATE INDEX messages_agent_printed ON messages (tenant, agent_id, (time_us / 1000), id);
CREATE INDEX messages_conversation_printed ON messages (tenant, conversation_id, (time_us / 1000), id);

-- Former values: what lines replaced or cleared. A value is kept as its difference from the value
-- that came after it: the first head bytes of that, then value, then the last tail bytes of that.
CREATE TABLE history (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which values of one field were replaced
    tenant TEXT NOT NULL,
    kind   TEXT NOT NULL,                     -- agent, conversation, message, recording
    id     TEXT NOT NULL,
    field  TEXT NOT NULL,                     -- its name in the line
    at_us  INTEGER NOT NULL,                  -- when it was replaced
    origin TEXT NOT NULL,                     -- the actor that sent the line which replaced it
    head   INTEGER NOT NULL,                  -- bytes; -1: value is a patch of the value that came after it
    value  TEXT NOT NULL,                     -- texts as they are, times in microseconds, JSON as it came in
    tail   INTEGER NOT NULL                   -- bytes
);
CREATE INDEX history_of ON history (tenant, kind, id, seq);

--------------------------------------------------------------------------------------------------
-- Recordings
--------------------------------------------------------------------------------------------------

-- Each object key of the recordings bucket that a line or an upload named, and whose it is.
CREATE TABLE objects (
    key    TEXT PRIMARY KEY,
    tenant TEXT NOT NULL, -- who first named or uploaded it
    day    TEXT,          -- its recording's day; NULL while only uploaded
    size   INTEGER,       -- bytes, of an upload
    crc32  INTEGER        -- of an upload
);

CREATE TABLE recordings (
    tenant          TEXT NOT NULL,
    day             TEXT NOT NULL,    -- YYYY-MM-DD, UTC, of ts_us
    object_key      TEXT NOT NULL,
    hour            INTEGER NOT NULL, -- 0 to 23, UTC, of ts_us
    session_id      TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    message_id      INTEGER NOT NULL,
    type            TEXT NOT NULL,
    ts_us           INTEGER NOT NULL, -- when it was recorded
    size            INTEGER,          -- bytes; NULL until a line or the store told it
    crc32           INTEGER,
    content_type    TEXT,
    registered_us   INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, object_key)
);
-- These begin with a column that no join by primary key begins with, so that no plan made from old
-- statistics takes them for the primary key.
CREATE INDEX recordings_hour ON recordings (hour, tenant, day);
CREATE INDEX recordings_conversation ON recordings (conversation_id, tenant);

-- Recordings that an operator corrected, as their lines told of them before. Such a line is a
-- repeat when it comes again.
CREATE TABLE corrected_recordings (
    object_key      TEXT PRIMARY KEY,
    tenant          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    session_id      TEXT NOT NULL,
    message_id      INTEGER NOT NULL,
    type            TEXT NOT NULL,
    ts_us           INTEGER NOT NULL,
    size            INTEGER,
    crc32           INTEGER
);

--------------------------------------------------------------------------------------------------
-- Days, hours, archives
--------------------------------------------------------------------------------------------------

CREATE TABLE days (
    tenant         TEXT NOT NULL,
    day            TEXT NOT NULL,              -- YYYY-MM-DD, UTC
    closes_us      INTEGER NOT NULL,           -- the first instant after the day
    locked         INTEGER NOT NULL DEFAULT 0, -- raised by every change: the row's lock on both databases
    planned_us     INTEGER,
    completed_us   INTEGER,                    -- when first no hour was pending
    reopened_us    INTEGER,
    expired_us     INTEGER,                    -- the day's end; final, except for a reopening
    total_sessions INTEGER NOT NULL DEFAULT 0, -- of the archives that are served, as the next two
    total_files    INTEGER NOT NULL DEFAULT 0,
    total_bytes    INTEGER NOT NULL DEFAULT 0,
    n_available    INTEGER NOT NULL DEFAULT 0, -- hours by state
    n_no_data      INTEGER NOT NULL DEFAULT 0,
    n_pending      INTEGER NOT NULL DEFAULT 0,
    n_failed       INTEGER NOT NULL DEFAULT 0,
    too_late       INTEGER NOT NULL DEFAULT 0, -- recordings registered after the day's end
    whole_us       INTEGER,                    -- when first since the day was opened no hour was pending or failed
    told_failed    INTEGER NOT NULL DEFAULT 0, -- failed hours of which the tenant was told
    unbuilt        INTEGER,                    -- hours with recordings in no archive at the day's end; NULL before
    PRIMARY KEY (tenant, day)
);
CREATE INDEX days_day ON days (day, tenant);
CREATE INDEX days_unplanned ON days (day, tenant) WHERE planned_us IS NULL AND expired_us IS NULL;
CREATE INDEX days_end ON days (coalesce(reopened_us, completed_us, closes_us)) WHERE expired_us IS NULL;
-- Days that an operator has to look at. They are few, and counted every few seconds.
CREATE INDEX days_failed ON days (day, tenant) WHERE n_failed > 0 AND expired_us IS NULL;
CREATE INDEX days_unsettled ON days (day, tenant) WHERE (n_pending > 0 OR n_failed > 0) AND expired_us IS NULL;
CREATE INDEX days_short ON days (expired_us)
    WHERE expired_us IS NOT NULL AND (planned_us IS NULL OR n_pending > 0 OR n_failed > 0 OR unbuilt > 0);

CREATE TABLE hours (
    tenant         TEXT NOT NULL,
    day            TEXT NOT NULL,
    hour           INTEGER NOT NULL,           -- 0 to 23, UTC
    -- what is served
    state          TEXT NOT NULL,              -- pending, available, no_data, failed, expired
    revision       INTEGER NOT NULL DEFAULT 0, -- of the archive that is served
    archive        TEXT,                       -- its object key
    -- what is built
    planned        BOOLEAN NOT NULL DEFAULT FALSE,
    wanted         INTEGER NOT NULL DEFAULT 0, -- raised by every registration
    built          INTEGER NOT NULL DEFAULT 0, -- the wanted that the archive covers
    due_us         INTEGER,                    -- when to build next; NULL: not wanted
    -- who builds it: a claim
    token          TEXT,
    worker         TEXT,
    claimed_us     INTEGER,
    lease_us       INTEGER,                    -- when the claim lapses unless it is renewed
    -- how builds went since the last archive
    failures       INTEGER NOT NULL DEFAULT 0,
    lapses         INTEGER NOT NULL DEFAULT 0, -- claims that lapsed
    last_error     TEXT,
    last_kind      TEXT,                       -- the kind of last_error
    failed_us      INTEGER,
    build_us       INTEGER NOT NULL DEFAULT 0, -- how long the last build took, in microseconds
    -- its task in the queue
    dispatch       INTEGER NOT NULL DEFAULT 0, -- raised by every dispatch; part of the task's id
    dispatched_us  INTEGER,                    -- NULL while no dispatch is outstanding
    dispatch_epoch TEXT,                       -- of the Redis that it was sent to; another epoch has no tasks of before
    -- missing files
    recheck_us     INTEGER,                    -- when to look for them again
    recheck_step   INTEGER NOT NULL DEFAULT 0, -- how often they were looked for
    trace          TEXT,                       -- W3C traceparent of who asked for the build; NULL once it is claimed
    PRIMARY KEY (tenant, day, hour)
);
CREATE INDEX hours_due ON hours (due_us, tenant, day, hour) WHERE due_us IS NOT NULL;
CREATE INDEX hours_lease ON hours (lease_us) WHERE lease_us IS NOT NULL;
CREATE INDEX hours_dispatched ON hours (tenant, dispatched_us) WHERE dispatched_us IS NOT NULL;
CREATE INDEX hours_adrift ON hours (tenant, day, hour)
    WHERE planned AND wanted <> built AND due_us IS NULL AND state <> 'expired';
CREATE INDEX hours_recheck ON hours (recheck_us) WHERE recheck_us IS NOT NULL;
CREATE INDEX hours_rebuilding ON hours (tenant, day) WHERE archive IS NOT NULL AND wanted <> built;

-- Why an hour has failed, file by file. It is apart from the hour's row, which is written often.
CREATE TABLE failed_files (
    tenant  TEXT NOT NULL,
    day     TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    missing TEXT NOT NULL, -- JSON array: objectKey, messageId, reason
    PRIMARY KEY (tenant, day, hour)
);

-- Every archive whose bytes may be in the store, from before its first byte is sent until after
-- its last one is deleted.
CREATE TABLE archives (
    object_key      TEXT PRIMARY KEY,
    tenant          TEXT NOT NULL,
    day             TEXT NOT NULL,
    hour            INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    token           TEXT NOT NULL UNIQUE,       -- of the claim that built it
    state           TEXT NOT NULL,              -- writing, published, superseded, doomed
    upload_id       TEXT,                       -- of its multipart upload, while it is written
    size            INTEGER NOT NULL DEFAULT 0, -- bytes
    file_count      INTEGER NOT NULL DEFAULT 0,
    session_count   INTEGER NOT NULL DEFAULT 0,
    missing         TEXT NOT NULL DEFAULT '[]', -- JSON array: objectKey, messageId, reason
    missing_count   INTEGER NOT NULL DEFAULT 0,
    manifest_sha256 TEXT NOT NULL DEFAULT '',
    etag            TEXT NOT NULL DEFAULT '',
    created_us      INTEGER NOT NULL,
    published_us    INTEGER,
    checked_us      INTEGER,                    -- when the object was last seen in the store
    links_until_us  INTEGER NOT NULL DEFAULT 0, -- the end of its last link
    delete_after_us INTEGER,                    -- when the sweeper may take the next step
    deletions       INTEGER NOT NULL DEFAULT 0  -- how often its bytes were deleted
);
CREATE INDEX archives_hour ON archives (tenant, day, hour);
CREATE INDEX archives_sweep ON archives (delete_after_us) WHERE delete_after_us IS NOT NULL;
CREATE INDEX archives_writing ON archives (created_us) WHERE state = 'writing';
CREATE INDEX archives_check ON archives (checked_us) WHERE state = 'published';
CREATE INDEX archives_lacking ON archives (tenant, day, missing_count) WHERE state = 'published' AND missing_count > 0;

-- The sessions with a file in an archive, by which a day's sessions are counted.
CREATE TABLE archive_sessions (
    object_key TEXT NOT NULL,
    session_id TEXT NOT NULL, -- made of the conversation's external id and the session's id
    PRIMARY KEY (object_key, session_id)
);

--------------------------------------------------------------------------------------------------
-- Hourly limits
--------------------------------------------------------------------------------------------------

CREATE TABLE windows (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,              -- day, or dl:YYYY-MM-DD:HH
    locked  INTEGER NOT NULL DEFAULT 0, -- raised by every use: the row's lock on both databases
    last_us INTEGER NOT NULL DEFAULT 0, -- the latest use counted
    last_n  INTEGER NOT NULL DEFAULT 0, -- its number
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

-- The uses of a window, numbered without gaps: how many lie between two is a difference.
CREATE TABLE window_uses (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    at_us  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, at_us)
) WITHOUT ROWID;

--------------------------------------------------------------------------------------------------
-- Webhooks
--------------------------------------------------------------------------------------------------

CREATE TABLE webhook_endpoints (
    id               TEXT PRIMARY KEY,
    tenant           TEXT NOT NULL REFERENCES tenants (id),
    url              TEXT NOT NULL,
    events           TEXT NOT NULL,    -- types with a space between
    secret           BLOB NOT NULL,
    encrypted        BOOLEAN NOT NULL, -- the secret is, by the master key
    former           BLOB,             -- secrets before a rotation that sign too
    former_encrypted BOOLEAN NOT NULL,
    former_until_us  INTEGER,          -- when the last of them ends
    disabled_us      INTEGER,
    disabled_reason  TEXT,
    created_us       INTEGER NOT NULL
);
CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant, id);

-- Events are written in the transaction that they tell of.
CREATE TABLE webhook_events (
    id         TEXT PRIMARY KEY, -- made of the cause, so that one cause is one event
    tenant     TEXT NOT NULL,
    type       TEXT NOT NULL,
    payload    TEXT NOT NULL,
    created_us INTEGER NOT NULL
);
CREATE INDEX webhook_events_age ON webhook_events (created_us);

-- One event to one endpoint.
CREATE TABLE webhook_deliveries (
    id           TEXT PRIMARY KEY,
    event        TEXT NOT NULL,
    endpoint     TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    type         TEXT NOT NULL,
    day          TEXT,                       -- NULL for a test
    state        TEXT NOT NULL,              -- pending, delivered, failed
    tries        INTEGER NOT NULL DEFAULT 0, -- since it was made or replayed: its place in the schedule
    attempts     INTEGER NOT NULL DEFAULT 0, -- ever
    next_us      INTEGER NOT NULL,           -- when it may be claimed; while it is claimed, the end of the lease
    token        TEXT,                       -- of the claim
    last_us      INTEGER,
    last_status  INTEGER,                    -- HTTP status; NULL when no answer came
    last_error   TEXT,
    took_us      INTEGER,                    -- how long the last attempt took, in microseconds
    delivered_us INTEGER,
    created_us   INTEGER NOT NULL,
    UNIQUE (event, endpoint)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, next_us) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_held ON webhook_deliveries (tenant, next_us) WHERE token IS NOT NULL;
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (tenant, created_us, id);
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint, created_us, id);
-- What is counted every few seconds, however many deliveries arrived.
CREATE INDEX webhook_deliveries_failing ON webhook_deliveries (endpoint) WHERE state = 'pending' AND tries > 2;
CREATE INDEX webhook_deliveries_given_up ON webhook_deliveries (last_us, endpoint) WHERE state = 'failed';

-- The latest attempts of each delivery.
CREATE TABLE webhook_attempts (
    delivery TEXT NOT NULL,
    n        INTEGER NOT NULL,
    at_us    INTEGER NOT NULL,
    status   INTEGER,          -- HTTP status; NULL when no answer came
    error    TEXT,
    took_us  INTEGER NOT NULL, -- how long it took, in microseconds
    PRIMARY KEY (delivery, n)
);

--------------------------------------------------------------------------------------------------
-- The audit log
--------------------------------------------------------------------------------------------------

CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us  INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    actor  TEXT NOT NULL, -- app:ID, key:ID, oidc:SUBJECT, link, admin, command
    action TEXT NOT NULL,
    detail TEXT NOT NULL, -- JSON object
    links  BLOB           -- sum of the audit_links that the line tells of; NULL when detail says all
);
CREATE INDEX audit_tenant ON audit (tenant, at_us, seq);

-- The links that a day's answers gave, stored once for all answers that gave the same.
CREATE TABLE audit_links (
    sum   BLOB PRIMARY KEY, -- SHA-256 of links
    links TEXT NOT NULL     -- JSON array
);

-- The log only grows.
-- +goose StatementBegin
CREATE TRIGGER audit_stands_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_stands_delete BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_update BEFORE UPDATE ON audit_links
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_delete BEFORE DELETE ON audit_links
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE deletes without the triggers of a deletion. So an insertion that names its
-- number is refused: the database numbers the lines. Before an insertion without a number NEW.seq
-- is -1, so numbers below 1 are refused after it. Links are inserted again and again, always the
-- same under their sum.
-- +goose StatementBegin
CREATE TRIGGER audit_stands_insert BEFORE INSERT ON audit WHEN NEW.seq >= 0
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_stands_inserted AFTER INSERT ON audit WHEN NEW.seq < 1
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_insert BEFORE INSERT ON audit_links
    WHEN NEW.rowid >= 0 OR EXISTS (SELECT 1 FROM audit_links WHERE sum = NEW.sum AND links <> NEW.links)
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_links_stand_inserted AFTER INSERT ON audit_links WHEN NEW.rowid < 1
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows');
END;
-- +goose StatementEnd
