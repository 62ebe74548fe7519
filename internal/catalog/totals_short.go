package catalog

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// shortDaysSQL lists days that only their totals have kept from being complete, for $1
// microseconds, and whose tenants were not told.
const shortDaysSQL = `SELECT tenant, day FROM days WHERE short_us <= (SELECT now_us FROM catalog_clock) - CAST($1 AS BIGINT)
	AND short_us IS NOT NULL AND told_short_us IS NULL AND expired_us IS NULL ORDER BY short_us LIMIT $2`

// TellShort adds the event day.short for days that only their totals have kept from being complete,
// for at least grace. It takes at most limit days, the longest waiting first, and gives them.
func (c *Catalog) TellShort(ctx context.Context, grace time.Duration, limit int) ([]DayKey, error) {
	keys, err := c.dayKeys(ctx, shortDaysSQL, grace.Microseconds(), limit)
	if err != nil {
		return nil, err
	}
	return changeEach(keys, func(k DayKey) (told bool, err error) {
		err = c.db.Update(ctx, func(tx *db.Tx) (err error) {
			told, err = tellShort(ctx, tx, k, grace)
			return err
		})
		return told, err
	})
}

func tellShort(ctx context.Context, tx *db.Tx, k DayKey, grace time.Duration) (bool, error) {
	d, err := lockOpenDay(ctx, tx, k.Tenant, k.Day)
	if err != nil || d.over {
		return false, err
	}
	if err := refreshDay(ctx, tx, k.Tenant, k.Day, d.at); err != nil {
		return false, err
	}
	told, err := db.Affected(tx.ExecContext(ctx, `UPDATE days SET told_short_us = $3 WHERE tenant = $1 AND day = $2
		AND short_us <= $4 AND short_by > 0 AND told_short_us IS NULL`, k.Tenant, k.Day, d.at, d.at-grace.Microseconds()))
	if err != nil || !told {
		return false, err
	}
	s, err := readDayState(ctx, tx, k)
	if err != nil {
		return false, err
	}
	short, err := shortData(ctx, tx, k)
	if err != nil {
		return false, err
	}
	return true, addDayEvent(ctx, tx, k.Tenant, k.Day, domain.EventDayShort, s, short, d.at)
}

// readDayState reads what an event says of a locked day.
func readDayState(ctx context.Context, tx *db.Tx, k DayKey) (s dayState, err error) {
	err = tx.QueryRowContext(ctx, `SELECT locked, completed_us, reopened_us, n_available, n_no_data, n_failed FROM days WHERE tenant = $1 AND day = $2`, k.Tenant, k.Day).
		Scan(&s.locked, db.Time(&s.settled), db.Time(&s.reopened), &s.available, &s.noData, &s.failed)
	return s, err
}

// shortData gives the totals of a day that are not met.
func shortData(ctx context.Context, tx *db.Tx, k DayKey) (*shortEvent, error) {
	all, err := readTotals(ctx, tx, k.Tenant, k.Day)
	if err != nil {
		return nil, err
	}
	out := &shortEvent{Short: []shortTotal{}}
	_, out.ShortBy, _ = all.count()
	all.Each(func(hour int, total, registered int64) {
		if registered >= total {
			return
		}
		s := shortTotal{Total: total, Registered: registered}
		if hour != domain.WholeDay {
			s.Hour = domain.HourKey{Hour: hour}.HH()
		}
		out.Short = append(out.Short, s)
	})
	return out, nil
}
