package lifecycle

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// ErasureProof says what became of everything that an erasure had to remove.
type ErasureProof struct {
	Recordings ErasedObjects  `json:"recordings"`
	Archives   ErasedObjects  `json:"archives"` // the sums are those of their SHA256SUMS
	Hours      []erasureHour  `json:"hours"`    // that had something of it
	Left       []string       `json:"leftToPlatform"`
	Locked     []LockedObject `json:"locked"` // hidden, and deleted when the lock ends
}

// ErasedObjects are objects that were deleted.
type ErasedObjects struct {
	Deleted int             `json:"deleted"`
	Bytes   int64           `json:"bytes"`  // of those whose size was known
	SHA256  []domain.SHA256 `json:"sha256"` // of those whose sum was known
}

// LockedObject is a copy that the store's lock keeps.
type LockedObject struct {
	ObjectKey string    `json:"objectKey"`
	Until     time.Time `json:"lockedUntil"`
}

// prove proves an erasure when each of its objects is gone, left to the platform, or locked.
func (e *Eraser) prove(ctx context.Context, x Erasure) error {
	if err := e.follow(ctx, x); err != nil {
		return err
	}
	var open int
	if err := e.db.QueryRowContext(ctx, `SELECT count(*) FROM erasure_objects WHERE erasure = $1 AND gone_us IS NULL AND left_us IS NULL AND locked_until_us IS NULL`,
		x.ID).Scan(&open); err != nil || open > 0 {
		return err
	}
	return e.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.Exclude(ctx, tx, x.Tenant); err != nil {
			return err
		}
		var state string
		if err := tx.QueryRowContext(ctx, `SELECT state FROM erasures WHERE id = $1`, x.ID).Scan(&state); err != nil || state != ErasureDeleting {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		proof, gone, waits, err := e.readProof(ctx, tx, x)
		if err != nil {
			return err
		}
		text, err := json.Marshal(proof)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE erasures SET state = 'proven', proven_us = $2, gone_us = $3, waits_us = $4, proof = $5 WHERE id = $1`,
			x.ID, at, gone, waits, string(text)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM erasure_objects WHERE erasure = $1 AND locked_until_us IS NULL`, x.ID); err != nil {
			return err
		}
		return audit.Origin{Actor: "erasures"}.Append(ctx, tx, at, x.Tenant, ActionErasureProven, provenDetail{Erasure: x.ID, Removed: x.Removed,
			DeletedRecordings: proof.Recordings.Deleted, DeletedArchives: proof.Archives.Deleted, Left: len(proof.Left), Locked: len(proof.Locked)})
	})
}

type provenDetail struct {
	Erasure           string        `json:"erasure"`
	Removed           ErasureCounts `json:"removed"`
	DeletedRecordings int           `json:"deletedRecordings"`
	DeletedArchives   int           `json:"deletedArchives"`
	Left              int           `json:"leftToPlatform,omitempty"`
	Locked            int           `json:"locked,omitempty"`
}

// follow notes which objects of an erasure are gone, and which ones a lock keeps. The sweeper
// deletes archives that have a row, and the deleter deletes recordings. follow deletes archives
// without a row.
func (e *Eraser) follow(ctx context.Context, x Erasure) error {
	strays, err := db.Collect(ctx, e.db, db.Value[string], `SELECT o.key FROM erasure_objects o WHERE o.erasure = $1 AND o.archive AND o.gone_us IS NULL
		AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.object_key = o.key)`, x.ID)
	if err != nil {
		return err
	}
	var failure error // one that fails does not stop the others
	for _, key := range strays {
		err := e.archives.Erase(ctx, key)
		lock, locked := objstore.LockOf(err)
		if err != nil && !locked {
			if failure = cmp.Or(failure, err); outage(err) {
				return err
			}
			continue
		}
		if _, err := e.db.ExecContext(ctx, `UPDATE erasure_objects SET locked_until_us = NULLIF(CAST($3 AS BIGINT), 0),
			gone_us = CASE WHEN CAST($3 AS BIGINT) = 0 THEN (SELECT now_us FROM catalog_clock) END WHERE erasure = $1 AND archive AND key = $2`, x.ID, key, lock.Microseconds()); err != nil {
			return err
		}
	}
	for _, query := range []string{
		`UPDATE erasure_objects SET gone_us = (SELECT now_us FROM catalog_clock), locked_until_us = NULL WHERE erasure = $1 AND archive AND gone_us IS NULL
			AND EXISTS (SELECT 1 FROM archives a WHERE a.object_key = erasure_objects.key AND a.deletions > 0)`,
		`UPDATE erasure_objects SET locked_until_us = (SELECT a.locked_until_us FROM archives a WHERE a.object_key = erasure_objects.key)
			WHERE erasure = $1 AND archive AND gone_us IS NULL AND EXISTS (SELECT 1 FROM archives a WHERE a.object_key = erasure_objects.key AND a.state = 'deleting'
				AND a.deletions = 0 AND a.locked_until_us > (SELECT now_us FROM catalog_clock) AND a.delete_after_us >= a.locked_until_us)`,
		`UPDATE erasure_objects SET gone_us = (SELECT now_us FROM catalog_clock), locked_until_us = NULL WHERE erasure = $1 AND NOT archive AND gone_us IS NULL AND left_us IS NULL
			AND NOT EXISTS (SELECT 1 FROM deletions d WHERE d.key = erasure_objects.key)`,
	} {
		if _, err := e.db.ExecContext(ctx, query, x.ID); err != nil {
			return err
		}
	}
	return failure
}

