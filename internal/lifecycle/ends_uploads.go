package lifecycle

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/deletions"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
)

// ActionUploadEnd is the audit log's action of uploads that no line ever named and that ended by
// their tenant's source retention.
const ActionUploadEnd = "upload.end"

// unnamedUploadsSQL reads at most $3 keys of tenant $1 after $2 that no recording has named. It
// says which of them end: no conversation names them, they were first named longer ago than the
// source retention, and no hold covers the day of that.
func unnamedUploadsSQL(postgres bool) string {
	return `SELECT o.key, CASE WHEN ` + uploadEndsSQL(postgres) + ` THEN 1 ELSE 0 END FROM objects o JOIN tenants t ON t.id = $1
		WHERE o.tenant = $1 AND o.day IS NULL AND o.key > $2 ORDER BY o.key LIMIT $3`
}

func uploadEndsSQL(postgres bool) string {
	day := `strftime('%Y-%m-%d', o.named_us / 1000000, 'unixepoch')`
	if postgres {
		day = `to_char(to_timestamp(o.named_us / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')`
	}
	return `o.day IS NULL AND o.named_us <= ` + nowSQL + ` - t.source_retention_days * CAST(86400000000 AS BIGINT)
		AND t.source_retention_days > 0 AND coalesce(t.ends_from_us, 0) <= ` + nowSQL + `
		AND (SELECT 1 FROM conversations c WHERE c.recording_key = o.key AND c.tenant = o.tenant LIMIT 1) IS NULL
		AND NOT ` + holds.DaySQL("o.tenant", day) + ` AND ` + clock.TrustedSQL
}

// endUploads ends uploads of a tenant that no line has named. It walks them by their keys, a page
// in each pass. A former program did not note when a key was named. Such a key counts as named now.
// Its error is an outage, or else the first error.
func (e *Ends) endUploads(ctx context.Context, tenant string, l *lap, r *EndsReport) (failure error) {
	var ending []string
	n := 0
	err := db.Each(ctx, e.db, func(rows *sql.Rows) error {
		var ends int
		n++
		err := rows.Scan(&l.upload, &ends)
		if ends == 1 {
			ending = append(ending, l.upload)
		}
		return err
	}, unnamedUploadsSQL(e.db.Postgres()), tenant, l.upload, e.cfg.Page)
	if err != nil {
		return err
	}
	if n < e.cfg.Page {
		l.upload = "" // the next pass begins anew
	}
	if _, err := e.db.ExecContext(ctx, `UPDATE objects SET named_us = `+nowSQL+` WHERE tenant = $1 AND day IS NULL AND named_us IS NULL`, tenant); err != nil {
		return err
	}
	for _, key := range ending {
		info, there, refused, err := e.lookUp(ctx, key)
		switch {
		case refused != nil:
			e.blocked(r, zap.String("object", key), refused)
		case err == nil:
			err = e.endUpload(ctx, tenant, key, sight{there: there, info: info})
		}
		if outage(err) {
			return err
		}
		failure = cmp.Or(failure, err)
	}
	return failure
}

// uploadEndDetail tells of one upload.
type uploadEndDetail struct {
	Object string `json:"object"`
	Bytes  int64  `json:"bytes"`
	Kept   bool   `json:"kept,omitempty"` // it stays in the bucket, because callvault did not write it
}

func (e *Ends) endUpload(ctx context.Context, tenant, key string, s sight) error {
	return e.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.Share(ctx, tx, tenant); err != nil {
			return err
		}
		r := &removal{tx: tx, tenant: tenant, seen: map[string]sight{key: s}, cause: deletions.CauseRetention}
		if err := r.lockObjects(ctx); err != nil {
			return err
		}
		var prefix string
		err := tx.QueryRowContext(ctx, `SELECT t.key_prefix FROM objects o JOIN tenants t ON t.id = o.tenant WHERE o.key = $1 AND o.tenant = $2 AND `+uploadEndsSQL(tx.Postgres()),
			key, tenant).Scan(&prefix)
		if errors.Is(err, sql.ErrNoRows) { // it was named meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if err := r.dropObjects(ctx, prefix, at); err != nil {
			return err
		}
		return audit.Origin{Actor: string(deletions.CauseRetention)}.Append(ctx, tx, at, tenant, ActionUploadEnd,
			uploadEndDetail{Object: key, Bytes: s.info.Size, Kept: r.kept > 0})
	})
}
