package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// PatrolArchive is an archive as the patrol compares it.
type PatrolArchive struct {
	ServedArchive
	ManifestSHA256 string
	Faulty         bool // a fault of it is known
	Suspect        bool // as [Catalog.SuspectArchive] stored it
}

// heldArchiveSQL is true for archives a that are not served and stay because of a hold.
const heldArchiveSQL = `(a.state = 'retained' OR a.state = 'superseded' AND a.delete_after_us IS NULL)`

// patrolledSQL is true for archives a that the patrol reads.
const patrolledSQL = `(a.state = 'published' OR ` + heldArchiveSQL + `)`

const patrolArchiveColumns = `SELECT a.tenant, a.day, a.hour, a.object_key, a.size, a.version_id, a.manifest_sha256, a.suspect,
		EXISTS (SELECT 1 FROM faults f WHERE f.kind = 'archive' AND f.tenant = a.tenant AND f.object_key = a.object_key)`

const patrolArchivesSQL = patrolArchiveColumns + ` FROM archives a WHERE a.object_key > $1 AND ` + patrolledSQL + ` ORDER BY a.object_key LIMIT $2`

// PatrolledArchives lists published archives and those that a hold keeps, after an object key, at
// most limit.
func (c *Catalog) PatrolledArchives(ctx context.Context, after string, limit int) ([]PatrolArchive, error) {
	return db.Collect(ctx, c.db, scanPatrolArchive, patrolArchivesSQL, after, limit)
}

const suspectArchivesSQL = patrolArchiveColumns + ` FROM archives a WHERE a.suspect AND ` + patrolledSQL + `
	UNION ALL ` + patrolArchiveColumns + ` FROM faults k JOIN archives a ON a.object_key = k.object_key
		WHERE k.kind = 'archive' AND k.checked_us <= (SELECT now_us FROM catalog_clock) - CAST($1 AS BIGINT) AND ` + heldArchiveSQL + ` AND NOT a.suspect
	LIMIT $2`

// SuspectArchives lists archives that are suspect, and those with a known fault that were last
// looked at this time ago, at most limit.
func (c *Catalog) SuspectArchives(ctx context.Context, age time.Duration, limit int) ([]PatrolArchive, error) {
	return db.Collect(ctx, c.db, scanPatrolArchive, suspectArchivesSQL, age.Microseconds(), limit)
}

func scanPatrolArchive(rows *sql.Rows) (a PatrolArchive, err error) {
	err = rows.Scan(&a.Tenant, &a.Day, &a.Hour, &a.ObjectKey, &a.Size, db.OrZero(&a.VersionID), &a.ManifestSHA256, &a.Suspect, &a.Faulty)
	return a, err
}

// SuspectArchive reports that a published archive's object has as many bytes as were published and
// another ETag. That is no verdict, because a bucket that was mirrored or encrypted anew has other
// ETags. The patrol reads the archive next. isNew says that it was not suspect.
func (c *Catalog) SuspectArchive(ctx context.Context, objectKey string) (isNew bool, err error) {
	return db.Affected(c.db.ExecContext(ctx, `UPDATE archives SET suspect = TRUE WHERE object_key = $1 AND state = 'published' AND NOT suspect`, objectKey))
}

// ClearSuspect reports that the bytes of a suspect archive are those that were published, and
// which ETag their object has.
func (c *Catalog) ClearSuspect(ctx context.Context, objectKey, etag string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET suspect = FALSE, etag = $2 WHERE object_key = $1 AND suspect`, objectKey, etag)
	return err
}
