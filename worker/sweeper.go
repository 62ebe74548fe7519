package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// SweepConfig bounds a Sweeper. Zero fields take the defaults.
type SweepConfig struct {
	Interval time.Duration // between two sweeps (1 min)
	Batch    int           // archives of each sort in one sweep (500)
	Parallel int           // requests to the store at once (8)
	CheckAge time.Duration // age from which a served archive is looked up again (1 h)
	// Now is the process's clock (time.Now), read for its steady progress only.
	Now func() time.Time
	// OnRefused, when set, is told of each archive that the store refused to delete, for metrics.
	OnRefused func()
}

func (c SweepConfig) withDefaults() SweepConfig {
	c.Interval = orDefault(c.Interval, time.Minute)
	c.Batch = orDefault(c.Batch, 500)
	c.Parallel = orDefault(c.Parallel, 8)
	c.CheckAge = orDefault(c.CheckAge, time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnRefused == nil {
		c.OnRefused = func() {}
	}
	return c
}

// Sweeper deletes what the catalog has doomed and looks whether what it
// believes to be in the store is there. Several may sweep at once.
type Sweeper struct {
	cfg        SweepConfig
	trash      Trash
	served     Served
	recordings Recordings
	archives   Archives
	wake       chan struct{}
	log        *zap.Logger
}

// NewSweeper makes a Sweeper.
func NewSweeper(cfg SweepConfig, trash Trash, served Served, recordings Recordings, archives Archives, log *zap.Logger) *Sweeper {
	return &Sweeper{
		cfg: cfg.withDefaults(), trash: trash, served: served, recordings: recordings, archives: archives,
		wake: make(chan struct{}, 1), log: log.Named("sweep"),
	}
}

// Wake makes the running sweeper sweep now.
func (s *Sweeper) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it will already
	}
}

// Run sweeps until ctx is cancelled. Failures are logged when they begin and
// when they end, and never stop it.
func (s *Sweeper) Run(ctx context.Context) {
	var failing bool
	var clock steady
	timer := time.NewTimer(0) // at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		var r Swept
		err := s.steady(ctx, &clock)
		if err == nil {
			r, err = s.Sweep(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.Warn("a sweep failed; trying on", zap.Error(err))
		case err == nil && failing:
			s.log.Info("sweeps succeed again")
		}
		failing = err != nil
		if r != (Swept{Checked: r.Checked}) {
			s.log.Info("swept", zap.Int("doomed", r.Doomed), zap.Int("deleted", r.Deleted), zap.Int("spared", r.Spared), zap.Int("refused", r.Refused), zap.Int("gone", r.Gone), zap.Int("back", r.Back), zap.Int("counted", r.Counted))
		}
		wait := s.cfg.Interval
		if r.More && err == nil {
			wait = 0
		}
		timer.Reset(wait)
	}
}

// Swept is what a sweep did.
type Swept struct {
	Doomed  int  // archives that may go now
	Deleted int  // archives whose bytes were deleted
	Spared  int  // objects that stay until their day has ended, though nobody is known to have published them
	Refused int  // archives that the store does not delete: they are tried again in an hour
	Checked int  // served archives that were seen in the store
	Gone    int  // served archives that are not there: their hours are due
	Back    int  // hours due because missing recordings are back
	Counted int  // transcripts whose turns were counted again, by the rules of this version
	More    bool // a batch was full: there is more to do now
}

// Sweep goes once over all. A part that fails does not keep the others from
// being done.
func (s *Sweeper) Sweep(ctx context.Context) (Swept, error) {
	var r Swept
	var errs []error
	var err error
	if r.Doomed, err = s.trash.DoomUnused(ctx, s.cfg.Batch); err != nil {
		errs = append(errs, err)
	}
	for _, part := range []func(context.Context, *Swept) error{s.empty, s.check, s.recheck, s.recount} {
		if err := part(ctx, &r); err != nil {
			errs = append(errs, err)
		}
	}
	return r, errors.Join(errs...)
}

