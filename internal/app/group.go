package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Stage is a place in the stop order.
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

// StopOrder is the order in which everything ends, and backwards the one in which it starts.
// Readiness goes first, so that callers look elsewhere; who takes work in stops before who does
// it; the clients and the catalog stay until nobody uses them; telemetry sees all of it.
func StopOrder() []Stage {
	return []Stage{StageReadiness, StageAPI, StageScheduler, StageWorker, StageClients, StageCatalog, StageTelemetry}
}

// Component is one part of a running process.
type Component struct {
	Name  string
	Stage Stage
	// Run works until ctx ends and returns when it has drained; nil for what is only closed.
	Run func(ctx context.Context) error
	// Close gives back what the component holds: called once, after Run has returned or was given
	// up, also when Run was never called. It may be nil.
	Close func() error
	// Drain bounds the wait for Run after ctx ended; zero means the group's own.
	Drain time.Duration
}

// Group runs components until one fails or the caller wants to stop.
type Group struct {
	log        *zap.Logger
	drain      time.Duration
	components []*member
}

type member struct {
	Component
	cancel context.CancelFunc
	done   chan struct{}
	err    error // what Run returned; read after done
}

// NewGroup makes an empty group; drain bounds the wait for a stopping component that names
// no bound of its own.
func NewGroup(log *zap.Logger, drain time.Duration) *Group { return &Group{log: log, drain: drain} }

// Add takes c in. Components are added in the order in which they need each other.
func (g *Group) Add(c Component) { g.components = append(g.components, &member{Component: c}) }

// Run starts every component and waits. When ctx ends, or one component returns, it stops all in
// StopOrder, within a stage the last one added first. It gives the error of the component that
// failed first, joined with what went wrong while stopping; nil after a clean stop.
func (g *Group) Run(ctx context.Context) error {
	ended := make(chan *member, len(g.components))
	var running sync.WaitGroup
	for _, m := range g.inStopOrder(true) {
		if m.Run == nil {
			continue
		}
		// Not ended by ctx itself: the stop order ends each in its turn.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		m.cancel, m.done = cancel, make(chan struct{})
		running.Go(func() {
			m.err = m.Run(own)
			close(m.done)
			ended <- m
		})
	}
	var first *member
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
		running.Wait() // nothing was given up, so nothing keeps this waiting
	}
	return err
}

// Abandon closes what has been added when a later part could not be made, and gives cause
// joined with what went wrong while closing.
func (g *Group) Abandon(cause error) error { return g.stop(cause, nil) }

func endedEarly(m *member) error {
	if m.err == nil {
		return fmt.Errorf("%s ended by itself", m.Name)
	}
	return fmt.Errorf("%s: %w", m.Name, m.err)
}

// stop ends all components in order. The errors begin with cause, which is that of first.
func (g *Group) stop(cause error, first *member) error {
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

// drainOne ends one running component and waits for it, but not for ever.
func (g *Group) drainOne(m *member) error {
	m.cancel()
	bound := m.Drain
	if bound == 0 {
		bound = g.drain
	}
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

// inStopOrder lists the components by stage, the last added of a stage first; reversed, the
// order of starting.
func (g *Group) inStopOrder(reversed bool) []*member {
	order := StopOrder()
	list := slices.Clone(g.components)
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b *member) int {
		return slices.Index(order, a.Stage) - slices.Index(order, b.Stage)
	})
	if reversed {
		slices.Reverse(list)
	}
	return list
}
