-- +goose Up
-- Times are UTC microseconds since 1970. Text keys sort bytewise.

CREATE TABLE clock (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    offset_us       INTEGER NOT NULL DEFAULT 0, -- set by tests only
    deletions_after INTEGER NOT NULL DEFAULT 0  -- expiry and deletions pause until then
);
INSERT INTO clock (one) VALUES (1);

CREATE VIEW catalog_clock AS
SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000 + offset_us AS now_us
FROM clock;

CREATE TABLE tenants (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    recordings     BOOLEAN NOT NULL, -- feature daily_audio_recordings
    export         BOOLEAN NOT NULL, -- feature export_api
    retention_days INTEGER NOT NULL,
    day_limit      INTEGER NOT NULL,
    download_limit INTEGER NOT NULL,
    created_us     INTEGER NOT NULL
);

CREATE TABLE applications (
    id            TEXT PRIMARY KEY, -- the OAuth client_id
    tenant        TEXT NOT NULL REFERENCES tenants (id),
    name          TEXT NOT NULL,
    secret_hash   BLOB NOT NULL, -- SHA-256 of a 256-bit random
    scopes        TEXT NOT NULL,
    disabled_us   INTEGER,
    epoch         INTEGER NOT NULL DEFAULT 0, -- raised by every disabling; ends the tokens that name a former one
    created_us    INTEGER NOT NULL,
    last_used_us  INTEGER
);
CREATE INDEX applications_tenant ON applications (tenant, id);

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL REFERENCES tenants (id),
    name         TEXT NOT NULL,
    secret_hash  BLOB NOT NULL UNIQUE,
    disabled_us  INTEGER,
    created_us   INTEGER NOT NULL,
    last_used_us INTEGER
);
CREATE INDEX api_keys_tenant ON api_keys (tenant, id);

CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    purpose    TEXT NOT NULL, -- access, link or cursor
    algorithm  TEXT NOT NULL,
    material   BLOB NOT NULL,
    encrypted  BOOLEAN NOT NULL,
    created_us INTEGER NOT NULL,
    retired_us INTEGER -- null for the one that signs
);
CREATE UNIQUE INDEX keys_current ON keys (purpose) WHERE retired_us IS NULL;

CREATE TABLE agents (
    tenant      TEXT NOT NULL,
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    body        TEXT NOT NULL, -- the ingest line's JSON
    updated_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX agents_name ON agents (tenant, name);

CREATE TABLE conversations (
    tenant                TEXT NOT NULL,
    id                    TEXT NOT NULL,
    external_id           TEXT, -- null while unknown
    session_id            TEXT,
    agent_id              TEXT, -- null while only its recordings are known
    status                TEXT,
    call_successful       TEXT,
    user_id               TEXT,
    start_us              INTEGER, -- null while only its recordings are known
    end_us                INTEGER,
    last_action_us        INTEGER,
    session_type          TEXT,
    session_status        TEXT,
    locale                TEXT,
    tags                  TEXT,
    metadata              TEXT,
    call_direction        TEXT,
    caller_phone          TEXT,
    callee_phone          TEXT,
    key_mode              TEXT,
    agent_model           TEXT,
    agent_architecture    TEXT,
    base_cost             TEXT, -- JSON number as it came in
    total_cost            TEXT,
    user_body             TEXT,
    transcript_created_us INTEGER,
    transcript_turns      INTEGER,
    analysis              TEXT,
    analyzed_us           INTEGER,
    recording_id          TEXT,
    recording_key         TEXT,
    recording_created_us  INTEGER,
    created_us            INTEGER NOT NULL,
    updated_us            INTEGER NOT NULL,
    line_hash             BLOB, -- SHA-256 of the line, so that a repeat is known as one
    PRIMARY KEY (tenant, id)
);

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
    body            TEXT NOT NULL, -- the ingest line's JSON
    PRIMARY KEY (tenant, id)
);

CREATE TABLE objects (
    key     TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL, -- who first named or uploaded it
    day     TEXT,          -- its recording's day; null while only uploaded
    size    INTEGER,
    crc32   INTEGER
);

CREATE TABLE recordings (
    tenant          TEXT NOT NULL,
    day             TEXT NOT NULL,
    object_key      TEXT NOT NULL,
    hour            INTEGER NOT NULL,
    session_id      TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    message_id      INTEGER NOT NULL,
    type            TEXT NOT NULL,
    ts_us           INTEGER NOT NULL,
    size            INTEGER, -- null until the store told it
    crc32           INTEGER,
    content_type    TEXT,
    registered_us   INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, object_key)
);
-- These begin with what joins by primary key do not have, so that no stale plan takes them for one.
CREATE INDEX recordings_hour ON recordings (hour, tenant, day);
CREATE INDEX recordings_conversation ON recordings (conversation_id, tenant);

CREATE TABLE days (
    tenant         TEXT NOT NULL,
    day            TEXT NOT NULL,
    closes_us      INTEGER NOT NULL, -- the first instant after the day
    locked         INTEGER NOT NULL DEFAULT 0, -- raised by every change: the row's lock on both databases
    planned_us     INTEGER,
    completed_us   INTEGER, -- when first no hour was pending
    reopened_us    INTEGER,
    expired_us     INTEGER, -- final, but for a reopening
    total_sessions INTEGER NOT NULL DEFAULT 0,
    total_files    INTEGER NOT NULL DEFAULT 0,
    total_bytes    INTEGER NOT NULL DEFAULT 0,
    n_available    INTEGER NOT NULL DEFAULT 0,
    n_no_data      INTEGER NOT NULL DEFAULT 0,
    n_pending      INTEGER NOT NULL DEFAULT 0,
    n_failed       INTEGER NOT NULL DEFAULT 0,
    too_late       INTEGER NOT NULL DEFAULT 0, -- recordings registered after expiry
    PRIMARY KEY (tenant, day)
);
CREATE INDEX days_unplanned ON days (day, tenant) WHERE planned_us IS NULL AND expired_us IS NULL;
CREATE INDEX days_end ON days (coalesce(reopened_us, completed_us, closes_us)) WHERE expired_us IS NULL;
CREATE INDEX days_day ON days (day, tenant);

