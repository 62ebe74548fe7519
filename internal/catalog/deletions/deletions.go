package deletions

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
)

// Outbox holds the keys of source audio that is to be deleted.
type Outbox struct{ db *db.DB }

// New gives the outbox of a database.
func New(d *db.DB) *Outbox { return &Outbox{d} }

// Cause says why something is deleted.
type Cause string

// The causes of deletions of source audio.
const (
	CauseRetention Cause = "retention"
	CauseErasure   Cause = "erasure"
)

// Deletion is an object of the recordings bucket that is to be deleted.
type Deletion struct {
	Key       string
	Tenant    string
	ETag      string // "" when it is not known
	VersionID string // "" when the bucket keeps no versions
	Size      *int64
	SHA256    []byte // nil when it is not known
	Cause     Cause
	Subject   string // the erasure's id; "" for a retention
	Tries     int    // that failed
}

// Queue puts objects into the outbox, in the transaction that removes their rows. They are due at
// once. An object that is in the outbox already stays as it is.
func Queue(ctx context.Context, tx *db.Tx, list []Deletion, at int64) error {
	for chunk := range slices.Chunk(list, 500) {
		var args []any
		for _, d := range chunk {
			var sum any // a nil slice is NULL on one database and empty bytes on the other
			if d.SHA256 != nil {
				sum = d.SHA256
			}
			args = append(args, d.Key, d.Tenant, d.ETag, d.VersionID, d.Size, sum, string(d.Cause), db.OrNull(d.Subject), at, at)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO deletions (key, tenant, etag, version_id, size, sha256, cause, subject, queued_us, due_us) VALUES `+
			db.ParameterRows(len(chunk), 10)+` ON CONFLICT (key) DO NOTHING`, args...); err != nil {
			return err
		}
	}
	return nil
}

// Queued gives those of the keys that are in the outbox. A transaction that names keys asks before
// its commit.
func Queued(ctx context.Context, tx db.Querier, keys []string) (queued []string, err error) {
	for chunk := range slices.Chunk(keys, 500) {
		some, err := db.Collect(ctx, tx, db.Value[string], `SELECT key FROM deletions WHERE key IN (`+db.Parameters(1, len(chunk))+`)`, db.Texts(chunk)...)
		if err != nil {
			return nil, err
		}
		queued = append(queued, some...)
	}
	return queued, nil
}

// Lease is how long nobody else deletes an object that was claimed. Without it a slow request could
// arrive after another one was answered, and delete the bytes of a key that was named anew.
const Lease = 15 * time.Minute

// Claim claims objects whose bytes must be deleted now, at most limit. They are due again after
// [Lease]. It claims none while the clock is not trusted.
func (o *Outbox) Claim(ctx context.Context, limit int) (claimed []Deletion, err error) {
	err = o.db.Update(ctx, func(tx *db.Tx) error {
		skip := ""
		if tx.Postgres() {
			skip = " FOR UPDATE SKIP LOCKED"
		}
		claimed, err = db.Collect(ctx, tx, func(rows *sql.Rows) (d Deletion, err error) {
			err = rows.Scan(&d.Key, &d.Tenant, &d.ETag, &d.VersionID, &d.Size, &d.SHA256, &d.Cause, db.OrZero(&d.Subject), &d.Tries)
			return d, err
		}, claimSQL(skip), limit, Lease.Microseconds())
		return err
	})
	return claimed, err
}

func claimSQL(skip string) string {
	return `UPDATE deletions SET due_us = (SELECT now_us FROM catalog_clock) + CAST($2 AS BIGINT)
		WHERE key IN (SELECT key FROM deletions WHERE due_us <= (SELECT now_us FROM catalog_clock) AND ` + clock.TrustedSQL + ` ORDER BY due_us LIMIT $1` + skip + `)
		RETURNING key, tenant, etag, version_id, size, sha256, cause, subject, tries`
}

// Done takes an object out of the outbox, because its bytes are gone, or are others by now. Other
// tenants may name its key from then on. For other bytes the caller also calls [Leave], which
// forbids that again.
func Done(ctx context.Context, tx *db.Tx, key string) error {
	for _, table := range []string{"deletions", "left_objects"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE key = $1`, key); err != nil {
			return err
		}
	}
	return nil
}

// Leave keeps other tenants from naming keys whose bytes stay in the bucket, in the transaction
// that removes their rows.
func Leave(ctx context.Context, tx *db.Tx, tenant string, keys []string, at int64) error {
	for chunk := range slices.Chunk(keys, 500) {
		var args []any
		for _, key := range chunk {
			args = append(args, key, tenant, at)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO left_objects (key, tenant, left_us) VALUES `+db.ParameterRows(len(chunk), 3)+` ON CONFLICT DO NOTHING`, args...); err != nil {
			return err
		}
	}
	return nil
}

// LeftOfOthers says whether bytes of another tenant were left under a key.
func LeftOfOthers(ctx context.Context, tx *db.Tx, tenant, key string) (left bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM left_objects WHERE key = $1 AND tenant <> $2)`, key, tenant).Scan(&left)
	return left, err
}

// Postpone makes an object that was not tried due again after wait.
func (o *Outbox) Postpone(ctx context.Context, key string, wait time.Duration) error {
	_, err := o.db.ExecContext(ctx, `UPDATE deletions SET due_us = (SELECT now_us FROM catalog_clock) + CAST($2 AS BIGINT) WHERE key = $1`, key, wait.Microseconds())
	return err
}

// Failed notes that the bytes of an object could not be deleted. It is due again after wait.
func (o *Outbox) Failed(ctx context.Context, key, reason string, wait time.Duration) error {
	_, err := o.db.ExecContext(ctx, `UPDATE deletions SET tries = tries + 1, last_error = $2,
		due_us = (SELECT now_us FROM catalog_clock) + CAST($3 AS BIGINT) WHERE key = $1`, key, reason, wait.Microseconds())
	return err
}

// Locked notes that the store's lock keeps the bytes of an object. It is due again when the lock
// ends, and in an hour at the earliest, because the store's clock may be behind.
func (o *Outbox) Locked(ctx context.Context, key string, until time.Time) error {
	_, err := o.db.ExecContext(ctx, `UPDATE deletions SET due_us = CASE WHEN $2 > now_us + CAST($3 AS BIGINT) THEN $2 ELSE now_us + CAST($3 AS BIGINT) END
		FROM catalog_clock WHERE key = $1`, key, db.Micros(until), time.Hour.Microseconds())
	return err
}
