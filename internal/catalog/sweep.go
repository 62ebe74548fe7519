package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// DoomedArchive is an archive whose bytes are to be deleted by its exact key.
type DoomedArchive struct {
	ObjectKey string
	UploadID  string // "" when none is known
	Deletions int    // how often its bytes were deleted until now

	// KeepObject says that only the archive's uploads are aborted. An object under its key stays,
	// and is reported by [Catalog.KeptObject]. The catalog knows of no publication, and the day has
	// not ended. If the catalog was restored from a backup, it may have lost the row of the
	// publication.
	KeepObject bool
}

// DoomUnused dooms superseded archives whose last link has ended, and unfinished archives whose
// claim is gone: at most limit. It says how many. It does nothing while deletions pause.
func (c *Catalog) DoomUnused(ctx context.Context, limit int) (int, error) {
	type row struct {
		domain.HourKey
		objectKey string
	}
	rows, err := db.Collect(ctx, c.db, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.Tenant, &r.Day, &r.Hour, &r.objectKey)
		return r, err
	}, unusedArchivesSQL, limit, c.rules.Grace.Microseconds())
	if err != nil {
		return 0, err
	}
	doomed, err := changeEach(rows, func(r row) (bool, error) { return c.doom(ctx, r.HourKey, r.objectKey) })
	return len(doomed), err
}

const unusedArchivesSQL = `SELECT tenant, day, hour, object_key FROM archives WHERE state = 'superseded' AND delete_after_us <= (SELECT now_us FROM catalog_clock)
			AND links_until_us <= (SELECT now_us FROM catalog_clock) - $2
		UNION ALL SELECT a.tenant, a.day, a.hour, a.object_key FROM archives a WHERE a.state = 'writing' AND NOT EXISTS (
			SELECT 1 FROM hours h WHERE h.tenant = a.tenant AND h.day = a.day AND h.hour = a.hour AND h.token = a.token)
		LIMIT $1`

// doom checks the conditions again under the day's lock, because the row may have changed.
func (c *Catalog) doom(ctx context.Context, k domain.HourKey, objectKey string) (done bool, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		done = false
		if _, err := lockDay(ctx, tx, k.Tenant, k.Day); err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if paused, err := clock.Paused(ctx, tx, at); err != nil || paused {
			return err
		}
		done, err = db.Affected(tx.ExecContext(ctx, `UPDATE archives SET state = 'doomed', delete_after_us = $2 WHERE object_key = $1 AND (
			state = 'superseded' AND delete_after_us <= $2 AND links_until_us <= $2 - CAST($3 AS BIGINT)
			OR state = 'writing' AND NOT EXISTS (SELECT 1 FROM hours h WHERE h.tenant = archives.tenant AND h.day = archives.day
				AND h.hour = archives.hour AND h.token = archives.token))`, objectKey, at, c.rules.Grace.Microseconds()))
		return err
	})
	return done, err
}

// Doomed lists archives whose bytes must be deleted now, at most limit. It lists none while the
// clock is not trusted.
func (c *Catalog) Doomed(ctx context.Context, limit int) ([]DoomedArchive, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (d DoomedArchive, err error) {
		err = rows.Scan(&d.ObjectKey, db.OrZero(&d.UploadID), &d.Deletions, &d.KeepObject)
		return d, err
	}, doomedSQL, limit)
}

const doomedSQL = `SELECT object_key, upload_id, deletions, published_us IS NULL AND EXISTS (SELECT 1 FROM days d
			WHERE d.tenant = archives.tenant AND d.day = archives.day AND d.expired_us IS NULL)
		FROM archives WHERE state = 'doomed' AND delete_after_us <= (SELECT now_us FROM catalog_clock)
		AND ` + clock.TrustedSQL + `
		ORDER BY delete_after_us LIMIT $1`

// Deleted reports that a doomed archive's bytes were deleted. After the first time the archive is
// listed again a day later, because a slow writer may have stored it again. After the second time
// its row is deleted. Repetitions, also of two sweepers, do not shorten that day.
func (c *Catalog) Deleted(ctx context.Context, objectKey string) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		first, err := db.Affected(tx.ExecContext(ctx, `UPDATE archives SET deletions = 1, delete_after_us = $2
			WHERE object_key = $1 AND state = 'doomed' AND deletions = 0`, objectKey, at+c.rules.SecondDelete.Microseconds()))
		if err != nil || first {
			return err
		}
		second, err := db.Affected(tx.ExecContext(ctx, `DELETE FROM archives WHERE object_key = $1 AND state = 'doomed'
			AND delete_after_us <= $2`, objectKey, at))
		if err != nil || !second {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM archive_sessions WHERE object_key = $1`, objectKey)
		return err
	})
}

// KeptObject reports that there is an object under the key of a doomed archive that was never
// published. The archive is listed again a day later, until its day has ended.
func (c *Catalog) KeptObject(ctx context.Context, objectKey string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET deletions = 0, delete_after_us = (SELECT now_us FROM catalog_clock) + $2
		WHERE object_key = $1 AND state = 'doomed' AND published_us IS NULL`, objectKey, c.rules.SecondDelete.Microseconds())
	return err
}

// refusedWait is how long an archive waits after the store refused to delete it.
const refusedWait = time.Hour

// DeletionRefused reports that the store refuses to delete a doomed archive. The archive is listed
// again an hour later, so that it does not delay the others.
func (c *Catalog) DeletionRefused(ctx context.Context, objectKey string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET delete_after_us = (SELECT now_us FROM catalog_clock) + $2
		WHERE object_key = $1 AND state = 'doomed' AND delete_after_us <= (SELECT now_us FROM catalog_clock)`, objectKey, refusedWait.Microseconds())
	return err
}

// Unchecked lists published archives whose last check in the store is older than age: at most
// limit, oldest check first.
func (c *Catalog) Unchecked(ctx context.Context, age time.Duration, limit int) ([]ServedArchive, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (a ServedArchive, err error) {
		err = rows.Scan(&a.Tenant, &a.Day, &a.Hour, &a.ObjectKey, &a.Size)
		return a, err
	}, uncheckedSQL, age.Microseconds(), limit)
}

const uncheckedSQL = `SELECT tenant, day, hour, object_key, size FROM archives WHERE state = 'published'
		AND checked_us <= (SELECT now_us FROM catalog_clock) - $1 ORDER BY checked_us LIMIT $2`

// ServedArchive names the archive that an hour serves.
type ServedArchive struct {
	domain.HourKey
	ObjectKey string
	Size      int64
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
	var hit bool
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		hit = false
		d, err := lockOpenDay(ctx, tx, a.Tenant, a.Day)
		if err != nil || !d.open {
			return err
		}
		at := d.at
		hit, err = db.Affected(tx.ExecContext(ctx, `UPDATE hours SET state = 'pending', archive = NULL, wanted = wanted + 1, due_us = $5, recheck_us = NULL
			WHERE tenant = $1 AND day = $2 AND hour = $3 AND archive = $4`, a.Tenant, a.Day, a.Hour, a.ObjectKey, at))
		if err != nil || !hit {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE archives SET state = 'doomed', delete_after_us = $2 WHERE object_key = $1`, a.ObjectKey, at); err != nil {
			return err
		}
		return refreshServed(ctx, tx, a.Tenant, a.Day, at)
	})
	return hit, err
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
			_, err := tx.ExecContext(ctx, `UPDATE hours SET wanted = wanted + 1, due_us = $5, recheck_us = NULL
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
