package catalog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Prefixes by which people and secret scanners recognise ids and secrets.
const (
	appIDPrefix     = "app_"
	appSecretPrefix = "cvs_"
	keyIDPrefix     = "key_"
	keySecretPrefix = "cvk_"
)

// recordUseEvery is the shortest time between two writes of a last-used time.
const recordUseEvery = time.Minute

// Application is an OAuth client of a tenant.
type Application struct {
	ID       string // the client_id
	Tenant   string
	Name     string
	Scopes   []string
	Disabled time.Time // zero while it is enabled
	Epoch    int64     // every disabling raises it, and tokens of a former epoch are invalid
	Created  time.Time
	LastUsed time.Time // exact to the minute; zero if never
}

// TokenClaims are the claims of a verified access token, of callvault or of an outside issuer.
type TokenClaims struct {
	Tenant string
	App    string   // application that the token names; "" for a token of an outside issuer
	Epoch  int64    // the application's, when the token was issued
	Scopes []string // that the token names
}

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

// newSecret gives a random secret of 256 bits with a prefix, and its stored hash.
func newSecret(prefix string) (secret string, hash []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	secret = prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, hashSecret(secret)
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

const applicationColumns = `id, tenant, name, scopes, disabled_us, epoch, created_us, last_used_us`

// scanApplication scans applicationColumns and further columns after them.
func scanApplication(row interface{ Scan(...any) error }, more ...any) (a Application, err error) {
	var scopes string
	var disabled, used sql.NullInt64
	var created int64
	err = row.Scan(append([]any{&a.ID, &a.Tenant, &a.Name, &scopes, &disabled, &a.Epoch, &created, &used}, more...)...)
	a.Scopes, a.Disabled, a.Created, a.LastUsed = strings.Fields(scopes), db.TimeOf(disabled), db.FromMicros(created), db.TimeOf(used)
	return a, err
}

// CreateApplication adds an application and gives its client secret, which cannot be read again.
// Error: KindNotFound for an unknown tenant.
func (c *Catalog) CreateApplication(ctx context.Context, tenant, name string, scopes []string, o audit.Origin) (Application, string, error) {
	secret, hash := newSecret(appSecretPrefix)
	a := Application{ID: appIDPrefix + domain.NewToken(), Tenant: tenant, Name: name, Scopes: scopes}
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

// forTenant runs fn in a transaction if the tenant exists.
func (c *Catalog) forTenant(ctx context.Context, tenant string, fn func(tx *db.Tx, at int64) error) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		var id string
		err := tx.QueryRowContext(ctx, `SELECT id FROM tenants WHERE id = $1`, tenant).Scan(&id)
		if err != nil {
			return db.NotFound(err, "tenant %.70q does not exist; see: callvault tenant list", tenant)
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return fn(tx, at)
	})
}

const applicationSQL = `SELECT ` + applicationColumns + ` FROM applications WHERE id = $1`

// Application reads an application, which may be disabled. Error: KindNotFound.
func (c *Catalog) Application(ctx context.Context, id string) (Application, error) {
	a, err := scanApplication(c.db.QueryRowContext(ctx, applicationSQL, id))
	return a, db.NotFound(err, "application %.70q does not exist", id)
}

// Applications lists a tenant's applications by id, after the given one: at most limit.
func (c *Catalog) Applications(ctx context.Context, tenant, after string, limit int) ([]Application, error) {
	return db.Collect(ctx, c.db, func(rows *sql.Rows) (Application, error) { return scanApplication(rows) },
		`SELECT `+applicationColumns+` FROM applications WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
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
	return a, c.recordUse(ctx, `applications`, id, a.LastUsed, at)
}

// recordUse writes a last-used time, unless the stored one is less than a minute old.
func (c *Catalog) recordUse(ctx context.Context, table, id string, last time.Time, at int64) error {
	if !last.IsZero() && at-db.Micros(last) < recordUseEvery.Microseconds() {
		return nil
	}
	return c.db.Batch(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE `+table+` SET last_used_us = $2 WHERE id = $1`, id, at)
		return err
	})
}

// RotateApplication gives an application a new secret. The old one is invalid at once. Issued
// tokens stay valid until they expire or the application is disabled. Error: KindNotFound.
func (c *Catalog) RotateApplication(ctx context.Context, id string, o audit.Origin) (string, error) {
	secret, hash := newSecret(appSecretPrefix)
	return secret, c.changeRow(ctx, "application", "app.rotate", id, o, `UPDATE applications SET secret_hash = $2 WHERE id = $1`, hash)
}

// DisableApplication disables an application, so that its tokens are invalid from the next request
// on, or enables it again. Error: KindNotFound.
func (c *Catalog) DisableApplication(ctx context.Context, id string, disabled bool, o audit.Origin) error {
	return c.changeRow(ctx, "application", disableAction("app", disabled), id, o, `UPDATE applications SET
		epoch = epoch + CASE WHEN CAST($2 AS BOOLEAN) AND disabled_us IS NULL THEN 1 ELSE 0 END, disabled_us =
		CASE WHEN CAST($2 AS BOOLEAN) THEN coalesce(disabled_us, (SELECT now_us FROM catalog_clock)) END WHERE id = $1`, disabled)
}

// DeleteApplication deletes an application, so that its tokens are invalid. Error: KindNotFound.
func (c *Catalog) DeleteApplication(ctx context.Context, id string, o audit.Origin) error {
	return c.changeRow(ctx, "application", "app.delete", id, o, `DELETE FROM applications WHERE id = $1`)
}

// disableAction is the audit log's name for disabling a credential of a kind, or taking that back.
func disableAction(kind string, disabled bool) string {
	if disabled {
		return kind + ".disable"
	}
	return kind + ".enable"
}

// changeRow runs a statement that must change the row with the given id, and writes the audit log.
func (c *Catalog) changeRow(ctx context.Context, what, action, id string, o audit.Origin, query string, args ...any) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		var tenant string
		err := tx.QueryRowContext(ctx, query+` RETURNING tenant`, append([]any{id}, args...)...).Scan(&tenant)
		if err != nil {
			return db.NotFound(err, "%s %.70q does not exist", what, id)
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return o.Append(ctx, tx, at, tenant, action, map[string]any{"id": id})
	})
}
