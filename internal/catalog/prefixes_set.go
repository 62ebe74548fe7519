package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// A key prefix is set in three steps, so that registrations do not wait while keys are counted.
// First it is written as pending. This step waits for transactions that have begun to name keys.
// Then other tenants' keys under it are counted. Last it is set. If another tenant named a key
// under it meanwhile, that transaction cleared the pending prefix, and all steps are repeated.

// errNotPending means that the key prefix which a change sets is not pending, or not any more.
var errNotPending = domain.Errorf(domain.KindConflict, "the key prefix changed meanwhile; set it again")

// withPendingPrefix makes the key prefix of a change pending, and then runs set, which applies the
// change to the tenant in one transaction.
func (c *Catalog) withPendingPrefix(ctx context.Context, tenant string, change func(*domain.Tenant), set func(*db.Tx) error) error {
	for {
		if err := c.setPendingPrefix(ctx, tenant, change); err != nil {
			return err
		}
		if err := c.db.Update(ctx, set); !errors.Is(err, errNotPending) {
			return err
		}
	}
}

// setPendingPrefix does the first two steps. It does nothing for a change that sets no key prefix.
func (c *Catalog) setPendingPrefix(ctx context.Context, id string, change func(*domain.Tenant)) error {
	t, err := c.Tenant(ctx, id)
	if err != nil {
		return err
	}
	before := t.KeyPrefix
	change(&t)
	if t.KeyPrefix == before || t.KeyPrefix == "" {
		return nil
	}
	if err := t.Check(); err != nil {
		return err
	}
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		if err := c.advisoryLock(ctx, tx, keyNamesLock, false); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE tenants SET key_prefix_pending = $2 WHERE id = $1`, id, t.KeyPrefix)
		return err
	})
	if err != nil {
		return err
	}
	return checkNoForeignKeys(ctx, c.db, id, t.KeyPrefix)
}

// commitPrefix is the last step. The tenant's row is locked.
func (c *Catalog) commitPrefix(ctx context.Context, tx *db.Tx, tenant, prefix string) error {
	if prefix == "" {
		return nil
	}
	ok, err := db.Affected(tx.ExecContext(ctx, `UPDATE tenants SET key_prefix_pending = '' WHERE id = $1 AND key_prefix_pending = $2`, tenant, prefix))
	if err != nil {
		return err
	}
	if !ok {
		return errNotPending
	}
	return c.checkNotNested(ctx, tx, tenant, prefix)
}

// checkFirstPrefix refuses a new tenant's key prefix if another tenant has keys under it or a
// prefix nested with it.
func (c *Catalog) checkFirstPrefix(ctx context.Context, tx *db.Tx, tenant, prefix string) error {
	if prefix == "" {
		return nil
	}
	if err := c.advisoryLock(ctx, tx, keyNamesLock, false); err != nil {
		return err
	}
	if err := c.checkNotNested(ctx, tx, tenant, prefix); err != nil {
		return err
	}
	return checkNoForeignKeys(ctx, tx, tenant, prefix)
}

// checkNotNested refuses a prefix that begins with another tenant's, or with which another tenant's
// begins. Deleted tenants keep theirs. Until the transaction ends, no other prefix can be set.
func (c *Catalog) checkNotNested(ctx context.Context, tx *db.Tx, tenant, prefix string) error {
	if err := c.advisoryLock(ctx, tx, prefixLock, false); err != nil {
		return err
	}
	var other, has, never string
	err := tx.QueryRowContext(ctx, `SELECT p.id, p.key_prefix, p.never FROM (SELECT id, key_prefix, '' AS never FROM tenants
			UNION ALL SELECT tenant, key_prefix, ', which was deleted and whose prefix is never used again,' FROM left_prefixes) p
		WHERE p.id <> $1 AND p.key_prefix <> ''
		AND (substr(p.key_prefix, 1, length(CAST($2 AS TEXT))) = $2 OR substr(CAST($2 AS TEXT), 1, length(p.key_prefix)) = p.key_prefix)
		ORDER BY p.id LIMIT 1`, tenant, prefix).Scan(&other, &has, &never)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return domain.Errorf(domain.KindConflict, "the key prefix %q and %q of tenant %s%s are nested; choose a prefix outside the other one", prefix, has, other, never)
}

// checkNoForeignKeys refuses a prefix under which other tenants have keys, and says how many.
func checkNoForeignKeys(ctx context.Context, q db.Querier, tenant, prefix string) error {
	total := 0
	holders, err := db.Collect(ctx, q, func(rows *sql.Rows) (holder string, err error) {
		var id string
		var n int
		err = rows.Scan(&id, &n)
		total += n
		return fmt.Sprintf("%s %d", id, n), err
	}, keysInsideSQL, tenant, prefix, strings.TrimSuffix(prefix, "/")+"0") // "0" is what follows "/"
	if err != nil || total == 0 {
		return err
	}
	return domain.Errorf(domain.KindConflict, "other tenants hold object keys that begin with %q: %d (%s); choose a prefix under which no other tenant holds any",
		prefix, total, shortList(holders))
}

const keysInsideSQL = `SELECT tenant, count(*) FROM objects WHERE key >= $2 AND key < $3 AND tenant <> $1 GROUP BY tenant ORDER BY tenant`

// shortList gives the first ten entries of a list.
func shortList(list []string) string {
	if rest := len(list) - 10; rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:10], ", "), rest)
	}
	return strings.Join(list, ", ")
}
