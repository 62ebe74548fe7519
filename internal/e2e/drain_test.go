package e2e_test

import (
	"context"
	"testing"
	"time"
)

// TestDrain stops a worker in the middle of builds: it returns its claims at once, and another
// worker completes the builds.
func TestDrain(t *testing.T) {
	f := newFixture(t)
	f.env["CALLVAULT_LEASE"] = "10m" // a claim that is not given back would last longer than the test
	days := f.night()
	f.start("api,scheduler")
	for range 3 {
		worker := f.startWith(f.slowStore(40*time.Millisecond), "worker")
		eventually(t, "two hours are being built", func(context.Context) string {
			if f.building() < 2 {
				return "they are not"
			}
			return ""
		})
		worker.term()
		if n := f.building(); n > 0 {
			t.Errorf("%d hours are still claimed after the worker has ended", n)
		}
	}
	f.start("worker")
	f.waitBuilt(days...)
	if n := f.number(`SELECT coalesce(sum(lapses + failures), 0) FROM hours`); n > 0 {
		t.Errorf("a drain counts as %d failures or lapses", n)
	}
	f.check(days...)
	f.clean()
}
