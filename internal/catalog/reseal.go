package catalog

import (
	"context"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/db"
)

// Reseal encrypts everything again that is stored encrypted. key and secret give the new form of a
// signing key and of a webhook's secret. All are replaced in one transaction. It says how many.
// Errors: those of key and secret, KindUnavailable.
func (c *Catalog) Reseal(ctx context.Context, key func(SigningKey) ([]byte, error), secret func(endpoint string, data []byte) ([]byte, error), o audit.Origin) (int, error) {
	var n int
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		n = 0
		keys, err := db.Collect(ctx, tx, scanSigningKey, `SELECT id, purpose, algorithm, material, encrypted, created_us, retired_us FROM keys WHERE encrypted`)
		if err != nil {
			return err
		}
		for _, k := range keys {
			material, err := key(k)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE keys SET material = $2 WHERE id = $1`, k.ID, material); err != nil {
				return err
			}
			n++
		}
		more, err := outbox.ResealEndpoints(ctx, tx, secret)
		if err != nil {
			return err
		}
		n += more
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return o.Append(ctx, tx, at, "", "keys.reseal", map[string]any{"secrets": n})
	})
	return n, err
}
