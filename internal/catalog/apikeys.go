package catalog

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// APIKey is a tenant's key for the export APIs.
type APIKey struct {
	ID       string
	Tenant   string
	Name     string
	Disabled time.Time // zero while it is enabled
	Created  time.Time
	LastUsed time.Time // exact to the minute; zero if never
}

const apiKeyColumns = `id, tenant, name, disabled_us, created_us, last_used_us`

// scanAPIKey scans apiKeyColumns and further columns after them.
func scanAPIKey(row interface{ Scan(...any) error }, more ...any) (k APIKey, err error) {
	var disabled, used sql.NullInt64
	var created int64
	err = row.Scan(append([]any{&k.ID, &k.Tenant, &k.Name, &disabled, &created, &used}, more...)...)
	k.Disabled, k.Created, k.LastUsed = db.TimeOf(disabled), db.FromMicros(created), db.TimeOf(used)
	return k, err
}

// CreateAPIKey adds an API key and gives its secret, which cannot be read again. Error:
// KindNotFound for an unknown tenant.
func (c *Catalog) CreateAPIKey(ctx context.Context, tenant, name string, o audit.Origin) (APIKey, string, error) {
	secret, _ := newSecret(keySecretPrefix)
	k, err := c.PutAPIKey(ctx, tenant, name, secret, o)
	return k, secret, err
}

// PutAPIKey adds an API key with a given secret. It is for the published test keys of demo data
// only. It changes nothing if the tenant has the secret already. Error: KindConflict if another
// tenant has it.
func (c *Catalog) PutAPIKey(ctx context.Context, tenant, name, secret string, o audit.Origin) (APIKey, error) {
	k := APIKey{ID: keyIDPrefix + domain.NewToken(), Tenant: tenant, Name: name}
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
		k, err = scanAPIKey(tx.QueryRowContext(ctx, `SELECT `+apiKeyColumns+` FROM api_keys WHERE secret_hash = $1`, hashSecret(secret)))
		if err == nil && k.Tenant != tenant {
			return domain.Errorf(domain.KindConflict, "this API key belongs to another tenant")
		}
		return err
	})
	return k, err
}

// APIKeys lists a tenant's keys by id, after the given one: at most limit.
func (c *Catalog) APIKeys(ctx context.Context, tenant, after string, limit int) ([]APIKey, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (APIKey, error) { return scanAPIKey(rows) },
		`SELECT `+apiKeyColumns+` FROM api_keys WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

// AuthenticateAPIKey finds the key and the tenant of a secret, and writes down the use. It looks
// the secret's hash up, so the time that it takes tells nothing about a guess. Error:
// KindUnauthorized, the same for an unknown key and a disabled one.
func (c *Catalog) AuthenticateAPIKey(ctx context.Context, secret string) (APIKey, domain.Tenant, error) {
	refused := domain.Errorf(domain.KindUnauthorized, "the API key is unknown")
	if secret == "" {
		return APIKey{}, domain.Tenant{}, refused
	}
	var t domain.Tenant
	var created, at int64
	k, err := scanAPIKey(c.db.QueryRowContext(ctx, apiKeySQL(), hashSecret(secret)),
		append([]any{&at}, tenantFields(&t, &created)...)...)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && !k.Disabled.IsZero():
		return APIKey{}, domain.Tenant{}, refused
	case err != nil:
		return APIKey{}, domain.Tenant{}, err
	}
	t.Created = db.FromMicros(created)
	return k, t, c.recordUse(ctx, `api_keys`, k.ID, k.LastUsed, at)
}

// apiKeySQL finds a key by its secret's hash, with its tenant.
func apiKeySQL() string {
	return `SELECT ` + prefixed("k", apiKeyColumns) + `, c.now_us, ` + prefixed("t", tenantColumns()) + `
		FROM api_keys k JOIN tenants t ON t.id = k.tenant CROSS JOIN catalog_clock c WHERE k.secret_hash = $1`
}

// prefixed puts a table's alias before each column of a list.
func prefixed(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}

// DisableAPIKey disables a key from the next request on, or enables it again. Error: KindNotFound.
func (c *Catalog) DisableAPIKey(ctx context.Context, id string, disabled bool, o audit.Origin) error {
	return c.changeRow(ctx, "API key", disableAction("key", disabled), id, o, `UPDATE api_keys SET disabled_us =
		CASE WHEN CAST($2 AS BOOLEAN) THEN coalesce(disabled_us, (SELECT now_us FROM catalog_clock)) END WHERE id = $1`, disabled)
}

// RotateAPIKey gives a key a new secret. The old one is invalid at once. Error: KindNotFound.
func (c *Catalog) RotateAPIKey(ctx context.Context, id string, o audit.Origin) (string, error) {
	secret, hash := newSecret(keySecretPrefix)
	return secret, c.changeRow(ctx, "API key", "key.rotate", id, o, `UPDATE api_keys SET secret_hash = $2 WHERE id = $1`, hash)
}

// DeleteAPIKey deletes a key. Error: KindNotFound.
func (c *Catalog) DeleteAPIKey(ctx context.Context, id string, o audit.Origin) error {
	return c.changeRow(ctx, "API key", "key.delete", id, o, `DELETE FROM api_keys WHERE id = $1`)
}

// APIKey reads a key, which may be disabled. Error: KindNotFound.
func (c *Catalog) APIKey(ctx context.Context, id string) (APIKey, error) {
	k, err := scanAPIKey(c.db.QueryRowContext(ctx, `SELECT `+apiKeyColumns+` FROM api_keys WHERE id = $1`, id))
	return k, db.NotFound(err, "API key %.70q does not exist", id)
}
