package catalog

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// CreateAPIKey adds an API key and gives its secret, which cannot be read again. Error:
// KindNotFound for an unknown tenant.
func (c *Catalog) CreateAPIKey(ctx context.Context, tenant, name string, o audit.Origin) (Credential, string, error) {
	secret, _ := CredentialKey.newSecret()
	k, err := c.PutAPIKey(ctx, tenant, name, secret, o)
	return k, secret, err
}

// PutAPIKey adds an API key with a given secret. It is for the published test keys of demo data
// only. It changes nothing if the tenant has the secret already. Error: KindConflict if another
// tenant has it.
func (c *Catalog) PutAPIKey(ctx context.Context, tenant, name, secret string, o audit.Origin) (Credential, error) {
	k := Credential{ID: CredentialKey.newID(), Tenant: tenant, Name: name}
	err := c.forTenant(ctx, tenant, func(tx *db.Tx, at int64) error {
		k.Created = db.FromMicros(at)
		ok, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO api_keys (id, tenant, name, secret_hash, created_us)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, k.ID, tenant, name, hashSecret(secret), at))
		if err != nil {
			return err
		}
		if ok {
			return o.Append(ctx, tx, at, tenant, "key.create", map[string]any{"id": k.ID, "name": name})
		}
		err = k.scan(tx.QueryRowContext(ctx, `SELECT `+credentialColumns+` FROM api_keys WHERE secret_hash = $1`, hashSecret(secret)))
		if err == nil && k.Tenant != tenant {
			return domain.Errorf(domain.KindConflict, "this API key belongs to another tenant")
		}
		return err
	})
	return k, err
}

// AuthenticateAPIKey finds the key and the tenant of a secret, and writes down the use. It looks
// the secret's hash up, so the time that it takes tells nothing about a guess. Error:
// KindUnauthorized, the same for an unknown key and a disabled one.
func (c *Catalog) AuthenticateAPIKey(ctx context.Context, secret string) (Credential, domain.Tenant, error) {
	refused := domain.Errorf(domain.KindUnauthorized, "the API key is unknown")
	if secret == "" {
		return Credential{}, domain.Tenant{}, refused
	}
	var k Credential
	var t domain.Tenant
	var at int64
	err := k.scan(c.db.QueryRowContext(ctx, apiKeySQL(), hashSecret(secret)),
		append([]any{&at}, tenantFields(&t)...)...)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && !k.Disabled.IsZero():
		return Credential{}, domain.Tenant{}, refused
	case err != nil:
		return Credential{}, domain.Tenant{}, err
	}
	return k, t, c.recordUse(ctx, CredentialKey, k, at)
}

// apiKeySQL finds a key by its secret's hash, with its tenant.
func apiKeySQL() string {
	return `SELECT ` + prefixed("k", credentialColumns) + `, c.now_us, ` + prefixed("t", tenantColumns()) + `
		FROM api_keys k JOIN tenants t ON t.id = k.tenant AND t.closed_us IS NULL CROSS JOIN catalog_clock c WHERE k.secret_hash = $1`
}

// prefixed puts a table's alias before each column of a list.
func prefixed(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}
