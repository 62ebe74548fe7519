-- +goose NO TRANSACTION
-- +goose Up
-- How many recordings a platform's own records count, of a day or of one of its hours.
CREATE TABLE IF NOT EXISTS totals (
    tenant     TEXT COLLATE "C" NOT NULL,
    day        TEXT COLLATE "C" NOT NULL, -- YYYY-MM-DD, UTC
    hour       INT NOT NULL,              -- 0 to 23; -1: of the whole day
    recordings BIGINT,                    -- NULL: an operator removed the total
    line       BIGINT,                    -- what its line said; NULL while no line has
    set_us     BIGINT NOT NULL,
    PRIMARY KEY (tenant, day, hour)
);

-- Programs before this step register recordings without these.
ALTER TABLE hours
    ADD COLUMN IF NOT EXISTS registered BIGINT NOT NULL DEFAULT 0, -- recordings of the hour, as of counted
    ADD COLUMN IF NOT EXISTS counted BIGINT NOT NULL DEFAULT 0;    -- the wanted at which they were counted; with another wanted, registered says nothing
ALTER TABLE days
    ADD COLUMN IF NOT EXISTS n_totals INT NOT NULL DEFAULT 0,    -- totals of the day and of its hours
    ADD COLUMN IF NOT EXISTS short_by BIGINT NOT NULL DEFAULT 0, -- recordings that are fewer than the totals
    ADD COLUMN IF NOT EXISTS surplus BIGINT NOT NULL DEFAULT 0,  -- recordings that are more than the totals
    ADD COLUMN IF NOT EXISTS short_us BIGINT,                    -- when nothing but its totals kept the day from being complete
    ADD COLUMN IF NOT EXISTS told_short_us BIGINT;               -- when its tenant was told so

SET lock_timeout = 0; -- an index that is made beside writers keeps nobody waiting while it waits

-- Days that are or ended short of their totals, and of these the ones whose tenants were not told.
DROP INDEX CONCURRENTLY IF EXISTS days_under_totals;
CREATE INDEX CONCURRENTLY days_under_totals ON days (tenant, day) WHERE short_by > 0;
DROP INDEX CONCURRENTLY IF EXISTS days_off_totals;
CREATE INDEX CONCURRENTLY days_off_totals ON days (expired_us) WHERE short_by > 0 OR surplus > 0;
DROP INDEX CONCURRENTLY IF EXISTS days_short_untold;
CREATE INDEX CONCURRENTLY days_short_untold ON days (short_us) WHERE short_us IS NOT NULL AND told_short_us IS NULL AND expired_us IS NULL;
