package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Stage says when a component stops, see StopOrder.
type Stage string

// The stages.
const (
	StageReadiness Stage = "readiness"
	StageAPI       Stage = "api"
	StageScheduler Stage = "scheduler"
	StageWorker    Stage = "worker"
	StageClients   Stage = "clients"
	StageCatalog   Stage = "catalog"
	StageTelemetry Stage = "telemetry"
)

// StopOrder is the order in which stages stop; they start in the reverse order. Readiness stops
// first, so that callers go elsewhere. What takes work in stops before what does it. The clients
// and the catalog stop when nothing uses them any more, and telemetry last, since all log to it.
func StopOrder() []Stage {
	return []Stage{StageReadiness, StageAPI, StageScheduler, StageWorker, StageClients, StageCatalog, StageTelemetry}
}

// Component is one part of a running process.
type Component struct {
	Name  string
	Stage Stage
	// Run works until ctx ends and returns when it has drained; nil for what is only closed.
	Run func(ctx context.Context) error
	// Close frees what the component holds; nil for none. It is called once: after Run has returned
	// or its Drain has passed, and also when Run was never called.
	Close func() error
	// Drain bounds the wait for Run after ctx ended; zero means the group's own.
	Drain time.Duration
}

// Group runs components until one fails or the caller wants to stop.
type Group struct {
	log        *zap.Logger
	drain      time.Duration
	components []*runningComponent
}

type runningComponent struct {
	Component
	cancel context.CancelFunc
	done   chan struct{}
	err    error // what Run returned; read after done
}

// NewGroup makes an empty group; drain bounds the wait for a stopping component that names
// no bound of its own.
func NewGroup(log *zap.Logger, drain time.Duration) *Group { return &Group{log: log, drain: drain} }

// Add adds c. A component is added after those that it needs.
func (g *Group) Add(c Component) {
	g.components = append(g.components, &runningComponent{Component: c})
}

// Run starts every component and waits. When ctx ends, or one component returns, it stops all of
// them in StopOrder, and within a stage the last added first. It returns the error of the component
// that failed first, joined with the errors of stopping; nil after a clean stop.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan *runningComponent, len(g.components))
	var running sync.WaitGroup
	for _, m := range g.inStopOrder(true) {
		if m.Run == nil {
			continue
		}
		// ctx must not end all at once: the stop order ends one after the other.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		m.cancel, m.done = cancel, make(chan struct{})
		running.Go(func() {
			m.err = m.Run(own)
			close(m.done)
			ended <- m
		})
	}
	var first *runningComponent
	var cause error
	select {
	case <-ctx.Done():
		g.log.Info("stopping")
	case first = <-ended:
		cause = endedEarly(first)
		g.log.Error("a part has failed, stopping", zap.String("part", first.Name), zap.Error(cause))
	}
	err := g.stop(cause, first)
	if first != nil && first.cancel != nil {
		first.cancel()
	}
	if err == nil {
		running.Wait() // every component has stopped in time, so this returns at once
	}
	return err
}

// Abandon closes what was added, when a later component could not be made. It returns cause, joined
// with the errors of closing.
func (g *Group) Abandon(cause error) error { return g.stop(cause, nil) }

func endedEarly(m *runningComponent) error {
	if m.err == nil {
		return fmt.Errorf("%s ended by itself", m.Name)
	}
	return fmt.Errorf("%s: %w", m.Name, m.err)
}

// stop stops all components in order. Its error begins with cause, which is the error of first.
func (g *Group) stop(cause error, first *runningComponent) error {
	errs := []error{cause}
	for _, m := range g.inStopOrder(false) {
		if m.done != nil && m != first {
			errs = append(errs, g.drainOne(m))
		}
		if m.Close != nil {
			if err := m.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", m.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// drainOne cancels one running component and waits for it, at most for its Drain.
func (g *Group) drainOne(m *runningComponent) error {
	m.cancel()
	bound := cmp.Or(m.Drain, g.drain)
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-m.done:
	case <-timer.C:
		return fmt.Errorf("%s has not stopped within %s", m.Name, bound)
	}
	if m.err == nil || errors.Is(m.err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("stop %s: %w", m.Name, m.err)
}

// inStopOrder lists the components by stage, and within a stage the last added first. With reversed
// it is the order of starting.
func (g *Group) inStopOrder(reversed bool) []*runningComponent {
	order := StopOrder()
	list := slices.Clone(g.components)
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b *runningComponent) int {
		return slices.Index(order, a.Stage) - slices.Index(order, b.Stage)
	})
	if reversed {
		slices.Reverse(list)
	}
	return list
}
