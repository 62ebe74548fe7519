-- +goose Up
-- Times are UTC microseconds since 1970. Text keys sort bytewise (COLLATE "C").

CREATE TABLE clock (
    one             INT PRIMARY KEY CHECK (one = 1),
    offset_us       BIGINT NOT NULL DEFAULT 0, -- set by tests only
    deletions_after BIGINT NOT NULL DEFAULT 0  -- expiry and deletions pause until then
);
INSERT INTO clock (one) VALUES (1);

CREATE VIEW catalog_clock AS
SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000000) AS BIGINT) + offset_us AS now_us
FROM clock;

CREATE TABLE tenants (
    id             TEXT COLLATE "C" PRIMARY KEY,
    name           TEXT NOT NULL,
    recordings     BOOLEAN NOT NULL, -- feature daily_audio_recordings
    export         BOOLEAN NOT NULL, -- feature export_api
    retention_days INT NOT NULL,
    day_limit      INT NOT NULL,
    download_limit INT NOT NULL,
    created_us     BIGINT NOT NULL
);

CREATE TABLE applications (
    id            TEXT COLLATE "C" PRIMARY KEY, -- the OAuth client_id
    tenant        TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    name          TEXT NOT NULL,
    secret_hash   BYTEA NOT NULL, -- SHA-256 of a 256-bit random
    scopes        TEXT NOT NULL,
    disabled_us   BIGINT,
    epoch         BIGINT NOT NULL DEFAULT 0, -- raised by every disabling; ends the tokens that name a former one
    created_us    BIGINT NOT NULL,
    last_used_us  BIGINT
);
CREATE INDEX applications_tenant ON applications (tenant, id);

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" PRIMARY KEY,
    tenant       TEXT COLLATE "C" NOT NULL REFERENCES tenants (id),
    name         TEXT NOT NULL,
    secret_hash  BYTEA NOT NULL UNIQUE,
    disabled_us  BIGINT,
    created_us   BIGINT NOT NULL,
    last_used_us BIGINT
);
CREATE INDEX api_keys_tenant ON api_keys (tenant, id);

CREATE TABLE keys (
    id         TEXT COLLATE "C" PRIMARY KEY,
    purpose    TEXT NOT NULL, -- access, link or cursor
    algorithm  TEXT NOT NULL,
    material   BYTEA NOT NULL,
    encrypted  BOOLEAN NOT NULL,
    created_us BIGINT NOT NULL,
    retired_us BIGINT -- null for the one that signs
);
CREATE UNIQUE INDEX keys_current ON keys (purpose) WHERE retired_us IS NULL;

