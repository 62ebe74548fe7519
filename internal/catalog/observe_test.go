package catalog_test

import (
	"context"
	"sync"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// TestObserved wants to be told of statements and transactions, and of what went wrong: not of
// what callers did wrong.
func TestObserved(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			var mu sync.Mutex
			seen := map[string]int{}
			c.Observe(func(o catalog.Observed) {
				mu.Lock()
				defer mu.Unlock()
				if o.Took <= 0 {
					t.Errorf("%s took %v", o.Operation, o.Took)
				}
				seen[o.Operation+" "+o.Outcome]++
			})
			ctx := t.Context()
			if _, err := c.Tenant(ctx, "none"); domain.KindOf(err) != domain.KindNotFound {
				t.Fatal(err)
			}
			if _, err := c.Day(ctx, "none", "2025-01-01"); domain.KindOf(err) != domain.KindNotFound {
				t.Fatal(err)
			}
			if err := c.Undispatched(ctx, domain.HourKey{Tenant: "none", Day: "2025-01-01"}, 1); err != nil {
				t.Fatal(err)
			}
			if _, err := c.PlanDay(ctx, "none", "2025-01-01"); domain.KindOf(err) != domain.KindNotFound {
				t.Fatal(err)
			}
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := c.Day(ended, "none", "2025-01-01"); err == nil {
				t.Error("a cancelled reading succeeded")
			}
			mu.Lock()
			for _, want := range []string{"query ok", "exec ok", "read ok", "write ok", "read canceled"} {
				if seen[want] == 0 {
					t.Errorf("nothing is told of %q, but %v", want, seen)
				}
			}
			mu.Unlock()
			if s := c.Stats(); s["write"].OpenConnections == 0 || (len(s) == 1) != c.Postgres() {
				t.Errorf("connections: %+v", s)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Now(ctx); err == nil {
				t.Error("a closed catalog answered")
			}
			mu.Lock()
			defer mu.Unlock()
			if seen["query unavailable"] == 0 {
				t.Errorf("nothing is told of a closed catalog, but %v", seen)
			}
		})
	}
}
