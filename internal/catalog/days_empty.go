package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// EmptyDays lists tenants without a row of a day, because nothing was registered for it. They are
// open and have the recordings feature, and the day is within their retention. It lists at most
// limit.
func (c *Catalog) EmptyDays(ctx context.Context, day domain.Day, limit int) ([]DayKey, error) {
	return c.dayKeys(ctx, emptyDaysSQL, day, db.Micros(day.End()), limit)
}

const emptyDaysSQL = `SELECT t.id, CAST($1 AS TEXT) FROM tenants t
		WHERE t.recordings AND t.closed_us IS NULL AND CAST($2 AS BIGINT) + t.retention_days` + daysInMicrosSQL + ` > (SELECT now_us FROM catalog_clock)
		AND (t.floor_us < CAST($2 AS BIGINT) OR t.floor_us > (SELECT now_us FROM catalog_clock))
		AND NOT EXISTS (SELECT 1 FROM days d WHERE d.tenant = t.id AND d.day = $1)
		ORDER BY t.id LIMIT $3`

// LongestRetention is the longest retention of any tenant with the recordings feature, in days.
func (c *Catalog) LongestRetention(ctx context.Context) (int, error) {
	var days int
	err := c.db.QueryRowContext(ctx, `SELECT coalesce(max(retention_days), 0) FROM tenants WHERE recordings`).Scan(&days)
	return days, err
}

// BackfillTenant is a tenant whose past days without recordings must be planned, because it is new,
// its recordings feature was switched on, or its retention became longer.
type BackfillTenant struct {
	ID            string
	RetentionDays int
	floor         time.Time
	backfill      int
}

// NeedsBackfill says whether a tenant needs a backfill and the clock is trusted. Nothing but the
// clock tells that a day without recordings is over.
func (c *Catalog) NeedsBackfill(ctx context.Context) (needed bool, err error) {
	err = c.db.QueryRowContext(ctx, needsBackfillSQL).Scan(&needed)
	return needed, err
}

const needsBackfillSQL = `SELECT EXISTS (SELECT 1 FROM tenants WHERE backfill > 0 AND recordings AND closed_us IS NULL) AND ` + clock.TrustedSQL

// BackfillTenants lists tenants that need a backfill, at most limit.
func (c *Catalog) BackfillTenants(ctx context.Context, limit int) ([]BackfillTenant, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (t BackfillTenant, err error) {
		err = rows.Scan(&t.ID, &t.RetentionDays, db.Time(&t.floor), &t.backfill)
		return t, err
	}, backfillTenantsSQL, limit)
}

const backfillTenantsSQL = `SELECT id, retention_days, floor_us, backfill FROM tenants WHERE backfill > 0 AND recordings AND closed_us IS NULL ORDER BY id LIMIT $1`

// BackfillDays lists the tenant's days up to until that are within retention and have no row yet:
// at most limit, latest first.
func (c *Catalog) BackfillDays(ctx context.Context, t BackfillTenant, until domain.Day, limit int) ([]DayKey, error) {
	at, err := c.Now(ctx)
	if err != nil {
		return nil, err
	}
	list, err := db.Collect(ctx, c.db, db.Value[domain.Day], tenantDaysSQL, t.ID, domain.DayOf(at).Add(-t.RetentionDays-1))
	if err != nil {
		return nil, err
	}
	known := make(map[domain.Day]bool, len(list))
	for _, day := range list {
		known[day] = true
	}
	var keys []DayKey
	for day := until; len(keys) < limit && domain.RetentionEnd(day, time.Time{}, time.Time{}, t.RetentionDays).After(at); day = day.Add(-1) {
		if !known[day] && !belowFloor(day, t.floor, at) {
			keys = append(keys, DayKey{t.ID, day})
		}
	}
	return keys, nil
}

const tenantDaysSQL = `SELECT day FROM days WHERE tenant = $1 AND day >= $2`

// BackfillDone writes down that the tenant's days are planned. A tenant whose retention was raised
// meanwhile is listed again.
func (c *Catalog) BackfillDone(ctx context.Context, t BackfillTenant) error {
	_, err := c.db.ExecContext(ctx, `UPDATE tenants SET backfill = 0 WHERE id = $1 AND backfill = $2`, t.ID, t.backfill)
	return err
}
