package catalog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// CredentialKind is a kind of credentials, as ids, commands and the audit log call it.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialApp CredentialKind = "app" // OAuth application
	CredentialKey CredentialKind = "key" // API key
)

// Prefixes by which people and secret scanners recognise secrets.
const (
	appSecretPrefix = "cvs_"
	keySecretPrefix = "cvk_"
)

// recordUseEvery is the shortest time between two writes of a last-used time.
const recordUseEvery = time.Minute

// Credential is what applications and API keys have in common.
type Credential struct {
	ID       string // of an application: the client_id
	Tenant   string
	Name     string
	Disabled time.Time // zero while it is enabled
	Created  time.Time
	LastUsed time.Time // exact to the minute; zero if never
	Epoch    int64     // every disabling raises it; tokens and links of a former epoch are void
}

// Holder names the credential that got a token or a link, in its epoch of then. Without an ID
// nobody can revoke what it got.
type Holder struct {
	ID    string
	Epoch int64
}

// Holder names the credential as it is now.
func (k *Credential) Holder() Holder { return Holder{k.ID, k.Epoch} }

// Revoked says whether a tenant's credential was disabled or deleted since it got a token or a
// link, or the tenant was closed.
func (c *Catalog) Revoked(ctx context.Context, kind CredentialKind, tenant string, h Holder) (bool, error) {
	if h.ID == "" {
		t, err := c.Tenant(ctx, tenant)
		if domain.KindOf(err) == domain.KindNotFound {
			return true, nil
		}
		return !t.Closed.IsZero(), err
	}
	k, err := c.Credential(ctx, kind, h.ID)
	if domain.KindOf(err) == domain.KindNotFound {
		return true, nil
	}
	return k.Tenant != tenant || !k.Disabled.IsZero() || k.Epoch != h.Epoch, err
}

const credentialColumns = `id, tenant, name, disabled_us, created_us, last_used_us, epoch`

// scan scans credentialColumns and further columns after them.
func (k *Credential) scan(row interface{ Scan(...any) error }, more ...any) error {
	return row.Scan(append([]any{&k.ID, &k.Tenant, &k.Name, db.Time(&k.Disabled), db.Time(&k.Created), db.Time(&k.LastUsed), &k.Epoch}, more...)...)
}

// Actor names a credential in the audit log.
func (k CredentialKind) Actor(id string) string { return string(k) + ":" + id }

func (k CredentialKind) table() string {
	if k == CredentialApp {
		return "applications"
	}
	return "api_keys"
}

// notFound gives an error that says which credential does not exist when no row was found.
func (k CredentialKind) notFound(err error, id string) error {
	if k == CredentialApp {
		return db.NotFound(err, "application %.70q does not exist", id)
	}
	return db.NotFound(err, "API key %.70q does not exist", id)
}

// newID gives a random id.
func (k CredentialKind) newID() string { return string(k) + "_" + domain.NewToken() }

