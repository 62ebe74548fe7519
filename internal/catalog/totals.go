package catalog

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Totals are the totals of one day and its hours, and what is registered.
type Totals struct {
	Day        *int64     // recordings of the day; nil where no total of it stands
	Hours      [24]*int64 // the same for each hour
	Registered [24]int64  // recordings of each hour that are registered, were erased or ended, without those that came after the day's end
}

// RegisteredOf is how many recordings an hour has, or the day where hour is domain.WholeDay.
func (t Totals) RegisteredOf(hour int) (n int64) {
	if hour != domain.WholeDay {
		return t.Registered[hour]
	}
	for _, r := range t.Registered {
		n += r
	}
	return n
}

// Each calls visit for each total that stands: those of the hours in order, then the day's.
func (t Totals) Each(visit func(hour int, total, registered int64)) {
	for hour, total := range t.Hours {
		if total != nil {
			visit(hour, *total, t.Registered[hour])
		}
	}
	if t.Day != nil {
		visit(domain.WholeDay, *t.Day, t.RegisteredOf(domain.WholeDay))
	}
}

// count says how many totals stand, by how many recordings the day is short of them, and by how
// many it has more. Both happens where a recording is in another hour than the platform says.
func (t Totals) count() (n int, short, surplus int64) {
	var ofHours, ofDay struct{ short, surplus int64 }
	t.Each(func(hour int, total, registered int64) {
		to := &ofHours
		if hour == domain.WholeDay {
			to = &ofDay
		}
		to.short += max(total-registered, 0)
		to.surplus += max(registered-total, 0)
		n++
	})
	return n, max(ofHours.short, ofDay.short), max(ofHours.surplus, ofDay.surplus)
}

// hourSum adds the totals of the hours, and says of how many hours there is one.
func (t Totals) hourSum() (sum int64, hours int) {
	for _, total := range t.Hours {
		if total != nil {
			sum += *total
			hours++
		}
	}
	return sum, hours
}

// contradiction says how the totals contradict each other; "" where they do not.
func (t Totals) contradiction(day domain.Day) string {
	sum, hours := t.hourSum()
	if t.Day == nil || sum == *t.Day || sum < *t.Day && hours < 24 {
		return ""
	}
	return fmt.Sprintf("the totals of the hours of %s (%d of 24) are %d together, and the day's total is %d", day, hours, sum, *t.Day)
}

// registeredSQL reads how many recordings the hours of a day have and had, because a total counts
// recordings that were erased or ended later.
const registeredSQL = `SELECT hour, registered FROM hours WHERE tenant = $1 AND day = $2
	UNION ALL SELECT hour, recordings FROM erased_recordings WHERE tenant = $1 AND day = $2`

// readTotals reads a day's totals.
func readTotals(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (t Totals, err error) {
	err = db.Each(ctx, tx, func(rows *sql.Rows) error {
		var hour int
		var n int64
		err := rows.Scan(&hour, &n)
		if err == nil {
			if hour == domain.WholeDay {
				t.Day = &n
			} else {
				t.Hours[hour] = &n
			}
		}
		return err
	}, `SELECT hour, recordings FROM totals WHERE tenant = $1 AND day = $2 AND recordings IS NOT NULL`, tenant, day)
	if err != nil {
		return t, err
	}
	err = db.Each(ctx, tx, func(rows *sql.Rows) error {
		var hour int
		var n int64
		err := rows.Scan(&hour, &n)
		if err == nil {
			t.Registered[hour] += n
		}
		return err
	}, registeredSQL, tenant, day)
	if err == nil {
		err = leaveOutLate(ctx, tx, tenant, day, &t)
	}
	return t, err
}

// leaveOutLate takes out of an ended day's counts what came after the end, because it is in no
// archive.
func leaveOutLate(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, t *Totals) error {
	var ended int64
	err := tx.QueryRowContext(ctx, `SELECT coalesce(max(expired_us), 0) FROM days WHERE tenant = $1 AND day = $2 AND too_late > 0`, tenant, day).Scan(&ended)
	if err != nil || ended == 0 {
		return err
	}
	return db.Each(ctx, tx, func(rows *sql.Rows) error {
		var hour int
		var late int64
		err := rows.Scan(&hour, &late)
		if err == nil {
			t.Registered[hour] -= late
		}
		return err
	}, `SELECT hour, count(*) FROM recordings WHERE tenant = $1 AND day = $2 AND registered_us >= $3 GROUP BY hour`, tenant, day, ended)
}

// countRegisteredSQL counts the recordings of hours whose count is not that of their present
// wanted: programs that do not know the count registered some.
const countRegisteredSQL = `UPDATE hours SET counted = wanted,
	registered = (SELECT count(*) FROM recordings r WHERE r.hour = hours.hour AND r.tenant = hours.tenant AND r.day = hours.day)
	WHERE tenant = $1 AND day = $2 AND counted <> wanted`

// uncount takes n recordings out of the count of an hour of a locked day, without raising wanted.
func uncount(ctx context.Context, tx *db.Tx, h domain.HourKey, n int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE hours SET registered = registered - $4 WHERE tenant = $1 AND day = $2 AND hour = $3 AND counted = wanted`,
		h.Tenant, h.Day, h.Hour, n)
	return err
}

// compareTotals compares a locked day's recordings with its totals, and stores the difference. It
// must come after every change of either.
func compareTotals(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (t Totals, err error) {
	if _, err := tx.ExecContext(ctx, countRegisteredSQL, tenant, day); err != nil {
		return t, err
	}
	if t, err = readTotals(ctx, tx, tenant, day); err != nil {
		return t, err
	}
	n, short, surplus := t.count()
	_, err = tx.ExecContext(ctx, `UPDATE days SET n_totals = $3, short_by = $4, surplus = $5 WHERE tenant = $1 AND day = $2`, tenant, day, n, short, surplus)
	return t, err
}

// refreshTotals is compareTotals for a day that is open, after its counts s. Nothing but its totals
// keeps the day from being complete since short_us.
func refreshTotals(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, s *dayState, at int64) error {
	t, err := compareTotals(ctx, tx, tenant, day)
	if err != nil {
		return err
	}
	s.totals, s.short, s.surplus = t.count()
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND archive IS NOT NULL AND wanted <> built`,
		tenant, day).Scan(&s.rebuilding); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE days SET short_us = CASE WHEN NOT $3 THEN NULL
			WHEN $4 THEN coalesce(short_us, whole_us, $5) ELSE short_us END
		WHERE tenant = $1 AND day = $2`, tenant, day, s.short > 0, s.planned && s.pending == 0 && s.failed == 0, at)
	return err
}

// Totals reads a day's totals.
func (c *Catalog) Totals(ctx context.Context, tenant string, day domain.Day) (t Totals, err error) {
	err = c.db.View(ctx, func(tx *db.Tx) error {
		t, err = readTotals(ctx, tx, tenant, day)
		return err
	})
	return t, err
}
