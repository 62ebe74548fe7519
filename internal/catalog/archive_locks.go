package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ArchiveLock is what the store says of an archive's object: its version, and how it is locked.
type ArchiveLock struct {
	ObjectKey string
	VersionID string    // "" where the bucket keeps no versions
	Until     time.Time // zero while the store does not lock it
	Short     bool      // it is locked for less long than it is kept
}

// SaveLock stores what the store says.
func (c *Catalog) SaveLock(ctx context.Context, l ArchiveLock) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET version_id = $2, locked_until_us = $3, lock_short = $4 WHERE object_key = $1`,
		l.ObjectKey, db.OrNull(l.VersionID), orNull(l.Until), l.Short)
	return err
}

// SaveVersion stores which version of its object an archive is.
func (c *Catalog) SaveVersion(ctx context.Context, objectKey, version string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET version_id = $2 WHERE object_key = $1`, objectKey, db.OrNull(version))
	return err
}

// AwaitLocks lets the archives that are to be deleted wait for the end of their locks. Until then
// they are not listed by [Catalog.Doomed]. An archive that was never published is listed all the
// same, because its uploads are aborted at once. So is an archive that an erasure deletes.
func (c *Catalog) AwaitLocks(ctx context.Context) error {
	_, err := c.db.ExecContext(ctx, awaitLocksSQL)
	return err
}

const awaitLocksSQL = `UPDATE archives SET delete_after_us = locked_until_us WHERE state IN ('doomed', 'deleting') AND published_us IS NOT NULL
	AND coalesce(cause, '') <> 'erasure' AND delete_after_us <= (SELECT now_us FROM catalog_clock) AND locked_until_us > (SELECT now_us FROM catalog_clock)`

// StillLocked reports that the store refused to delete an archive because it is locked until a
// time. The archive is listed again when the lock has ended. A lock that has ended by the catalog's
// clock means that the store's clock is behind; then the archive is listed again an hour later. The
// holds are asked again, unless an erasure deletes the archive or its bytes were deleted once.
func (c *Catalog) StillLocked(ctx context.Context, objectKey string, until time.Time) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET locked_until_us = $2,
			state = CASE WHEN deletions > 0 OR coalesce(cause, '') = 'erasure' THEN state ELSE 'doomed' END, delete_after_us = CASE WHEN $2 > (SELECT now_us FROM catalog_clock) THEN $2
			ELSE (SELECT now_us FROM catalog_clock) + CAST($3 AS BIGINT) END
		WHERE object_key = $1 AND state IN ('doomed', 'deleting')`, objectKey, db.Micros(until), refusedWait.Microseconds())
	return err
}

// orNull is a time for the database; NULL for the zero time.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return db.Micros(t)
}

// HeldArchive is an archive that is not served and stays because a hold protects it.
type HeldArchive struct {
	ObjectKey string
	VersionID string
	Size      int64
	ETag      string
	Now       time.Time // the catalog's clock
}

// HeldLocks lists held archives whose lock ends within the given time, and that were not
// checked within the last hour: at most limit, those whose lock ends first.
func (c *Catalog) HeldLocks(ctx context.Context, within time.Duration, limit int) ([]HeldArchive, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (a HeldArchive, err error) {
		err = rows.Scan(&a.ObjectKey, db.OrZero(&a.VersionID), &a.Size, &a.ETag, db.Time(&a.Now))
		return a, err
	}, heldLocksSQL, within.Microseconds(), limit)
}

const heldLocksSQL = `SELECT object_key, version_id, size, etag, (SELECT now_us FROM catalog_clock) FROM archives
	WHERE state IN ('superseded', 'retained') AND delete_after_us IS NULL AND coalesce(locked_until_us, 0) < (SELECT now_us FROM catalog_clock) + $1
	AND coalesce(checked_us, 0) <= (SELECT now_us FROM catalog_clock) - 3600000000
	ORDER BY coalesce(locked_until_us, 0) LIMIT $2`

// backlogLocksSQL counts archives whose lock ends before they do. For a served one the sweeper's
// last check says so. One that only a hold keeps must be locked now. The query does not name the
// state of served ones, because SQLite would then walk the index of all of these.
const backlogLocksSQL = `SELECT (SELECT count(*) FROM archives WHERE lock_short AND state NOT IN ('writing', 'superseded', 'retained', 'doomed', 'deleting', 'hidden'))
	+ (SELECT count(*) FROM archives WHERE state IN ('superseded', 'retained') AND delete_after_us IS NULL AND coalesce(locked_until_us, 0) <= (SELECT now_us FROM catalog_clock))`

// LocksShort counts archives whose lock in the store ends before they do.
func (c *Catalog) LocksShort(ctx context.Context) (n int64, err error) {
	err = c.db.QueryRowContext(ctx, backlogLocksSQL).Scan(&n)
	return n, err
}

// LockEnd gives until when an archive is locked whose day ends at dayEnd. The lock lasts a day
// longer than the archive, because clocks differ.
func LockEnd(dayEnd time.Time) time.Time { return dayEnd.Add(24 * time.Hour) }

// LeastLock gives until when such an archive must be locked at least. It is earlier than LockEnd,
// so that no lock has to be prolonged where a day is settled some hours after its hours were built.
func LeastLock(dayEnd time.Time) time.Time { return dayEnd.Add(12 * time.Hour) }

func scanServedArchive(rows *sql.Rows) (a ServedArchive, err error) {
	var settled, reopened time.Time
	var retentionDays int
	err = rows.Scan(&a.Tenant, &a.Day, &a.Hour, &a.ObjectKey, &a.Size, &a.ETag, db.OrZero(&a.VersionID), db.Time(&a.LockedUntil), &a.LockShort,
		db.Time(&settled), db.Time(&reopened), &retentionDays)
	a.DayEnd = domain.RetentionEnd(a.Day, settled, reopened, retentionDays)
	return a, err
}
