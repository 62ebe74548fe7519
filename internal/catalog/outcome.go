package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// Failure is the reason why a build ended without an archive.
type Failure struct {
	Kind    domain.Kind
	Message string        // safe to show to operators and tenants
	Final   bool          // another try soon cannot help, so the hour is failed at once
	Missing []MissingFile // every recording of the hour, for KindAllMissing and KindUnreadable
}

// Fail counts a failed build. The hour is tried again after a wait that doubles. When its attempts
// are used up, the hour is tried again after an hour, and it is failed unless it serves an older
// revision.
func (c *Catalog) Fail(ctx context.Context, b Claim, f Failure) error {
	return c.withClaim(ctx, b, func(tx *db.Tx, d lockedDay) error {
		var failures int
		var took int64
		err := tx.QueryRowContext(ctx, `UPDATE hours SET failures = failures + 1 WHERE tenant = $1 AND day = $2 AND hour = $3
			RETURNING failures, build_us`, b.Tenant, b.Day, b.Hour).Scan(&failures, &took)
		if err != nil {
			return err
		}
		wait := min(c.rules.RetryBase<<min(failures-1, 10), c.rules.FailedWait)
		usedUp := f.Final || failures >= c.rules.MaxFailure
		if usedUp {
			wait = c.rules.FailedWait
		}
		return c.releaseClaim(ctx, tx, b.HourKey, d.at, c.nextTry(d, wait, took), usedUp, &f)
	})
}

// Release gives a claim back when its worker stops. The hour stays due, and no failure is counted.
func (c *Catalog) Release(ctx context.Context, b Claim) error {
	return c.withClaim(ctx, b, func(tx *db.Tx, d lockedDay) error {
		return c.releaseClaim(ctx, tx, b.HourKey, d.at, nil, false, nil)
	})
}

// nextTry is when a failed hour is tried again: after the wait, or earlier before its day's end.
func (c *Catalog) nextTry(d lockedDay, wait time.Duration, buildUS int64) int64 {
	return d.dueAfter(wait.Microseconds(), c.rules.RetryBase.Microseconds(), c.rebuildDelay(buildUS))
}

// releaseClaim ends a locked hour's claim and dooms what the build wrote. Where due is nil, the
// hour's due time stays.
func (c *Catalog) releaseClaim(ctx context.Context, tx *db.Tx, key domain.HourKey, at int64, due any, usedUp bool, f *Failure) error {
	if err := doomWriting(ctx, tx, key, at); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE hours SET token = NULL, lease_us = NULL, dispatched_us = NULL, due_us = coalesce($4, due_us)
		WHERE tenant = $1 AND day = $2 AND hour = $3`, key.Tenant, key.Day, key.Hour, due); err != nil {
		return err
	}
	if f != nil {
		if _, err := tx.ExecContext(ctx, `UPDATE hours SET last_error = $4, last_kind = $5, failed_us = $6
			WHERE tenant = $1 AND day = $2 AND hour = $3`, key.Tenant, key.Day, key.Hour, f.Message, f.Kind, at); err != nil {
			return err
		}
		if err := saveFailedFiles(ctx, tx, key, f.Missing); err != nil {
			return err
		}
		if err := auditMissing(ctx, tx, at, key, f.Missing); err != nil {
			return err
		}
	}
	if !usedUp {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE hours SET state = 'failed'
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND archive IS NULL`, key.Tenant, key.Day, key.Hour); err != nil {
		return err
	}
	return refreshDay(ctx, tx, key.Tenant, key.Day, at)
}

// ReleaseLapsed ends lapsed claims, at most limit, and gives their hours. An hour with MaxLapses
// lapses in a row is failed, because its build may be what kills the workers.
func (c *Catalog) ReleaseLapsed(ctx context.Context, limit int) ([]domain.HourKey, error) {
	keys, err := c.hourKeys(ctx, lapsedSQL, limit, c.maxLease())
	if err != nil {
		return nil, err
	}
	return changeEach(keys, func(k domain.HourKey) (bool, error) { return c.releaseLapsed(ctx, k) })
}

