package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// DueHour is an hour that waits for a build and has no dispatch outstanding.
type DueHour struct {
	domain.HourKey
	Dispatch int64     // the last dispatch's number
	Since    time.Time // when it became due
	Trace    string    // W3C traceparent of who asked for it; "" when nobody did, or was traced
}

// dueSQL says that an hour waits for a build and nobody holds it.
const dueSQL = `h.planned AND h.due_us <= (SELECT now_us FROM catalog_clock) AND h.token IS NULL`

// DueHours lists due hours without an outstanding dispatch of this epoch, round-robin over the
// tenants: each tenant's oldest first, then each tenant's second, and so on. A tenant never has
// more than perTenant outstanding, those dispatched before counted. At most limit.
func (c *Catalog) DueHours(ctx context.Context, epoch string, perTenant, limit int) ([]DueHour, error) {
	return collect(ctx, c.read, func(rows *sql.Rows) (d DueHour, err error) {
		var since int64
		err = rows.Scan(&d.Tenant, &d.Day, &d.Hour, &d.Dispatch, &since, &d.Trace)
		d.Since = fromMicros(since)
		return d, err
	}, dueHoursSQL, epoch, perTenant, limit)
}

// dueHoursSQL numbers what is due in a part of its own: else SQLite reads all hours in the order
// that the numbering wants.
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

// Outstanding lists due hours whose dispatch of this epoch is older than age: their task may be
// gone. At most limit, oldest first.
func (c *Catalog) Outstanding(ctx context.Context, epoch string, age time.Duration, limit int) ([]DueHour, error) {
	return collect(ctx, c.read, func(rows *sql.Rows) (d DueHour, err error) {
		var since int64
		err = rows.Scan(&d.Tenant, &d.Day, &d.Hour, &d.Dispatch, &since, &d.Trace)
		d.Since = fromMicros(since)
		return d, err
	}, outstandingSQL, epoch, age.Microseconds(), limit)
}

const outstandingSQL = `SELECT h.tenant, h.day, h.hour, h.dispatch, h.due_us, coalesce(h.trace, '') FROM hours h
		WHERE h.dispatched_us <= (SELECT now_us FROM catalog_clock) - $2 AND h.dispatch_epoch = $1 AND ` + dueSQL + `
		ORDER BY h.dispatched_us LIMIT $3`

// Dispatched raises an hour's dispatch number from last by compare-and-set and marks it
// outstanding. False means that somebody else was faster, or that the hour no longer waits: do
// not enqueue. So only hours that wait count as outstanding, and what ends the wait ends that too.
func (c *Catalog) Dispatched(ctx context.Context, key domain.HourKey, last int64, epoch string) (bool, error) {
	res, err := c.write.ExecContext(ctx, `UPDATE hours SET dispatch = dispatch + 1, dispatch_epoch = $5,
		dispatched_us = (SELECT now_us FROM catalog_clock)
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND dispatch = $4
		AND planned AND token IS NULL AND due_us <= (SELECT now_us FROM catalog_clock)`, key.Tenant, key.Day, key.Hour, last, epoch)
	return affected(res, err)
}

// Undispatched says that a dispatch came to nothing (the task could not be enqueued, or found
// nothing to do), so that the hour does not count as outstanding.
func (c *Catalog) Undispatched(ctx context.Context, key domain.HourKey, dispatch int64) error {
	_, err := c.write.ExecContext(ctx, `UPDATE hours SET dispatched_us = NULL
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND dispatch = $4`, key.Tenant, key.Day, key.Hour, dispatch)
	return translate(err)
}

// maxDueAhead is further ahead (microseconds) than any hour is ever made due.
const maxDueAhead = int64(7 * 86_400_000_000)

// hoursToRepairSQL lists hours that want a build at no time, at one that only a wrong clock can have set, or
// less than $3 before their day's end: it came nearer since, or an older program set the time.
const hoursToRepairSQL = `SELECT tenant, day, hour FROM hours WHERE planned AND wanted <> built AND due_us IS NULL AND state <> 'expired'
	UNION ALL SELECT tenant, day, hour FROM hours WHERE due_us > (SELECT now_us FROM catalog_clock) + CAST($2 AS BIGINT)
	UNION ALL SELECT h.tenant, h.day, h.hour FROM hours h WHERE h.token IS NULL
		AND h.due_us BETWEEN (SELECT now_us + 1 FROM catalog_clock) AND (SELECT now_us FROM catalog_clock) + CAST($2 AS BIGINT)
		AND h.due_us > (SELECT coalesce(d.reopened_us, d.completed_us, d.closes_us) + t.retention_days * CAST(86400000000 AS BIGINT)
			FROM days d JOIN tenants t ON t.id = d.tenant WHERE d.tenant = h.tenant AND d.day = h.day) - CAST($3 AS BIGINT)
	LIMIT $1`

// RepairHours makes hours due that should be and are not: planned ones that want a build without a
// time for it, or with one that comes too late. It says how many. It changes one row at a time:
// whoever holds several hours' locks without their days' can deadlock with a registration.
func (c *Catalog) RepairHours(ctx context.Context) (int, error) {
	const most = 1000
	keys, err := c.hourKeys(ctx, hoursToRepairSQL, most, maxDueAhead, c.rebuildDelay(0))
	if err != nil {
		return 0, err
	}
	healed := 0
	for _, k := range keys {
		ok, err := affected(c.write.ExecContext(ctx, `UPDATE hours SET due_us = (SELECT now_us FROM catalog_clock)
			WHERE tenant = $1 AND day = $2 AND hour = $3 AND planned AND wanted <> built AND state <> 'expired'
			AND (due_us IS NULL OR due_us > (SELECT now_us FROM catalog_clock))`, k.Tenant, k.Day, k.Hour))
		if err != nil {
			return healed, err
		}
		if ok {
			healed++
		}
	}
	return healed, nil
}

// AnyDue says whether any hour is due that nobody holds.
func (c *Catalog) AnyDue(ctx context.Context) (due bool, err error) {
	err = c.read.QueryRowContext(ctx, anyDueSQL).Scan(&due)
	return due, translate(err)
}

const anyDueSQL = `SELECT coalesce((SELECT min(due_us) FROM hours WHERE due_us IS NOT NULL AND token IS NULL)
		<= (SELECT now_us FROM catalog_clock), FALSE)`

// NextDue says how many hours are due now and when the first of those that nobody holds was or
// will be due (zero: none).
func (c *Catalog) NextDue(ctx context.Context) (due int, next time.Time, err error) {
	var first sql.NullInt64
	err = c.read.QueryRowContext(ctx, nextDueSQL).Scan(&due, &first)
	return due, timeOf(first), translate(err)
}

const nextDueSQL = `SELECT
		(SELECT count(*) FROM hours h WHERE ` + dueSQL + `),
		(SELECT min(due_us) FROM hours WHERE due_us IS NOT NULL AND token IS NULL)`

// affected turns a compare-and-set's result into whether it happened.
func affected(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, translate(err)
	}
	n, err := res.RowsAffected()
	return n > 0, translate(err)
}

// placeholders gives ($1, $2), ($3, $4) for rows × columns.
func placeholders(rows, columns int) string {
	var b strings.Builder
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for col := range columns {
			if col > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "$%d", r*columns+col+1)
		}
		b.WriteByte(')')
	}
	return b.String()
}
