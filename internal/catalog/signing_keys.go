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

// SigningKey is a signing key as it is stored. Package auth knows the format of its material.
type SigningKey struct {
	ID        string
	Purpose   string // access, link, cursor, log, log_salt or erasure; each has one current key
	Algorithm string
	Material  []byte
	Encrypted bool
	Created   time.Time
	Retired   time.Time // zero for the current one
}

// SigningKeys reads all signing keys, the current ones first.
func (c *Catalog) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	return db.Collect(ctx, c.db, scanSigningKey, `SELECT id, purpose, algorithm, material, encrypted, created_us, retired_us FROM keys
		ORDER BY retired_us IS NOT NULL, created_us DESC, id`)
}

func scanSigningKey(rows *sql.Rows) (k SigningKey, err error) {
	err = rows.Scan(&k.ID, &k.Purpose, &k.Algorithm, &k.Material, &k.Encrypted, db.Time(&k.Created), db.Time(&k.Retired))
	return k, err
}

// AddSigningKeys adds keys for the purposes that have none, so that several processes may start at
// once. It deletes keys that were retired more than maxRetired ago. It says how many were added.
func (c *Catalog) AddSigningKeys(ctx context.Context, fresh []SigningKey, maxRetired time.Duration) (added int, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		added, err = addSigningKeys(ctx, tx, fresh, at, maxRetired)
		return err
	})
	return added, err
}

// RotateSigningKeys retires the current keys and adds new ones. It deletes keys that were retired
// more than maxRetired ago. Error: KindConflict when another process rotates them at the same time.
func (c *Catalog) RotateSigningKeys(ctx context.Context, fresh []SigningKey, maxRetired time.Duration, o audit.Origin) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		for _, k := range fresh {
			if _, err := tx.ExecContext(ctx, `UPDATE keys SET retired_us = $2 WHERE purpose = $1 AND retired_us IS NULL`, k.Purpose, at); err != nil {
				return err
			}
		}
		added, err := addSigningKeys(ctx, tx, fresh, at, maxRetired)
		if err != nil {
			return err
		}
		if added < len(fresh) {
			return domain.Errorf(domain.KindConflict, "the keys were rotated by somebody else at the same time")
		}
		return o.Append(ctx, tx, at, "", "keys.rotate", map[string]any{"keys": added})
	})
}

func addSigningKeys(ctx context.Context, tx *db.Tx, fresh []SigningKey, at int64, maxRetired time.Duration) (added int, err error) {
	if added, err = insertKeys(ctx, tx, fresh, at); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM keys WHERE retired_us <= $1`, at-maxRetired.Microseconds())
	return added, err
}

// insertKeys adds keys for the purposes that have none. It says how many.
func insertKeys(ctx context.Context, tx *db.Tx, fresh []SigningKey, at int64) (added int, err error) {
	for _, k := range fresh {
		ok, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO keys (id, purpose, algorithm, material, encrypted, created_us)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, k.ID, k.Purpose, k.Algorithm, k.Material, k.Encrypted, at))
		if err != nil {
			return 0, err
		}
		if ok {
			added++
		}
	}
	return added, nil
}

// EncryptSigningKey replaces a key's material by its encrypted form. It does nothing if the
// material is encrypted already.
func (c *Catalog) EncryptSigningKey(ctx context.Context, id string, material []byte) error {
	_, err := c.db.ExecContext(ctx, `UPDATE keys SET material = $2, encrypted = TRUE WHERE id = $1 AND NOT encrypted`, id, material)
	return err
}