// newSecret gives a random secret of 256 bits, and its stored hash.
func (k CredentialKind) newSecret() (secret string, hash []byte) {
	prefix := keySecretPrefix
	if k == CredentialApp {
		prefix = appSecretPrefix
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	secret = prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, hashSecret(secret)
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Credential reads a credential, which may be disabled. Error: KindNotFound.
func (c *Catalog) Credential(ctx context.Context, kind CredentialKind, id string) (k Credential, err error) {
	err = k.scan(c.db.QueryRowContext(ctx, `SELECT `+credentialColumns+` FROM `+kind.table()+` WHERE id = $1`, id))
	return k, kind.notFound(err, id)
}

// Credentials lists a tenant's credentials by id, after the given one: at most limit.
func (c *Catalog) Credentials(ctx context.Context, kind CredentialKind, tenant, after string, limit int) ([]Credential, error) {
	scan := func(rows *sql.Rows) (k Credential, err error) {
		err = k.scan(rows)
		return k, err
	}
	return db.Collect(ctx, c.db, scan,
		`SELECT `+credentialColumns+` FROM `+kind.table()+` WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

// RotateCredential gives a credential a new secret. The old one is invalid at once. Issued tokens
// stay valid until they expire or the application is disabled. Error: KindNotFound.
func (c *Catalog) RotateCredential(ctx context.Context, kind CredentialKind, id string, o audit.Origin) (string, error) {
	secret, hash := kind.newSecret()
	return secret, c.changeCredential(ctx, kind, "rotate", id, o, `UPDATE `+kind.table()+` SET secret_hash = $2 WHERE id = $1`, hash)
}

// DisableCredential disables a credential, and the tokens and links that it got, from the next
// request on, or enables it again; then these stay void. Error: KindNotFound.
func (c *Catalog) DisableCredential(ctx context.Context, kind CredentialKind, id string, disabled bool, o audit.Origin) error {
	action := "enable"
	if disabled {
		action = "disable"
	}
	return c.changeCredential(ctx, kind, action, id, o, `UPDATE `+kind.table()+` SET
		epoch = epoch + CASE WHEN CAST($2 AS BOOLEAN) AND disabled_us IS NULL THEN 1 ELSE 0 END, disabled_us = CASE WHEN CAST($2 AS BOOLEAN) THEN coalesce(disabled_us, (SELECT now_us FROM catalog_clock)) END WHERE id = $1`, disabled)
}

// DeleteCredential deletes a credential, and so ends the tokens and links that it got. Error:
// KindNotFound.
func (c *Catalog) DeleteCredential(ctx context.Context, kind CredentialKind, id string, o audit.Origin) error {
	return c.changeCredential(ctx, kind, "delete", id, o, `DELETE FROM `+kind.table()+` WHERE id = $1`)
}

// changeCredential runs a statement that must change the row with the given id, and writes the
// audit log.
func (c *Catalog) changeCredential(ctx context.Context, kind CredentialKind, action, id string, o audit.Origin, query string, args ...any) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		var tenant string
		err := tx.QueryRowContext(ctx, query+` RETURNING tenant`, append([]any{id}, args...)...).Scan(&tenant)
		if err != nil {
			return kind.notFound(err, id)
		}
		if action == "enable" {
			if err := refuseClosed(ctx, tx, tenant); err != nil {
				return err
			}
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return o.Append(ctx, tx, at, tenant, string(kind)+"."+action, map[string]any{"id": id})
	})
}

// refuseClosed refuses a tenant that does not exist or is closed. The transaction waits for one
// that closes the tenant, and keeps the tenant from being closed until it ends.
func refuseClosed(ctx context.Context, tx *db.Tx, tenant string) error {
	t, err := requireTenant(ctx, tx, tenant)
	if domain.KindOf(err) == domain.KindNotFound {
		return unknownTenant(sql.ErrNoRows, tenant)
	}
	if err != nil {
		return err
	}
	if t.closed {
		return domain.Errorf(domain.KindConflict, "tenant %s is closed; open it first: callvault tenant open %s --reason …", tenant, tenant)
	}
	return nil
}

// forTenant runs fn in a transaction if the tenant exists and is open.
func (c *Catalog) forTenant(ctx context.Context, tenant string, fn func(tx *db.Tx, at int64) error) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		if err := refuseClosed(ctx, tx, tenant); err != nil {
			return err
		}
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		return fn(tx, at)
	})
}

// recordUse writes a last-used time, unless the stored one is less than a minute old.
func (c *Catalog) recordUse(ctx context.Context, kind CredentialKind, k Credential, at int64) error {
	if !k.LastUsed.IsZero() && at-db.Micros(k.LastUsed) < recordUseEvery.Microseconds() {
		return nil
	}
	return c.db.Batch(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE `+kind.table()+` SET last_used_us = $2 WHERE id = $1`, k.ID, at)
		return err
	})
}