// each runs do for every item, some at once, and gives the first error. One
// that fails does not keep the others from being done, unless the store or the
// catalog is away; a store that refuses one of them is not.
func each[T any](ctx context.Context, parallel int, items []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var first error
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := do(ctx, item)
			if err == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = err
			}
			if domain.KindOf(err) == domain.KindUnavailable && !objstore.Refused(err) {
				cancel()
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return nothing
	return first
}

// empty deletes the bytes of doomed archives.
func (s *Sweeper) empty(ctx context.Context, r *Swept) error {
	doomed, err := s.trash.Doomed(ctx, s.cfg.Batch)
	if err != nil {
		return err
	}
	var deleted, spared, refused atomic.Int64
	err = each(ctx, s.cfg.Parallel, doomed, func(ctx context.Context, d catalog.DoomedArchive) error {
		stays, err := s.remove(ctx, d)
		if objstore.Refused(err) {
			if refused.Add(1) == 1 { // the others' reasons are rarely different ones
				s.log.Error("the object store refuses to delete archives; each is tried again in an hour",
					zap.String("object", d.ObjectKey), zap.Error(err), zap.String("hint", objstore.Advice(err)))
			}
			s.cfg.OnRefused()
			return s.trash.DeletionRefused(ctx, d.ObjectKey)
		}
		if err != nil {
			return err
		}
		if stays {
			spared.Add(1)
			return s.trash.KeptObject(ctx, d.ObjectKey)
		}
		deleted.Add(1)
		return s.trash.Deleted(ctx, d.ObjectKey)
	})
	r.Deleted, r.Spared, r.Refused = int(deleted.Load()), int(spared.Load()), int(refused.Load())
	r.More = len(doomed) == s.cfg.Batch
	return err
}

// recount counts turns again that a former version counted.
func (s *Sweeper) recount(ctx context.Context, r *Swept) (err error) {
	r.Counted, err = s.served.RecountTurns(ctx, s.cfg.Batch)
	r.More = r.More || r.Counted == s.cfg.Batch
	return err
}

// remove ends the uploads first: a Complete that comes after the deletion
// would bring the object back. The second deletion, a day later, takes one
// that was under way. It says whether an object stays that is to be spared.
func (s *Sweeper) remove(ctx context.Context, d catalog.DoomedArchive) (stays bool, err error) {
	if d.UploadID != "" {
		if err := s.archives.Abort(ctx, d.ObjectKey, d.UploadID); err != nil {
			return false, err
		}
	}
	if err := s.archives.AbortAll(ctx, d.ObjectKey); err != nil {
		return false, err
	}
	if !d.KeepObject {
		return false, s.archives.Remove(ctx, d.ObjectKey)
	}
	_, err = s.archives.Stat(ctx, d.ObjectKey)
	if domain.KindOf(err) == domain.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// check looks served archives up in the store. Only a key that is not there,
// or has another size, makes its hour due; a store that is away says nothing. One of which the store
// refuses to tell is asked for again later, so that it is not in the way of others.
func (s *Sweeper) check(ctx context.Context, r *Swept) error {
	served, err := s.served.Unchecked(ctx, s.cfg.CheckAge, s.cfg.Batch)
	if err != nil {
		return err
	}
	var seen, gone atomic.Int64
	err = each(ctx, s.cfg.Parallel, served, func(ctx context.Context, a catalog.ServedArchive) error {
		info, err := s.archives.Stat(ctx, a.ObjectKey)
		if err == nil && info.Size == a.Size {
			seen.Add(1)
			return s.served.Checked(ctx, a.ObjectKey)
		}
		if err != nil && domain.KindOf(err) != domain.KindNotFound {
			if objstore.Refused(err) {
				err = errors.Join(err, s.served.Checked(ctx, a.ObjectKey))
			}
			return err
		}
		hit, err := s.served.Gone(ctx, a)
		if hit {
			gone.Add(1)
			s.log.Error("a served archive is not in the store; its hour is built again", zap.String("object", a.ObjectKey))
		}
		return err
	})
	r.Checked, r.Gone = int(seen.Load()), int(gone.Load())
	return err
}
