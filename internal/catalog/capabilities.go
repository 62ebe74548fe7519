package catalog

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// StoreKey names a bucket of an object store.
type StoreKey struct {
	Endpoint string
	Bucket   string
}

// RememberStore replaces what is known of a bucket. Tried is set to the catalog's time.
func (c *Catalog) RememberStore(ctx context.Context, key StoreKey, list []domain.Capability) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		// Two processes that try the bucket at the same time write the same rows.
		for _, v := range list {
			if _, err := tx.ExecContext(ctx, `INSERT INTO store_capabilities (endpoint, bucket, capability, has, saw, tried_us) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (endpoint, bucket, capability) DO UPDATE SET has = excluded.has, saw = excluded.saw, tried_us = excluded.tried_us`,
				key.Endpoint, key.Bucket, v.Name, v.Has, v.Saw, at); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM store_capabilities WHERE endpoint = $1 AND bucket = $2 AND tried_us < $3`, key.Endpoint, key.Bucket, at)
		return err
	})
}

// StoreCapabilities gives what is known of a bucket, by name. It is empty for a bucket that was
// never tried.
func (c *Catalog) StoreCapabilities(ctx context.Context, key StoreKey) ([]domain.Capability, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (v domain.Capability, err error) {
		err = rows.Scan(&v.Name, &v.Has, &v.Saw, db.Time(&v.Tried))
		return v, err
	}, `SELECT capability, has, saw, tried_us FROM store_capabilities WHERE endpoint = $1 AND bucket = $2 ORDER BY capability`, key.Endpoint, key.Bucket)
}
