package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/lifecycle"
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

// runSweeper runs a sweeper until stop is called or the test ends.
func (f *fixture) runSweeper(cfg lifecycle.SweepConfig) (c *gatedClock, stop func()) {
	f.Helper()
	c = &gatedClock{Catalog: f.catalog, asked: make(chan struct{}), answer: make(chan struct{})}
	s := lifecycle.NewSweeper(cfg, c, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
	return c, f.run(func(ctx context.Context) error { s.Run(ctx); return nil })
}

// A sweep that deletes a full batch is followed by another one at once.
func TestSweepAfterAFullBatch(t *testing.T) {
	f := newFixture(t)
	first, _ := f.supersede()
	f.at(night().Add(2 * time.Hour))
	c, stop := f.runSweeper(lifecycle.SweepConfig{Interval: time.Hour, Batch: 1})
	<-c.asked
	<-c.answer
	select {
	case <-c.asked:
	case <-time.After(time.Minute):
		t.Error("the next sweep waits")
	}
	stop()
	if f.exists(f.store.Archives(), first) {
		t.Error("nothing was deleted")
	}
}

// After a jump of the clock nothing is deleted, even when no planner has checked the clock yet.
func TestSweepPausesWhenTheClockJumps(t *testing.T) {
	f := newFixture(t)
	first, _ := f.supersede()
	c, stop := f.runSweeper(lifecycle.SweepConfig{Interval: time.Millisecond})
	<-c.asked
	<-c.answer
	<-c.asked // the first sweep has ended
	f.at(night().Add(26 * time.Hour))
	<-c.answer
	<-c.asked // the sweep after the jump has ended
	stop()
	if !f.exists(f.store.Archives(), first) {
		t.Error("a clock that jumped had an archive deleted")
	}
	if r := f.sweep(); r.Doomed != 0 || r.Deleted != 0 {
		t.Errorf("deletions do not pause: %+v", r)
	}
}