CREATE TABLE agents (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT,
    body        TEXT NOT NULL, -- the ingest line's JSON
    updated_us  BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX agents_name ON agents (tenant, name);

CREATE TABLE conversations (
    tenant                TEXT COLLATE "C" NOT NULL,
    id                    TEXT COLLATE "C" NOT NULL,
    external_id           TEXT COLLATE "C", -- null while unknown
    session_id            TEXT COLLATE "C",
    agent_id              TEXT COLLATE "C", -- null while only its recordings are known
    status                TEXT COLLATE "C",
    call_successful       TEXT COLLATE "C",
    user_id               TEXT COLLATE "C",
    start_us              BIGINT, -- null while only its recordings are known
    end_us                BIGINT,
    last_action_us        BIGINT,
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
    transcript_created_us BIGINT,
    transcript_turns      INT,
    analysis              TEXT,
    analyzed_us           BIGINT,
    recording_id          TEXT,
    recording_key         TEXT COLLATE "C",
    recording_created_us  BIGINT,
    created_us            BIGINT NOT NULL,
    updated_us            BIGINT NOT NULL,
    line_hash             BYTEA, -- SHA-256 of the line, so that a repeat is known as one
    PRIMARY KEY (tenant, id)
);

CREATE TABLE transcripts (
    tenant          TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C" NOT NULL,
    raw             TEXT NOT NULL,
    PRIMARY KEY (tenant, conversation_id)
);

CREATE TABLE messages (
    tenant          TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C" NOT NULL,
    time_us         BIGINT NOT NULL,
    type            TEXT COLLATE "C" NOT NULL,
    body            TEXT NOT NULL, -- the ingest line's JSON
    PRIMARY KEY (tenant, id)
);

CREATE TABLE objects (
    key     TEXT COLLATE "C" PRIMARY KEY,
    tenant  TEXT COLLATE "C" NOT NULL, -- who first named or uploaded it
    day     TEXT COLLATE "C",          -- its recording's day; null while only uploaded
    size    BIGINT,
    crc32   BIGINT
);

CREATE TABLE recordings (
    tenant          TEXT COLLATE "C" NOT NULL,
    day             TEXT COLLATE "C" NOT NULL,
    object_key      TEXT COLLATE "C" NOT NULL,
    hour            INT NOT NULL,
    session_id      TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C" NOT NULL,
    message_id      BIGINT NOT NULL,
    type            TEXT COLLATE "C" NOT NULL,
    ts_us           BIGINT NOT NULL,
    size            BIGINT, -- null until the store told it
    crc32           BIGINT,
    content_type    TEXT,
    registered_us   BIGINT NOT NULL,
    PRIMARY KEY (tenant, day, object_key)
);
-- These begin with what joins by primary key do not have, so that no stale plan takes them for one.
CREATE INDEX recordings_hour ON recordings (hour, tenant, day);
CREATE INDEX recordings_conversation ON recordings (conversation_id, tenant);

CREATE TABLE days (
    tenant         TEXT COLLATE "C" NOT NULL,
    day            TEXT COLLATE "C" NOT NULL,
    closes_us      BIGINT NOT NULL, -- the first instant after the day
    locked         BIGINT NOT NULL DEFAULT 0, -- raised by every change: the row's lock on both databases
    planned_us     BIGINT,
    completed_us   BIGINT, -- when first no hour was pending
    reopened_us    BIGINT,
    expired_us     BIGINT, -- final, but for a reopening
    total_sessions BIGINT NOT NULL DEFAULT 0,
    total_files    BIGINT NOT NULL DEFAULT 0,
    total_bytes    BIGINT NOT NULL DEFAULT 0,
    n_available    INT NOT NULL DEFAULT 0,
    n_no_data      INT NOT NULL DEFAULT 0,
    n_pending      INT NOT NULL DEFAULT 0,
    n_failed       INT NOT NULL DEFAULT 0,
    too_late       BIGINT NOT NULL DEFAULT 0, -- recordings registered after expiry
    PRIMARY KEY (tenant, day)
);
CREATE INDEX days_unplanned ON days (day, tenant) WHERE planned_us IS NULL AND expired_us IS NULL;
CREATE INDEX days_end ON days (coalesce(reopened_us, completed_us, closes_us)) WHERE expired_us IS NULL;
CREATE INDEX days_day ON days (day, tenant);

CREATE TABLE hours (
    tenant         TEXT COLLATE "C" NOT NULL,
    day            TEXT COLLATE "C" NOT NULL,
    hour           INT NOT NULL,
    -- what is served
    state          TEXT NOT NULL, -- pending, available, no_data, failed, expired
    revision       BIGINT NOT NULL DEFAULT 0,
    archive        TEXT COLLATE "C", -- object key of the archive served
    -- what is built
    planned        BOOLEAN NOT NULL DEFAULT FALSE,
    wanted         BIGINT NOT NULL DEFAULT 0,
    built          BIGINT NOT NULL DEFAULT 0,
    due_us         BIGINT,
    token          TEXT,
    worker         TEXT,
    claimed_us     BIGINT,
    lease_us       BIGINT,
    failures       INT NOT NULL DEFAULT 0,
    lapses         INT NOT NULL DEFAULT 0,
    last_error     TEXT,
    last_kind      TEXT,
    failed_us      BIGINT,
    build_us       BIGINT NOT NULL DEFAULT 0, -- how long the last build took
    dispatch       BIGINT NOT NULL DEFAULT 0,
    dispatched_us  BIGINT, -- null while no dispatch is outstanding
    dispatch_epoch TEXT,
    recheck_us     BIGINT, -- when to look again for missing files
    recheck_step   INT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, day, hour)
);
CREATE INDEX hours_due ON hours (due_us, tenant, day, hour) WHERE due_us IS NOT NULL;
CREATE INDEX hours_lease ON hours (lease_us) WHERE lease_us IS NOT NULL;
CREATE INDEX hours_dispatched ON hours (tenant, dispatched_us) WHERE dispatched_us IS NOT NULL;
CREATE INDEX hours_adrift ON hours (tenant, day, hour) WHERE planned AND wanted <> built AND due_us IS NULL AND state <> 'expired';
CREATE INDEX hours_recheck ON hours (recheck_us) WHERE recheck_us IS NOT NULL;

