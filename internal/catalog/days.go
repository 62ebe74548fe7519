package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// dayRow is what retention needs of a locked day.
type dayRow struct {
	settled, reopened time.Time
	expired           bool
	retentionDays     int
}

// end is the time, in microseconds, from which the day is past retention.
func (d dayRow) end(day domain.Day) int64 {
	return db.Micros(domain.RetentionEnd(day, d.settled, d.reopened, d.retentionDays))
}

// The retention of days d in SQL, as domain.RetentionEnd has it in Go.
const (
	// retentionStartSQL is the time from which retention counts. The index days_end has this
	// expression.
	retentionStartSQL = `coalesce(d.reopened_us, d.completed_us, d.closes_us)`
	// daysInMicrosSQL follows a number of days and turns it into microseconds.
	daysInMicrosSQL = ` * CAST(86400000000 AS BIGINT)`
	// overForSQL, a number of days and daysInMicrosSQL are true for days past that retention.
	overForSQL = retentionStartSQL + ` <= (SELECT now_us FROM catalog_clock) - `
	// pastSQL is true for days that are past the retention of tenants t.
	pastSQL = overForSQL + `t.retention_days` + daysInMicrosSQL
)

// belowFloor says whether a day without a row had ended before the tenant's retention was raised. A
// floor in the future was written while the clock was ahead, so it counts for nothing.
func belowFloor(day domain.Day, floor, now time.Time) bool {
	return !day.End().After(floor) && !floor.After(now)
}

// lockDay locks the day's row, which it inserts when there is none, and reads what retention needs.
func lockDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (dayRow, error) {
	var d dayRow
	err := tx.QueryRowContext(ctx, `INSERT INTO days (tenant, day, closes_us, expired_us) VALUES ($1, $2, $3,
			(SELECT c.now_us FROM tenants t CROSS JOIN catalog_clock c WHERE t.id = $1 AND t.floor_us >= $3 AND t.floor_us <= c.now_us))
		ON CONFLICT (tenant, day) DO UPDATE SET locked = days.locked + 1
		RETURNING completed_us, reopened_us, expired_us IS NOT NULL`, tenant, day, db.Micros(day.End())).
		Scan(db.Time(&d.settled), db.Time(&d.reopened), &d.expired)
	if err != nil {
		return d, err
	}
	err = tx.QueryRowContext(ctx, `SELECT retention_days FROM tenants WHERE id = $1`, tenant).Scan(&d.retentionDays)
	return d, db.NotFound(err, "tenant %q does not exist", tenant)
}

// lockedDay is the state of a day whose row is locked.
type lockedDay struct {
	open    bool  // within retention: builds and plans may go on
	over    bool  // past its end, and expired or about to be; a day past its end is neither open nor over while expiry pauses
	expired bool  // marked as ended
	at      int64 // the catalog's time in microseconds, read after the lock
	end     int64 // the time in microseconds from which the day is past retention
	lastEnd int64 // that time if the day is settled now; end, where it is settled already or reopened
}

// lockOpenDay locks the day and reads its state. It does not end the day. Only the planner does
// that, after it has checked the clock.
func lockOpenDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (lockedDay, error) {
	var l lockedDay
	d, err := lockDay(ctx, tx, tenant, day)
	if err != nil {
		return l, err
	}
	if l.at, err = clock.Now(ctx, tx); err != nil {
		return l, err
	}
	l.expired, l.end = d.expired, d.end(day)
	if d.settled.IsZero() {
		d.settled = db.FromMicros(l.at)
	}
	l.lastEnd = d.end(day)
	l.open = !l.expired && l.at < l.end
	if l.open || l.expired {
		l.over = l.expired
		return l, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT paused_until_us <= $1 FROM clock`, l.at).Scan(&l.over)
	return l, err
}

// refreshDay updates a locked day's counts from its hours, and when it was settled. It inserts the
// events of the change, and seals the day when no hour is pending.
func refreshDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, at int64) error {
	var s dayState
	var counted bool // it has totals, or had some
	err := tx.QueryRowContext(ctx, `UPDATE days SET
		n_available = h.available, n_no_data = h.no_data, n_pending = 24 - h.available - h.no_data - h.failed, n_failed = h.failed,
		completed_us = CASE WHEN days.completed_us IS NULL AND days.planned_us IS NOT NULL
			AND h.available + h.no_data + h.failed = 24 THEN $3 ELSE days.completed_us END,
		told_failed = CASE WHEN h.available + h.no_data + h.failed < 24 THEN 0
			WHEN h.failed < days.told_failed THEN h.failed ELSE days.told_failed END
		FROM (SELECT
			count(*) FILTER (WHERE hours.state = 'available') AS available,
			count(*) FILTER (WHERE hours.state = 'no_data') AS no_data,
			count(*) FILTER (WHERE hours.state = 'failed') AS failed
			FROM hours WHERE hours.tenant = $1 AND hours.day = $2) h
		WHERE days.tenant = $1 AND days.day = $2
		RETURNING locked, planned_us IS NOT NULL, completed_us, whole_us IS NOT NULL, reopened_us, n_available, n_no_data, n_pending, n_failed, told_failed,
			n_totals > 0 OR short_by > 0 OR surplus > 0 OR short_us IS NOT NULL, told_short_us IS NOT NULL`, tenant, day, at).
		Scan(&s.locked, &s.planned, db.Time(&s.settled), &s.whole, db.Time(&s.reopened), &s.available, &s.noData, &s.pending, &s.failed, &s.failedAnnounced,
			&counted, &s.shortAnnounced)
	if err != nil {
		return err
	}
	if counted {
		if err := refreshTotals(ctx, tx, tenant, day, &s, at); err != nil {
			return err
		}
	}
	if err := announceDay(ctx, tx, tenant, day, s, at); err != nil || !s.planned || s.pending > 0 {
		return err
	}
	return sealDay(ctx, tx, tenant, day, at, false)
}

// refreshServed is refreshDay for changes of the served archives. It also updates the totals, for
// which it reads every session of the day.
func refreshServed(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, at int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE days SET total_files = h.files, total_bytes = h.bytes,
		total_sessions = (SELECT count(DISTINCT s.session_id) FROM archive_sessions s
			JOIN hours x ON x.archive = s.object_key WHERE x.tenant = $1 AND x.day = $2)
		FROM (SELECT coalesce(sum(a.file_count), 0) AS files, coalesce(sum(a.size), 0) AS bytes
			FROM hours JOIN archives a ON a.object_key = hours.archive
			WHERE hours.tenant = $1 AND hours.day = $2) h
		WHERE days.tenant = $1 AND days.day = $2`, tenant, day)
	if err != nil {
		return err
	}
	return refreshDay(ctx, tx, tenant, day, at)
}

