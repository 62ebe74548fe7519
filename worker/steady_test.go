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

func (c *heldClock) SeeClock(ctx context.Context, last time.Time, elapsed time.Duration) (catalog.Seen, error) {
	for _, step := range []chan struct{}{c.ask, c.tell} {
		select {
		case step <- struct{}{}:
		case <-ctx.Done():
			return catalog.Seen{}, ctx.Err()
		}
	}
	return c.Catalog.SeeClock(ctx, last, elapsed)
}

// A clock that jumps deletes nothing, even when no planner has looked at it yet.
func TestSweepPausesWhenTheClockJumps(t *testing.T) {
	w := newWorld(t)
	w.add(hour(5), 100)
	w.plan()
	b := w.builder(config())
	w.must(b.Hour(w.ctx, task(5)))
	first := w.view(5).Archive.ObjectKey
	w.add(hour(5), 200)
	_, err := w.catalog.Rebuild(w.ctx, tenant, day, 5, false)
	w.must(err)
	w.must(b.Hour(w.ctx, task(5)))
	trash := &heldClock{Catalog: w.catalog, ask: make(chan struct{}), tell: make(chan struct{})}
	s := worker.NewSweeper(worker.SweepConfig{Interval: time.Millisecond}, trash, w.catalog, w.store.Recordings(), w.store.Archives(), w.log)
	ctx, stop := context.WithCancel(w.ctx)
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	<-trash.ask
	<-trash.tell
	<-trash.ask // the first sweep is through
	w.at(night().Add(26 * time.Hour))
	<-trash.tell
	<-trash.ask // and one after the jump
	stop()
	running.Wait()
	if !w.exists(w.store.Archives(), first) {
		t.Error("a clock that jumped had an archive deleted")
	}
	if r := w.sweep(); r.Doomed != 0 || r.Deleted != 0 {
		t.Errorf("deletions do not pause: %+v", r)
	}
}
