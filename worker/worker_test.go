package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
	"github.com/callvault/callvault/scheduler"
	"github.com/callvault/callvault/worker"
)

func (f *fixture) connect(url string) *queue.Queue {
	f.Helper()
	q, err := queue.Connect(url)
	f.must(err)
	f.Cleanup(func() { f.must(q.Close()) })
	return q
}

// schedule runs a scheduler until the test, or stop, ends it.
func (f *fixture) schedule(q *queue.Queue) (stop func()) {
	f.Helper()
	line, err := cron.ParseStandard("CRON_TZ=UTC 0 1 * * *")
	f.must(err)
	p := plan.New(plan.Config{Schedule: line, DispatchAge: time.Second}, f.catalog, q, time.Now, f.log)
	s := scheduler.New(scheduler.Config{Schedule: line, Interval: time.Second, Busy: 20 * time.Millisecond}, p, time.Now, f.log)
	return f.run(s.Run)
}

// run runs a part until the test, or stop, ends it, and waits for it.
func (f *fixture) run(part func(context.Context) error) (stop func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.ctx))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	stopped := false
	stop = func() {
		f.Helper()
		cancel()
		if !stopped {
			stopped = true
			f.must(<-done)
		}
	}
	f.Cleanup(stop)
	return stop
}

func (f *fixture) worker(q *queue.Queue, recordings worker.Recordings) *worker.Worker {
	return worker.New(config(), q, f.catalog, recordings, f.store.Archives(), f.sweeper(), time.Now, f.log)
}

// waitForDay waits until no hour of the day waits or is being built.
func (f *fixture) waitForDay() catalog.DayView {
	f.Helper()
	var v catalog.DayView
	testenv.Until(f.T, "all hours of the day are built", func() bool {
		var err error
		v, err = f.catalog.Day(f.ctx, tenant, day)
		f.must(err)
		waiting, _ := v.Unfinished(-1)
		return waiting == 0 && !v.Planned.IsZero()
	})
	return v
}

// Two schedulers and two workers catch up on a night in which nothing ran.
func TestNight(t *testing.T) {
	f := newPostgresFixture(t)
	url := testenv.Redis(t)
	for n := range 24 {
		for range n % 3 {
			f.add(hour(n), 100+n)
		}
	}
	f.at(night().Add(20 * time.Hour))
	for range 2 {
		q := f.connect(url)
		f.schedule(q)
		f.run(f.worker(q, f.store.Recordings()).Run)
	}
	v := f.waitForDay()
	files := 0
	for n, h := range v.Hours {
		if n%3 == 0 {
			if h.State != catalog.StateNoData {
				t.Errorf("hour %d is %s", n, h.State)
			}
			continue
		}
		f.served(n)
		files += h.Archive.Files
		if h.Revision != 1 || h.Archive.Files != n%3 {
			t.Errorf("hour %d has revision %d with %d files", n, h.Revision, h.Archive.Files)
		}
	}
	if files != 24 || v.Files != 24 || v.Settled.IsZero() {
		t.Errorf("%d files, the day says %d", files, v.Files)
	}
}

// A worker that is told to stop gives its hours back and waits for its builds. Another worker
// builds them.
func TestDrain(t *testing.T) {
	f := newFixture(t)
	url := testenv.Redis(t)
	f.add(hour(1), 6<<20)
	f.add(hour(2), 100)
	q := f.connect(url)
	f.schedule(q)
	gate := newGated(f.store.Recordings())
	stop := f.run(f.worker(q, gate).Run)
	<-gate.reached
	stop()
	for _, n := range []int{1, 2} {
		if v := f.view(n); v.Worker != "" || v.Failures+v.Lapses != 0 || v.State != catalog.StatePending {
			t.Errorf("hour %d is %s, held by %q, %d failures, %d lapses", n, v.State, v.Worker, v.Failures, v.Lapses)
		}
	}
	f.run(f.worker(f.connect(url), f.store.Recordings()).Run)
	f.waitForDay()
	f.served(1)
	f.served(2)
}

