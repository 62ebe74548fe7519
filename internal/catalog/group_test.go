package catalog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

// TestGroup has many callers share few batches: everybody gets the own answer, no batch is larger
// than it may be, and no more of them run at a time than may.
func TestGroup(t *testing.T) {
	const callers, size, lanes = 200, 8, 2
	g := group[int]{size: size, lanes: lanes}
	odd := errors.New("odd")
	var running, seen atomic.Int64
	run := func(_ context.Context, batch []*member[int]) {
		if n := running.Add(1); n > lanes || len(batch) > size || len(batch) == 0 {
			t.Errorf("%d batches at a time, this one of %d", n, len(batch))
		}
		defer running.Add(-1)
		for _, m := range batch {
			seen.Add(1)
			if m.part%2 == 1 {
				m.err = odd
			}
		}
	}
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			if err := g.do(t.Context(), i, run); errors.Is(err, odd) != (i%2 == 1) {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if n := seen.Load(); n != callers {
		t.Fatalf("%d parts were run, want %d", n, callers)
	}
}

// TestGroupPanics tells the callers of a batch that broke off, and serves the next ones.
func TestGroupPanics(t *testing.T) {
	g := group[string]{size: 4, lanes: 1}
	run := func(_ context.Context, batch []*member[string]) {
		if batch[0].part == "broken" {
			batch[g.size].err = nil // there are fewer: a mistake
		}
	}
	if err := g.do(t.Context(), "broken", run); domain.KindOf(err) != domain.KindInternal {
		t.Fatalf("%v", err)
	}
	if err := g.do(t.Context(), "whole", run); err != nil {
		t.Fatal(err)
	}
}

// TestGroupLeaves: whose time is over while others are served goes, and is not served any more.
func TestGroupLeaves(t *testing.T) {
	g := group[string]{size: 1, lanes: 1}
	began, end := make(chan struct{}), make(chan struct{})
	var served []string // by the only lane
	run := func(_ context.Context, batch []*member[string]) {
		served = append(served, batch[0].part)
		if batch[0].part == "slow" {
			close(began)
			<-end
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := g.do(t.Context(), "slow", run); err != nil {
			t.Error(err)
		}
	})
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	late := make(chan error)
	go func() { late <- g.do(ctx, "late", run) }()
	all.Go(func() {
		if err := g.do(t.Context(), "next", run); err != nil {
			t.Error(err)
		}
	})
	cancel()
	if err := <-late; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(end)
	all.Wait()
	if !slices.Equal(served, []string{"slow", "next"}) {
		t.Errorf("served: %v", served)
	}
}
