package db

import "context"

// togetherKey is what a context has Together's transaction under.
type togetherKey struct{}

// Together runs fn in one transaction: what is done with the context that fn is given stands whole
// or not at all. fn may run more than once.
func (d *DB) Together(ctx context.Context, fn func(ctx context.Context) error) error {
	return d.Update(ctx, func(tx *Tx) error { return fn(context.WithValue(ctx, togetherKey{}, tx)) })
}

// together gives the transaction that ctx belongs to; nil outside of Together.
func together(ctx context.Context) *Tx {
	tx, _ := ctx.Value(togetherKey{}).(*Tx)
	return tx
}
