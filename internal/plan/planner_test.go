package plan_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
)

func TestNightlyPlan(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.add("acme", day, 3, 14)
	f.at(day.End().Add(time.Hour)) // an hour before the schedule fires
	p := f.planner(plan.Config{})
	r := f.fullPass(p)
	// Three days of retention: the day itself, and two empty ones before.
	if r.Planned != 2 || r.Empty != 2 || r.Dispatched != 0 || !f.view("acme", day).Planned.IsZero() {
		t.Errorf("before the schedule fired: %+v", r)
	}
	if want := day.End().Add(2 * time.Hour); !r.NextFiring.Equal(want) {
		t.Errorf("next firing %s, want %s", r.NextFiring, want)
	}
	f.at(night())
	p = f.planner(plan.Config{})
	r = f.fullPass(p)
	if r.Planned != 1 || r.Empty != 0 || r.Dispatched != 2 || r.Waiting != 2 || r.More {
		t.Errorf("after the firing: %+v", r)
	}
	v := f.view("acme", day)
	if v.Planned.IsZero() || v.Hours[3].State != catalog.StatePending || v.Hours[4].State != catalog.StateNoData {
		t.Errorf("hours are %s and %s", v.Hours[3].State, v.Hours[4].State)
	}
	if v := f.view("acme", day.Add(-1)); v.Settled.IsZero() || v.Hours[0].State != catalog.StateNoData {
		t.Error("a day without recordings is not answered as empty")
	}
	if r = f.fullPass(p); r.Planned != 0 || r.Dispatched != 0 || len(f.queue.order) != 2 {
		t.Errorf("a second pass did something: %+v", r)
	}
}

// The empty days of a tenant that is new, or whose feature is on again, are planned by the next
// pass, or by several where there are many. All tenants are searched as rarely as before.
func TestBackfill(t *testing.T) {
	f := newFixture(t)
	f.tenant("old", 3)
	p := f.planner(plan.Config{MaxDays: 4})
	needsBackfill := func(want bool) {
		t.Helper()
		if got, err := p.NeedsBackfill(t.Context()); err != nil || got != want {
			t.Errorf("needs backfill: %v, want %v; error %v", got, want, err)
		}
	}
	set := func(id string, change func(*domain.Tenant)) {
		t.Helper()
		_, err := f.catalog.SetTenant(t.Context(), id, change, audit.Origin{})
		f.must(err)
	}
	needsBackfill(true)
	if r := f.fullPass(p); r.Empty != 3 || r.More {
		t.Errorf("at the start: %+v", r)
	}
	needsBackfill(false)
	f.tenant("new", 3)
	f.tenant("newer", 3)
	needsBackfill(true)
	if r := f.fullPass(p); r.Empty != 4 || !r.More {
		t.Errorf("new tenants: %+v", r)
	}
	if r := f.fullPass(p); r.Empty != 2 || r.More {
		t.Errorf("what was left: %+v", r)
	}
	needsBackfill(false)
	set("new", func(t *domain.Tenant) { t.Recordings = false })
	needsBackfill(false)
	f.at(night().Add(24 * time.Hour))
	p = f.planner(plan.Config{})
	f.must(catalogtest.PauseDeletions(t.Context(), f.catalog, 0))
	if r := f.fullPass(p); r.Empty != 2 {
		t.Errorf("the next night of two tenants: %+v", r)
	}
	set("new", func(t *domain.Tenant) { t.Recordings = true })
	needsBackfill(true)
	if r := f.fullPass(p); r.Empty != 1 || f.view("new", day.Add(1)).Hours[0].State != catalog.StateNoData {
		t.Errorf("the feature is on again: %+v", r)
	}
	set("new", func(t *domain.Tenant) { t.RetentionDays = 30 })
	needsBackfill(true)
	if r := f.fullPass(p); r.Empty != 0 { // what has ended stays so
		t.Errorf("a longer retention: %+v", r)
	}
	needsBackfill(false)
}

