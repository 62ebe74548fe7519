package db

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// TestCancelled leaves operations at many moments. Whatever the drivers say then, it is no failure
// of the database.
func TestCancelled(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			var mu sync.Mutex
			outcomes := map[string]int{}
			d.Observe(func(o Observed) {
				mu.Lock()
				defer mu.Unlock()
				outcomes[o.Outcome]++
			})
			const rows = `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000) SELECT n FROM c`
			read := func(ctx context.Context, q Querier) error {
				_, err := Collect(ctx, q, Value[int64], rows)
				return err
			}
			row := func(ctx context.Context, q Querier) error {
				var n int64
				return q.QueryRowContext(ctx, `SELECT sum(n) FROM (`+rows+`) AS c`).Scan(&n)
			}
			for what, do := range map[string]func(ctx context.Context) error{
				"query":    func(ctx context.Context) error { return read(ctx, d) },
				"row":      func(ctx context.Context) error { return row(ctx, d) },
				"snapshot": func(ctx context.Context) error { return d.View(ctx, func(tx *Tx) error { return read(ctx, tx) }) },
				"change": func(ctx context.Context) error {
					return d.Update(ctx, func(tx *Tx) error {
						_, err := tx.ExecContext(ctx, `DELETE FROM things`)
						return errors.Join(err, row(ctx, tx))
					})
				},
				"commit": func(ctx context.Context) error {
					return d.Update(ctx, func(*Tx) error {
						time.Sleep(time.Millisecond) // the context ends meanwhile
						return nil
					})
				},
				"statement": func(ctx context.Context) error {
					_, err := d.ExecContext(ctx, `INSERT INTO things (name, n) SELECT 'a', 1 FROM (`+rows+`) AS c WHERE n < 0`)
					return err
				},
			} {
				for i := range 60 {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Duration(i)*50*time.Microsecond, cancel)
					if err := do(ctx); err != nil && !errors.Is(err, context.Canceled) {
						t.Errorf("%s: %v", what, err)
					}
					cancel()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if outcomes["canceled"] == 0 || outcomes["unavailable"] > 0 {
				t.Errorf("the outcomes are %v", outcomes)
			}
		})
	}
}
