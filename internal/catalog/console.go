package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// CalendarQuery asks for the days of a page of tenants.
type CalendarQuery struct {
	Prefix   string     // of the tenants' ids; "" for all tenants
	After    string     // the last id of the page before
	Limit    int        // tenants
	From, To domain.Day // both included
}

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

// CalendarDay is one day in numbers.
type CalendarDay struct {
	Day       domain.Day
	Planned   bool
	Expired   bool
	Available int // hours in each state; all are 0 before the first plan
	NoData    int
	Pending   int
	Failed    int
	Files     int64
	Bytes     int64
	TooLate   int64 // recordings registered after expiry
	CutShort  bool  // it ended with hours that were not complete
	Unbuilt   int   // hours that had recordings in no archive when it ended

	Missing    int // recordings that the served archives list as missing
	Rebuilding int // hours that serve an archive while a newer revision is wanted
}

// Complete is how many of the 24 hours are available or have no data.
func (d CalendarDay) Complete() int { return d.Available + d.NoData }

// calendarTenants is the page of tenants whose id is greater than $1, at least $2 and less than $3.
const calendarTenants = ` FROM tenants WHERE id > $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4`

// calendarDaysSQL reads the days of such a page.
const calendarDaysSQL = `SELECT d.tenant, d.day, d.planned_us IS NOT NULL, d.expired_us IS NOT NULL, d.n_available, d.n_no_data,
	d.n_pending, d.n_failed, d.total_files, d.total_bytes, d.too_late,
	d.expired_us IS NOT NULL AND ` + cutShortSQL + `, coalesce(d.unbuilt, 0)
	FROM (SELECT id` + calendarTenants + `) t JOIN days d ON d.tenant = t.id AND d.day >= $5 AND d.day <= $6`

// missingFilesSQL and rebuildingHoursSQL count missing files and rebuilding hours of tenants $1 to
// $2 and days $3 to $4.
const missingFilesSQL = `SELECT tenant, day, sum(missing_count) FROM archives WHERE state = 'published' AND missing_count > 0
	AND tenant >= $1 AND tenant <= $2 AND day >= $3 AND day <= $4 GROUP BY tenant, day`

const rebuildingHoursSQL = `SELECT tenant, day, count(*) FROM hours WHERE archive IS NOT NULL AND wanted <> built
	AND tenant >= $1 AND tenant <= $2 AND day >= $3 AND day <= $4 GROUP BY tenant, day`

// Calendar reads the days of a page of tenants in one snapshot.
func (c *Catalog) Calendar(ctx context.Context, q CalendarQuery) (Calendar, error) {
	var out Calendar
	err := c.db.View(ctx, func(tx *db.Tx) error {
		out = Calendar{}
		page := []any{q.After, q.Prefix, q.Prefix + "\x7f", q.Limit + 1} // ids are ASCII: nothing sorts behind DEL
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		out.Now = db.FromMicros(at)
		tenants, err := db.Collect(ctx, tx, func(rows *sql.Rows) (domain.Tenant, error) { return scanTenant(rows) }, `SELECT `+tenantColumns()+calendarTenants, page...)
		if err != nil {
			return err
		}
		if out.More = len(tenants) > q.Limit; out.More {
			tenants = tenants[:q.Limit]
			page[3] = q.Limit
		}
		place := make(map[string]int, len(tenants))
		for i, t := range tenants {
			place[t.ID] = i
			out.Tenants = append(out.Tenants, CalendarTenant{Tenant: t, Days: map[domain.Day]CalendarDay{}})
		}
		_, err = db.Collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
			var tenant string
			var d CalendarDay
			err := rows.Scan(&tenant, &d.Day, &d.Planned, &d.Expired, &d.Available, &d.NoData, &d.Pending, &d.Failed,
				&d.Files, &d.Bytes, &d.TooLate, &d.CutShort, &d.Unbuilt)
			if i, ok := place[tenant]; ok && err == nil {
				out.Tenants[i].Days[d.Day] = d
			}
			return struct{}{}, err
		}, calendarDaysSQL, append(page, q.From, q.To)...)
		if err != nil || len(tenants) == 0 {
			return err
		}
		return out.readIncomplete(ctx, tx, place, q.From, q.To)
	})
	return out, err
}

