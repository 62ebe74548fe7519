package catalog

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/domain"
)

// dayRow is a day while its row is locked.
type dayRow struct {
	completed, reopened, expired, planned sql.NullInt64
	retentionDays                         int
}

// end is the instant (microseconds) from which the day is past retention.
func (d dayRow) end(day domain.Day) int64 {
	return micros(domain.RetentionEnd(day, timeOf(d.completed), timeOf(d.reopened), d.retentionDays))
}

// daySQLEnd is the same in SQL, for days d and tenants t.
const daySQLEnd = `coalesce(d.reopened_us, d.completed_us, d.closes_us) + t.retention_days * CAST(86400000000 AS BIGINT)`

// lockDay locks the day's row, making it when there is none, and reads what retention needs.
func lockDay(ctx context.Context, tx *sql.Tx, tenant string, day domain.Day) (dayRow, error) {
	var d dayRow
	err := tx.QueryRowContext(ctx, `INSERT INTO days (tenant, day, closes_us) VALUES ($1, $2, $3)
		ON CONFLICT (tenant, day) DO UPDATE SET locked = days.locked + 1
		RETURNING completed_us, reopened_us, expired_us, planned_us`, tenant, day, micros(day.End())).
		Scan(&d.completed, &d.reopened, &d.expired, &d.planned)
	if err != nil {
		return d, err
	}
	err = tx.QueryRowContext(ctx, `SELECT retention_days FROM tenants WHERE id = $1`, tenant).Scan(&d.retentionDays)
	return d, notFound(err, "tenant %q does not exist", tenant)
}

func notFound(err error, format string, args ...any) error {
	if err == sql.ErrNoRows {
		return domain.Errorf(domain.KindNotFound, format, args...)
	}
	return err
}

// lockOpenDay locks the day and ends it when its retention is over. It says whether the day is
// open, and the catalog's time read after the lock.
func lockOpenDay(ctx context.Context, tx *sql.Tx, tenant string, day domain.Day) (open bool, at int64, err error) {
	d, err := lockDay(ctx, tx, tenant, day)
	if err != nil {
		return false, 0, err
	}
	if at, err = now(ctx, tx); err != nil {
		return false, 0, err
	}
	if d.expired.Valid {
		return false, at, nil
	}
	if at < d.end(day) {
		return true, at, nil
	}
	paused, err := deletionsPaused(ctx, tx, at)
	if err != nil || paused {
		return false, at, err
	}
	return false, at, expireDay(ctx, tx, tenant, day, at)
}

// expireDay ends a locked day for good: running builds lose their claim, archives are doomed.
// What was taken in stays.
func expireDay(ctx context.Context, tx *sql.Tx, tenant string, day domain.Day, at int64) error {
	for _, q := range []string{
		`UPDATE days SET expired_us = $3 WHERE tenant = $1 AND day = $2`,
		`UPDATE hours SET state = 'expired', archive = NULL, due_us = NULL, token = NULL, lease_us = NULL,
			dispatched_us = NULL, recheck_us = NULL WHERE tenant = $1 AND day = $2 AND $3 > 0`,
		`UPDATE archives SET state = 'doomed', delete_after_us = $3 WHERE tenant = $1 AND day = $2 AND state <> 'doomed'`,
	} {
		if _, err := tx.ExecContext(ctx, q, tenant, day, at); err != nil {
			return err
		}
	}
	return nil
}

