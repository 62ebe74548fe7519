package lifecycle

import (
	"context"
	"slices"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// awaitRebuilt waits while an archive of the erasure is needed for a rebuild, or is the only one
// that has what a hold covers. Then it notes objects of its hours that the catalog knows nothing
// of, and follow deletes them.
func (e *Eraser) awaitRebuilt(ctx context.Context, x Erasure) (next string, err error) {
	var needed int
	var hold string
	err = e.db.QueryRowContext(ctx, `SELECT count(*), min(`+catalog.HidingHoldSQL()+`) FROM erasure_objects o JOIN archives ON archives.object_key = o.key
		WHERE o.erasure = $1 AND o.archive AND archives.state = 'hidden'`, x.ID).Scan(&needed, db.OrZero(&hold))
	if err == nil && hold != x.WaitsForHold {
		_, err = e.db.ExecContext(ctx, `UPDATE erasures SET blocked = $2 WHERE id = $1`, x.ID, db.OrNull(hold))
	}
	if err != nil || needed > 0 {
		return "", err
	}
	return ErasureDeleting, e.noteStrays(ctx, x)
}

// noteStrays notes objects under the keys of the erasure's hours that have no row. A catalog
// that was restored from a backup lacks the rows of what was published since. The rows are read
// after the listing, because each archive has a row before its first byte.
func (e *Eraser) noteStrays(ctx context.Context, x Erasure) error {
	hours, err := e.hours(ctx, x)
	if err != nil {
		return err
	}
	for _, h := range hours {
		keys, err := e.archives.Keys(ctx, h.ArchiveFolder(e.prefix))
		if err != nil {
			return err
		}
		for some := range slices.Chunk(keys, idChunk) {
			known, err := db.Collect(ctx, e.db, db.Value[string], `SELECT object_key FROM archives WHERE object_key IN (`+db.Parameters(1, len(some))+`)`, db.Texts(some)...)
			if err != nil {
				return err
			}
			for _, key := range some {
				if slices.Contains(known, key) {
					continue
				}
				if err := e.noteStray(ctx, x, h, key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// noteStray notes an archive without a row, whose bytes go from now on. A worker that is slower
// than another one notes nothing for an erasure that has gone on.
func (e *Eraser) noteStray(ctx context.Context, x Erasure, h domain.HourKey, key string) error {
	return e.db.Update(ctx, func(tx *db.Tx) error {
		waits, err := db.Affected(tx.ExecContext(ctx, `UPDATE erasures SET state = state WHERE id = $1 AND state = $2`, x.ID, ErasureRebuilding))
		if err != nil || !waits {
			return err
		}
		fresh, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO erasure_objects (erasure, archive, key) VALUES ($1, TRUE, $2) ON CONFLICT DO NOTHING`, x.ID, key))
		if err != nil || !fresh {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return audit.Origin{Actor: "erasures"}.Append(ctx, tx, at, x.Tenant, catalog.ActionArchiveDelete, catalog.ArchiveDetail{Day: h.Day, Hour: h.HH(), ObjectKey: key, Cause: catalog.CauseErasure})
	})
}