CREATE TABLE archives (
    object_key      TEXT COLLATE "C" PRIMARY KEY,
    tenant          TEXT COLLATE "C" NOT NULL,
    day             TEXT COLLATE "C" NOT NULL,
    hour            INT NOT NULL,
    revision        BIGINT NOT NULL,
    token           TEXT COLLATE "C" NOT NULL UNIQUE,
    state           TEXT NOT NULL, -- writing, published, superseded, doomed
    upload_id       TEXT,
    size            BIGINT NOT NULL DEFAULT 0,
    file_count      INT NOT NULL DEFAULT 0,
    session_count   INT NOT NULL DEFAULT 0,
    missing         TEXT NOT NULL DEFAULT '[]', -- JSON array: objectKey, messageId, reason
    missing_count   INT NOT NULL DEFAULT 0,
    manifest_sha256 TEXT NOT NULL DEFAULT '',
    etag            TEXT NOT NULL DEFAULT '',
    created_us      BIGINT NOT NULL,
    published_us    BIGINT,
    checked_us      BIGINT, -- when the object was last seen in the store
    links_until_us  BIGINT NOT NULL DEFAULT 0,
    delete_after_us BIGINT, -- when the sweeper may take the next step
    deletions       INT NOT NULL DEFAULT 0
);
CREATE INDEX archives_hour ON archives (tenant, day, hour);
CREATE INDEX archives_sweep ON archives (delete_after_us) WHERE delete_after_us IS NOT NULL;
CREATE INDEX archives_writing ON archives (created_us) WHERE state = 'writing';
CREATE INDEX archives_check ON archives (checked_us) WHERE state = 'published';

CREATE TABLE archive_sessions ( -- the sessions with a file in an archive
    object_key TEXT COLLATE "C" NOT NULL,
    session_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (object_key, session_id)
);

CREATE TABLE windows (
    tenant  TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL, -- day, or dl:YYYY-MM-DD:HH
    locked  BIGINT NOT NULL DEFAULT 0, -- raised by every use: the row's lock on both databases
    last_us BIGINT NOT NULL DEFAULT 0, -- the latest use counted
    last_n  BIGINT NOT NULL DEFAULT 0, -- and its number
    PRIMARY KEY (tenant, name)
);

CREATE TABLE window_uses ( -- numbered without gaps, so that a count is a difference
    tenant TEXT COLLATE "C" NOT NULL,
    name   TEXT COLLATE "C" NOT NULL,
    at_us  BIGINT NOT NULL,
    n      BIGINT NOT NULL,
    PRIMARY KEY (tenant, name, at_us)
);

CREATE TABLE audit (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_us  BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    actor  TEXT NOT NULL, -- app:ID, key:ID, link, admin, command
    action TEXT NOT NULL,
    detail TEXT NOT NULL  -- JSON object
);
CREATE INDEX audit_tenant ON audit (tenant, at_us, seq);

-- +goose StatementBegin
CREATE FUNCTION audit_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_stands();

-- +goose Down
DROP TABLE audit, window_uses, windows, archive_sessions, archives, hours, days, recordings, objects, messages, transcripts,
    conversations, agents, keys, api_keys, applications, tenants;
DROP VIEW catalog_clock;
DROP TABLE clock;
DROP FUNCTION audit_stands;
