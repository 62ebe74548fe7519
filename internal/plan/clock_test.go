package plan_test

import (
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/plan"
)

// wrong moves the catalog's clock while nobody is up.
func (w *world) wrong(now time.Time) {
	w.Helper()
	w.must(w.catalog.SetClock(w.Context(), time.Until(now)))
}

// A planner that starts beside a clock ten days ahead ends nothing and makes no days up; what it
// plans too early is undone once the clock is back.
func TestClockAheadAtStart(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme", 3)
	w.add("acme", day, 1)
	w.heal(w.planner(plan.Config{}))
	w.add("acme", day.Add(1), 0)
	const ahead = 10 * 24 * time.Hour

	w.wrong(night().Add(ahead))
	p := w.planner(plan.Config{})
	for range 2 {
		if r := w.heal(p); r.Expired != 0 || r.Quiet != 0 {
			t.Fatalf("beside a clock ahead: %+v", r)
		}
	}
	w.at(night().Add(ahead + 61*time.Minute)) // the pause is over, and the clock still wrong
	w.add("acme", day.Add(9), 5)
	if r := w.heal(w.planner(plan.Config{})); r.Expired == 0 || r.Quiet == 0 {
		t.Fatalf("after the pause: %+v", r)
	}

	w.wrong(night())
	p = w.planner(plan.Config{})
	if r := w.heal(p); r.Undone != 0 {
		t.Errorf("undone while the clock is in doubt: %+v", r)
	}
	w.at(night().Add(9 * time.Minute))
	w.must(w.catalog.PauseDeletions(t.Context(), 0)) // the hour is over
	// Three days of the false time were planned, one of them with a recording.
	if r := w.heal(p); r.Undone != 3 {
		t.Errorf("once the clock is trusted: %+v", r)
	}
	for _, d := range []int{7, 8, 9} {
		if v := w.view("acme", day.Add(d)); !v.Planned.IsZero() || !v.Completed.IsZero() || v.Hours[5].State != catalog.StatePending {
			t.Errorf("day %d: planned %s, completed %s, %s", d, v.Planned, v.Completed, v.Hours[5].State)
		}
	}
	if r := w.heal(p); r.Undone != 0 {
		t.Errorf("undone twice: %+v", r)
	}
}

// After nights that nobody was up, what was recorded is built at once; days without a recording wait
// until the clock is believed.
func TestQuietDaysWaitForTheClock(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme", 3)
	w.heal(w.planner(plan.Config{}))
	w.add("acme", day.Add(1), 4)
	w.wrong(night().Add(48 * time.Hour))
	p := w.planner(plan.Config{})
	if r := w.heal(p); r.Planned != 1 || r.Quiet != 0 || r.Dispatched != 1 {
		t.Errorf("at the start: %+v", r)
	}
	w.must(w.catalog.PauseDeletions(t.Context(), 0)) // the hour is over
	if r := w.heal(p); r.Quiet != 1 || r.Undone != 0 {
		t.Errorf("after the pause: %+v", r)
	}
}
