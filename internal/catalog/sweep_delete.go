package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// DoomedArchive is an archive whose bytes are to be deleted by its exact key.
type DoomedArchive struct {
	domain.HourKey
	ObjectKey string
	UploadID  string // "" when none is known
	Deletions int    // how often its bytes were deleted until now
	Deleting  bool   // StartDeletion has decided that its bytes go
	Erasure   bool   // an erasure deletes it

	// Unfinished says that the catalog knows of no publication. There is mostly no object then.
	Unfinished bool
	// KeepObject says that only the uploads of an unfinished archive are aborted. The object under
	// its key stays, and [Catalog.KeptObject] reports it. The reason is one of three. Its day has
	// not ended, and a catalog that was restored from a backup may lack the row of the publication.
	// A hold covers it. The store may lock it. An erasure deletes the object all the same, because
	// it has asked the holds.
	KeepObject bool
}

// Doomed lists archives whose bytes must be deleted now, at most limit. It lists none while the
// clock is not trusted.
func (c *Catalog) Doomed(ctx context.Context, limit int) ([]DoomedArchive, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (d DoomedArchive, err error) {
		err = rows.Scan(&d.Tenant, &d.Day, &d.Hour, &d.ObjectKey, db.OrZero(&d.UploadID), &d.Deletions, &d.Deleting, &d.Erasure, &d.Unfinished, &d.KeepObject)
		return d, err
	}, doomedSQL(), limit)
}

func doomedSQL() string {
	return `SELECT tenant, day, hour, object_key, upload_id, deletions, state = 'deleting', coalesce(cause, '') = 'erasure', published_us IS NULL,
			published_us IS NULL AND state = 'doomed' AND coalesce(cause, '') <> 'erasure' AND (EXISTS (SELECT 1 FROM days d
				WHERE d.tenant = archives.tenant AND d.day = archives.day AND d.expired_us IS NULL)
				OR coalesce(locked_until_us, 0) > (SELECT now_us FROM catalog_clock)
				OR ` + holds.HourSQL("archives.tenant", "archives.day", "archives.hour") + `)
		FROM archives WHERE state IN ('doomed', 'deleting') AND delete_after_us <= (SELECT now_us FROM catalog_clock)
		AND ` + clock.TrustedSQL + `
		ORDER BY delete_after_us LIMIT $1`
}

// The audit log's actions of archives.
const (
	ActionArchiveDelete = "archive.delete" // its bytes go
	ActionArchiveKeep   = "archive.keep"   // they stay after all, because the store did not delete them before a hold came
)

// ArchiveDetail is the detail of an audit line about the bytes of an archive.
type ArchiveDetail struct {
	Day            domain.Day `json:"day"`
	Hour           string     `json:"hour"`
	Revision       int64      `json:"revision,omitempty"` // 0 for an archive without a row
	ObjectKey      string     `json:"objectKey"`
	ManifestSHA256 string     `json:"manifestSha256,omitempty"`
	Cause          string     `json:"cause,omitempty"` // retention, superseded, unfinished, gone, broken or erasure; "" where it is kept
}

// startDeletionSQL asks the holds again: a program before them may have doomed the archive, or one
// that does not lock the tenant.
func startDeletionSQL() string {
	return `UPDATE archives SET state = CASE WHEN ` + protectedSQL() + ` THEN ` + keptStateSQL + ` ELSE 'deleting' END,
		delete_after_us = CASE WHEN ` + protectedSQL() + ` THEN NULL ELSE delete_after_us END,
		cause = CASE WHEN ` + protectedSQL() + ` THEN NULL WHEN cause IS NOT NULL THEN cause WHEN published_us IS NULL THEN 'unfinished'
			WHEN ` + keptStateSQL + ` = 'retained' THEN 'retention' ELSE 'superseded' END
		WHERE object_key = $1 AND state = 'doomed' AND delete_after_us <= $2
			AND NOT (published_us IS NULL AND coalesce(cause, '') <> 'erasure' AND ` + holds.HourSQL("archives.tenant", "archives.day", "archives.hour") + `)
		RETURNING state = 'deleting', deletions, revision, manifest_sha256, coalesce(cause, '')`
}

