package scheduler_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/plan"
	"github.com/callvault/callvault/scheduler"
)

// planner answers what the test wants, and counts its calls.
type planner struct {
	mu       sync.Mutex
	answer   func() (plan.Report, error)
	full     []time.Time
	dispatch []time.Time
	asked    int
	anyDue   func() (bool, error) // nil: none is
	backfill bool
}

func (p *planner) NeedsBackfill(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backfill, nil
}

// AnyDue counts its calls.
func (p *planner) AnyDue(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.anyDue == nil {
		return false, nil
	}
	return p.anyDue()
}

func (p *planner) pass(times *[]time.Time) (plan.Report, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*times = append(*times, time.Now())
	r, err := p.answer()
	if r.Now.IsZero() {
		r.Now = time.Now()
	}
	return r, err
}

func (p *planner) FullPass(context.Context) (plan.Report, error)     { return p.pass(&p.full) }
func (p *planner) DispatchPass(context.Context) (plan.Report, error) { return p.pass(&p.dispatch) }

// set changes the answer.
func (p *planner) set(answer func() (plan.Report, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// counts says how many passes ran since it was last asked.
func (p *planner) counts() (full, dispatch int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	full, dispatch = len(p.full), len(p.dispatch)
	p.full, p.dispatch = nil, nil
	return full, dispatch
}

// run runs a test in a synctest bubble, where time begins at 2000-01-01T00:00:00Z.
func run(t *testing.T, test func(t *testing.T, p *planner, s *scheduler.Scheduler, logs *observer.ObservedLogs)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		line, err := cron.ParseStandard("CRON_TZ=UTC 0 2 * * *")
		if err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zap.InfoLevel)
		p := &planner{answer: func() (plan.Report, error) { return plan.Report{}, nil }}
		s := scheduler.New(scheduler.Config{Schedule: line}, p, time.Now, zap.New(core))
		if s.Ready() == nil {
			t.Error("ready before the first pass")
		}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		test(t, p, s, logs)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func expect(t *testing.T, p *planner, what string, full, dispatch int) {
	t.Helper()
	synctest.Wait()
	if h, f := p.counts(); h != full || f != dispatch {
		t.Errorf("%s: %d full and %d dispatch passes, want %d and %d", what, h, f, full, dispatch)
	}
}

// Hours that another process made due do not wait for the next minute.
func TestOthersMakeHoursDue(t *testing.T) {
	run(t, func(t *testing.T, p *planner, s *scheduler.Scheduler, _ *observer.ObservedLogs) {
		time.Sleep(10*time.Second + time.Millisecond)
		expect(t, p, "nothing waits", 1, 0)
		p.mu.Lock()
		if p.asked != 10 {
			t.Errorf("asked %d times in ten seconds", p.asked)
		}
		p.anyDue = func() (bool, error) { return true, nil }
		p.answer = func() (plan.Report, error) { return plan.Report{Waiting: 2}, nil }
		p.mu.Unlock()
		time.Sleep(2 * time.Second)
		expect(t, p, "within a second, and on while they wait", 0, 2)
		p.set(func() (plan.Report, error) { return plan.Report{}, nil })
		p.mu.Lock()
		p.anyDue = func() (bool, error) { return false, errors.New("away") }
		p.mu.Unlock()
		time.Sleep(2 * time.Second)
		expect(t, p, "a look that fails is a pass", 0, 2)
		p.mu.Lock()
		p.anyDue = nil
		p.mu.Unlock()
		time.Sleep(time.Minute)
		expect(t, p, "the full pass keeps its time", 1, 0)
	})
}

// A new tenant does not wait for the next minute, also while hours wait.
func TestBackfill(t *testing.T) {
	run(t, func(t *testing.T, p *planner, _ *scheduler.Scheduler, _ *observer.ObservedLogs) {
		time.Sleep(10*time.Second + time.Millisecond)
		expect(t, p, "nobody is new", 1, 0)
		for _, waiting := range []int{0, 1} {
			p.mu.Lock()
			p.backfill = true
			p.answer = func() (plan.Report, error) {
				p.backfill = false
				return plan.Report{Waiting: waiting}, nil
			}
			p.mu.Unlock()
			time.Sleep(2 * time.Second)
			expect(t, p, "a full pass within a second", 1, waiting)
		}
	})
}

func TestPace(t *testing.T) {
	run(t, func(t *testing.T, p *planner, s *scheduler.Scheduler, _ *observer.ObservedLogs) {
		expect(t, p, "at start", 1, 0)
		if err := s.Ready(); err != nil {
			t.Error(err)
		}
		time.Sleep(10*time.Minute + time.Millisecond)
		expect(t, p, "ten idle minutes", 10, 0)

		p.set(func() (plan.Report, error) { return plan.Report{Waiting: 3}, nil })
		time.Sleep(time.Minute) // to the next pass, which hears that hours wait
		p.counts()
		time.Sleep(time.Minute)
		expect(t, p, "a minute in which hours wait", 1, 59)

		p.set(func() (plan.Report, error) {
			now := time.Now().Add(time.Hour) // by the catalog's clock
			return plan.Report{Now: now, NextDue: now.Add(25 * time.Second)}, nil
		})
		time.Sleep(time.Second)
		p.counts()
		time.Sleep(25 * time.Second)
		expect(t, p, "an hour falls due", 0, 1)
	})
}

func TestFiring(t *testing.T) {
	run(t, func(t *testing.T, p *planner, s *scheduler.Scheduler, _ *observer.ObservedLogs) {
		time.Sleep(2*time.Hour - 10*time.Millisecond)
		p.counts()
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if full, _ := p.counts(); full == 0 {
			t.Error("nothing ran at two o'clock")
		}
		time.Sleep(5 * time.Second)
		p.counts()
		s.Wake()
		expect(t, p, "woken", 1, 0)
	})
}

func TestMoreToDo(t *testing.T) {
	run(t, func(t *testing.T, p *planner, _ *scheduler.Scheduler, _ *observer.ObservedLogs) {
		p.set(func() (plan.Report, error) { return plan.Report{More: true}, nil })
		time.Sleep(time.Minute + 500*time.Millisecond)
		p.counts()
		time.Sleep(5 * time.Second)
		expect(t, p, "bounds were met", 5, 0)
	})
}

func TestErrors(t *testing.T) {
	run(t, func(t *testing.T, p *planner, s *scheduler.Scheduler, logs *observer.ObservedLogs) {
		p.set(func() (plan.Report, error) { return plan.Report{}, errors.New("no catalog") })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if full, dispatch := p.counts(); full < 60 || dispatch > 0 {
			t.Errorf("%d full and %d dispatch passes, of which the first failed", full, dispatch)
		}
		if n := logs.FilterMessageSnippet("pass failed").Len(); n != 1 {
			t.Errorf("the same error was logged %d times", n)
		}
		if err := s.Ready(); domain.KindOf(err) != domain.KindUnavailable {
			t.Errorf("ready while passes fail: %v", err)
		}
		p.set(nil) // calling it panics
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := logs.FilterMessageSnippet("pass failed").Len(); n != 2 {
			t.Errorf("another error was logged %d times in all", n)
		}
		p.set(func() (plan.Report, error) { return plan.Report{}, nil })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := s.Ready(); err != nil || logs.FilterMessageSnippet("succeed again").Len() != 1 {
			t.Errorf("after all is well: %v", err)
		}
	})
}

// A pass that hangs shows in readiness.
func TestHangingPass(t *testing.T) {
	run(t, func(t *testing.T, p *planner, s *scheduler.Scheduler, _ *observer.ObservedLogs) {
		release := make(chan struct{})
		p.set(func() (plan.Report, error) { <-release; return plan.Report{}, nil })
		time.Sleep(10 * time.Minute)
		if s.Ready() == nil {
			t.Error("ready while a pass hangs")
		}
		close(release)
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Error(err)
		}
	})
}
