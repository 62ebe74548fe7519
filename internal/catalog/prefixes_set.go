package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// A key prefix is set in three steps, so that nobody who names keys waits while those inside it are
// counted. First it is wanted: who began to name keys before is waited for. Then others' keys inside
// are counted. At last it is set, unless somebody else named a key inside meanwhile: that voids the wish.

// errUnwanted says that the key prefix which a change sets is not wanted, or no longer.
var errUnwanted = domain.Errorf(domain.KindConflict, "the key prefix changed meanwhile; set it again")

// changing runs set, which applies a change to a tenant in one transaction, with the key prefix that it
// sets wanted before.
func (c *Catalog) changing(ctx context.Context, tenant string, change func(*domain.Tenant), set func(*sql.Tx) error) error {
	for {
		if err := c.wantPrefix(ctx, tenant, change); err != nil {
			return err
		}
		if err := c.update(ctx, set); !errors.Is(err, errUnwanted) {
			return err
		}
	}
}

// wantPrefix does the first two steps for a change that sets a key prefix, and nothing for others.
func (c *Catalog) wantPrefix(ctx context.Context, id string, change func(*domain.Tenant)) error {
	t, err := c.Tenant(ctx, id)
	if err != nil {
		return err
	}
	before := t.KeyPrefix
	change(&t)
	if t.KeyPrefix == before || t.KeyPrefix == "" {
		return nil
	}
	if err := checkTenant(t); err != nil {
		return err
	}
	err = c.update(ctx, func(tx *sql.Tx) error {
		if err := c.advise(ctx, tx, namingLock, false); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE tenants SET key_prefix_wanted = $2 WHERE id = $1`, id, t.KeyPrefix)
		return err
	})
	if err != nil {
		return err
	}
	return noneInside(ctx, c.read, id, t.KeyPrefix)
}

// settlePrefix is the last step: the tenant's row is locked.
func (c *Catalog) settlePrefix(ctx context.Context, tx *sql.Tx, tenant, prefix string) error {
	if prefix == "" {
		return nil
	}
	ok, err := affected(tx.ExecContext(ctx, `UPDATE tenants SET key_prefix_wanted = '' WHERE id = $1 AND key_prefix_wanted = $2`, tenant, prefix))
	if err != nil {
		return err
	}
	if !ok {
		return errUnwanted
	}
	return c.notNested(ctx, tx, tenant, prefix)
}

// firstPrefix makes sure that a key prefix can be that of a new tenant, which holds no keys that would
// be counted with the others'.
func (c *Catalog) firstPrefix(ctx context.Context, tx *sql.Tx, tenant, prefix string) error {
	if prefix == "" {
		return nil
	}
	if err := c.advise(ctx, tx, namingLock, false); err != nil {
		return err
	}
	if err := c.notNested(ctx, tx, tenant, prefix); err != nil {
		return err
	}
	return noneInside(ctx, tx, tenant, prefix)
}

// notNested refuses a prefix that lies within another tenant's, or the other way round. No other is
// set until the transaction ends.
func (c *Catalog) notNested(ctx context.Context, tx *sql.Tx, tenant, prefix string) error {
	if err := c.advise(ctx, tx, settingLock, false); err != nil {
		return err
	}
	var other, has string
	err := tx.QueryRowContext(ctx, `SELECT id, key_prefix FROM tenants WHERE id <> $1 AND key_prefix <> ''
		AND (substr(key_prefix, 1, length(CAST($2 AS TEXT))) = $2 OR substr(CAST($2 AS TEXT), 1, length(key_prefix)) = key_prefix)
		ORDER BY id LIMIT 1`, tenant, prefix).Scan(&other, &has)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return domain.Errorf(domain.KindConflict, "the key prefix %q and %q of tenant %s lie one within the other; choose another one", prefix, has, other)
}

// noneInside refuses a prefix under which other tenants hold keys, and counts those.
func noneInside(ctx context.Context, q querier, tenant, prefix string) error {
	total := 0
	holders, err := collect(ctx, q, func(rows *sql.Rows) (holder string, err error) {
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

// shortList gives the first ten of a list.
func shortList(list []string) string {
	if rest := len(list) - 10; rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:10], ", "), rest)
	}
	return strings.Join(list, ", ")
}
