package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/worker"
)

// heldClock asks before it tells the time.
type heldClock struct {
	*catalog.Catalog
	ask, tell chan struct{}
}

func (c *heldClock) CheckClock(ctx context.Context, last time.Time, elapsed time.Duration) (catalog.ClockCheck, error) {
	for _, step := range []chan struct{}{c.ask, c.tell} {
		select {
		case step <- struct{}{}:
		case <-ctx.Done():
			return catalog.ClockCheck{}, ctx.Err()
		}
	}
	return c.Catalog.CheckClock(ctx, last, elapsed)
}

// A clock that jumps deletes nothing, even when no planner has looked at it yet.
func TestSweepPausesWhenTheClockJumps(t *testing.T) {
	f := newFixture(t)
	f.add(hour(5), 100)
	f.plan()
	b := f.builder(config())
	f.must(b.Hour(f.ctx, task(5)))
	first := f.view(5).Archive.ObjectKey
	f.add(hour(5), 200)
	_, err := f.catalog.Rebuild(f.ctx, tenant, day, 5, false)
	f.must(err)
	f.must(b.Hour(f.ctx, task(5)))
	trash := &heldClock{Catalog: f.catalog, ask: make(chan struct{}), tell: make(chan struct{})}
	s := worker.NewSweeper(worker.SweepConfig{Interval: time.Millisecond}, trash, f.catalog, f.store.Recordings(), f.store.Archives(), f.log)
	ctx, stop := context.WithCancel(f.ctx)
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	<-trash.ask
	<-trash.tell
	<-trash.ask // the first sweep is through
	f.at(night().Add(26 * time.Hour))
	<-trash.tell
	<-trash.ask // and one after the jump
	stop()
	running.Wait()
	if !f.exists(f.store.Archives(), first) {
		t.Error("a clock that jumped had an archive deleted")
	}
	if r := f.sweep(); r.Doomed != 0 || r.Deleted != 0 {
		t.Errorf("deletions do not pause: %+v", r)
	}
}
