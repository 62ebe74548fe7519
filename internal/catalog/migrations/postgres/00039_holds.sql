-- +goose Up
-- Legal holds. While one is active, nothing that it covers is deleted. A released hold still
-- protects what it covers for one day. Rows stay.
CREATE TABLE holds (
    id             TEXT COLLATE "C" PRIMARY KEY,
    tenant         TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    reason         TEXT NOT NULL,
    scope          TEXT NOT NULL,    -- all, days or conversations
    from_day       TEXT COLLATE "C", -- YYYY-MM-DD, UTC, as the next one; of the scope days only
    to_day         TEXT COLLATE "C", -- the last day that is held
    from_us        BIGINT,           -- the first instant of from_day
    to_us          BIGINT,           -- the first instant after to_day
    created_us     BIGINT NOT NULL,
    created_by     TEXT NOT NULL,    -- the actor, as in the audit log
    released_us    BIGINT,
    released_by    TEXT,
    release_reason TEXT
);
CREATE UNIQUE INDEX holds_name ON holds (tenant, name) WHERE released_us IS NULL;
CREATE INDEX holds_tenant ON holds (tenant, created_us, id);

-- The conversations that a hold of the scope conversations lists. They need not be known yet.
CREATE TABLE hold_conversations (
    hold            TEXT COLLATE "C" NOT NULL,
    tenant          TEXT COLLATE "C" NOT NULL,
    conversation_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (hold, conversation_id)
);
CREATE INDEX hold_conversations_tenant ON hold_conversations (tenant, conversation_id);

-- Objects of the recordings bucket whose rows are gone and whose bytes are to be deleted. While a
-- key is here, no line and no upload may name it.
CREATE TABLE deletions (
    key        TEXT COLLATE "C" PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL,
    etag       TEXT NOT NULL DEFAULT '',  -- of the bytes that are to go; '' when it was not known
    version_id TEXT NOT NULL DEFAULT '',  -- of the bytes that are to go; '' when the bucket keeps no versions
    size       BIGINT,                    -- bytes; NULL when it was not known
    sha256     BYTEA,                     -- NULL when it was not known
    cause      TEXT NOT NULL,             -- retention or erasure
    subject    TEXT COLLATE "C",          -- the erasure's id; NULL for a retention
    queued_us  BIGINT NOT NULL,
    due_us     BIGINT NOT NULL,           -- when it is tried next
    tries      INT NOT NULL DEFAULT 0,    -- that failed
    last_error TEXT
);
CREATE INDEX deletions_due ON deletions (due_us);
CREATE INDEX deletions_tenant ON deletions (tenant);
CREATE INDEX deletions_subject ON deletions (subject) WHERE subject IS NOT NULL;

-- Archives have two more states. The bytes of retained ones stay, because their day has ended under
-- a hold. Those of deleting ones go: programs before this step delete the bytes of doomed ones.
ALTER TABLE archives
    ADD COLUMN cause TEXT,                            -- why it is doomed: retention, superseded, unfinished, gone, broken or erasure
    ADD COLUMN parted BOOLEAN NOT NULL DEFAULT FALSE; -- a recording in it was corrected to be in another hour

-- Programs before this step know no holds. For them expiry and deletions pause for ever. The pause
-- of later programs is a column of its own, and a pause that a former program begins is theirs too.
ALTER TABLE clock ADD COLUMN paused_until_us BIGINT NOT NULL DEFAULT 0;
UPDATE clock SET paused_until_us = deletions_after, deletions_after = 9223372036854775807;
-- +goose StatementBegin
CREATE FUNCTION former_programs_pause() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.deletions_after <> OLD.deletions_after THEN
        NEW.paused_until_us := greatest(NEW.paused_until_us, NEW.deletions_after);
        NEW.deletions_after := OLD.deletions_after;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER former_programs_pause BEFORE UPDATE ON clock
    FOR EACH ROW EXECUTE FUNCTION former_programs_pause();
