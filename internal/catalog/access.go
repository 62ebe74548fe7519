package catalog

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Application is an OAuth client of a tenant.
type Application struct {
	Credential
	Scopes []string
}

// TokenClaims are the claims of a verified access token, of callvault or of an outside issuer.
type TokenClaims struct {
	Tenant string
	App    string   // application that the token names; "" for a token of an outside issuer
	Epoch  int64    // the application's, when the token was issued
	Scopes []string // that the token names
}

// Holder names the application that got the token.
func (c TokenClaims) Holder() Holder { return Holder{c.App, c.Epoch} }

// Granted gives the scopes that the token grants now. app is the application as it is, nil when it
// does not exist. Error: KindUnauthorized when the application may not be used any more.
func (c TokenClaims) Granted(app *Application) ([]string, error) {
	switch {
	case c.App == "":
		return c.Scopes, nil
	case app == nil || app.ID != c.App:
		return nil, domain.Errorf(domain.KindUnauthorized, "the application does not exist")
	case !app.Disabled.IsZero() || app.Tenant != c.Tenant || app.Epoch != c.Epoch:
		return nil, domain.Errorf(domain.KindUnauthorized, "the application is disabled, or was disabled after the token was issued")
	}
	var granted []string
	for _, scope := range c.Scopes {
		if slices.Contains(app.Scopes, scope) { // a scope that was taken away is lost at once
			granted = append(granted, scope)
		}
	}
	return granted, nil
}

const applicationColumns = credentialColumns + `, scopes`

// scanApplication scans applicationColumns and further columns after them.
func scanApplication(row interface{ Scan(...any) error }, more ...any) (a Application, err error) {
	var scopes string
	err = a.scan(row, append([]any{&scopes}, more...)...)
	a.Scopes = strings.Fields(scopes)
	return a, err
}

// CreateApplication adds an application and gives its client secret, which cannot be read again.
// Error: KindNotFound for an unknown tenant.
func (c *Catalog) CreateApplication(ctx context.Context, tenant, name string, scopes []string, o audit.Origin) (Application, string, error) {
	secret, hash := CredentialApp.newSecret()
	a := Application{Credential: Credential{ID: CredentialApp.newID(), Tenant: tenant, Name: name}, Scopes: scopes}
	err := c.forTenant(ctx, tenant, func(tx *db.Tx, at int64) error {
		a.Created = db.FromMicros(at)
		_, err := tx.ExecContext(ctx, `INSERT INTO applications (id, tenant, name, secret_hash, scopes, created_us)
			VALUES ($1, $2, $3, $4, $5, $6)`, a.ID, tenant, name, hash, strings.Join(scopes, " "), at)
		if err != nil {
			return err
		}
		return o.Append(ctx, tx, at, tenant, "app.create", map[string]any{"id": a.ID, "name": name})
	})
	return a, secret, err
}

const applicationSQL = `SELECT ` + applicationColumns + ` FROM applications WHERE id = $1`

// Application reads an application, which may be disabled. Error: KindNotFound.
func (c *Catalog) Application(ctx context.Context, id string) (Application, error) {
	a, err := scanApplication(c.db.QueryRowContext(ctx, applicationSQL, id))
	return a, CredentialApp.notFound(err, id)
}

// AuthenticateApplication finds the application of a client id and secret, and writes down its use.
// Error: KindUnauthorized, the same for an unknown id, a wrong secret and a disabled application.
func (c *Catalog) AuthenticateApplication(ctx context.Context, id, secret string) (Application, error) {
	var stored []byte
	var at int64
	a, err := scanApplication(c.db.QueryRowContext(ctx, `SELECT `+applicationColumns+`, secret_hash, c.now_us
		FROM applications CROSS JOIN catalog_clock c WHERE id = $1`, id), &stored, &at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return a, err
	}
	// For an unknown id the comparison with nil takes the same time and never matches.
	same := subtle.ConstantTimeCompare(hashSecret(secret), stored) == 1
	if err != nil || !same || !a.Disabled.IsZero() {
		return Application{}, domain.Errorf(domain.KindUnauthorized, "the client is unknown or its secret is wrong")
	}
	return a, c.recordUse(ctx, CredentialApp, a.Credential, at)
}
