package catalog

import (
	"context"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// aheadDaysSQL lists days with a time later than $1, which was written while the clock was ahead.
// It reads all days within retention, so it must not run often.
const aheadDaysSQL = `SELECT tenant, day FROM days WHERE expired_us IS NULL
	AND (planned_us > $1 OR completed_us > $1 OR whole_us > $1 OR reopened_us > $1 OR short_us > $1) ORDER BY day, tenant LIMIT $2`

// RepairDays undoes what is dated in the future, when days were planned, settled or reopened. It
// does so for at most limit days, and says for how many. Such days are planned again when they are
// over. Their archives stay. Their events are sent again, because the first ones were wrong. It
// does nothing while the clock is not trusted.
func (c *Catalog) RepairDays(ctx context.Context, limit int) (int, error) {
	at, err := c.Now(ctx)
	if err != nil {
		return 0, err
	}
	keys, err := c.dayKeys(ctx, aheadDaysSQL, db.Micros(at.Add(clock.MaxStep)), limit)
	if err != nil {
		return 0, err
	}
	repaired, err := changeEach(keys, func(k DayKey) (done bool, err error) {
		err = c.db.Update(ctx, func(tx *db.Tx) (err error) {
			done, err = repairDay(ctx, tx, k.Tenant, k.Day)
			return err
		})
		return done, err
	})
	return len(repaired), err
}

func repairDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (bool, error) {
	d, err := lockOpenDay(ctx, tx, tenant, day)
	if err != nil || d.expired {
		return false, err
	}
	if paused, err := clock.Paused(ctx, tx, d.at); err != nil || paused {
		return false, err
	}
	later := d.at + clock.MaxStep.Microseconds()
	var planned bool
	err = tx.QueryRowContext(ctx, `UPDATE days SET
		planned_us = CASE WHEN planned_us <= $3 THEN planned_us END,
		completed_us = CASE WHEN completed_us <= $3 THEN completed_us END,
		whole_us = CASE WHEN whole_us <= $3 THEN whole_us END,
		short_us = CASE WHEN short_us <= $3 THEN short_us END,
		told_short_us = CASE WHEN told_short_us <= $3 THEN told_short_us END,
		reopened_us = CASE WHEN reopened_us > $3 THEN $4 ELSE reopened_us END
		WHERE tenant = $1 AND day = $2 RETURNING planned_us IS NOT NULL`, tenant, day, later, d.at).Scan(&planned)
	if err != nil {
		return false, err
	}
	if !planned {
		if err := unplanHours(ctx, tx, tenant, day); err != nil {
			return false, err
		}
	}
	return true, refreshDay(ctx, tx, tenant, day, d.at)
}

// unplanHours undoes the plan of a locked day's hours.
func unplanHours(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM hours WHERE tenant = $1 AND day = $2 AND wanted = 0 AND built = 0 AND revision = 0 AND token IS NULL`,
		tenant, day)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE hours SET planned = FALSE, due_us = NULL, dispatched_us = NULL WHERE tenant = $1 AND day = $2`, tenant, day)
	return err
}
