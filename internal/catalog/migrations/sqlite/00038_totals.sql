-- +goose Up
-- How many recordings a platform's own records count, of a day or of one of its hours.
CREATE TABLE totals (
    tenant     TEXT NOT NULL,
    day        TEXT NOT NULL,    -- YYYY-MM-DD, UTC
    hour       INTEGER NOT NULL, -- 0 to 23; -1: of the whole day
    recordings INTEGER,          -- NULL: an operator removed the total
    line       INTEGER,          -- what its line said; NULL while no line has
    set_us     INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, hour)
);

-- Programs before this step register recordings without these.
ALTER TABLE hours ADD COLUMN registered INTEGER NOT NULL DEFAULT 0;    -- recordings of the hour, as of counted
ALTER TABLE hours ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;       -- the wanted at which they were counted; with another wanted, registered says nothing
ALTER TABLE days ADD COLUMN n_totals INTEGER NOT NULL DEFAULT 0;      -- totals of the day and of its hours
ALTER TABLE days ADD COLUMN short_by INTEGER NOT NULL DEFAULT 0;     -- recordings that are fewer than the totals
ALTER TABLE days ADD COLUMN surplus INTEGER NOT NULL DEFAULT 0;      -- recordings that are more than the totals
ALTER TABLE days ADD COLUMN short_us INTEGER;                        -- when nothing but its totals kept the day from being complete
ALTER TABLE days ADD COLUMN told_short_us INTEGER;                   -- when its tenant was told so

-- Days that are or ended short of their totals, and of these the ones whose tenants were not told.
CREATE INDEX days_under_totals ON days (tenant, day) WHERE short_by > 0;
CREATE INDEX days_off_totals ON days (expired_us) WHERE short_by > 0 OR surplus > 0;
CREATE INDEX days_short_untold ON days (short_us) WHERE short_us IS NOT NULL AND told_short_us IS NULL AND expired_us IS NULL;
