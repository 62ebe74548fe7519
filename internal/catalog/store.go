package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
)

// StoreKey names a bucket of an object store.
type StoreKey struct {
	Endpoint string
	Bucket   string
}

// Capability is one thing that callvault tried on a bucket.
type Capability struct {
	Name  string
	Has   bool
	Saw   string // what happened instead; "" when the bucket can do it
	Tried time.Time
}

// RememberStore replaces what is known of a bucket. Tried is set to the catalog's time.
func (c *Catalog) RememberStore(ctx context.Context, key StoreKey, list []Capability) error {
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
func (c *Catalog) StoreCapabilities(ctx context.Context, key StoreKey) ([]Capability, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (v Capability, err error) {
		var at int64
		err = rows.Scan(&v.Name, &v.Has, &v.Saw, &at)
		v.Tried = db.FromMicros(at)
		return v, err
	}, `SELECT capability, has, saw, tried_us FROM store_capabilities WHERE endpoint = $1 AND bucket = $2 ORDER BY capability`, key.Endpoint, key.Bucket)
}
