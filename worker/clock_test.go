package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/worker"
)

// gatedClock is a catalog that sends to asked when its clock is checked, and then to answer before
// it answers.
type gatedClock struct {
	*catalog.Catalog
	asked, answer chan struct{}
}

func (c *gatedClock) CheckClock(ctx context.Context, last time.Time, elapsed time.Duration) (clock.Reading, error) {
	for _, step := range []chan struct{}{c.asked, c.answer} {
		select {
		case step <- struct{}{}:
		case <-ctx.Done():
			return clock.Reading{}, ctx.Err()
		}
	}
	return c.Catalog.CheckClock(ctx, last, elapsed)
}

// After a jump of the clock nothing is deleted, even when no planner has checked the clock yet.
func TestSweepPausesWhenTheClockJumps(t *testing.T) {
	f := newFixture(t)
	f.add(hour(5), 100)
	f.plan()
	b := f.builder(config())
	f.must(b.BuildHour(f.ctx, task(5)))
	first := f.view(5).Archive.ObjectKey
	f.add(hour(5), 200)
	_, err := f.catalog.Rebuild(f.ctx, catalog.RebuildRequest{Tenant: tenant, Day: day, Hour: 5})
	f.must(err)
	f.must(b.BuildHour(f.ctx, task(5)))
	deletions := &gatedClock{Catalog: f.catalog, asked: make(chan struct{}), answer: make(chan struct{})}
	s := worker.NewSweeper(worker.SweepConfig{Interval: time.Millisecond}, deletions, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
	ctx, stop := context.WithCancel(f.ctx)
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	<-deletions.asked
	<-deletions.answer
	<-deletions.asked // the first sweep has ended
	f.at(night().Add(26 * time.Hour))
	<-deletions.answer
	<-deletions.asked // the sweep after the jump has ended
	stop()
	running.Wait()
	if !f.exists(f.store.Archives(), first) {
		t.Error("a clock that jumped had an archive deleted")
	}
	if r := f.sweep(); r.Doomed != 0 || r.Deleted != 0 {
		t.Errorf("deletions do not pause: %+v", r)
	}
}
