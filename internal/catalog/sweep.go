package catalog

import (
	"context"
	"database/sql"
	"errors"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// protectedSQL is true for archives that a hold keeps: those that were published in an hour that is
// held, unless the hour has a newer revision, published or retained, that lacks nothing that they
// have. A revision that lacks recordings stands for a former one only if that one lacks the same.
// Erasures ask the holds before they doom.
func protectedSQL() string {
	return `(archives.published_us IS NOT NULL AND archives.deletions = 0 AND coalesce(archives.cause, '') <> 'erasure' AND ` + heldRevisionSQL() + `)`
}

// heldRevisionSQL is true for archives of a held hour that no newer revision stands for. A
// recording that moved away is in no newer revision. A hold over its conversation does not cover it
// here, because it moved before that hold.
func heldRevisionSQL() string {
	return holds.HourSQL("archives.tenant", "archives.day", "archives.hour") + `
		AND (archives.parted AND ` + holds.WideHourSQL("archives.tenant", "archives.day") + ` OR NOT EXISTS (SELECT 1 FROM archives n_ WHERE n_.tenant = archives.tenant AND n_.day = archives.day
			AND n_.hour = archives.hour AND n_.revision > archives.revision AND n_.state IN ('published', 'retained')
			AND (n_.missing_count = 0 OR n_.missing = archives.missing)))`
}

// keptStateSQL is the state of a protected archive that is not served: retained once its day has
// ended, and superseded before.
const keptStateSQL = `CASE WHEN EXISTS (SELECT 1 FROM days d_ WHERE d_.tenant = archives.tenant AND d_.day = archives.day
	AND d_.expired_us IS NOT NULL) THEN 'retained' ELSE 'superseded' END`

// DoomUnused dooms archives that nobody needs any more: superseded ones whose last link has ended,
// unfinished ones whose claim is gone, and retained ones whose hold was released: at most limit. It
// says how many. What a hold protects waits, until the hold is released or its hour has a newer
// revision, and so does what may be the last copy of a recording, until the day's end. It does
// nothing while deletions pause.
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

const unusedArchivesSQL = `SELECT tenant, day, hour, object_key FROM archives WHERE state IN ('superseded', 'retained')
			AND delete_after_us <= (SELECT now_us FROM catalog_clock) AND links_until_us <= (SELECT now_us FROM catalog_clock) - $2
		UNION ALL SELECT a.tenant, a.day, a.hour, a.object_key FROM archives a WHERE a.state = 'writing' AND NOT EXISTS (
			SELECT 1 FROM hours h WHERE h.tenant = a.tenant AND h.day = a.day AND h.hour = a.hour AND h.token = a.token)
		LIMIT $1`

// lastCopySQL is true for superseded archives that may have recordings which the served revision
// lacks, or which the next one may lack: their sources went meanwhile. They stay until the day's
// end.
const lastCopySQL = `(archives.state = 'superseded' AND (
	EXISTS (SELECT 1 FROM archives n_ WHERE n_.tenant = archives.tenant AND n_.day = archives.day
		AND n_.hour = archives.hour AND n_.state = 'published' AND n_.missing_count > 0 AND n_.missing <> archives.missing)
	OR ` + awaitsBuildSQL + `))`

// doomSQL checks the conditions again, because the row may have changed. What is protected waits:
// its delete_after_us is NULL until a release or a commit of its hour sets it again. What may be a
// last copy is looked at again an hour later.
func doomSQL() string {
	stays := `(` + protectedSQL() + ` OR ` + lastCopySQL + `)`
	return `UPDATE archives SET state = CASE WHEN ` + stays + ` THEN state ELSE 'doomed' END,
		delete_after_us = CASE WHEN ` + protectedSQL() + ` THEN NULL WHEN ` + lastCopySQL + ` THEN CAST($2 AS BIGINT) + 3600000000 ELSE CAST($2 AS BIGINT) END,
		cause = CASE WHEN ` + stays + ` THEN NULL WHEN state = 'writing' THEN 'unfinished' WHEN state = 'superseded' THEN 'superseded' ELSE 'retention' END
		WHERE object_key = $1 AND (state IN ('superseded', 'retained') AND delete_after_us <= $2 AND links_until_us <= $2 - CAST($3 AS BIGINT)
			OR state = 'writing' AND NOT EXISTS (SELECT 1 FROM hours h WHERE h.tenant = archives.tenant AND h.day = archives.day
				AND h.hour = archives.hour AND h.token = archives.token)) RETURNING state = 'doomed'`
}

func (c *Catalog) doom(ctx context.Context, k domain.HourKey, objectKey string) (bool, error) {
	return c.whileTrusted(ctx, k, func(tx *db.Tx, at int64) (done bool, err error) {
		err = tx.QueryRowContext(ctx, doomSQL(), objectKey, at, c.rules.Grace.Microseconds()).Scan(&done)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		return done, err
	})
}

// whileTrusted runs fn in a transaction that may end something of an hour: with the locks of its
// tenant and its day, and only while deletions do not pause. It is false when fn did not run.
func (c *Catalog) whileTrusted(ctx context.Context, k domain.HourKey, fn func(tx *db.Tx, at int64) (bool, error)) (done bool, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		done = false
		if err := holds.Share(ctx, tx, k.Tenant); err != nil {
			return err
		}
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
		done, err = fn(tx, at)
		return err
	})
	return done && err == nil, err
}