// readProof makes the proof of what is noted of an erasure's objects. gone is when the last copy
// went, waits when the last lock ends; one of them is nil.
func (e *Eraser) readProof(ctx context.Context, tx *db.Tx, x Erasure) (p ErasureProof, gone, waits any, err error) {
	p = ErasureProof{Recordings: ErasedObjects{SHA256: []domain.SHA256{}}, Archives: ErasedObjects{SHA256: []domain.SHA256{}}, Hours: []erasureHour{}, Left: []string{}, Locked: []LockedObject{}}
	var last, until time.Time
	err = db.Each(ctx, tx, func(rows *sql.Rows) error {
		var key string
		var archive, left bool
		var size int64
		var sum *domain.SHA256
		var went, locked time.Time
		if err := rows.Scan(&key, &archive, &left, db.OrZero(&size), &sum, db.Time(&went), db.Time(&locked)); err != nil {
			return err
		}
		switch {
		case left:
			p.Left = append(p.Left, key)
			return nil
		case !locked.IsZero():
			p.Locked = append(p.Locked, LockedObject{key, locked})
			until = latest(until, locked)
			return nil
		}
		to := &p.Recordings
		if archive {
			to = &p.Archives
		}
		to.Deleted, to.Bytes = to.Deleted+1, to.Bytes+size
		if sum != nil {
			to.SHA256 = append(to.SHA256, *sum)
		}
		last = latest(last, went)
		return nil
	}, `SELECT key, archive, left_us IS NOT NULL, size, sha256, gone_us, locked_until_us FROM erasure_objects WHERE erasure = $1 ORDER BY archive, key`, x.ID)
	if err != nil {
		return p, nil, nil, err
	}
	hours, err := db.Collect(ctx, tx, scanHours(x.Tenant), `SELECT day, hour FROM erasure_hours WHERE erasure = $1 ORDER BY day, hour`, x.ID)
	for _, h := range hours {
		p.Hours = append(p.Hours, erasureHour{h.Day, h.HH()})
	}
	if len(p.Locked) > 0 {
		return p, nil, db.Micros(until), err
	}
	if last.IsZero() && x.Hidden != nil { // it had no object
		last = *x.Hidden
	}
	if last.IsZero() {
		return p, nil, nil, err
	}
	return p, db.Micros(last), nil, err
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// settle follows a proven erasure whose last lock has ended, and completes its proof. A lock that
// was prolonged is waited for.
func (e *Eraser) settle(ctx context.Context, id string) error {
	x, err := e.read(ctx, id)
	if err != nil {
		return err
	}
	if err := e.follow(ctx, x); err != nil {
		return err
	}
	return e.db.Update(ctx, func(tx *db.Tx) error {
		if err := holds.Exclude(ctx, tx, x.Tenant); err != nil {
			return err
		}
		rest, gone, waits, err := e.readProof(ctx, tx, x)
		if err != nil {
			return err
		}
		if waits != nil {
			_, err := tx.ExecContext(ctx, `UPDATE erasures SET waits_us = $2 WHERE id = $1 AND waits_us IS NOT NULL`, id, waits)
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		p := *x.Proof
		p.Recordings.add(rest.Recordings)
		p.Archives.add(rest.Archives)
		p.Left, p.Locked = append(p.Left, rest.Left...), rest.Locked
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		done, err := db.Affected(tx.ExecContext(ctx, `UPDATE erasures SET gone_us = $2, waits_us = NULL, proof = $3 WHERE id = $1 AND waits_us IS NOT NULL`, id, gone, string(text)))
		if err != nil || !done {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM erasure_objects WHERE erasure = $1`, id); err != nil {
			return err
		}
		return audit.Origin{Actor: "erasures"}.Append(ctx, tx, at, x.Tenant, ActionErasureGone, provenDetail{Erasure: id, Removed: x.Removed,
			DeletedRecordings: rest.Recordings.Deleted, DeletedArchives: rest.Archives.Deleted, Left: len(rest.Left)})
	})
}

func (o *ErasedObjects) add(more ErasedObjects) {
	o.Deleted, o.Bytes, o.SHA256 = o.Deleted+more.Deleted, o.Bytes+more.Bytes, append(o.SHA256, more.SHA256...)
}