// refreshDay brings a locked day's totals, counts and completion up to its hours.
func refreshDay(ctx context.Context, tx *sql.Tx, tenant string, day domain.Day, at int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE days SET
		n_available = h.available, n_no_data = h.no_data, n_pending = 24 - h.available - h.no_data - h.failed, n_failed = h.failed,
		total_files = h.files, total_bytes = h.bytes,
		total_sessions = (SELECT count(DISTINCT s.session_id) FROM archive_sessions s
			JOIN hours x ON x.archive = s.object_key WHERE x.tenant = $1 AND x.day = $2),
		completed_us = CASE WHEN days.completed_us IS NULL AND days.planned_us IS NOT NULL
			AND h.available + h.no_data + h.failed = 24 THEN $3 ELSE days.completed_us END
		FROM (SELECT
			count(*) FILTER (WHERE hours.state = 'available') AS available,
			count(*) FILTER (WHERE hours.state = 'no_data') AS no_data,
			count(*) FILTER (WHERE hours.state = 'failed') AS failed,
			coalesce(sum(a.file_count), 0) AS files, coalesce(sum(a.size), 0) AS bytes
			FROM hours LEFT JOIN archives a ON a.object_key = hours.archive
			WHERE hours.tenant = $1 AND hours.day = $2) h
		WHERE days.tenant = $1 AND days.day = $2`, tenant, day, at)
	return err
}

// Planned is what planning one day did.
type Planned struct {
	Open bool // false: the day is past retention, nothing was planned
	Due  int  // hours that now wait for a build
}

// PlanDay plans a closed day: its empty hours become no_data, the others due. Repeating it
// changes nothing. Errors: KindNotFound for an unknown tenant, KindInvalid for a day not over.
func (c *Catalog) PlanDay(ctx context.Context, tenant string, day domain.Day) (Planned, error) {
	var p Planned
	err := c.update(ctx, func(tx *sql.Tx) error {
		p = Planned{}
		open, at, err := lockOpenDay(ctx, tx, tenant, day)
		if err != nil {
			return err
		}
		if at < micros(day.End()) {
			return domain.Errorf(domain.KindInvalid, "%s is not over yet; only closed days are planned", day)
		}
		if p.Open = open; !open {
			return nil
		}
		return planHours(ctx, tx, tenant, day, 0, 23, at, &p)
	})
	return p, err
}

// planHours plans hours from to to of a locked, open day. The upsert decides on the row's own
// flag, so a registration that races it is either counted here or makes the hour due itself.
func planHours(ctx context.Context, tx *sql.Tx, tenant string, day domain.Day, from, to int, at int64, p *Planned) error {
	for hour := from; hour <= to; hour++ {
		_, err := tx.ExecContext(ctx, `INSERT INTO hours (tenant, day, hour, state, planned)
			VALUES ($1, $2, $3, 'no_data', TRUE)
			ON CONFLICT (tenant, day, hour) DO UPDATE SET planned = TRUE,
				due_us = CASE WHEN NOT hours.planned AND hours.wanted <> hours.built THEN $4 ELSE hours.due_us END`,
			tenant, day, hour, at)
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE days SET planned_us = coalesce(planned_us, $3) WHERE tenant = $1 AND day = $2
		AND (SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND planned) = 24`, tenant, day, at)
	if err != nil {
		return err
	}
	if err := refreshDay(ctx, tx, tenant, day, at); err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND due_us <= $3`,
		tenant, day, at).Scan(&p.Due)
}

// DayKey names one day of one tenant.
type DayKey struct {
	Tenant string
	Day    domain.Day
}

// UnplannedDays lists days up to until that hold something and have neither a plan nor an end,
// of tenants with the recordings feature, oldest first: at most limit.
func (c *Catalog) UnplannedDays(ctx context.Context, until domain.Day, limit int) ([]DayKey, error) {
	return c.dayKeys(ctx, `SELECT d.tenant, d.day FROM days d JOIN tenants t ON t.id = d.tenant
		WHERE d.planned_us IS NULL AND d.expired_us IS NULL AND d.day <= $1 AND t.recordings
		ORDER BY d.day, d.tenant LIMIT $2`, until, limit)
}

// QuietDays lists the tenants with the recordings feature for which day is within retention and
// has no row yet, because nothing was ever registered for it: at most limit.
func (c *Catalog) QuietDays(ctx context.Context, day domain.Day, limit int) ([]DayKey, error) {
	return c.dayKeys(ctx, `SELECT t.id, CAST($1 AS TEXT) FROM tenants t
		WHERE t.recordings AND CAST($2 AS BIGINT) + t.retention_days * CAST(86400000000 AS BIGINT) > (SELECT now_us FROM catalog_clock)
		AND NOT EXISTS (SELECT 1 FROM days d WHERE d.tenant = t.id AND d.day = $1)
		ORDER BY t.id LIMIT $3`, day, micros(day.End()), limit)
}

// LongestRetention is the longest retention of any tenant with the recordings feature, in days.
func (c *Catalog) LongestRetention(ctx context.Context) (int, error) {
	var days int
	err := c.read.QueryRowContext(ctx, `SELECT coalesce(max(retention_days), 0) FROM tenants WHERE recordings`).Scan(&days)
	return days, translate(err)
}

func (c *Catalog) dayKeys(ctx context.Context, query string, args ...any) ([]DayKey, error) {
	return collect(ctx, c.read, func(rows *sql.Rows) (k DayKey, err error) {
		return k, rows.Scan(&k.Tenant, &k.Day)
	}, query, args...)
}

// ExpireDays ends days whose retention is over, oldest first, at most limit, and says how many.
// It does nothing while deletions pause after a step of the clock.
func (c *Catalog) ExpireDays(ctx context.Context, limit int) (int, error) {
	keys, err := c.dayKeys(ctx, `SELECT d.tenant, d.day FROM days d JOIN tenants t ON t.id = d.tenant
		WHERE d.expired_us IS NULL AND `+daySQLEnd+` <= (SELECT now_us FROM catalog_clock)
		AND (SELECT now_us FROM catalog_clock) >= (SELECT deletions_after FROM clock)
		ORDER BY d.day, d.tenant LIMIT $1`, limit)
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, k := range keys {
		err := c.update(ctx, func(tx *sql.Tx) error {
			_, _, err := lockOpenDay(ctx, tx, k.Tenant, k.Day)
			return err
		})
		if err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}
