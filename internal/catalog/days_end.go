package catalog

import (
	"context"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// pastDaysSQL also compares with the shortest retention of all tenants, because the index can serve
// only a condition that is the same for all of them.
const pastDaysSQL = `SELECT d.tenant, d.day FROM tenants t JOIN days d ON d.tenant = t.id
		WHERE d.expired_us IS NULL AND ` + pastSQL + `
		AND ` + overForSQL + `(SELECT min(retention_days) FROM tenants)` + daysInMicrosSQL + `
		AND ` + clock.TrustedSQL + `
		ORDER BY d.day, d.tenant LIMIT $1`

// EndedDay is a day whose retention is over.
type EndedDay struct {
	DayKey
	Unbuilt int // hours that have recordings in no archive
}

// ExpireDays ends days whose retention is over, and lists them: at most limit, oldest first. It
// does nothing while the clock is not trusted.
func (c *Catalog) ExpireDays(ctx context.Context, limit int) ([]EndedDay, error) {
	keys, err := c.dayKeys(ctx, pastDaysSQL, limit)
	if err != nil {
		return nil, err
	}
	var ended []EndedDay
	for _, k := range keys {
		var over bool
		e := EndedDay{DayKey: k}
		err := c.db.Update(ctx, func(tx *db.Tx) error {
			if err := holds.Share(ctx, tx, k.Tenant); err != nil {
				return err
			}
			d, err := lockOpenDay(ctx, tx, k.Tenant, k.Day)
			if over = d.over && !d.expired; err != nil || !over { // another planner may have ended it
				return err
			}
			paused, err := clock.Paused(ctx, tx, d.at)
			if over = !paused; err != nil || paused {
				return err
			}
			e.Unbuilt, err = expireDay(ctx, tx, k.Tenant, k.Day, d.at)
			return err
		})
		if err != nil {
			return ended, err
		}
		if over {
			ended = append(ended, e)
		}
	}
	return ended, nil
}

// endGrace is how long, in microseconds, the bytes of an ended day stay for downloads that had
// begun. Links end with the day, and a reopened day is built again.
const endGrace = int64(3_600_000_000)

// noteUnbuilt marks the hours of a locked day that have recordings in no archive, and counts them.
// It does so once, when the day is over, because recordings that come later raise wanted too.
func noteUnbuilt(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) error {
	_, err := tx.ExecContext(ctx, `UPDATE hours SET ended_unbuilt = wanted <> built WHERE tenant = $1 AND day = $2
		AND (SELECT unbuilt FROM days WHERE tenant = $1 AND day = $2) IS NULL`, tenant, day)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE days SET unbuilt = (SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND ended_unbuilt)
		WHERE tenant = $1 AND day = $2 AND unbuilt IS NULL`, tenant, day)
	return err
}

// endHoursSQL ends the hours of a locked day, and keeps what they were. A recording that came after
// the end, before the day was marked, made a planned hour without data pending.
const endHoursSQL = `UPDATE hours SET
	ended_state = CASE WHEN state = 'pending' AND planned AND NOT coalesce(ended_unbuilt, FALSE) THEN 'no_data' ELSE state END,
	ended_files = coalesce((SELECT a.file_count FROM archives a WHERE a.object_key = hours.archive), 0),
	ended_missing = coalesce((SELECT a.missing_count FROM archives a WHERE a.object_key = hours.archive), 0),
	ended_unbuilt = coalesce(ended_unbuilt, FALSE),
	state = 'expired', archive = NULL, due_us = NULL, token = NULL, lease_us = NULL, dispatched_us = NULL, recheck_us = NULL
	WHERE tenant = $1 AND day = $2`

// endDaySQL ends a locked day after its hours. It leaves ended_us out if a program that does not
// mark unbuilt hours has counted them: then it is not known what each hour was.
const endDaySQL = `UPDATE days SET expired_us = $3,
	ended_us = CASE WHEN unbuilt = (SELECT count(*) FROM hours h WHERE h.tenant = $1 AND h.day = $2 AND h.ended_unbuilt) THEN CAST($3 AS BIGINT) END,
	ended_missing = (SELECT coalesce(sum(h.ended_missing), 0) FROM hours h WHERE h.tenant = $1 AND h.day = $2),
	ended_lacking = (SELECT count(*) FROM hours h WHERE h.tenant = $1 AND h.day = $2 AND h.ended_state = 'available' AND (h.ended_missing > 0 OR h.ended_unbuilt))
	WHERE tenant = $1 AND day = $2 RETURNING unbuilt`

// expireDay ends a locked day: running builds lose their claim, and archives are doomed or, under a
// hold, retained. The transaction has called holds.Share, or locks the tenant's row. What was
// taken in stays, and so does what the day and its hours were. It says how many hours have
// recordings that are in no archive.
func expireDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, at int64) (unbuilt int, err error) {
	if err := noteUnbuilt(ctx, tx, tenant, day); err != nil {
		return 0, err
	}
	if err := sealDay(ctx, tx, tenant, day, at, true); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, endHoursSQL, tenant, day); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, endDaySQL, tenant, day, at).Scan(&unbuilt); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, endArchivesSQL(), tenant, day, at, endGrace)
	return unbuilt, err
}

// endArchivesSQL retains the archives of a locked day that a hold protects, and dooms the others.
func endArchivesSQL() string {
	return `UPDATE archives SET state = CASE WHEN ` + protectedSQL() + ` THEN 'retained' ELSE 'doomed' END,
		delete_after_us = CASE WHEN ` + protectedSQL() + ` THEN NULL WHEN state = 'writing' THEN CAST($3 AS BIGINT) ELSE CAST($3 AS BIGINT) + CAST($4 AS BIGINT) END,
		cause = CASE WHEN ` + protectedSQL() + ` THEN NULL WHEN state = 'writing' THEN 'unfinished' ELSE 'retention' END
		WHERE tenant = $1 AND day = $2 AND state IN ('writing', 'published', 'superseded', 'retained')`
}