// No scheduler ran for two nights. Two days are past their retention by then.
func TestCatchUp(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 2)
	for n := range 4 {
		f.at(day.Add(n).End().Add(-time.Hour))
		f.add("acme", day.Add(n), 9, 10)
	}
	f.at(day.Add(3).End().Add(3 * time.Hour))
	f.queue.slots = 50
	r := f.fullPass(f.planner(plan.Config{}))
	if r.Planned != 2 || r.Expired != 2 || r.Dispatched != 4 {
		t.Errorf("catching up: %+v", r)
	}
	for n, expired := range []bool{true, true, false, false} {
		v := f.view("acme", day.Add(n))
		if v.Expired != expired || v.Planned.IsZero() != expired {
			t.Errorf("day %d: expired %v, planned %s", n, v.Expired, v.Planned)
		}
	}
	if first := f.queue.order[0].Key; first.Day != day.Add(2) || first.Hour != 9 {
		t.Errorf("the first dispatch is %s", first)
	}
}

// A pass is bounded, and several passes do everything.
func TestBounds(t *testing.T) {
	f := newFixture(t)
	for _, id := range []string{"a", "b", "c"} {
		f.tenant(id, 3)
		f.add(id, day, 1, 2, 3)
	}
	p := f.planner(plan.Config{MaxDays: 2, MaxHours: 2})
	planned, dispatched, passes := 0, 0, 0
	for {
		r := f.fullPass(p)
		planned, dispatched, passes = planned+r.Planned, dispatched+r.Dispatched, passes+1
		if r.Planned-r.Empty > 2 || r.Empty > 2 || r.Dispatched > 2 {
			t.Errorf("a pass did more than it may: %+v", r)
		}
		if !r.More {
			break
		}
		if passes > 50 {
			t.Fatal("no end")
		}
	}
	if planned != 9 || dispatched != 9 {
		t.Errorf("after %d passes %d days were planned and %d hours dispatched, want 9 and 9", passes, planned, dispatched)
	}
}

func TestNoMoreThanTwoRoundsPerTenant(t *testing.T) {
	f := newFixture(t)
	f.tenant("huge", 1)
	f.tenant("small", 1)
	f.add("huge", day, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	f.add("small", day, 5)
	p := f.planner(plan.Config{})
	f.fullPass(p)
	if n := len(f.queue.order); n != 5 { // 2 × 2 slots, and the small one
		t.Fatalf("%d dispatched, want 5: %v", n, f.queue.order)
	}
	if f.queue.order[1].Key.Tenant != "small" {
		t.Errorf("the small tenant waits behind %s", f.queue.order[0].Key)
	}
	claim, ok, err := f.catalog.Claim(t.Context(), f.queue.order[0].Key, "w")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	f.fullPass(p)
	if n := len(f.queue.order); n != 5 {
		t.Errorf("an hour being built does not count as outstanding: %d", n)
	}
	f.must(f.catalog.CommitEmpty(t.Context(), claim, 1))
	if r, err := p.DispatchPass(t.Context()); err != nil || r.Dispatched != 1 {
		t.Errorf("after a build: %+v, %v", r, err)
	}
}

func TestLostTasks(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 1)
	f.add("acme", day, 1, 2)
	p := f.planner(plan.Config{DispatchAge: time.Microsecond})
	f.fullPass(p)
	if r := f.fullPass(p); r.Redispatched != 0 {
		t.Errorf("live tasks were dispatched again: %+v", r)
	}
	f.queue.lose("two") // all of Redis
	if r := f.fullPass(p); r.Dispatched != 2 || r.Redispatched != 0 {
		t.Errorf("after losing Redis: %+v", r)
	}
	f.queue.lose("two") // only the tasks
	if r := f.fullPass(p); r.Dispatched != 2 || r.Redispatched != 2 {
		t.Errorf("after losing tasks: %+v", r)
	}
	for _, task := range f.queue.order[4:] {
		if task.Dispatch != 3 {
			t.Errorf("dispatch %d, want 3", task.Dispatch)
		}
	}
}

func TestQueueAway(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 1)
	f.add("acme", day, 1)
	p := f.planner(plan.Config{})
	f.queue.fail = domain.Errorf(domain.KindUnavailable, "no Redis")
	r, err := p.FullPass(t.Context())
	if domain.KindOf(err) == "" || r.Planned == 0 || r.Waiting != 1 {
		t.Errorf("without a queue: %+v, %v", r, err)
	}
	f.queue.fail = nil
	if r := f.fullPass(p); r.Dispatched != 1 || f.queue.order[0].Dispatch != 2 {
		t.Errorf("once it is back: %+v, %v", r, f.queue.order)
	}
}

