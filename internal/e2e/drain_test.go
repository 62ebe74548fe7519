package e2e_test

import (
	"context"
	"testing"
	"time"
)

// TestDrain ends a worker in the middle of builds: it gives them back at once, not by a lease that
// lapses, and another one completes them.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	w.env["CALLVAULT_LEASE"] = "10m" // a claim that is not given back would last longer than the test
	days := w.night()
	w.start("api,scheduler")
	for range 3 {
		worker := w.startWith(w.slowStore(40*time.Millisecond), "worker")
		eventually(t, "two hours are being built", func(context.Context) string {
			if w.building() < 2 {
				return "they are not"
			}
			return ""
		})
		worker.term()
		if n := w.building(); n > 0 {
			t.Errorf("%d hours are still claimed after the worker has ended", n)
		}
	}
	w.start("worker")
	w.settled(days...)
	if n := w.number(`SELECT coalesce(sum(lapses + failures), 0) FROM hours`); n > 0 {
		t.Errorf("a drain counts as %d failures or lapses", n)
	}
	w.check(days...)
	w.clean()
}