// Redis loses all data while hours wait in it and one is being built.
func TestLostRedisWhileBuilding(t *testing.T) {
	f := newFixture(t)
	redis := testenv.NewRedis(t)
	for n := range 6 {
		f.add(hour(n), 100)
	}
	q := f.connect(redis.URL())
	f.schedule(q)
	gate := newGated(f.store.Recordings())
	f.run(f.worker(q, gate).Run)
	<-gate.reached
	redis.Flush()
	close(gate.open)
	v := f.waitForDay()
	for n := range 6 {
		f.served(n)
		if h := v.Hours[n]; h.Revision != 1 {
			t.Errorf("hour %d has revision %d", n, h.Revision)
		}
	}
}

// Redis stops and starts again; a build that runs meanwhile is not lost.
func TestRedisAwayWhileBuilding(t *testing.T) {
	f := newFixture(t)
	redis := testenv.NewRedis(t)
	f.add(hour(1), 100)
	f.add(hour(2), 100)
	q := f.connect(redis.URL())
	f.schedule(q)
	gate := newGated(f.store.Recordings())
	f.run(f.worker(q, gate).Run)
	<-gate.reached
	redis.Stop()
	close(gate.open)
	for f.view(1).State != catalog.StateAvailable && f.view(2).State != catalog.StateAvailable {
		time.Sleep(10 * time.Millisecond) // a build needs only the catalog and the store
	}
	redis.Start()
	f.waitForDay()
	f.served(1)
	f.served(2)
}

// A task for an unknown tenant or hour does no harm.
func TestStrayTasks(t *testing.T) {
	f := newFixture(t)
	q := f.connect(testenv.Redis(t))
	stray := domain.HourKey{Tenant: "nobody", Day: day, Hour: 1}
	f.must(q.Enqueue(f.ctx, stray, 1))
	f.must(q.Enqueue(f.ctx, hour(9), 7))
	f.run(f.worker(q, f.store.Recordings()).Run)
	for _, task := range []queue.Task{{Key: stray, Dispatch: 1}, {Key: hour(9), Dispatch: 7}} {
		for state := queue.Live; state == queue.Live; time.Sleep(10 * time.Millisecond) {
			var err error
			state, err = q.State(f.ctx, task.Key, task.Dispatch)
			f.must(err)
		}
	}
	if _, err := f.catalog.Day(f.ctx, "nobody", day); domain.KindOf(err) != domain.KindNotFound {
		t.Error(fmt.Errorf("the tenant appeared: %w", err))
	}
}

// A task whose hour is not due yet gives its dispatch back, so that the hour is dispatched again
// once it is due.
func TestRefusedClaim(t *testing.T) {
	f := newFixture(t)
	f.add(hour(1), 100)
	f.plan()
	f.dispatched(hour(1))
	f.at(night().Add(-time.Hour))
	f.must(f.builder(config()).BuildHour(f.ctx, task(1)))
	f.at(night().Add(time.Minute))
	if !f.waits(hour(1)) {
		t.Error("the dispatch is still outstanding")
	}
}

// heldRelease is a catalog that sends to reached when a claim is given back, and then waits for
// open.
type heldRelease struct {
	worker.Builds
	reached, open chan struct{}
}

func (c heldRelease) Release(ctx context.Context, claim catalog.Claim) error {
	c.reached <- struct{}{}
	<-c.open
	return c.Builds.Release(ctx, claim)
}

// A task that arrives while the worker stops gives its dispatch back, so that another worker gets
// the hour at once.
func TestTaskWhileStopping(t *testing.T) {
	f := newFixture(t)
	f.add(hour(1), 100)
	f.add(hour(2), 100)
	f.plan()
	q := f.connect(testenv.Redis(t))
	gate := newGated(f.store.Recordings())
	held := heldRelease{Builds: f.catalog, reached: make(chan struct{}), open: make(chan struct{})}
	w := worker.New(config(), q, held, gate, f.store.Archives(), f.sweeper(), time.Now, f.log)
	ctx, stop := context.WithCancel(f.ctx)
	f.run(func(context.Context) error { return w.Run(ctx) })
	f.must(q.Enqueue(f.ctx, hour(1), 1))
	<-gate.reached
	stop()
	<-held.reached
	f.dispatched(hour(2))
	f.must(q.Enqueue(f.ctx, hour(2), 1))
	testenv.Until(t, "the task has ended", func() bool {
		state, err := q.State(f.ctx, hour(2), 1)
		f.must(err)
		return state != queue.Live
	})
	if !f.waits(hour(2)) {
		t.Error("the dispatch is still outstanding")
	}
	close(held.open)
}
