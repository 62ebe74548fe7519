package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
)

// Planner runs passes: full ones, and dispatch passes, which workers wait for. AnyDue says whether
// a dispatch pass would find anything, NeedsBackfill whether a tenant needs a full pass.
type Planner interface {
	AnyDue(ctx context.Context) (bool, error)
	NeedsBackfill(ctx context.Context) (bool, error)
	FullPass(ctx context.Context) (plan.Report, error)
	DispatchPass(ctx context.Context) (plan.Report, error)
}

// Config is when passes run. Zero durations take the defaults.
type Config struct {
	Schedule cron.Schedule // the nightly plan, in UTC
	Interval time.Duration // between full passes (1 min)
	Busy     time.Duration // between passes while an hour waits (1 s)
	OnPass   func(plan.Report, error)
}

// Scheduler runs passes. It is safe for concurrent use.
type Scheduler struct {
	cfg     Config
	planner Planner
	now     func() time.Time
	log     *zap.Logger
	wake    chan struct{}

	mu        sync.Mutex
	succeeded time.Time // when a full pass last succeeded, by the process's clock; zero before
	err       error     // of the last pass
}

// New makes a Scheduler. now is the process's clock.
func New(cfg Config, p Planner, now func() time.Time, log *zap.Logger) *Scheduler {
	cfg.Interval = cmp.Or(cfg.Interval, time.Minute)
	cfg.Busy = cmp.Or(cfg.Busy, time.Second)
	if cfg.OnPass == nil {
		cfg.OnPass = func(plan.Report, error) {}
	}
	return &Scheduler{cfg: cfg, planner: p, now: now, log: log.Named("scheduler"), wake: make(chan struct{}, 1)}
}

// Wake asks the running scheduler for a full pass now.
func (s *Scheduler) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it was asked for already
	}
}

// Ready says why the scheduler is not doing its work, nil if it is. Its error is KindUnavailable.
func (s *Scheduler) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.now().Sub(s.succeeded)
	switch {
	case s.err != nil:
		return domain.Wrap(domain.KindUnavailable, s.err, "the last planning pass failed")
	case s.succeeded.IsZero():
		return domain.Errorf(domain.KindUnavailable, "no planning pass has run yet")
	case since > 3*s.cfg.Interval+s.cfg.Busy:
		return domain.Errorf(domain.KindUnavailable, "no planning pass has ended for %s", since.Round(time.Second))
	}
	return nil
}

// Run runs passes until ctx is cancelled. A pass that fails never ends it.
func (s *Scheduler) Run(ctx context.Context) error {
	// The order of the chain matters: with Recover outside, a panic would leave the job marked as
	// running, and it would be skipped from then on.
	nightly := cron.New(cron.WithLocation(time.UTC),
		cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger), cron.Recover(cron.DiscardLogger)))
	nightly.Schedule(s.cfg.Schedule, cron.FuncJob(s.Wake))
	nightly.Start()
	defer func() { <-nightly.Stop().Done() }()
	s.loop(ctx)
	return nil
}

func (s *Scheduler) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var lastFull time.Time // zero: a full pass is next
	var next time.Time     // when the next pass is, unless an hour waits before
	for {
		full := false
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			full = true
		case <-timer.C:
		}
		started := s.now()
		if needed, err := s.planner.NeedsBackfill(ctx); err == nil && needed {
			full = true
		}
		if rest := next.Sub(started); !full && rest > 0 {
			if waits, err := s.planner.AnyDue(ctx); err == nil && !waits {
				timer.Reset(min(rest, s.cfg.Busy))
				continue
			}
		}
		full = full || lastFull.IsZero() || started.Sub(lastFull) >= s.cfg.Interval
		run := s.planner.DispatchPass
		if full {
			run = s.planner.FullPass
		}
		r, err := runPass(ctx, run)
		if ctx.Err() != nil {
			return
		}
		if full && err == nil {
			lastFull = started
		}
		if r.More {
			lastFull = time.Time{}
		}
		s.record(r, err, full)
		pause := s.pause(r, err, lastFull)
		next = s.now().Add(pause)
		timer.Reset(min(pause, s.cfg.Busy))
	}
}

// runPass turns a panic into an error, so that the loop goes on.
func runPass(ctx context.Context, run func(context.Context) (plan.Report, error)) (r plan.Report, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = domain.Errorf(domain.KindInternal, "a planning pass panicked: %v", p)
		}
	}()
	return run(ctx)
}

// pause is how long to wait until the next pass.
func (s *Scheduler) pause(r plan.Report, err error, lastFull time.Time) time.Duration {
	if err != nil || r.More || r.Waiting > 0 {
		return s.cfg.Busy
	}
	wait := s.cfg.Interval - s.now().Sub(lastFull)
	if !r.NextDue.IsZero() { // by the catalog's clock, as r.Now is; the process's clock may differ
		wait = min(wait, r.NextDue.Sub(r.Now))
	}
	return max(wait, s.cfg.Busy)
}

// record keeps how a pass went, and logs an error only when it changes: passes may run every
// second.
func (s *Scheduler) record(r plan.Report, err error, full bool) {
	s.mu.Lock()
	before := s.err
	s.err = err
	if full && err == nil {
		s.succeeded = s.now()
	}
	s.mu.Unlock()
	switch {
	case err != nil && fmt.Sprint(err) != fmt.Sprint(before):
		s.log.Warn("a planning pass failed; trying on", zap.Error(err))
	case err == nil && before != nil:
		s.log.Info("planning passes succeed again")
	}
	if r.Planned+r.Expired+r.Repaired+r.Released+r.Dispatched > 0 {
		s.log.Debug("planned", zap.Int("days", r.Planned), zap.Int("quiet", r.Empty), zap.Int("expired", r.Expired),
			zap.Int("healed", r.Repaired), zap.Int("released", r.Released), zap.Int("dispatched", r.Dispatched),
			zap.Int("redispatched", r.Redispatched), zap.Int("waiting", r.Waiting))
	}
	s.cfg.OnPass(r, err)
}
