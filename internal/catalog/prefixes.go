package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Numbers of PostgreSQL's advisory locks. SQLite has one writer at a time and needs none.
const (
	keyNamesLock = 0x6b657930 + iota // shared by transactions that name object keys, exclusive while a key prefix becomes pending
	prefixLock                       // exclusive while a key prefix is set
)

// advisoryLock takes an advisory lock until the transaction ends.
func (c *Catalog) advisoryLock(ctx context.Context, tx *db.Tx, lock int, shared bool) error {
	if !c.db.Postgres() {
		return nil
	}
	query := `SELECT pg_advisory_xact_lock($1)`
	if shared {
		query = `SELECT pg_advisory_xact_lock_shared($1)`
	}
	_, err := tx.ExecContext(ctx, query, lock)
	return err
}

// prefixesSQL reads, in order, the key prefixes that keys from $1 to $2 can begin with, also those
// of deleted tenants. Prefixes are never nested. So a key can only begin with the greatest prefix
// that is not greater than the key.
func prefixesSQL() string {
	return prefixesOfSQL("tenants") + ` UNION ALL ` + prefixesOfSQL("left_prefixes") + ` ORDER BY key_prefix`
}

func prefixesOfSQL(table string) string {
	return `SELECT key_prefix FROM ` + table + ` WHERE key_prefix <> '' AND key_prefix <= $2 AND key_prefix >=
		coalesce((SELECT max(key_prefix) FROM ` + table + ` WHERE key_prefix <> '' AND key_prefix <= $1), '')`
}

// forbiddenKeys lists those of the sorted keys that the tenant may not name. A tenant with a key
// prefix may name only keys that begin with it. A tenant without one may name only keys that begin
// with no other tenant's prefix.
func (c *Catalog) forbiddenKeys(ctx context.Context, tx *db.Tx, tenant string, keys []string) (list []string, own string, err error) {
	if own, err = c.ownPrefix(ctx, tx, tenant, keys); err != nil {
		return nil, "", err
	}
	prefixes := []string{own}
	if own == "" {
		if prefixes, err = db.Collect(ctx, tx, db.Value[string], prefixesSQL(), keys[0], keys[len(keys)-1]); err != nil {
			return nil, "", err
		}
	}
	for _, key := range keys {
		for len(prefixes) > 1 && prefixes[1] <= key {
			prefixes = prefixes[1:]
		}
		inside := len(prefixes) > 0 && strings.HasPrefix(key, prefixes[0])
		if inside != (own != "") {
			list = append(list, key)
		}
	}
	return list, own, nil
}

// ownPrefix gives the tenant's key prefix, which does not change until the transaction ends. It
// clears other tenants' pending prefixes that one of the keys begins with, so that the keys under
// them are counted again.
func (c *Catalog) ownPrefix(ctx context.Context, tx *db.Tx, tenant string, keys []string) (own string, err error) {
	if err := c.advisoryLock(ctx, tx, keyNamesLock, true); err != nil {
		return "", err
	}
	pending := map[string]string{} // by tenant
	err = db.Each(ctx, tx, func(rows *sql.Rows) error {
		var id, prefix string
		err := rows.Scan(&id, &prefix)
		if id == tenant {
			own = prefix
			return err
		}
		if i, _ := slices.BinarySearch(keys, prefix); i < len(keys) && strings.HasPrefix(keys[i], prefix) {
			pending[id] = prefix
		}
		return err
	}, ownPrefixSQL, tenant)
	for _, id := range slices.Sorted(maps.Keys(pending)) {
		ok, err := db.Affected(tx.ExecContext(ctx, `UPDATE tenants SET key_prefix_pending = '' WHERE id = $1 AND key_prefix_pending = $2`, id, pending[id]))
		if err != nil {
			return "", err
		}
		if !ok {
			return "", errPrefixChanged
		}
	}
	return own, err
}

const ownPrefixSQL = `SELECT id, key_prefix FROM tenants WHERE id = $1
	UNION ALL SELECT id, key_prefix_pending FROM tenants WHERE key_prefix_pending <> '' AND id <> $1`

// errPrefixChanged says that another tenant's pending key prefix changed after it was read.
var errPrefixChanged = fmt.Errorf("a key prefix changed meanwhile: %w", db.ErrRetry)

// exceptOwned removes from list the keys that tenant $1 owns already, because a prefix that was set
// later does not take them away. keys is a table whose column key has all keys of the list.
func exceptOwned(ctx context.Context, tx *db.Tx, list []string, keys string, args ...any) ([]string, error) {
	held, err := db.Collect(ctx, tx, db.Value[string], `SELECT o.key FROM `+keys+` s JOIN objects o ON o.key = s.key WHERE o.tenant = $1`, args...)
	known := make(map[string]bool, len(held))
	for _, key := range held {
		known[key] = true
	}
	return slices.DeleteFunc(list, func(key string) bool { return known[key] }), err
}

// outsideReason says why the tenant may not name a key. It tells nothing about other tenants.
func outsideReason(field, prefix string) string {
	if prefix != "" {
		return fmt.Sprintf("%s must begin with %q, this tenant's key prefix", field, prefix)
	}
	return otherTenantReason(field)
}

func otherTenantReason(field string) string {
	return field + " names an object that is not this tenant's"
}

// checkPrefix refuses a key that the tenant may not name and does not own already.
func (c *Catalog) checkPrefix(ctx context.Context, tx *db.Tx, tenant, key string) error {
	list, own, err := c.forbiddenKeys(ctx, tx, tenant, []string{key})
	if err != nil || len(list) == 0 {
		return err
	}
	if list, err = exceptOwned(ctx, tx, list, "(SELECT CAST($2 AS TEXT) AS key)", tenant, key); err != nil || len(list) == 0 {
		return err
	}
	return domain.Errorf(domain.KindInvalid, "%s", outsideReason("the object key", own))
}
