package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// windowLength is how long a use counts.
const windowLength = time.Hour

// Window is the state of a sliding hourly limit.
type Window struct {
	Limit int
	Used  int           // uses within the last hour
	Reset time.Duration // until the oldest of them ends; 0 when there is none
}

// Remaining is how many uses are left.
func (w Window) Remaining() int { return max(0, w.Limit-w.Used) }

// Full says that no use is left.
func (w Window) Full() bool { return w.Used >= w.Limit }

// Names of windows.
const dayWindow = "day"

func downloadWindow(k domain.HourKey) string { return "dl:" + string(k.Day) + ":" + k.HH() }

// windowColumns gives a window's number of uses, the time of the oldest (NULL for none), and the
// fields of windowLast. In windowJoins u is the oldest use, and l the latest one that is not stray.
const windowColumns = `coalesce(CASE WHEN ` + strayLast + ` THEN l.n ELSE w.last_n END - u.n + 1, 0), u.at_us,
	coalesce(CASE WHEN ` + strayLast + ` THEN l.at_us ELSE w.last_us END, 0), coalesce(CASE WHEN ` + strayLast + ` THEN l.n ELSE w.last_n END, 0),
	coalesce(` + strayLast + `, FALSE)`

// strayLast is true if the latest use is further ahead than a clock may be: it was counted while
// the clock was wrong. Such uses do not count, and the next use deletes them.
const strayLast = `w.last_us > c.now_us + 600000000`

// windowJoins joins the window named $3 of the tenant $1 at the time of the clock c. One time
// decides which uses count and when the next use was, so no hour can have a use too many.
const windowJoins = ` LEFT JOIN windows w ON w.tenant = $1 AND w.name = $3
	LEFT JOIN window_uses u ON u.tenant = $1 AND u.name = $3 AND u.at_us = (SELECT min(x.at_us) FROM window_uses x
		WHERE x.tenant = $1 AND x.name = $3 AND x.at_us > c.now_us - CAST(3600000000 AS BIGINT) AND x.at_us <= c.now_us + 600000000)
	LEFT JOIN window_uses l ON ` + strayLast + ` AND l.tenant = $1 AND l.name = $3 AND l.at_us = (SELECT max(x.at_us) FROM window_uses x
		WHERE x.tenant = $1 AND x.name = $3 AND x.at_us <= c.now_us + 600000000)`

// untilReset is how long the oldest use still counts; 0 when there is none.
func untilReset(oldest, now time.Time) time.Duration {
	if oldest.IsZero() {
		return 0
	}
	return oldest.Sub(now) + windowLength
}

const (
	lockWindowSQL = `INSERT INTO windows (tenant, name) VALUES ($1, $2)
		ON CONFLICT (tenant, name) DO UPDATE SET locked = windows.locked + 1`
	insertUseSQL = `INSERT INTO window_uses (tenant, name, at_us, n) VALUES ($1, $2, $3, $4)`
	lastUseSQL   = `INSERT INTO windows (tenant, name, locked, last_us, last_n) VALUES ($1, $2, 1, $3, $4)
		ON CONFLICT (tenant, name) DO UPDATE SET locked = windows.locked + 1, last_us = excluded.last_us, last_n = excluded.last_n`
)

// lockWindow locks a tenant's window until the transaction ends, and inserts it if there is none.
// What is read under the lock has every use that was counted before. SQLite needs no lock, because
// it has one writer at a time.
func lockWindow(ctx context.Context, tx *db.Tx, tenant, name string) error {
	if !tx.Postgres() {
		return nil
	}
	_, err := tx.ExecContext(ctx, lockWindowSQL, tenant, name)
	return err
}

// windowLast is the latest use of a locked window, without stray ones.
type windowLast struct {
	us, n int64
	stray bool // stray uses follow it
}

// count adds one use to a locked window. The window and last must have been read under the lock.
func (w Window) count(ctx context.Context, tx *db.Tx, tenant, name string, last windowLast, at int64) (Window, error) {
	// Stray uses are deleted, because their numbers are given again. Uses that have ended are
	// deleted only now and then.
	if last.stray || last.n > 0 && (w.Used == 0 || last.n%64 == 63) {
		if err := deleteUses(ctx, tx, tenant, name, at); err != nil {
			return w, err
		}
	}
	us, n := max(at, last.us+1), last.n+1 // each use has another time, also at one instant or after the clock stepped back
	if w.Used == 0 {
		w.Reset = time.Duration(us-at)*time.Microsecond + windowLength
	}
	w.Used++
	if _, err := tx.ExecContext(ctx, insertUseSQL, tenant, name, us, n); err != nil {
		return w, err
	}
	_, err := tx.ExecContext(ctx, lastUseSQL, tenant, name, us, n)
	return w, err
}

// deleteUses deletes uses that count no longer, and stray ones.
func deleteUses(ctx context.Context, tx *db.Tx, tenant, name string, at int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM window_uses WHERE tenant = $1 AND name = $2 AND (at_us <= $3 OR at_us > $4)`,
		tenant, name, at-windowLength.Microseconds(), at+clock.MaxStep.Microseconds())
	return err
}

// PurgeWindows deletes windows that were not used for two hours, at most limit, and says how many.
func (c *Catalog) PurgeWindows(ctx context.Context, limit int) (int, error) {
	var n int
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		type name struct{ tenant, name string }
		// The condition is checked again under the row's lock, so that a window used meanwhile
		// stays.
		idle, err := db.Collect(ctx, tx, func(rows *sql.Rows) (k name, err error) {
			err = rows.Scan(&k.tenant, &k.name)
			return k, err
		}, `DELETE FROM windows WHERE last_us <= (SELECT now_us FROM catalog_clock) - $1 AND (tenant, name) IN (
				SELECT tenant, name FROM windows WHERE last_us <= (SELECT now_us FROM catalog_clock) - $1 ORDER BY last_us LIMIT $2)
			RETURNING tenant, name`, (2 * windowLength).Microseconds(), limit)
		if err != nil {
			return err
		}
		n = len(idle)
		for _, k := range idle {
			if _, err := tx.ExecContext(ctx, `DELETE FROM window_uses WHERE tenant = $1 AND name = $2`, k.tenant, k.name); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
