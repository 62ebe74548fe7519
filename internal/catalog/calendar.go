package catalog

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Calendar is the state of some tenants' days. It is read from the counts in the days' rows, and
// from small indexes of the archives and hours that are incomplete. So its cost grows with the
// tenants and days shown, not with the recordings.
type Calendar struct {
	Now     time.Time // the catalog's clock
	Tenants []CalendarTenant
	More    bool // more tenants follow
}

// CalendarTenant is one tenant's row.
type CalendarTenant struct {
	domain.Tenant
	Days map[domain.Day]CalendarDay // days that have a row
}

// CalendarDay is one day in numbers. Those of an ended day are as they were when it ended.
type CalendarDay struct {
	Day     domain.Day
	Planned bool
	Ended   bool // marked as past retention
	DayCounts
	Files    int64
	Bytes    int64
	TooLate  int64 // recordings registered after the day's end
	CutShort bool  // it ended while hours were pending or failed, or had recordings in no archive
	Unbuilt  int   // hours that had recordings in no archive when it ended
	EndKnown bool  // it is known what was missing when it ended
	Short    int64 // recordings that are fewer than the day's totals
	Surplus  int64 // recordings that are more than the day's totals
}

// Incomplete says whether the day is over, or ended, without being complete. A day that was not
// planned because its tenant's feature is off is incomplete only where it is short of its totals.
func (d CalendarDay) Incomplete(t domain.Tenant, now time.Time) bool {
	switch {
	case now.Before(d.Day.End()):
		return false
	case !d.Planned && !t.Recordings:
		return d.Short > 0
	case d.Ended:
		return d.CutShort || d.Missing > 0 || d.Short > 0
	}
	return !d.Planned || d.Complete() < 24 || d.Short > 0
}

// pageOfTenants is true for n tenants, $3 and those that follow it.
func pageOfTenants(column string, n int) string {
	return column + ` IN (` + db.Parameters(3, n) + `)`
}

// calendarDaysSQL reads the days from $1 to $2 of n tenants, as does lackingSQL.
func calendarDaysSQL(n int) string {
	return `SELECT d.tenant, d.day, d.planned_us IS NOT NULL, d.expired_us IS NOT NULL, d.n_available, d.n_no_data,
	d.n_pending, d.n_failed, d.total_files, d.total_bytes, d.too_late,
	d.expired_us IS NOT NULL AND coalesce(` + cutShortSQL + `, FALSE), coalesce(d.unbuilt, 0), ` + endedColumns + `, d.short_by, d.surplus
	FROM days d WHERE d.day >= $1 AND d.day <= $2 AND ` + pageOfTenants("d.tenant", n)
}

// lackingSQL counts missing recordings, rebuilding hours, and the hours that have either of both.
func lackingSQL(n int) string {
	condition := ` AND day >= $1 AND day <= $2 AND ` + pageOfTenants("tenant", n)
	return `SELECT tenant, day, sum(missing), sum(rebuilding), count(DISTINCT hour) FROM (
		SELECT tenant, day, hour, missing_count AS missing, 0 AS rebuilding FROM archives WHERE state = 'published' AND missing_count > 0` + condition + `
		UNION ALL SELECT tenant, day, hour, 0, 1 FROM hours WHERE archive IS NOT NULL AND wanted <> built` + condition + `) x GROUP BY tenant, day`
}

// Calendar reads the days from q.From to q.To of a page of tenants in one snapshot.
func (c *Catalog) Calendar(ctx context.Context, q TenantQuery) (Calendar, error) {
	var out Calendar
	err := c.db.View(ctx, func(tx *db.Tx) error {
		out = Calendar{}
		tenants, more, err := findTenants(ctx, tx, q)
		if err != nil {
			return err
		}
		out.More = more
		return out.read(ctx, tx, tenants, q.From, q.To)
	})
	return out, err
}

// TenantDays reads one tenant's days, both ends included, as a calendar of one row. Error:
// KindNotFound.
func (c *Catalog) TenantDays(ctx context.Context, id string, from, to domain.Day) (Calendar, error) {
	var out Calendar
	err := c.db.View(ctx, func(tx *db.Tx) error {
		out = Calendar{}
		t, err := scanTenant(tx.QueryRowContext(ctx, tenantSQL(), id))
		if err != nil {
			return unknownTenant(err, id)
		}
		return out.read(ctx, tx, []domain.Tenant{t}, from, to)
	})
	return out, err
}

// read reads the days of the tenants.
func (c *Calendar) read(ctx context.Context, tx *db.Tx, tenants []domain.Tenant, from, to domain.Day) error {
	at, err := clock.Now(ctx, tx)
	c.Now = db.FromMicros(at)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(tenants, tenantsAtOnce) {
		if err := c.readSome(ctx, tx, some, from, to); err != nil {
			return err
		}
	}
	return nil
}

// tenantsAtOnce is how many tenants one query names. With 500, PostgreSQL chose a plan that took
// two seconds on 150,000 days.
const tenantsAtOnce = 50

func (c *Calendar) readSome(ctx context.Context, tx *db.Tx, tenants []domain.Tenant, from, to domain.Day) error {
	days := map[string]map[domain.Day]CalendarDay{} // by tenant
	args := []any{from, to}
	for _, t := range tenants {
		days[t.ID] = map[domain.Day]CalendarDay{}
		args = append(args, t.ID)
		c.Tenants = append(c.Tenants, CalendarTenant{t, days[t.ID]})
	}
	err := db.Each(ctx, tx, func(rows *sql.Rows) error {
		var tenant string
		var d CalendarDay
		err := rows.Scan(&tenant, &d.Day, &d.Planned, &d.Ended, &d.Available, &d.NoData, &d.Pending, &d.Failed,
			&d.Files, &d.Bytes, &d.TooLate, &d.CutShort, &d.Unbuilt, &d.Missing, &d.Lacking, &d.EndKnown, &d.Short, &d.Surplus)
		if err == nil {
			days[tenant][d.Day] = d
		}
		return err
	}, calendarDaysSQL(len(tenants)), args...)
	if err != nil {
		return err
	}
	return db.Each(ctx, tx, func(rows *sql.Rows) error { // not of ended days, whose archives are gone
		var k DayKey
		var missing, rebuilding, lacking int
		if err := rows.Scan(&k.Tenant, &k.Day, &missing, &rebuilding, &lacking); err != nil {
			return err
		}
		if d, known := days[k.Tenant][k.Day]; known {
			d.Missing, d.Rebuilding, d.Lacking = missing, rebuilding, lacking
			days[k.Tenant][k.Day] = d
		}
		return nil
	}, lackingSQL(len(tenants)), args...)
}
