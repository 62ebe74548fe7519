package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// The audit log's actions of the patrol.
const (
	ActionPatrolFault   = "patrol.fault"   // bytes are gone, changed or unreadable
	ActionPatrolMended  = "patrol.mended"  // they are right again
	ActionPatrolRebuild = "patrol.rebuild" // a served archive broke or went, and is built again
)

// Kinds of faults.
const (
	FaultOfRecording = "recording"
	FaultOfArchive   = "archive"
)

// Fault is a recording or an archive whose bytes are gone, changed or unreadable.
type Fault struct {
	Kind      string     `json:"kind"`
	Tenant    string     `json:"tenant"`
	Day       domain.Day `json:"day"`
	Hour      int        `json:"-"`
	ObjectKey string     `json:"objectKey"`
	Reason    string     `json:"reason"` // a Reason constant
	Found     time.Time  `json:"-"`
	Checked   time.Time  `json:"-"`
}

type faultDetail struct {
	Kind     string         `json:"kind"`
	Day      domain.Day     `json:"day"`
	Hour     string         `json:"hour"`
	Object   string         `json:"object"`
	Reason   string         `json:"reason,omitempty"`
	Known    *domain.SHA256 `json:"sha256,omitempty"`
	Found    *domain.SHA256 `json:"found,omitempty"`
	KeptTill string         `json:"keptUntil,omitempty"` // when the broken bytes of an archive are deleted
	audit.Origin
}

// RecordingFault stores that a recording's bytes are not right, and writes the first finding into
// the audit log. found is their SHA-256, if they could be read. It stores nothing of a recording
// that was removed or corrected since r was read. isNew says that the fault was not known.
func (c *Catalog) RecordingFault(ctx context.Context, r PatrolRecording, reason string, found *domain.SHA256) (isNew bool, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		var same bool
		err := tx.QueryRowContext(ctx, `SELECT count(*) > 0 FROM recordings WHERE tenant = $1 AND day = $2 AND object_key = $3
			AND size IS NOT DISTINCT FROM $4 AND crc32 IS NOT DISTINCT FROM $5 AND (sha256 = $6 OR sha256 IS NULL AND $7)`,
			r.Tenant, r.Day, r.ObjectKey, r.Size, r.CRC32, r.SHA256, r.SHA256 == nil).Scan(&same)
		if isNew = false; err != nil || !same {
			return err
		}
		f := Fault{Kind: FaultOfRecording, Tenant: r.Tenant, Day: r.Day, Hour: r.Hour, ObjectKey: r.ObjectKey, Reason: reason}
		isNew, err = saveFault(ctx, tx, f, faultDetail{Known: r.SHA256, Found: found})
		return err
	})
	return isNew, err
}

// saveFault stores a fault, and writes a new one into the audit log.
func saveFault(ctx context.Context, tx *db.Tx, f Fault, d faultDetail) (isNew bool, err error) {
	at, err := clock.Now(ctx, tx)
	if err != nil {
		return false, err
	}
	isNew, err = db.Affected(tx.ExecContext(ctx, `INSERT INTO faults (kind, tenant, object_key, day, hour, reason, first_us, checked_us)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (kind, tenant, object_key) DO NOTHING`,
		f.Kind, f.Tenant, f.ObjectKey, f.Day, f.Hour, f.Reason, at))
	if err != nil {
		return false, err
	}
	if !isNew {
		_, err := tx.ExecContext(ctx, `UPDATE faults SET day = $4, hour = $5, reason = $6, checked_us = $7 WHERE kind = $1 AND tenant = $2 AND object_key = $3`,
			f.Kind, f.Tenant, f.ObjectKey, f.Day, f.Hour, f.Reason, at)
		return false, err
	}
	return true, auditFault(ctx, tx, at, ActionPatrolFault, f, d)
}

func auditFault(ctx context.Context, tx *db.Tx, at int64, action string, f Fault, d faultDetail) error {
	d.Kind, d.Day, d.Hour, d.Object, d.Reason, d.Origin = f.Kind, f.Day, domain.HourKey{Hour: f.Hour}.HH(), f.ObjectKey, f.Reason, WorkerOrigin()
	return d.Origin.Append(ctx, tx, at, f.Tenant, action, d)
}

// EndFault ends a known fault, because the bytes are right again. The hour of a recording that was
// built without it is due.
func (c *Catalog) EndFault(ctx context.Context, f Fault) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		ended, err := db.Affected(tx.ExecContext(ctx, `DELETE FROM faults WHERE kind = $1 AND tenant = $2 AND object_key = $3`, f.Kind, f.Tenant, f.ObjectKey))
		if err != nil || !ended {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		f.Reason = ""
		if err := auditFault(ctx, tx, at, ActionPatrolMended, f, faultDetail{}); err != nil || f.Kind != FaultOfRecording {
			return err
		}
		missing, err := builtWithout(ctx, tx, f.Tenant, f.Day, f.ObjectKey)
		if err != nil || !missing {
			return err
		}
		_, err = c.raiseWanted(ctx, tx, nil, []domain.HourKey{{Tenant: f.Tenant, Day: f.Day, Hour: f.Hour}}, nil)
		return err
	})
}