// readIncomplete adds missing files and rebuilding hours to the page's days. The page has all
// tenants between its first and its last one.
func (c *Calendar) readIncomplete(ctx context.Context, tx *db.Tx, place map[string]int, from, to domain.Day) error {
	first, last := c.Tenants[0].ID, c.Tenants[len(c.Tenants)-1].ID
	for _, part := range []struct {
		query string
		add   func(d *CalendarDay, n int)
	}{
		{missingFilesSQL, func(d *CalendarDay, n int) { d.Missing = n }},
		{rebuildingHoursSQL, func(d *CalendarDay, n int) { d.Rebuilding = n }},
	} {
		_, err := db.Collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
			var tenant string
			var day domain.Day
			var n int
			if err := rows.Scan(&tenant, &day, &n); err != nil {
				return struct{}{}, err
			}
			days := c.Tenants[place[tenant]].Days
			if d, known := days[day]; known {
				part.add(&d, n)
				days[day] = d
			}
			return struct{}{}, nil
		}, part.query, first, last, from, to)
		if err != nil {
			return err
		}
	}
	return nil
}

// Running describes the builds that run now.
type Running struct {
	Now     time.Time
	Builds  []RunningBuild
	More    bool      // there are more builds than are listed
	Due     int       // hours that are due and that no worker holds
	NextDue time.Time // when the first hour that no worker holds became or will become due; zero if none
}

// RunningBuild is an hour that a worker holds.
type RunningBuild struct {
	domain.HourKey
	Revision int64 // the revision that is being built
	Worker   string
	Claimed  time.Time
	Lease    time.Time // end of the lease, unless it is renewed
	Failures int       // failures before this build
	Lapses   int
}

// runningSQL reads claimed hours from the index of leases, which is small however much was
// recorded. SQLite uses that index for a range only, not for IS NOT NULL.
const runningSQL = `SELECT tenant, day, hour, revision + 1, coalesce(worker, ''), claimed_us, lease_us, failures, lapses
	FROM hours WHERE lease_us > 0 ORDER BY lease_us, tenant, day, hour LIMIT $1`

// Running lists the builds that run now, at most limit.
func (c *Catalog) Running(ctx context.Context, limit int) (Running, error) {
	var out Running
	var err error
	if out.Now, err = c.Now(ctx); err != nil {
		return out, err
	}
	if out.Due, out.NextDue, err = c.NextDue(ctx); err != nil {
		return out, err
	}
	out.Builds, err = db.Collect(ctx, c.db, func(rows *sql.Rows) (b RunningBuild, err error) {
		err = rows.Scan(&b.Tenant, &b.Day, &b.Hour, &b.Revision, &b.Worker, db.Time(&b.Claimed), db.Time(&b.Lease), &b.Failures, &b.Lapses)
		return b, err
	}, runningSQL, limit+1)
	if out.More = len(out.Builds) > limit; out.More {
		out.Builds = out.Builds[:limit]
	}
	return out, err
}

// FailedHour is an hour that used up its attempts.
type FailedHour struct {
	domain.HourKey
	Failures  int
	Lapses    int
	LastError string
	FailedAt  time.Time
	Due       time.Time // when it is tried again
}

// failedSQL starts from the days with failed hours, which have an index of their own.
const failedSQL = `SELECT h.tenant, h.day, h.hour, h.failures, h.lapses, coalesce(h.last_error, ''), h.failed_us, h.due_us
	FROM days d JOIN hours h ON h.tenant = d.tenant AND h.day = d.day AND h.state = 'failed'
	WHERE d.n_failed > 0 AND d.expired_us IS NULL AND (d.day, d.tenant, h.hour) > ($1, $2, $3)
	ORDER BY d.day, d.tenant, h.hour LIMIT $4`

// FailedHours lists failed hours of days within retention, of all tenants, after the given hour: at
// most limit. The oldest day comes first, because it ends first.
func (c *Catalog) FailedHours(ctx context.Context, after domain.HourKey, limit int) ([]FailedHour, error) {
	if after.Day == "" {
		after.Hour = -1
	}
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (f FailedHour, err error) {
		err = rows.Scan(&f.Tenant, &f.Day, &f.Hour, &f.Failures, &f.Lapses, &f.LastError, db.Time(&f.FailedAt), db.Time(&f.Due))
		return f, err
	}, failedSQL, after.Day, after.Tenant, after.Hour, limit)
}