func TestLapsedClaim(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 2)
	f.add("acme", day, 1)
	p := f.planner(plan.Config{})
	f.fullPass(p)
	if _, ok, err := f.catalog.Claim(t.Context(), f.queue.order[0].Key, "doomed"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	f.fullPass(p)
	f.at(night().Add(5 * time.Minute))
	r, err := p.DispatchPass(t.Context())
	if err != nil || r.Released != 1 || r.Dispatched != 1 {
		t.Errorf("after the lease: %+v, %v", r, err)
	}
}

func TestTwoSchedulers(t *testing.T) {
	f := newPostgresFixture(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		f.tenant(id, 2)
		f.add(id, day, 1, 2, 3)
	}
	f.queue.slots = 10
	var wait sync.WaitGroup
	for range 4 {
		p := f.planner(plan.Config{})
		wait.Go(func() {
			if _, err := p.FullPass(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	// The queue refuses the same dispatch twice; every hour got one.
	seen := map[domain.HourKey]int{}
	for _, task := range f.queue.order {
		seen[task.Key]++
	}
	if len(seen) != 12 || len(f.queue.order) != 12 {
		t.Errorf("%d hours in %d dispatches, want 12 in 12", len(seen), len(f.queue.order))
	}
}

func TestClockStep(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 1)
	f.add("acme", day, 1)
	core, logs := observer.New(zap.WarnLevel)
	p := plan.New(plan.Config{Schedule: schedule(t, "0 2 * * *")}, f.catalog, f.queue, time.Now, zap.New(core))
	f.fullPass(p)
	f.at(night().Add(9 * time.Minute))
	f.fullPass(p)
	if n := logs.FilterMessageSnippet("stepped").Len(); n != 0 {
		t.Fatal("nine minutes are no step")
	}
	f.at(night().Add(48 * time.Hour))
	if r := f.fullPass(p); r.Expired != 0 {
		t.Errorf("a day was ended right after a step: %+v", r)
	}
	if n := logs.FilterMessageSnippet("stepped").Len(); n != 1 {
		t.Errorf("%d warnings about the step", n)
	}
	// A planner that starts now sees no step, but waits too.
	fresh := f.planner(plan.Config{})
	if r := f.fullPass(fresh); r.Expired != 0 {
		t.Errorf("another planner ended a day within the pause: %+v", r)
	}
	f.at(night().Add(49*time.Hour + time.Minute))
	last := plan.New(plan.Config{Schedule: schedule(t, "0 2 * * *")}, f.catalog, f.queue, time.Now, zap.New(core))
	if r := f.fullPass(last); r.Expired == 0 || logs.FilterMessageSnippet("before all of it was in an archive").Len() != 1 {
		t.Errorf("after the pause: %+v, %v", r, logs.All())
	}
	if strings.Contains(logs.All()[0].Message, "acme") {
		t.Error("messages are constant")
	}
}

func TestArchiveNow(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme", 3)
	f.add("acme", day, 1, 2)
	f.at(day.End().Add(time.Minute))
	p, other := f.planner(plan.Config{}), f.planner(plan.Config{})
	if waits, err := other.AnyDue(t.Context()); waits || err != nil {
		t.Errorf("an hour waits: %v, %v", waits, err)
	}
	due, err := p.Archive(t.Context(), catalog.RebuildRequest{Tenant: "acme", Day: day, Hour: 2})
	if waits, err := other.AnyDue(t.Context()); !waits || err != nil {
		t.Errorf("no hour waits for another planner: %v, %v", waits, err)
	}
	if err != nil || due != 1 || len(f.queue.order) != 1 || f.queue.order[0].Key.Hour != 2 {
		t.Errorf("one hour: %d due, %v, %v", due, f.queue.order, err)
	}
	f.queue.fail = domain.Errorf(domain.KindUnavailable, "no Redis")
	if due, err := p.Archive(t.Context(), catalog.RebuildRequest{Tenant: "acme", Day: day, Hour: -1}); domain.KindOf(err) != domain.KindUnavailable || due != 2 {
		t.Errorf("the whole day without Redis: %d, %v", due, err)
	}
	if _, err := p.Archive(t.Context(), catalog.RebuildRequest{Tenant: "acme", Day: day.Add(1), Hour: -1}); domain.KindOf(err) != domain.KindInvalid || !strings.Contains(err.Error(), string(day.Add(1))+" is not over yet") {
		t.Errorf("a day that is not over: %v", err)
	}
	if _, err := f.catalog.PlanDay(t.Context(), "nobody", day); domain.KindOf(err) != domain.KindNotFound {
		t.Errorf("an unknown tenant: %v", err)
	}
}
