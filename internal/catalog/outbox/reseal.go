package outbox

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/db"
)

// EncryptedEndpoints lists the webhooks of all tenants that have an encrypted secret, by id.
func (b *Outbox) EncryptedEndpoints(ctx context.Context) ([]Endpoint, error) {
	return encryptedEndpoints(ctx, b.db)
}

func encryptedEndpoints(ctx context.Context, q db.Querier) ([]Endpoint, error) {
	return db.Collect(ctx, q, func(rows *sql.Rows) (Endpoint, error) { return scanEndpoint(rows) },
		`SELECT `+endpointColumns+` FROM webhook_endpoints WHERE encrypted OR former_encrypted ORDER BY id`)
}

// ResealEndpoints replaces every encrypted secret by what secret gives, and says how many.
func ResealEndpoints(ctx context.Context, tx *db.Tx, secret func(endpoint string, data []byte) ([]byte, error)) (n int, err error) {
	endpoints, err := encryptedEndpoints(ctx, tx)
	if err != nil {
		return 0, err
	}
	for _, e := range endpoints {
		for _, s := range []*Sealed{&e.Secret, &e.Former} {
			if !s.Encrypted || s.Data == nil {
				continue
			}
			if s.Data, err = secret(e.ID, s.Data); err != nil {
				return n, err
			}
			n++
		}
		if _, err := tx.ExecContext(ctx, `UPDATE webhook_endpoints SET secret = $2, former = $3 WHERE id = $1`, e.ID, e.Secret.Data, e.Former.Data); err != nil {
			return n, err
		}
	}
	return n, nil
}
