package db

import (
	"context"
	"sync"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

// TestObserved checks that statements and transactions are reported, with the errors of the
// database and without those of callers.
func TestObserved(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			var mu sync.Mutex
			seen := map[string]int{}
			d.Observe(func(o Observed) {
				mu.Lock()
				defer mu.Unlock()
				if o.Took <= 0 {
					t.Errorf("%s took %v", o.Operation, o.Took)
				}
				seen[o.Operation+" "+o.Outcome]++
			})
			ctx := t.Context()
			var n int64
			unknown := func(q Querier) error {
				return q.QueryRowContext(ctx, `SELECT n FROM things WHERE name = 'none'`).Scan(&n)
			}
			if err := unknown(d); domain.KindOf(err) != domain.KindNotFound {
				t.Fatal(err)
			}
			read := func(tx *Tx) error { return unknown(tx) }
			if err := d.View(ctx, read); domain.KindOf(err) != domain.KindNotFound {
				t.Fatal(err)
			}
			if err := d.Update(ctx, read); domain.KindOf(err) != domain.KindNotFound {
				t.Fatal(err)
			}
			_, err := d.ExecContext(ctx, `DELETE FROM things`)
			must(t, err)
			if _, err := d.ExecContext(ctx, `INSERT INTO things (name, n) VALUES ('a', 1000)`); err == nil {
				t.Error("a value that breaks a rule was taken")
			}
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if err := d.View(ended, read); err == nil {
				t.Error("a cancelled reading succeeded")
			}
			mu.Lock()
			for _, want := range []string{"query ok", "exec ok", "exec catalog_fault", "read ok", "write ok", "read canceled"} {
				if seen[want] == 0 {
					t.Errorf("nothing is told of %q, but %v", want, seen)
				}
			}
			mu.Unlock()
			if s := d.Stats(); s["write"].OpenConnections == 0 || (len(s) == 1) != d.Postgres() {
				t.Errorf("connections: %+v", s)
			}
			must(t, d.Close())
			if err := unknown(d); domain.KindOf(err) != domain.KindUnavailable {
				t.Errorf("a closed database answered: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if seen["query unavailable"] == 0 {
				t.Errorf("nothing is told of a closed database, but %v", seen)
			}
		})
	}
}
