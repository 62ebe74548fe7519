package plan_test

import (
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/plan"
)

// wrong moves the catalog's clock while nobody is up.
func (f *fixture) wrong(now time.Time) {
	f.Helper()
	f.must(f.catalog.SetClock(f.Context(), time.Until(now)))
}

// A planner that starts beside a clock ten days ahead ends nothing and makes no days up; what it
// plans too early is undone once the clock is back.
func TestClockAheadAtStart(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.add("acme", day, 1)
	f.heal(f.planner(plan.Config{}))
	f.add("acme", day.Add(1), 0)
	const ahead = 10 * 24 * time.Hour

	f.wrong(night().Add(ahead))
	p := f.planner(plan.Config{})
	for range 2 {
		if r := f.heal(p); r.Expired != 0 || r.Quiet != 0 {
			t.Fatalf("beside a clock ahead: %+v", r)
		}
	}
	f.at(night().Add(ahead + 61*time.Minute)) // the pause is over, and the clock still wrong
	f.add("acme", day.Add(9), 5)
	if r := f.heal(f.planner(plan.Config{})); r.Expired == 0 || r.Quiet == 0 {
		t.Fatalf("after the pause: %+v", r)
	}

	f.wrong(night())
	p = f.planner(plan.Config{})
	if r := f.heal(p); r.Undone != 0 {
		t.Errorf("undone while the clock is in doubt: %+v", r)
	}
	f.at(night().Add(9 * time.Minute))
	f.must(f.catalog.PauseDeletions(t.Context(), 0)) // the hour is over
	// Three days of the false time were planned, one of them with a recording.
	if r := f.heal(p); r.Undone != 3 {
		t.Errorf("once the clock is trusted: %+v", r)
	}
	for _, d := range []int{7, 8, 9} {
		if v := f.view("acme", day.Add(d)); !v.Planned.IsZero() || !v.Completed.IsZero() || v.Hours[5].State != catalog.StatePending {
			t.Errorf("day %d: planned %s, completed %s, %s", d, v.Planned, v.Completed, v.Hours[5].State)
		}
	}
	if r := f.heal(p); r.Undone != 0 {
		t.Errorf("undone twice: %+v", r)
	}
}

// After nights that nobody was up, what was recorded is built at once; days without a recording wait
// until the clock is believed.
func TestQuietDaysWaitForTheClock(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.heal(f.planner(plan.Config{}))
	f.add("acme", day.Add(1), 4)
	f.wrong(night().Add(48 * time.Hour))
	p := f.planner(plan.Config{})
	if r := f.heal(p); r.Planned != 1 || r.Quiet != 0 || r.Dispatched != 1 {
		t.Errorf("at the start: %+v", r)
	}
	f.must(f.catalog.PauseDeletions(t.Context(), 0)) // the hour is over
	if r := f.heal(p); r.Quiet != 1 || r.Undone != 0 {
		t.Errorf("after the pause: %+v", r)
	}
}
