package catalog

import (
	"context"
	"database/sql"
)

// togetherKey is what a context has Together's transaction under.
type togetherKey struct{}

// Together runs fn in one transaction: what methods of the Catalog do with the context that fn is
// given stands whole or not at all, and they see what those before them did. It is for what operators
// do; days are issued, and batches taken in, in transactions of their own. fn may run more than once.
func (c *Catalog) Together(ctx context.Context, fn func(ctx context.Context) error) error {
	return c.update(ctx, func(tx *sql.Tx) error { return fn(context.WithValue(ctx, togetherKey{}, tx)) })
}

// together gives the transaction that ctx belongs to; nil outside of Together.
func together(ctx context.Context) *sql.Tx {
	tx, _ := ctx.Value(togetherKey{}).(*sql.Tx)
	return tx
}
