package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// prefixLock is the advisory lock between those who name object keys, who share it, and those who
// set a key prefix, of whom each has it alone. Any number will do that nobody else uses.
const prefixLock = 0x6b65795f // "key_"

// lockPrefixes keeps every tenant's key prefix as it is until the transaction ends. With alone set it
// waits for all who name keys, and they wait. SQLite has one writer at a time and needs neither.
func (c *Catalog) lockPrefixes(ctx context.Context, tx *sql.Tx, alone bool) error {
	if !c.postgres {
		return nil
	}
	lock := `SELECT pg_advisory_xact_lock_shared($1)`
	if alone {
		lock = `SELECT pg_advisory_xact_lock($1)`
	}
	_, err := tx.ExecContext(ctx, lock, prefixLock)
	return err
}

// prefixesSQL reads, in order, the key prefixes that keys from $1 to $2 can begin with. They are never
// nested, so a key can only begin with the greatest one that is not above it.
const prefixesSQL = `SELECT key_prefix FROM tenants WHERE key_prefix <> '' AND key_prefix <= $2 AND key_prefix >=
	coalesce((SELECT max(key_prefix) FROM tenants WHERE key_prefix <> '' AND key_prefix <= $1), '') ORDER BY key_prefix`

// outside lists which of the keys, given in order, lie outside the tenant's own key prefix or, while
// it has none, inside another's.
func (c *Catalog) outside(ctx context.Context, tx *sql.Tx, tenant string, keys []string) (list []string, own string, err error) {
	if err := c.lockPrefixes(ctx, tx, false); err != nil {
		return nil, "", err
	}
	if err := tx.QueryRowContext(ctx, `SELECT key_prefix FROM tenants WHERE id = $1`, tenant).Scan(&own); err != nil {
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

// reservePrefix makes sure that a key prefix can become the tenant's: none lies within another, and
// nobody else holds a key inside. Whoever names keys waits until the transaction ends.
func (c *Catalog) reservePrefix(ctx context.Context, tx *sql.Tx, tenant, prefix string) error {
	if prefix == "" {
		return nil
	}
	if err := c.lockPrefixes(ctx, tx, true); err != nil {
		return err
	}
	var other, has string
	err := tx.QueryRowContext(ctx, `SELECT id, key_prefix FROM tenants WHERE id <> $1 AND key_prefix <> ''
		AND (substr(key_prefix, 1, length(CAST($2 AS TEXT))) = $2 OR substr(CAST($2 AS TEXT), 1, length(key_prefix)) = key_prefix) ORDER BY id LIMIT 1`, tenant, prefix).
		Scan(&other, &has)
	if errors.Is(err, sql.ErrNoRows) {
		return noneInside(ctx, tx, tenant, prefix)
	}
	if err != nil {
		return err
	}
	return domain.Errorf(domain.KindConflict, "the key prefix %q and %q of tenant %s lie one within the other; choose another one", prefix, has, other)
}

// noneInside refuses a prefix under which other tenants hold keys, and counts those.
func noneInside(ctx context.Context, tx *sql.Tx, tenant, prefix string) error {
	total := 0
	holders, err := collect(ctx, tx, func(rows *sql.Rows) (holder string, err error) {
		var id string
		var n int
		err = rows.Scan(&id, &n)
		total += n
		return fmt.Sprintf("%s %d", id, n), err
	}, insideSQL, tenant, prefix, strings.TrimSuffix(prefix, "/")+"0") // "0" is what follows "/"
	if err != nil || total == 0 {
		return err
	}
	return domain.Errorf(domain.KindConflict, "other tenants hold %d object keys that begin with %q (%s); choose a prefix under which no other tenant holds any",
		total, prefix, shortList(holders))
}

const insideSQL = `SELECT tenant, count(*) FROM objects WHERE key >= $2 AND key < $3 AND tenant <> $1 GROUP BY tenant ORDER BY tenant`

// textColumn reads a column of texts.
func textColumn(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	return collect(ctx, tx, func(rows *sql.Rows) (text string, err error) {
		err = rows.Scan(&text)
		return text, err
	}, query, args...)
}

// shortList gives the first ten of a list.
func shortList(list []string) string {
	if rest := len(list) - 10; rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:10], ", "), rest)
	}
	return strings.Join(list, ", ")
}
