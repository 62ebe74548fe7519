package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// Advisory locks of PostgreSQL; any numbers will do that nobody else uses. SQLite has one writer at a
// time and needs none.
const (
	namingLock  = 0x6b657930 + iota // shared by who names object keys, alone for who begins to set a key prefix
	settingLock                     // of who sets a key prefix
)

// advise takes an advisory lock until the transaction ends.
func (c *Catalog) advise(ctx context.Context, tx *sql.Tx, lock int, shared bool) error {
	if !c.postgres {
		return nil
	}
	query := `SELECT pg_advisory_xact_lock($1)`
	if shared {
		query = `SELECT pg_advisory_xact_lock_shared($1)`
	}
	_, err := tx.ExecContext(ctx, query, lock)
	return err
}

// prefixesSQL reads, in order, the key prefixes that keys from $1 to $2 can begin with. They are never
// nested, so a key can only begin with the greatest one that is not above it.
const prefixesSQL = `SELECT key_prefix FROM tenants WHERE key_prefix <> '' AND key_prefix <= $2 AND key_prefix >=
	coalesce((SELECT max(key_prefix) FROM tenants WHERE key_prefix <> '' AND key_prefix <= $1), '') ORDER BY key_prefix`

// outside lists which of the keys, given in order, lie outside the tenant's own key prefix or, while
// it has none, inside another's.
func (c *Catalog) outside(ctx context.Context, tx *sql.Tx, tenant string, keys []string) (list []string, own string, err error) {
	if own, err = c.ownPrefix(ctx, tx, tenant, keys); err != nil {
		return nil, "", err
	}
	prefixes := []string{own}
	if own == "" {
		if prefixes, err = textColumn(ctx, tx, prefixesSQL, keys[0], keys[len(keys)-1]); err != nil {
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

// ownPrefix gives the tenant's key prefix, which stays until the transaction ends. Prefixes that others
// only want are void when one of the keys begins with them: their setters count again.
func (c *Catalog) ownPrefix(ctx context.Context, tx *sql.Tx, tenant string, keys []string) (own string, err error) {
	if err := c.advise(ctx, tx, namingLock, true); err != nil {
		return "", err
	}
	wanted := map[string]string{} // by tenant
	_, err = collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
		var id, prefix string
		err := rows.Scan(&id, &prefix)
		if id == tenant {
			own = prefix
			return struct{}{}, err
		}
		if i, _ := slices.BinarySearch(keys, prefix); i < len(keys) && strings.HasPrefix(keys[i], prefix) {
			wanted[id] = prefix
		}
		return struct{}{}, err
	}, ownPrefixSQL, tenant)
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		ok, err := affected(tx.ExecContext(ctx, `UPDATE tenants SET key_prefix_wanted = '' WHERE id = $1 AND key_prefix_wanted = $2`, id, wanted[id]))
		if err != nil {
			return "", err
		}
		if !ok {
			return "", errPrefixMoved
		}
	}
	return own, err
}

const ownPrefixSQL = `SELECT id, key_prefix FROM tenants WHERE id = $1
	UNION ALL SELECT id, key_prefix_wanted FROM tenants WHERE key_prefix_wanted <> '' AND id <> $1`

// errPrefixMoved says that another tenant's key prefix was set or wanted anew after it was read.
var errPrefixMoved = errors.New("a key prefix changed meanwhile")

// withoutHeld leaves out the keys of a table (column key) that tenant $1 holds: those stay as they
// are, whatever prefix was set since.
func withoutHeld(ctx context.Context, tx *sql.Tx, list []string, keys string, args ...any) ([]string, error) {
	held, err := textColumn(ctx, tx, `SELECT o.key FROM `+keys+` s JOIN objects o ON o.key = s.key WHERE o.tenant = $1`, args...)
	known := make(map[string]bool, len(held))
	for _, key := range held {
		known[key] = true
	}
	return slices.DeleteFunc(list, func(key string) bool { return known[key] }), err
}

// outsideReason says what is wrong with a key that the tenant may not name, and nothing of others.
func outsideReason(field, prefix string) string {
	if prefix != "" {
		return fmt.Sprintf("%s must begin with %q, this tenant's key prefix", field, prefix)
	}
	return foreignReason(field)
}

func foreignReason(field string) string {
	return field + " names an object that is not this tenant's"
}

// insidePrefixes refuses staged keys, given in order, that the tenant may not name, by the first line
// that names one. Keys that it holds already are exempt.
func (r *registration) insidePrefixes(ctx context.Context, keys []string, named map[string]namedKey) error {
	list, own, err := r.c.outside(ctx, r.tx, r.tenant, keys)
	if err != nil || len(list) == 0 {
		return err
	}
	if list, err = withoutHeld(ctx, r.tx, list, "stage_objects", r.tenant); err != nil || len(list) == 0 {
		return err
	}
	first := slices.MinFunc(list, func(a, b string) int { return named[a].line - named[b].line })
	return refuse(named[first].line, domain.KindInvalid, "%s", outsideReason(fmt.Sprintf("%q", named[first].field), own))
}

// insidePrefix refuses a key that the tenant may not name and does not hold already.
func (c *Catalog) insidePrefix(ctx context.Context, tx *sql.Tx, tenant, key string) error {
	list, own, err := c.outside(ctx, tx, tenant, []string{key})
	if err != nil || len(list) == 0 {
		return err
	}
	if list, err = withoutHeld(ctx, tx, list, "(SELECT CAST($2 AS TEXT) AS key)", tenant, key); err != nil || len(list) == 0 {
		return err
	}
	return domain.Errorf(domain.KindInvalid, "%s", outsideReason("the object key", own))
}

// textColumn reads a column of texts.
func textColumn(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	return collect(ctx, tx, func(rows *sql.Rows) (text string, err error) {
		err = rows.Scan(&text)
		return text, err
	}, query, args...)
}
