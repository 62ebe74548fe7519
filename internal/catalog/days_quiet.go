package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// QuietDays lists the tenants with the recordings feature for which day is within retention and
// has no row yet, because nothing was ever registered for it: at most limit.
func (c *Catalog) QuietDays(ctx context.Context, day domain.Day, limit int) ([]DayKey, error) {
	return c.dayKeys(ctx, quietSQL, day, micros(day.End()), limit)
}

const quietSQL = `SELECT t.id, CAST($1 AS TEXT) FROM tenants t
		WHERE t.recordings AND CAST($2 AS BIGINT) + t.retention_days * CAST(86400000000 AS BIGINT) > (SELECT now_us FROM catalog_clock)
		AND (t.floor_us < CAST($2 AS BIGINT) OR t.floor_us > (SELECT now_us FROM catalog_clock))
		AND NOT EXISTS (SELECT 1 FROM days d WHERE d.tenant = t.id AND d.day = $1)
		ORDER BY t.id LIMIT $3`

// LongestRetention is the longest retention of any tenant with the recordings feature, in days.
func (c *Catalog) LongestRetention(ctx context.Context) (int, error) {
	var days int
	err := c.read.QueryRowContext(ctx, `SELECT coalesce(max(retention_days), 0) FROM tenants WHERE recordings`).Scan(&days)
	return days, translate(err)
}

// GrownTenant is a tenant of which more days are to be planned than before: it is new, was given the
// recordings feature or keeps its days for longer.
type GrownTenant struct {
	ID            string
	RetentionDays int
	floor         int64
	grown         int
}

// Grown says whether there is a tenant of which more days are to be planned, and the clock can be
// trusted with days of which nothing was ever registered.
func (c *Catalog) Grown(ctx context.Context) (grown bool, err error) {
	err = c.read.QueryRowContext(ctx, anyGrownSQL).Scan(&grown)
	return grown, translate(err)
}

const anyGrownSQL = `SELECT EXISTS (SELECT 1 FROM tenants WHERE grown > 0 AND recordings) AND ` + calmSQL

// GrownTenants lists such tenants, at most limit.
func (c *Catalog) GrownTenants(ctx context.Context, limit int) ([]GrownTenant, error) {
	return collect(ctx, c.read, func(rows *sql.Rows) (t GrownTenant, err error) {
		err = rows.Scan(&t.ID, &t.RetentionDays, &t.floor, &t.grown)
		return t, err
	}, grownSQL, limit)
}

const grownSQL = `SELECT id, retention_days, floor_us, grown FROM tenants WHERE grown > 0 AND recordings ORDER BY id LIMIT $1`

// QuietDaysOf lists the tenant's days up to until that are within retention and have no row yet,
// latest first: at most limit.
func (c *Catalog) QuietDaysOf(ctx context.Context, t GrownTenant, until domain.Day, limit int) ([]DayKey, error) {
	at, err := c.Now(ctx)
	if err != nil {
		return nil, err
	}
	named := map[domain.Day]bool{}
	_, err = collect(ctx, c.read, func(rows *sql.Rows) (struct{}, error) {
		var day domain.Day
		err := rows.Scan(&day)
		named[day] = true
		return struct{}{}, err
	}, quietOfSQL, t.ID, domain.DayOf(at).Add(-t.RetentionDays-1))
	if err != nil {
		return nil, err
	}
	var keys []DayKey
	for day := until; len(keys) < limit && domain.RetentionEnd(day, time.Time{}, time.Time{}, t.RetentionDays).After(at); day = day.Add(-1) {
		if !named[day] && !belowFloor(day, t.floor, micros(at)) {
			keys = append(keys, DayKey{t.ID, day})
		}
	}
	return keys, nil
}

const quietOfSQL = `SELECT day FROM days WHERE tenant = $1 AND day >= $2`

// Settled says that the tenant's days are planned. One that has grown meanwhile is listed again.
func (c *Catalog) Settled(ctx context.Context, t GrownTenant) error {
	_, err := c.write.ExecContext(ctx, `UPDATE tenants SET grown = 0 WHERE id = $1 AND grown = $2`, t.ID, t.grown)
	return translate(err)
}