// PlanResult is the result of planning one day.
type PlanResult struct {
	Open bool // false: the day is past retention, nothing was planned
	Due  int  // hours that now wait for a build
}

// PlanDay plans a day that is over: empty hours become no_data, the others become due. A repetition
// changes nothing. Errors: KindNotFound for an unknown tenant, KindInvalid for a day that is not
// over.
func (c *Catalog) PlanDay(ctx context.Context, tenant string, day domain.Day) (PlanResult, error) {
	var p PlanResult
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		p = PlanResult{}
		d, err := lockOpenDay(ctx, tx, tenant, day)
		if err != nil {
			return err
		}
		if d.at < db.Micros(day.End()) {
			return domain.Errorf(domain.KindInvalid, "%s is not over yet; only closed days are planned", day)
		}
		if p.Open = d.open; !d.open {
			return nil
		}
		if err := planHours(ctx, tx, tenant, day, 0, 23, d.at); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND due_us <= $3`, tenant, day, d.at).Scan(&p.Due)
	})
	return p, err
}

// planHours plans the hours first to last of a locked, open day. The upsert reads the row's own
// flag. So a registration at the same time is either seen here, or makes the hour due itself.
func planHours(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, first, last int, at int64) error {
	rows := make([]string, 0, 24)
	for hour := first; hour <= last; hour++ {
		rows = append(rows, fmt.Sprintf("($1, $2, %d, 'no_data', TRUE)", hour))
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO hours (tenant, day, hour, state, planned) VALUES `+strings.Join(rows, ", ")+`
		ON CONFLICT (tenant, day, hour) DO UPDATE SET planned = TRUE,
			due_us = CASE WHEN NOT hours.planned AND hours.wanted <> hours.built THEN $3 ELSE hours.due_us END`,
		tenant, day, at)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE days SET planned_us = coalesce(planned_us, $3) WHERE tenant = $1 AND day = $2
		AND (SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND planned) = 24`, tenant, day, at)
	if err != nil {
		return err
	}
	return refreshDay(ctx, tx, tenant, day, at)
}

// DayKey names one day of one tenant.
type DayKey struct {
	Tenant string
	Day    domain.Day
}

// UnplannedDays lists days up to until that have recordings, are within retention and have no plan,
// of tenants with the recordings feature. It lists at most limit, oldest first.
func (c *Catalog) UnplannedDays(ctx context.Context, until domain.Day, limit int) ([]DayKey, error) {
	return c.dayKeys(ctx, unplannedSQL, until, limit)
}

const unplannedSQL = `SELECT d.tenant, d.day FROM days d JOIN tenants t ON t.id = d.tenant
		WHERE d.planned_us IS NULL AND d.expired_us IS NULL AND d.day <= $1 AND t.recordings AND NOT (` + pastSQL + `)
		ORDER BY d.day, d.tenant LIMIT $2`

func (c *Catalog) dayKeys(ctx context.Context, query string, args ...any) ([]DayKey, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (k DayKey, err error) {
		err = rows.Scan(&k.Tenant, &k.Day)
		return k, err
	}, query, args...)
}
