package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// DueHour is an hour that waits for a build and has no dispatch outstanding.
type DueHour struct {
	domain.HourKey
	Dispatch int64     // the last dispatch's number
	Since    time.Time // when it became due
	Trace    string    // W3C traceparent of the request that asked for the build; "" for none
}

// dueSQL is true for an hour that is due and that no worker holds.
const dueSQL = `h.planned AND h.due_us <= (SELECT now_us FROM catalog_clock) AND h.token IS NULL`

// DueHours lists at most limit due hours without an outstanding dispatch of this epoch, round-robin
// over the tenants: first the oldest hour of each tenant, then the second of each, and so on. A
// tenant has at most perTenant outstanding hours, including those that were dispatched before.
func (c *Catalog) DueHours(ctx context.Context, epoch string, perTenant, limit int) ([]DueHour, error) {
	return db.Collect(ctx, c.db, scanDueHour, dueHoursSQL, epoch, perTenant, limit)
}

func scanDueHour(rows *sql.Rows) (d DueHour, err error) {
	err = rows.Scan(&d.Tenant, &d.Day, &d.Hour, &d.Dispatch, db.Time(&d.Since), &d.Trace)
	return d, err
}

// dueHoursSQL selects the due hours in a step of its own. Without it SQLite reads all hours in the
// order of row_number.
const dueHoursSQL = `WITH due AS MATERIALIZED (
		SELECT h.tenant, h.day, h.hour, h.dispatch, h.due_us, h.trace FROM hours h
		WHERE ` + dueSQL + ` AND (h.dispatched_us IS NULL OR h.dispatch_epoch <> $1)
	), outstanding AS (
		SELECT tenant, count(*) AS n FROM hours WHERE dispatched_us IS NOT NULL AND dispatch_epoch = $1 GROUP BY tenant
	)
	SELECT tenant, day, hour, dispatch, due_us, coalesce(trace, '') FROM (
		SELECT due.tenant, due.day, due.hour, due.dispatch, due.due_us, due.trace,
			row_number() OVER (PARTITION BY due.tenant ORDER BY due.due_us, due.day, due.hour) + coalesce(o.n, 0) AS place
		FROM due LEFT JOIN outstanding o ON o.tenant = due.tenant
	) w WHERE place <= $2 ORDER BY place, due_us, tenant, day, hour LIMIT $3`

// Outstanding lists due hours whose dispatch of this epoch is older than age, because their task
// may be lost. It lists at most limit, oldest first.
func (c *Catalog) Outstanding(ctx context.Context, epoch string, age time.Duration, limit int) ([]DueHour, error) {
	return db.Collect(ctx, c.db, scanDueHour, outstandingSQL, epoch, age.Microseconds(), limit)
}

const outstandingSQL = `SELECT h.tenant, h.day, h.hour, h.dispatch, h.due_us, coalesce(h.trace, '') FROM hours h
		WHERE h.dispatched_us <= (SELECT now_us FROM catalog_clock) - $2 AND h.dispatch_epoch = $1 AND ` + dueSQL + `
		ORDER BY h.dispatched_us LIMIT $3`

// Dispatched raises an hour's dispatch number from last by compare-and-set and marks the dispatch
// as outstanding. It is false when another scheduler was faster or the hour is not due any more:
// the hour must not be enqueued then.
func (c *Catalog) Dispatched(ctx context.Context, key domain.HourKey, last int64, epoch string) (bool, error) {
	return db.Affected(c.db.ExecContext(ctx, `UPDATE hours SET dispatch = dispatch + 1, dispatch_epoch = $5,
		dispatched_us = (SELECT now_us FROM catalog_clock)
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND dispatch = $4
		AND planned AND token IS NULL AND due_us <= (SELECT now_us FROM catalog_clock)`, key.Tenant, key.Day, key.Hour, last, epoch))
}

// Undispatched ends an outstanding dispatch whose task could not be enqueued or found nothing to
// do.
func (c *Catalog) Undispatched(ctx context.Context, key domain.HourKey, dispatch int64) error {
	_, err := c.db.ExecContext(ctx, `UPDATE hours SET dispatched_us = NULL
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND dispatch = $4`, key.Tenant, key.Day, key.Hour, dispatch)
	return err
}

// maxDueAhead is longer, in microseconds, than any wait for which an hour's due time is set.
const maxDueAhead = int64(7 * 86_400_000_000)

// hoursToRepairSQL lists three kinds of hours: those that want a build and have no due time, those
// whose due time is more than $2 ahead, which only a wrong clock sets, and those that are due less
// than $3 before their day's end, which came nearer meanwhile.
const hoursToRepairSQL = `SELECT tenant, day, hour FROM hours WHERE planned AND wanted <> built AND due_us IS NULL AND state <> 'expired'
	UNION ALL SELECT tenant, day, hour FROM hours WHERE due_us > (SELECT now_us FROM catalog_clock) + CAST($2 AS BIGINT)
	UNION ALL SELECT h.tenant, h.day, h.hour FROM hours h WHERE h.token IS NULL
		AND h.due_us BETWEEN (SELECT now_us + 1 FROM catalog_clock) AND (SELECT now_us FROM catalog_clock) + CAST($2 AS BIGINT)
		AND h.due_us > (SELECT ` + retentionStartSQL + ` + t.retention_days` + daysInMicrosSQL + `
			FROM days d JOIN tenants t ON t.id = d.tenant WHERE d.tenant = h.tenant AND d.day = h.day) - CAST($3 AS BIGINT)
	LIMIT $1`

// RepairHours makes hours due whose due time is absent or comes too late, and says how many. It
// changes one row per transaction, because a transaction that locks several hours without their
// days can deadlock with a registration.
func (c *Catalog) RepairHours(ctx context.Context) (int, error) {
	const most = 1000
	keys, err := c.hourKeys(ctx, hoursToRepairSQL, most, maxDueAhead, c.rebuildDelay(0))
	if err != nil {
		return 0, err
	}
	repaired, err := changeEach(keys, func(k domain.HourKey) (bool, error) {
		return db.Affected(c.db.ExecContext(ctx, `UPDATE hours SET due_us = (SELECT now_us FROM catalog_clock)
			WHERE tenant = $1 AND day = $2 AND hour = $3 AND planned AND wanted <> built AND state <> 'expired'
			AND (due_us IS NULL OR due_us > (SELECT now_us FROM catalog_clock))`, k.Tenant, k.Day, k.Hour))
	})
	return len(repaired), err
}

// AnyDue says whether an hour is due that no worker holds.
func (c *Catalog) AnyDue(ctx context.Context) (due bool, err error) {
	err = c.db.QueryRowContext(ctx, anyDueSQL).Scan(&due)
	return due, err
}

const anyDueSQL = `SELECT coalesce((SELECT min(due_us) FROM hours WHERE due_us IS NOT NULL AND token IS NULL)
		<= (SELECT now_us FROM catalog_clock), FALSE)`

// NextDue says how many hours are due now, and when the first hour that no worker holds became or
// will become due (zero: none).
func (c *Catalog) NextDue(ctx context.Context) (due int, next time.Time, err error) {
	err = c.db.QueryRowContext(ctx, nextDueSQL).Scan(&due, db.Time(&next))
	return due, next, err
}

const nextDueSQL = `SELECT
		(SELECT count(*) FROM hours h WHERE ` + dueSQL + `),
		(SELECT min(due_us) FROM hours WHERE due_us IS NOT NULL AND token IS NULL)`
