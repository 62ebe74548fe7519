package catalog

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// HoldResult is what a new hold met.
type HoldResult struct {
	holds.Hold
	Unknown  []string       `json:"unknownConversations"` // covered as soon as something is known of them
	Spared   int64          `json:"sparedArchives"`       // that were to be deleted, and stay
	Deleting []GoingArchive `json:"deletingArchives"`     // that are in the hold's scope and not held: their bytes go or are gone; at most 1,000
	Going    int            `json:"deletingArchiveCount"`
	Ending   []string       `json:"endingConversations"`    // covered, but a part of them was removed already; the rest stays; at most 1,000
	Audio    int            `json:"deletingRecordingCount"` // of the tenant: their rows are gone, and their audio goes
}

// GoingArchive is an archive whose bytes go.
type GoingArchive struct {
	ObjectKey string     `json:"objectKey"`
	Day       domain.Day `json:"day"`
	Hour      string     `json:"hour"` // "00" to "23"
	Revision  int64      `json:"revision"`
}

// maxGoing bounds the archives, and the conversations, that the answer to a new hold names.
const maxGoing = 1000

// spareSQL gives doomed archives back that a hold protects and whose bytes no program has begun to
// delete. $2 is true for the last revision of each hour only.
func spareSQL() string {
	return `UPDATE archives SET state = ` + keptStateSQL + `, delete_after_us = NULL, cause = NULL
		WHERE tenant = $1 AND state = 'doomed' AND ` + protectedSQL() + ` AND (NOT CAST($2 AS BOOLEAN) OR NOT EXISTS (
			SELECT 1 FROM archives n WHERE n.tenant = archives.tenant AND n.day = archives.day AND n.hour = archives.hour
			AND n.revision > archives.revision AND n.published_us IS NOT NULL AND n.deletions = 0 AND n.state <> 'deleting'))`
}

func goingSQL(what string) string {
	return `SELECT ` + what + ` FROM archives WHERE tenant = $1 AND published_us IS NOT NULL
		AND (state = 'deleting' OR state = 'doomed' AND (deletions > 0 OR cause = 'erasure'))
		AND ` + holds.HourSQL("archives.tenant", "archives.day", "archives.hour")
}

// CreateHold creates a legal hold, and spares the archives that it covers and that were to be
// deleted. It says which ones are past that. Errors: KindNotFound for an unknown tenant,
// KindInvalid, KindConflict for a name that an active hold has.
func (c *Catalog) CreateHold(ctx context.Context, o holds.Order, by audit.Origin) (r HoldResult, err error) {
	if err := o.Check(); err != nil {
		return r, err
	}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		r = HoldResult{}
		if err := holds.Exclude(ctx, tx, o.Tenant); err != nil {
			return err
		}
		if r.Hold, r.Unknown, err = holds.Create(ctx, tx, o, by); err != nil {
			return err
		}
		for _, last := range []bool{true, false} { // a former revision stays only if the last one lacks something
			done, err := tx.ExecContext(ctx, spareSQL(), o.Tenant, last)
			if err != nil {
				return err
			}
			n, err := done.RowsAffected()
			if err != nil {
				return err
			}
			r.Spared += n
		}
		at, err := clock.Now(ctx, tx)
		if err == nil {
			err = tellKept(ctx, tx, o.Tenant, at)
		}
		if err != nil {
			return err
		}
		r.Unknown = append([]string{}, r.Unknown...) // [] in JSON, and not null
		return r.readGoing(ctx, tx)
	})
	return r, err
}

// readGoing reads what the hold can't keep, because it is being deleted.
func (r *HoldResult) readGoing(ctx context.Context, tx *db.Tx) (err error) {
	if err := tx.QueryRowContext(ctx, goingSQL("count(*)"), r.Tenant).Scan(&r.Going); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM deletions WHERE tenant = $1`, r.Tenant).Scan(&r.Audio); err != nil {
		return err
	}
	r.Ending, err = db.Collect(ctx, tx, db.Value[string], `SELECT conversation_id FROM endings WHERE tenant = $1
		AND `+holds.ConversationSQL("endings.tenant", "endings.conversation_id")+` ORDER BY conversation_id LIMIT $2`, r.Tenant, maxGoing)
	if err != nil {
		return err
	}
	r.Ending = append([]string{}, r.Ending...)
	r.Deleting, err = db.Collect(ctx, tx, func(rows *sql.Rows) (a GoingArchive, err error) {
		var hour int
		err = rows.Scan(&a.ObjectKey, &a.Day, &hour, &a.Revision)
		a.Hour = domain.HourKey{Hour: hour}.HH()
		return a, err
	}, goingSQL("object_key, day, hour, revision")+` ORDER BY day, hour, revision LIMIT $2`, r.Tenant, maxGoing)
	r.Deleting = append([]GoingArchive{}, r.Deleting...)
	return err
}

// ReleaseHold ends an active hold. What it alone protects can be deleted a day later. Errors:
// KindInvalid without a reason, KindNotFound.
func (c *Catalog) ReleaseHold(ctx context.Context, tenant, name, reason string, by audit.Origin) (h holds.Hold, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.Exclude(ctx, tx, tenant); err != nil {
			return err
		}
		var until int64
		if h, until, err = holds.Release(ctx, tx, tenant, name, reason, by); err != nil {
			return err
		}
		// The sweeper looks at them again then. What another hold protects stays.
		_, err = tx.ExecContext(ctx, `UPDATE archives SET delete_after_us = $2
			WHERE tenant = $1 AND state IN ('superseded', 'retained') AND delete_after_us IS NULL`, tenant, until)
		return err
	})
	return h, err
}

// StoredArchive finds the archive of an hour's revision whose bytes are kept: a served one, a
// superseded one, or one that a hold retains. Error: KindNotFound.
func (c *Catalog) StoredArchive(ctx context.Context, key domain.HourKey, revision int64) (a ServedArchive, err error) {
	a.HourKey = key
	err = c.db.QueryRowContext(ctx, `SELECT object_key, size, etag, version_id FROM archives WHERE tenant = $1 AND day = $2 AND hour = $3 AND revision = $4
		AND state IN ('published', 'superseded', 'retained')`, key.Tenant, key.Day, key.Hour, revision).Scan(&a.ObjectKey, &a.Size, db.OrZero(&a.ETag), db.OrZero(&a.VersionID))
	return a, db.NotFound(err, "this hour keeps no archive of revision %d", revision)
}