// StartDeletion decides that the bytes of a doomed archive go, and writes it down in the audit log,
// before the first byte goes. It is false when the archive stays, because a hold protects it or
// deletions pause.
func (c *Catalog) StartDeletion(ctx context.Context, d DoomedArchive) (bool, error) {
	return c.whileTrusted(ctx, d.HourKey, func(tx *db.Tx, at int64) (started bool, err error) {
		var deletions int
		line := ArchiveDetail{Day: d.Day, Hour: d.HH(), ObjectKey: d.ObjectKey}
		err = tx.QueryRowContext(ctx, startDeletionSQL(), d.ObjectKey, at).Scan(&started, &deletions, &line.Revision, &line.ManifestSHA256, &line.Cause)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		if err != nil || deletions > 0 { // a program before this one has deleted the bytes once
			return started, err
		}
		if !started {
			return false, tellKept(ctx, tx, d.Tenant, at)
		}
		// The store may have refused the deletion after the first line, because of a lock.
		told, err := db.Affected(tx.ExecContext(ctx, `UPDATE archives SET deletion_told = TRUE WHERE object_key = $1 AND NOT deletion_told`, d.ObjectKey))
		if err != nil || !told {
			return true, err
		}
		return true, WorkerOrigin().Append(ctx, tx, at, d.Tenant, ActionArchiveDelete, line)
	})
}

// tellKept writes an audit line for each archive that stays although an earlier line says that its
// bytes go.
func tellKept(ctx context.Context, tx *db.Tx, tenant string, at int64) error {
	kept, err := db.Collect(ctx, tx, func(rows *sql.Rows) (line ArchiveDetail, err error) {
		var hour int
		err = rows.Scan(&line.Day, &hour, &line.Revision, &line.ObjectKey, &line.ManifestSHA256)
		line.Hour = domain.HourKey{Hour: hour}.HH()
		return line, err
	}, `UPDATE archives SET deletion_told = FALSE WHERE tenant = $1 AND deletion_told AND state IN ('superseded', 'retained')
		RETURNING day, hour, revision, object_key, manifest_sha256`, tenant)
	for _, line := range kept {
		if err == nil {
			err = WorkerOrigin().Append(ctx, tx, at, tenant, ActionArchiveKeep, line)
		}
	}
	return err
}

// Deleted reports that the bytes of a deleting archive were deleted, or that an unfinished one has
// none. After the first report the archive is listed again a day later, because a slow writer may
// have stored it again. After the second report its row is deleted. Repetitions do not shorten that
// day, even with two sweepers.
func (c *Catalog) Deleted(ctx context.Context, objectKey string) error {
	const gone = ` AND (state = 'deleting' OR state = 'doomed' AND published_us IS NULL)`
	return c.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		first, err := db.Affected(tx.ExecContext(ctx, `UPDATE archives SET deletions = 1, delete_after_us = $2
			WHERE object_key = $1 AND deletions = 0`+gone, objectKey, at+c.rules.SecondDelete.Microseconds()))
		if err != nil || first {
			return err
		}
		second, err := db.Affected(tx.ExecContext(ctx, `DELETE FROM archives WHERE object_key = $1 AND delete_after_us <= $2`+gone, objectKey, at))
		if err != nil || !second {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM archive_sessions WHERE object_key = $1`, objectKey)
		return err
	})
}

// KeptObject reports that there is an object under the key of a doomed archive that was never
// published. The archive is listed again a day later, until its day has ended, no hold covers it
// and no lock can be left of it.
func (c *Catalog) KeptObject(ctx context.Context, objectKey string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET deletions = 0, delete_after_us = (SELECT now_us FROM catalog_clock) + $2
		WHERE object_key = $1 AND state = 'doomed' AND published_us IS NULL`, objectKey, c.rules.SecondDelete.Microseconds())
	return err
}

// refusedWait is how long an archive waits after the store refused to delete it.
const refusedWait = time.Hour

// DeletionRefused reports that the store refuses to delete an archive. It is listed again an hour
// later, so that it does not delay the others.
func (c *Catalog) DeletionRefused(ctx context.Context, objectKey string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE archives SET delete_after_us = (SELECT now_us FROM catalog_clock) + $2
		WHERE object_key = $1 AND state IN ('doomed', 'deleting') AND delete_after_us <= (SELECT now_us FROM catalog_clock)`, objectKey, refusedWait.Microseconds())
	return err
}
