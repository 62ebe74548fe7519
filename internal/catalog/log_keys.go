package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Actions of the log's key in the audit log, and so in the log itself.
const (
	ActionLogKey    = "log.key"    // the first key was made
	ActionLogRotate = "log.rotate" // a new key was made
	ActionLogTrust  = "log.trust"  // a public key was made known
)

// LogKey is a public key of the log.
type LogKey struct {
	ID       string
	Verifier string // as c2sp.org/signed-note writes public keys
	Created  time.Time
	Retired  time.Time // zero for the current one
}

// NewLogKey is a key of the log that was just made.
type NewLogKey struct {
	SigningKey
	Verifier string
}

type logKeyDetail struct {
	Key    string `json:"key"`              // the public key
	Former string `json:"former,omitempty"` // the one before
	audit.Origin
}

// LogKeys lists the public keys of the log, the current one first, then the newest. They are never
// deleted.
func (c *Catalog) LogKeys(ctx context.Context) ([]LogKey, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (k LogKey, err error) {
		err = rows.Scan(&k.ID, &k.Verifier, db.Time(&k.Created), db.Time(&k.Retired))
		return k, err
	}, `SELECT id, verifier, created_us, retired_us FROM log_keys ORDER BY retired_us IS NOT NULL, created_us DESC, id`)
}

// AddLogKeys adds the key of the log and the secret of its salts where there is none, so that
// several processes may start at once. It says how many were added.
func (c *Catalog) AddLogKeys(ctx context.Context, key NewLogKey, secret SigningKey, o audit.Origin) (added int, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		added = 0
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if added, err = insertKeys(ctx, tx, []SigningKey{secret}, at); err != nil {
			return err
		}
		n, err := insertKeys(ctx, tx, []SigningKey{key.SigningKey}, at)
		if err != nil || n == 0 {
			return err
		}
		added += n
		if _, err := tx.ExecContext(ctx, `UPDATE log_keys SET retired_us = $1 WHERE retired_us IS NULL`, at); err != nil { // one whose private key is lost
			return err
		}
		return saveLogKey(ctx, tx, key, at, ActionLogKey, "", o)
	})
	return added, err
}

// RotateLogKey retires the log's key and adds another one. It deletes private keys of the log that
// were retired more than maxRetired ago. Error: KindConflict when another process rotates it at the
// same time.
func (c *Catalog) RotateLogKey(ctx context.Context, key NewLogKey, maxRetired time.Duration, o audit.Origin) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		var former string
		err = tx.QueryRowContext(ctx, `UPDATE log_keys SET retired_us = $1 WHERE retired_us IS NULL RETURNING verifier`, at).Scan(&former)
		if errors.Is(err, sql.ErrNoRows) {
			return noCurrentLogKey(ctx, tx)
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE purpose = $1 AND retired_us <= $2`, key.Purpose, at-maxRetired.Microseconds()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE keys SET retired_us = $2 WHERE purpose = $1 AND retired_us IS NULL`, key.Purpose, at); err != nil {
			return err
		}
		n, err := insertKeys(ctx, tx, []SigningKey{key.SigningKey}, at)
		if err != nil {
			return err
		}
		if n == 0 {
			return errLogRotated
		}
		return saveLogKey(ctx, tx, key, at, ActionLogRotate, former, o)
	})
}

var errLogRotated = domain.Errorf(domain.KindConflict, "the log's key was rotated by somebody else at the same time")

// noCurrentLogKey says why no key of the log could be retired: there was none ever, or another
// process has just retired it, which PostgreSQL tells only after a wait.
func noCurrentLogKey(ctx context.Context, tx *db.Tx) error {
	var known bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM log_keys)`).Scan(&known); err != nil {
		return err
	}
	if known {
		return errLogRotated
	}
	return domain.Errorf(domain.KindNotFound, "there is no key of the log yet; run: callvault migrate up")
}

func saveLogKey(ctx context.Context, tx *db.Tx, key NewLogKey, at int64, action, former string, o audit.Origin) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO log_keys (id, verifier, created_us) VALUES ($1, $2, $3)`, key.ID, key.Verifier, at); err != nil {
		return err
	}
	return o.Append(ctx, tx, at, "", action, logKeyDetail{Key: key.Verifier, Former: former, Origin: o})
}

// TrustLogKeys makes public keys of the log known that this catalog lacks, because it was restored
// from a backup. It says how many it lacked.
func (c *Catalog) TrustLogKeys(ctx context.Context, verifiers []string, o audit.Origin) (added int, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		added = 0
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		for _, v := range verifiers {
			fresh, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO log_keys (id, verifier, created_us, retired_us)
				SELECT $1, $2, $3, $3 WHERE NOT EXISTS (SELECT 1 FROM log_keys WHERE verifier = $2)`, domain.NewToken(), v, at))
			if err != nil {
				return err
			}
			if !fresh {
				continue
			}
			added++
			if err := o.Append(ctx, tx, at, "", ActionLogTrust, logKeyDetail{Key: v, Origin: o}); err != nil {
				return err
			}
		}
		return nil
	})
	return added, err
}
