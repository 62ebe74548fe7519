package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// SweepConfig bounds a Sweeper. Zero fields take the defaults.
type SweepConfig struct {
	Interval time.Duration // between two sweeps (1 min)
	Batch    int           // archives that each part of a sweep takes (500)
	Parallel int           // requests to the store at once (8)
	CheckAge time.Duration // age from which a served archive is looked up again (1 h)
	// Lock is the mode in which the store locks archives; none with objstore.NoLock.
	Lock objstore.LockMode
	// OnRefused, when set, is told of each archive that the store refused to delete, for metrics.
	OnRefused func()
	// OnBroken, when set, is told of each archive that is built again, for metrics.
	OnBroken func()
}

func (c SweepConfig) withDefaults() SweepConfig {
	c.Interval = cmp.Or(c.Interval, time.Minute)
	c.Batch = cmp.Or(c.Batch, 500)
	c.Parallel = cmp.Or(c.Parallel, 8)
	c.CheckAge = cmp.Or(c.CheckAge, time.Hour)
	if c.OnRefused == nil {
		c.OnRefused = func() {}
	}
	if c.OnBroken == nil {
		c.OnBroken = func() {}
	}
	return c
}

// Sweeper deletes the archives that the catalog has doomed, and checks that served archives are in
// the store. Several may sweep at once.
type Sweeper struct {
	cfg        SweepConfig
	catalog    Sweeps
	recordings Recordings
	archives   Archives
	wake       chan struct{}
	now        func() time.Time
	log        *zap.Logger
	unlocked   atomic.Bool // this sweep has logged a served archive that the store does not lock
}

// NewSweeper makes a Sweeper. now is the process's clock, for durations and for the ends of locks:
// a store refuses a process whose clock differs from its own by more than 15 minutes.
func NewSweeper(cfg SweepConfig, c Sweeps, recordings Recordings, archives Archives, now func() time.Time, log *zap.Logger) *Sweeper {
	return &Sweeper{
		cfg: cfg.withDefaults(), catalog: c, recordings: recordings, archives: archives,
		wake: make(chan struct{}, 1), now: now, log: log.Named("sweep"),
	}
}

// Wake makes the running sweeper sweep now.
func (s *Sweeper) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it was woken already
	}
}

// Run sweeps until ctx is cancelled. Failures never stop it; they are logged when they begin and
// when they end.
func (s *Sweeper) Run(ctx context.Context) {
	clock := clock.Watch{Catalog: s.catalog, Now: s.now}
	Repeat(ctx, s.cfg.Interval, s.wake, s.log, "sweeping", func(ctx context.Context) (more bool, err error) {
		check, err := clock.Check(ctx) // a sweep may come before the planner's next pass
		if check.Step != 0 {
			s.log.Warn("the catalog's clock stepped, or nobody was up; deletions pause for an hour", zap.Duration("step", check.Step))
		}
		if err != nil {
			return false, err
		}
		r, err := s.Sweep(ctx)
		if r != (SweepReport{Checked: r.Checked}) {
			s.log.Info("swept", zap.Int("doomed", r.Doomed), zap.Int("deleted", r.Deleted), zap.Int("spared", r.Kept), zap.Int("refused", r.Refused), zap.Int("gone", r.Gone), zap.Int("locked", r.Locked), zap.Int("back", r.Back))
		}
		return r.More, err
	})
}

// SweepReport is what a sweep did and whether anything is left to do.
type SweepReport struct {
	Doomed  int  // archives that may be deleted from now on
	Deleted int  // archives whose bytes were deleted
	Kept    int  // objects that stay: unfinished archives of days that have not ended, and what a hold protects
	Refused int  // archives that the store refused to delete, to be tried again in an hour
	Checked int  // served archives that were seen in the store
	Gone    int  // served archives that are not in the store, or have another size; their hours are due
	Locked  int  // archives whose lock was set or prolonged
	Back    int  // hours that are due because missing recordings are back
	More    bool // a batch was full: there is more to do now
}

// Sweep runs all parts of a sweep once. A part that fails does not stop the others.
func (s *Sweeper) Sweep(ctx context.Context) (SweepReport, error) {
	var r SweepReport
	var errs []error
	var err error
	if r.Doomed, err = s.catalog.DoomUnused(ctx, s.cfg.Batch); err != nil {
		errs = append(errs, err)
	}
	for _, part := range []func(context.Context, *SweepReport) error{s.deleteDoomed, s.checkServed, s.lockHeld, s.recheckMissing} {
		if err := part(ctx, &r); err != nil {
			errs = append(errs, err)
		}
	}
	return r, errors.Join(errs...)
}

// outage says whether an error concerns everything, and not one object: the store or the catalog is
// unavailable, or the process stops. A store that refuses an object is available.
func outage(err error) bool {
	switch domain.KindOf(err) {
	case domain.KindUnavailable:
		return !objstore.Refused(err)
	case domain.KindInterrupted:
		return true
	}
	return errors.Is(err, context.Canceled)
}

// forEach runs do for every item, some at once, and gives the first error. An item that fails does
// not stop the others, unless it is an outage.
func forEach[T any](ctx context.Context, parallel int, items []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var once sync.Once
	var first error
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := do(ctx, item)
			if err != nil {
				once.Do(func() { first = err })
			}
			if outage(err) {
				return err // ends the others
			}
			return nil
		})
	}
	_ = group.Wait() // its error is the first one, or a later one
	return first
}
