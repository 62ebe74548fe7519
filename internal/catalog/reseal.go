package catalog

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
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
		endpoints, err := encryptedEndpoints(ctx, tx)
		if err != nil {
			return err
		}
		for _, e := range endpoints {
			for _, s := range []*Sealed{&e.Secret, &e.Former} {
				if !s.Encrypted || s.Data == nil {
					continue
				}
				if s.Data, err = secret(e.ID, s.Data); err != nil {
					return err
				}
				n++
			}
			if _, err := tx.ExecContext(ctx, `UPDATE webhook_endpoints SET secret = $2, former = $3 WHERE id = $1`, e.ID, e.Secret.Data, e.Former.Data); err != nil {
				return err
			}
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return o.Append(ctx, tx, at, "", "keys.reseal", map[string]any{"secrets": n})
	})
	return n, err
}

// EncryptedEndpoints lists the webhooks of all tenants that have an encrypted secret, by id.
func (c *Catalog) EncryptedEndpoints(ctx context.Context) ([]Endpoint, error) {
	return encryptedEndpoints(ctx, c.db)
}

func encryptedEndpoints(ctx context.Context, q db.Querier) ([]Endpoint, error) {
	return db.Collect(ctx, q, func(rows *sql.Rows) (Endpoint, error) { return scanEndpoint(rows) },
		`SELECT `+endpointColumns+` FROM webhook_endpoints WHERE encrypted OR former_encrypted ORDER BY id`)
}
