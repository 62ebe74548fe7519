package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Unchecked lists published archives whose last check in the store is older than age: at most
// limit, oldest check first.
func (c *Catalog) Unchecked(ctx context.Context, age time.Duration, limit int) ([]ServedArchive, error) {
	return db.Collect(ctx, c.db, scanServedArchive, uncheckedSQL, age.Microseconds(), limit)
}

const uncheckedSQL = `SELECT a.tenant, a.day, a.hour, a.object_key, a.size, a.etag, a.version_id, a.locked_until_us, a.lock_short,
			d.completed_us, d.reopened_us, t.retention_days
		FROM archives a JOIN days d ON d.tenant = a.tenant AND d.day = a.day JOIN tenants t ON t.id = a.tenant WHERE a.state = 'published'
		AND a.checked_us <= (SELECT now_us FROM catalog_clock) - $1 ORDER BY a.checked_us LIMIT $2`

// ServedArchive names the archive that an hour serves.
type ServedArchive struct {
	domain.HourKey
	ObjectKey   string
	Size        int64
	ETag        string
	VersionID   string    // of the object; "" where the bucket kept no versions, or it is not known yet
	LockedUntil time.Time // zero where it is not locked
	LockShort   bool      // as [Catalog.SaveLock] stored it
	DayEnd      time.Time // when the day's retention ends; set by Unchecked
}

// Checked reports that a published archive was checked in the store: it exists with its size, or
// the store refuses to answer.
func (c *Catalog) Checked(ctx context.Context, objectKey string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET checked_us = (SELECT now_us FROM catalog_clock) WHERE object_key = $1`, objectKey)
	return err
}

// Gone reports that a published archive's object is not in the store. Its hour serves nothing then,
// and is due. It is false when the hour serves another archive by now.
func (c *Catalog) Gone(ctx context.Context, a ServedArchive) (bool, error) {
	return c.BrokenArchive(ctx, PatrolArchive{ServedArchive: a}, ReasonNotFound, "")
}

// CheckSoon makes the sweeper look a published archive up at once.
func (c *Catalog) CheckSoon(ctx context.Context, objectKey string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET checked_us = 0 WHERE object_key = $1 AND state = 'published'`, objectKey)
	return err
}

// unserve makes the hour of a locked, open day serve nothing and due, if it serves this archive.
func unserve(ctx context.Context, tx *db.Tx, a ServedArchive, at int64) (bool, error) {
	return db.Affected(tx.ExecContext(ctx, `UPDATE hours SET state = 'pending', archive = NULL, wanted = wanted + 1, counted = counted + 1, due_us = $5, recheck_us = NULL
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND archive = $4`, a.Tenant, a.Day, a.Hour, a.ObjectKey, at))
}

// Recheck is a served archive with missing files.
type Recheck struct {
	ServedArchive
	Missing []MissingFile
}

// Rechecks lists archives whose missing files must be looked for now, at most limit.
func (c *Catalog) Rechecks(ctx context.Context, limit int) ([]Recheck, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (r Recheck, err error) {
		var missing string
		if err := rows.Scan(&r.Tenant, &r.Day, &r.Hour, &r.ObjectKey, &r.Size, &missing); err != nil {
			return r, err
		}
		err = json.Unmarshal([]byte(missing), &r.Missing)
		return r, err
	}, rechecksSQL, limit)
}

const rechecksSQL = `SELECT h.tenant, h.day, h.hour, a.object_key, a.size, a.missing FROM hours h JOIN archives a ON a.object_key = h.archive
		WHERE h.recheck_us <= (SELECT now_us FROM catalog_clock) ORDER BY h.recheck_us LIMIT $1`

// nextRecheck gives when missing files are looked for again after this number of rechecks; nil
// means never. Unreadable files can become readable at any time, so they are looked for until the
// day ends.
func (c *Catalog) nextRecheck(d lockedDay, missing []MissingFile, rechecks int, buildUS int64) any {
	unreadable := func(m MissingFile) bool { return m.Reason == ReasonUnreadable }
	absent := func(m MissingFile) bool { return !unreadable(m) }
	waits := []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour}
	switch last := len(waits) - 1; {
	case !slices.ContainsFunc(missing, absent), rechecks > last && slices.ContainsFunc(missing, unreadable):
		rechecks = last
	case rechecks > last:
		return nil
	}
	return d.dueAfter(waits[rechecks].Microseconds(), c.rules.LateDelay.Microseconds(), c.rebuildDelay(buildUS))
}

// RecheckLater looks for missing files of an archive again in an hour, because the store refuses to
// tell of them now.
func (c *Catalog) RecheckLater(ctx context.Context, r Recheck) error {
	_, err := c.db.ExecContext(ctx, `UPDATE hours SET recheck_us = (SELECT now_us FROM catalog_clock) + $5
		WHERE tenant = $1 AND day = $2 AND hour = $3 AND archive = $4 AND recheck_us <= (SELECT now_us FROM catalog_clock)`, r.Tenant, r.Day, r.Hour, r.ObjectKey, refusedWait.Microseconds())
	return err
}

// Rechecked reports whether one of the missing files is back. If it is, the hour is due. If not,
// the files are looked for again later: three times in all, or until the day ends where one is
// unreadable. It does nothing where another sweeper was faster: the hour serves another archive, or
// the recheck is not due any more.
func (c *Catalog) Rechecked(ctx context.Context, r Recheck, back bool) error {
	a := r.ServedArchive
	return c.db.Update(ctx, func(tx *db.Tx) error {
		d, err := lockOpenDay(ctx, tx, a.Tenant, a.Day)
		if err != nil || !d.open {
			return err
		}
		at := d.at
		if back {
			_, err := tx.ExecContext(ctx, `UPDATE hours SET wanted = wanted + 1, counted = counted + 1, due_us = $5, recheck_us = NULL
				WHERE tenant = $1 AND day = $2 AND hour = $3 AND archive = $4 AND recheck_us <= $5`, a.Tenant, a.Day, a.Hour, a.ObjectKey, at)
			return err
		}
		var rechecks int
		var took int64
		err = tx.QueryRowContext(ctx, `UPDATE hours SET recheck_step = recheck_step + 1
			WHERE tenant = $1 AND day = $2 AND hour = $3 AND archive = $4 AND recheck_us <= $5 RETURNING recheck_step, build_us`,
			a.Tenant, a.Day, a.Hour, a.ObjectKey, at).Scan(&rechecks, &took)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE hours SET recheck_us = $4 WHERE tenant = $1 AND day = $2 AND hour = $3`,
			a.Tenant, a.Day, a.Hour, c.nextRecheck(d, r.Missing, rechecks, took))
		return err
	})
}
