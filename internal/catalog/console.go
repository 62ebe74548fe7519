package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

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

// TriedHour is an hour whose last attempt failed, and that is tried again.
type TriedHour struct {
	FailedHour
	State  string // pending, or available with an older revision
	Worker string // the worker that builds it now
}

// triedSQL compares the time, because SQLite uses the index hours_tried for a range only.
const triedSQL = `SELECT tenant, day, hour, failures, lapses, coalesce(last_error, ''), failed_us, due_us,
	state, CASE WHEN token IS NULL THEN '' ELSE coalesce(worker, '') END
	FROM hours WHERE failed_us > 0 AND state <> 'failed' AND state <> 'expired' ORDER BY failed_us, tenant, day, hour LIMIT $1`

// TriedHours lists hours whose last attempt failed and that are tried again, of all tenants: at
// most limit. The one that failed first comes first.
func (c *Catalog) TriedHours(ctx context.Context, limit int) ([]TriedHour, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (f TriedHour, err error) {
		err = rows.Scan(&f.Tenant, &f.Day, &f.Hour, &f.Failures, &f.Lapses, &f.LastError, db.Time(&f.FailedAt), db.Time(&f.Due), &f.State, &f.Worker)
		return f, err
	}, triedSQL, limit)
}