const faultyRecordingsSQL = `SELECT ` + patrolRecordingColumns + `, TRUE FROM faults f
	JOIN recordings r ON r.tenant = f.tenant AND r.object_key = f.object_key AND r.day = (SELECT o.day FROM objects o WHERE o.key = f.object_key)
	WHERE f.kind = 'recording' AND f.checked_us <= (SELECT now_us FROM catalog_clock) - CAST($1 AS BIGINT) ORDER BY f.checked_us LIMIT $2`

// FaultyRecordings lists recordings with a known fault that were last looked at this time ago, at
// most limit. Before that it drops faults of recordings and archives that were removed.
func (c *Catalog) FaultyRecordings(ctx context.Context, age time.Duration, limit int) ([]PatrolRecording, error) {
	_, err := c.db.ExecContext(ctx, `DELETE FROM faults WHERE
		kind = 'recording' AND NOT EXISTS (SELECT 1 FROM objects o JOIN recordings r ON r.tenant = o.tenant AND r.day = o.day AND r.object_key = o.key WHERE o.key = faults.object_key)
		OR kind = 'archive' AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.object_key = faults.object_key AND `+patrolledSQL+`)`)
	if err != nil {
		return nil, err
	}
	return db.Collect(ctx, c.db, scanPatrolRecording, faultyRecordingsSQL, age.Microseconds(), limit)
}

// lookAgain makes the patrol look at a faulty recording at once, because its values or its bytes
// have changed.
func lookAgain(ctx context.Context, tx *db.Tx, tenant, key string) error {
	_, err := tx.ExecContext(ctx, `UPDATE faults SET checked_us = 0 WHERE kind = 'recording' AND tenant = $1 AND object_key = $2`, tenant, key)
	return err
}

const faultsSQL = `SELECT kind, tenant, day, hour, object_key, reason, first_us, checked_us FROM faults
	WHERE (kind, tenant, object_key) > ($1, $2, $3) ORDER BY kind, tenant, object_key LIMIT $4`

// Faults lists known faults after another one, at most limit.
func (c *Catalog) Faults(ctx context.Context, after Fault, limit int) ([]Fault, error) {
	return db.Collect(ctx, c.db, scanFault, faultsSQL, after.Kind, after.Tenant, after.ObjectKey, limit)
}

const hourFaultsSQL = `SELECT kind, tenant, day, hour, object_key, reason, first_us, checked_us FROM faults
	WHERE tenant = $1 AND day = $2 AND hour = $3 ORDER BY kind, object_key LIMIT $4`

// HourFaults lists the known faults of an hour, at most limit.
func (c *Catalog) HourFaults(ctx context.Context, k domain.HourKey, limit int) ([]Fault, error) {
	return db.Collect(ctx, c.db, scanFault, hourFaultsSQL, k.Tenant, k.Day, k.Hour, limit)
}

func scanFault(rows *sql.Rows) (f Fault, err error) {
	err = rows.Scan(&f.Kind, &f.Tenant, &f.Day, &f.Hour, &f.ObjectKey, &f.Reason, db.Time(&f.Found), db.Time(&f.Checked))
	return f, err
}

// BrokenArchive reports that the bytes of an archive are gone, or are not those that were
// published. An hour that serves it serves nothing any more and is due.
// Broken bytes stay until the day's end, but nobody is given them: a recording in them may be gone
// elsewhere, and the next build looks there. etag is the ETag of the broken bytes. One that only a
// hold keeps is stored as a fault. rebuilt says that an hour is due.
func (c *Catalog) BrokenArchive(ctx context.Context, a PatrolArchive, reason, etag string) (rebuilt bool, err error) {
	f := Fault{Kind: FaultOfArchive, Tenant: a.Tenant, Day: a.Day, Hour: a.Hour, ObjectKey: a.ObjectKey, Reason: reason}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		rebuilt = false
		d, err := lockOpenDay(ctx, tx, a.Tenant, a.Day)
		if err != nil {
			return err
		}
		if d.open {
			if rebuilt, err = unserve(ctx, tx, a.ServedArchive, d.at); err != nil {
				return err
			}
		}
		if !rebuilt {
			var held bool
			if err := tx.QueryRowContext(ctx, `SELECT count(*) > 0 FROM archives a WHERE a.object_key = $1 AND `+heldArchiveSQL, a.ObjectKey).Scan(&held); err != nil || !held {
				return err // it was replaced, or its day has ended meanwhile
			}
			_, err := saveFault(ctx, tx, f, faultDetail{})
			return err
		}
		kept, cause := d.end, "broken"
		if reason == ReasonNotFound {
			kept, cause = d.at, "gone"
		}
		if _, err := tx.ExecContext(ctx, `UPDATE archives SET state = 'doomed', cause = $3, delete_after_us = $2, etag = coalesce($4, etag) WHERE object_key = $1`,
			a.ObjectKey, kept, cause, db.OrNull(etag)); err != nil {
			return err
		}
		detail := faultDetail{}
		if kept > d.at {
			detail.KeptTill = db.FromMicros(kept).Format(time.RFC3339)
		}
		if err := auditFault(ctx, tx, d.at, ActionPatrolRebuild, f, detail); err != nil {
			return err
		}
		return refreshServed(ctx, tx, a.Tenant, a.Day, d.at)
	})
	return rebuilt, err
}