CREATE TABLE hours (
    tenant         TEXT NOT NULL,
    day            TEXT NOT NULL,
    hour           INTEGER NOT NULL,
    -- what is served
    state          TEXT NOT NULL, -- pending, available, no_data, failed, expired
    revision       INTEGER NOT NULL DEFAULT 0,
    archive        TEXT, -- object key of the archive served
    -- what is built
    planned        BOOLEAN NOT NULL DEFAULT FALSE,
    wanted         INTEGER NOT NULL DEFAULT 0,
    built          INTEGER NOT NULL DEFAULT 0,
    due_us         INTEGER,
    token          TEXT,
    worker         TEXT,
    claimed_us     INTEGER,
    lease_us       INTEGER,
    failures       INTEGER NOT NULL DEFAULT 0,
    lapses         INTEGER NOT NULL DEFAULT 0,
    last_error     TEXT,
    last_kind      TEXT,
    failed_us      INTEGER,
    build_us       INTEGER NOT NULL DEFAULT 0, -- how long the last build took
    dispatch       INTEGER NOT NULL DEFAULT 0,
    dispatched_us  INTEGER, -- null while no dispatch is outstanding
    dispatch_epoch TEXT,
    recheck_us     INTEGER, -- when to look again for missing files
    recheck_step   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, day, hour)
);
CREATE INDEX hours_due ON hours (due_us, tenant, day, hour) WHERE due_us IS NOT NULL;
CREATE INDEX hours_lease ON hours (lease_us) WHERE lease_us IS NOT NULL;
CREATE INDEX hours_dispatched ON hours (tenant, dispatched_us) WHERE dispatched_us IS NOT NULL;
CREATE INDEX hours_adrift ON hours (tenant, day, hour) WHERE planned AND wanted <> built AND due_us IS NULL AND state <> 'expired';
CREATE INDEX hours_recheck ON hours (recheck_us) WHERE recheck_us IS NOT NULL;

CREATE TABLE archives (
    object_key      TEXT PRIMARY KEY,
    tenant          TEXT NOT NULL,
    day             TEXT NOT NULL,
    hour            INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    token           TEXT NOT NULL UNIQUE,
    state           TEXT NOT NULL, -- writing, published, superseded, doomed
    upload_id       TEXT,
    size            INTEGER NOT NULL DEFAULT 0,
    file_count      INTEGER NOT NULL DEFAULT 0,
    session_count   INTEGER NOT NULL DEFAULT 0,
    missing         TEXT NOT NULL DEFAULT '[]', -- JSON array: objectKey, messageId, reason
    missing_count   INTEGER NOT NULL DEFAULT 0,
    manifest_sha256 TEXT NOT NULL DEFAULT '',
    etag            TEXT NOT NULL DEFAULT '',
    created_us      INTEGER NOT NULL,
    published_us    INTEGER,
    checked_us      INTEGER, -- when the object was last seen in the store
    links_until_us  INTEGER NOT NULL DEFAULT 0,
    delete_after_us INTEGER, -- when the sweeper may take the next step
    deletions       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX archives_hour ON archives (tenant, day, hour);
CREATE INDEX archives_sweep ON archives (delete_after_us) WHERE delete_after_us IS NOT NULL;
CREATE INDEX archives_writing ON archives (created_us) WHERE state = 'writing';
CREATE INDEX archives_check ON archives (checked_us) WHERE state = 'published';

CREATE TABLE archive_sessions ( -- the sessions with a file in an archive
    object_key TEXT NOT NULL,
    session_id TEXT NOT NULL,
    PRIMARY KEY (object_key, session_id)
);

CREATE TABLE windows (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL, -- day, or dl:YYYY-MM-DD:HH
    locked  INTEGER NOT NULL DEFAULT 0, -- raised by every use: the row's lock on both databases
    last_us INTEGER NOT NULL DEFAULT 0, -- the latest use counted
    last_n  INTEGER NOT NULL DEFAULT 0, -- and its number
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE window_uses ( -- numbered without gaps, so that a count is a difference
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    at_us  INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, at_us)
) WITHOUT ROWID;

CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us  INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    actor  TEXT NOT NULL, -- app:ID, key:ID, link, admin, command
    action TEXT NOT NULL,
    detail TEXT NOT NULL  -- JSON object
);
CREATE INDEX audit_tenant ON audit (tenant, at_us, seq);

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

-- +goose Down
DROP TABLE audit;
DROP TABLE window_uses;
DROP TABLE windows;
DROP TABLE archive_sessions;
DROP TABLE archives;
DROP TABLE hours;
DROP TABLE days;
DROP TABLE recordings;
DROP TABLE objects;
DROP TABLE messages;
DROP TABLE transcripts;
DROP TABLE conversations;
DROP TABLE agents;
DROP TABLE keys;
DROP TABLE api_keys;
DROP TABLE applications;
DROP TABLE tenants;
DROP VIEW catalog_clock;
DROP TABLE clock;
