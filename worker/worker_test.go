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

func (w *world) connect(url string) *queue.Queue {
	w.Helper()
	q, err := queue.Connect(url)
	w.must(err)
	w.Cleanup(func() { w.must(q.Close()) })
	return q
}

// schedule runs a scheduler until the test, or stop, ends it.
func (w *world) schedule(q *queue.Queue) (stop func()) {
	w.Helper()
	line, err := cron.ParseStandard("CRON_TZ=UTC 0 1 * * *")
	w.must(err)
	p := plan.New(plan.Config{Schedule: line, DispatchAge: time.Second}, w.catalog, q, time.Now, w.log)
	s := scheduler.New(scheduler.Config{Schedule: line, Interval: time.Second, Busy: 20 * time.Millisecond}, p, time.Now, w.log)
	return w.run(s.Run)
}

// run runs a part until the test, or stop, ends it, and waits for it.
func (w *world) run(part func(context.Context) error) (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	stopped := false
	stop = func() {
		w.Helper()
		cancel()
		if !stopped {
			stopped = true
			w.must(<-done)
		}
	}
	w.Cleanup(stop)
	return stop
}

func (w *world) worker(q *queue.Queue, recordings worker.Recordings) *worker.Worker {
	return worker.New(config(), q, w.catalog, recordings, w.store.Archives(), time.Now, w.log)
}

// settled waits until no hour of the day waits or is built.
func (w *world) settled() catalog.DayView {
	w.Helper()
	var v catalog.DayView
	testenv.Until(w.T, "the day is settled", func() bool {
		var err error
		v, err = w.catalog.Day(w.ctx, tenant, day)
		w.must(err)
		waiting, _ := v.Unsettled(-1)
		return waiting == 0 && !v.Planned.IsZero()
	})
	return v
}

// Two schedulers and two workers do the night that nobody was up for.
func TestNight(t *testing.T) {
	w := newPostgresWorld(t)
	url := testenv.Redis(t)
	for n := range 24 {
		for range n % 3 {
			w.add(hour(n), 100+n)
		}
	}
	w.at(night().Add(20 * time.Hour))
	for range 2 {
		q := w.connect(url)
		w.schedule(q)
		w.run(w.worker(q, w.store.Recordings()).Run)
	}
	v := w.settled()
	files := 0
	for n, h := range v.Hours {
		if n%3 == 0 {
			if h.State != catalog.StateNoData {
				t.Errorf("hour %d is %s", n, h.State)
			}
			continue
		}
		w.served(n)
		files += h.Archive.Files
		if h.Revision != 1 || h.Archive.Files != n%3 {
			t.Errorf("hour %d has revision %d with %d files", n, h.Revision, h.Archive.Files)
		}
	}
	if files != 24 || v.Files != 24 || v.Completed.IsZero() {
		t.Errorf("%d files, the day says %d", files, v.Files)
	}
}

// A worker that is told to stop gives its hours back and waits for its builds;
// another one does them.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	url := testenv.Redis(t)
	w.add(hour(1), 6<<20)
	w.add(hour(2), 100)
	q := w.connect(url)
	w.schedule(q)
	gate := newGated(w.store.Recordings())
	stop := w.run(w.worker(q, gate).Run)
	<-gate.reached
	stop()
	for _, n := range []int{1, 2} {
		if v := w.view(n); v.Worker != "" || v.Failures+v.Lapses != 0 || v.State != catalog.StatePending {
			t.Errorf("hour %d is %s, held by %q, %d failures, %d lapses", n, v.State, v.Worker, v.Failures, v.Lapses)
		}
	}
	w.run(w.worker(w.connect(url), w.store.Recordings()).Run)
	w.settled()
	w.served(1)
	w.served(2)
}

// All of Redis is lost while hours wait in it and one is being built.
func TestLostRedisWhileBuilding(t *testing.T) {
	w := newWorld(t)
	redis := testenv.NewRedis(t)
	for n := range 6 {
		w.add(hour(n), 100)
	}
	q := w.connect(redis.URL())
	w.schedule(q)
	gate := newGated(w.store.Recordings())
	w.run(w.worker(q, gate).Run)
	<-gate.reached
	redis.Flush()
	close(gate.open)
	v := w.settled()
	for n := range 6 {
		w.served(n)
		if h := v.Hours[n]; h.Revision != 1 {
			t.Errorf("hour %d has revision %d", n, h.Revision)
		}
	}
}

// Redis is away for a while and comes back; the build that runs is not lost.
func TestRedisAwayWhileBuilding(t *testing.T) {
	w := newWorld(t)
	redis := testenv.NewRedis(t)
	w.add(hour(1), 100)
	w.add(hour(2), 100)
	q := w.connect(redis.URL())
	w.schedule(q)
	gate := newGated(w.store.Recordings())
	w.run(w.worker(q, gate).Run)
	<-gate.reached
	redis.Stop()
	close(gate.open)
	for w.view(1).State != catalog.StateAvailable && w.view(2).State != catalog.StateAvailable {
		time.Sleep(10 * time.Millisecond) // the catalog and the store are all that a build needs
	}
	redis.Start()
	w.settled()
	w.served(1)
	w.served(2)
}

// A task for a tenant or an hour that the catalog does not know does no harm.
func TestStrayTasks(t *testing.T) {
	w := newWorld(t)
	q := w.connect(testenv.Redis(t))
	stray := domain.HourKey{Tenant: "nobody", Day: day, Hour: 1}
	w.must(q.Enqueue(w.ctx, stray, 1))
	w.must(q.Enqueue(w.ctx, hour(9), 7))
	w.run(w.worker(q, w.store.Recordings()).Run)
	for _, task := range []queue.Task{{Key: stray, Dispatch: 1}, {Key: hour(9), Dispatch: 7}} {
		for state := queue.Live; state == queue.Live; time.Sleep(10 * time.Millisecond) {
			var err error
			state, err = q.State(w.ctx, task.Key, task.Dispatch)
			w.must(err)
		}
	}
	if _, err := w.catalog.Day(w.ctx, "nobody", day); domain.KindOf(err) != domain.KindNotFound {
		t.Error(fmt.Errorf("the tenant appeared: %w", err))
	}
}
