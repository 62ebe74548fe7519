package plan_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
)

// setClock moves the catalog's clock while nobody watches it.
func (f *fixture) setClock(now time.Time) {
	f.Helper()
	f.must(catalogtest.SetClock(f.Context(), f.catalog, time.Until(now)))
}

// A planner that starts while the clock is ten days ahead ends no day and plans no empty days.
// What it plans too early is undone once the clock is right again.
func TestClockAheadAtStart(t *testing.T) {
	for name, restarts := range map[string]bool{"planner goes on": false, "planner starts again": true} {
		t.Run(name, func(t *testing.T) { clockAhead(t, restarts) })
	}
}

// clockAhead is one case of the test. With restarts, another planner starts once the clock is right
// again.
func clockAhead(t *testing.T, restarts bool) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.add("acme", day, 1)
	f.fullPass(f.planner(plan.Config{}))
	f.add("acme", day.Add(1), 0)
	const ahead = 10 * 24 * time.Hour

	f.setClock(night().Add(ahead))
	p := f.planner(plan.Config{})
	for range 2 {
		if r := f.fullPass(p); r.Expired != 0 || r.Empty != 0 {
			t.Fatalf("while the clock is ahead: %+v", r)
		}
	}
	f.at(night().Add(ahead + 61*time.Minute)) // the pause is over, and the clock is still wrong
	f.add("acme", day.Add(9), 5)
	p = f.planner(plan.Config{})
	if r := f.fullPass(p); r.Expired == 0 || r.Empty == 0 {
		t.Fatalf("after the pause: %+v", r)
	}

	f.setClock(night())
	if restarts {
		p = f.planner(plan.Config{})
	}
	if r := f.fullPass(p); r.Undone != 0 {
		t.Errorf("undone while the clock is not trusted: %+v", r)
	}
	f.at(night().Add(9 * time.Minute))
	f.must(catalogtest.PauseDeletions(t.Context(), f.catalog, 0)) // the hour is over
	// Three days of the wrong time were planned, one of them with a recording.
	if r := f.fullPass(p); r.Undone != 3 {
		t.Errorf("once the clock is trusted: %+v", r)
	}
	for _, d := range []int{7, 8, 9} {
		if v := f.view("acme", day.Add(d)); !v.Planned.IsZero() || !v.Settled.IsZero() || v.Hours[5].State != catalog.StatePending {
			t.Errorf("day %d: planned %s, settled %s, %s", d, v.Planned, v.Settled, v.Hours[5].State)
		}
	}
	if r := f.fullPass(p); r.Undone != 0 {
		t.Errorf("undone twice: %+v", r)
	}
}

// After nights in which no scheduler ran, days with recordings are planned at once. Empty days
// wait until the clock is trusted.
func TestEmptyDaysWaitForTheClock(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.fullPass(f.planner(plan.Config{}))
	f.add("acme", day.Add(1), 4)
	f.setClock(night().Add(48 * time.Hour))
	p := f.planner(plan.Config{})
	if r := f.fullPass(p); r.Planned != 1 || r.Empty != 0 || r.Dispatched != 1 {
		t.Errorf("at the start: %+v", r)
	}
	f.must(catalogtest.PauseDeletions(t.Context(), f.catalog, 0)) // the hour is over
	if r := f.fullPass(p); r.Empty != 1 || r.Undone != 0 {
		t.Errorf("after the pause: %+v", r)
	}
}

// refusingCatalog is a catalog that plans no day while refuse is set.
type refusingCatalog struct {
	*catalog.Catalog
	refuse bool
}

func (c *refusingCatalog) PlanDay(ctx context.Context, tenant string, day domain.Day) (catalog.PlanResult, error) {
	if c.refuse {
		return catalog.PlanResult{}, domain.Errorf(domain.KindInternal, "no day is planned now")
	}
	return c.Catalog.PlanDay(ctx, tenant, day)
}

// An empty day that could not be planned is tried again after a step of the clock, as soon as the
// clock is trusted, and without one an hour later.
func TestEmptyDayIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	now := time.Now() // of the process
	// search gives a planner whose first search, five hours after the night, was refused.
	search := func(tenant string) *plan.Planner {
		t.Helper()
		f.at(night().Add(5 * time.Hour))
		f.tenant(tenant, 1)
		c := &refusingCatalog{Catalog: f.catalog, refuse: true}
		p := plan.New(plan.Config{Schedule: schedule(t, "0 2 * * *")}, c, f.queue, func() time.Time { return now }, zap.NewNop())
		f.fullPass(p)
		c.refuse = false
		return p
	}
	planned := func(p *plan.Planner, what string, want int) {
		t.Helper()
		if r := f.fullPass(p); r.Empty != want {
			t.Errorf("%s: %d days were planned, want %d", what, r.Empty, want)
		}
	}
	p := search("acme")
	f.setClock(night())
	planned(p, "the clock has stepped back", 0)
	f.must(catalogtest.PauseDeletions(t.Context(), f.catalog, 0)) // the hour is over
	planned(p, "the clock is trusted", 1)
	p = search("other")
	for after, want := range []int{0, 0, 1} {
		f.at(night().Add(5*time.Hour + time.Duration(after)*31*time.Minute))
		planned(p, "half an hour later", want)
		now = now.Add(31 * time.Minute)
	}
}