// changeEach calls change for each item, until one fails, and gives the items that it changed.
func changeEach[T any](list []T, change func(T) (bool, error)) (done []T, err error) {
	for _, item := range list {
		ok, err := change(item)
		if err != nil {
			return done, err
		}
		if ok {
			done = append(done, item)
		}
	}
	return done, nil
}

// lapsedSQL lists lapsed leases, and those that end later than any lease given now ($2). Such a
// lease was given before the clock stepped back, and would last for as long as the step.
const lapsedSQL = `SELECT tenant, day, hour FROM hours WHERE lease_us < (SELECT now_us FROM catalog_clock)
	UNION ALL SELECT tenant, day, hour FROM hours WHERE lease_us > (SELECT now_us FROM catalog_clock) + CAST($2 AS BIGINT)
	LIMIT $1`

func (c *Catalog) maxLease() int64 { return 10 * c.rules.Lease.Microseconds() }

func (c *Catalog) releaseLapsed(ctx context.Context, k domain.HourKey) (done bool, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		done = false
		d, err := lockOpenDay(ctx, tx, k.Tenant, k.Day)
		if err != nil || d.expired {
			return err
		}
		at := d.at
		var lapses int
		var took int64
		err = tx.QueryRowContext(ctx, `UPDATE hours SET lapses = lapses + 1
			WHERE tenant = $1 AND day = $2 AND hour = $3 AND (lease_us < $4 OR lease_us > $4 + $5) RETURNING lapses, build_us`,
			k.Tenant, k.Day, k.Hour, at, c.maxLease()).Scan(&lapses, &took)
		if errors.Is(err, sql.ErrNoRows) { // renewed or committed meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		done = true
		if lapses < c.rules.MaxLapses {
			return c.releaseClaim(ctx, tx, k, at, nil, false, nil)
		}
		f := &Failure{Kind: domain.KindInterrupted, Message: "the builder vanished too often without reporting a failure"}
		return c.releaseClaim(ctx, tx, k, at, c.nextTry(d, c.rules.FailedWait, took), true, f)
	})
	return done, err
}

func (c *Catalog) hourKeys(ctx context.Context, query string, args ...any) ([]domain.HourKey, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (k domain.HourKey, err error) {
		err = rows.Scan(&k.Tenant, &k.Day, &k.Hour)
		return k, err
	}, query, args...)
}

// rebuild makes hours of a day due at once; see Rebuild.
func (c *Catalog) rebuild(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, hour int, force bool) (due int, err error) {
	d, err := lockOpenDay(ctx, tx, tenant, day)
	if err != nil {
		return 0, err
	}
	at := d.at
	from, to, end := 0, 23, db.Micros(day.End())
	if hour >= 0 {
		from, to, end = hour, hour, db.Micros(domain.HourKey{Day: day, Hour: hour}.End())
	}
	if at < end && hour < 0 {
		return 0, domain.Errorf(domain.KindInvalid, "%s is not over yet in UTC; those of its hours that are can be archived one by one (--hour)", day)
	}
	if at < end {
		return 0, domain.Errorf(domain.KindInvalid, "hour %s is not over yet; only closed days and hours are archived", domain.HourKey{Tenant: tenant, Day: day, Hour: to})
	}
	if !d.open {
		return 0, domain.Errorf(domain.KindExpired, "%s is past the retention of tenant %s; archive it with --reopen", day, tenant)
	}
	if err := planHours(ctx, tx, tenant, day, from, to, at); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE hours SET due_us = $5, failures = 0, lapses = 0,
		wanted = wanted + CASE WHEN wanted = built THEN 1 ELSE 0 END, counted = counted + CASE WHEN wanted = built THEN 1 ELSE 0 END,
		state = CASE WHEN state = 'failed' THEN 'pending' ELSE state END, trace = nullif($7, '')
		WHERE tenant = $1 AND day = $2 AND hour BETWEEN $3 AND $4 AND token IS NULL AND wanted > 0 AND (wanted <> built OR $6)`,
		tenant, day, from, to, at, force, telemetry.Traceparent(ctx))
	if err != nil {
		return 0, err
	}
	if err := refreshDay(ctx, tx, tenant, day, at); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM hours WHERE tenant = $1 AND day = $2 AND hour BETWEEN $3 AND $4
		AND due_us <= $5`, tenant, day, from, to, at).Scan(&due)
	return due, err
}
