package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// journal notes what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// part is a component that runs until it is stopped, then ends with err.
func (j *journal) part(name string, stage Stage, err error) Component {
	return Component{
		Name: name, Stage: stage,
		Run:   func(ctx context.Context) error { <-ctx.Done(); j.note("stop " + name); return err },
		Close: func() error { j.note("close " + name); return nil },
	}
}

func TestPartsStopInOrder(t *testing.T) {
	var j journal
	g := NewGroup(zap.NewNop(), time.Minute)
	g.Add(Component{Name: "catalog", Stage: StageCatalog, Close: func() error { j.note("close catalog"); return nil }})
	g.Add(j.part("worker", StageWorker, nil))
	g.Add(j.part("api", StageAPI, context.Canceled))
	g.Add(j.part("admin", StageAPI, nil))
	g.Add(j.part("readiness", StageReadiness, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"stop readiness", "close readiness", "stop admin", "close admin", "stop api", "close api",
		"stop worker", "close worker", "close catalog",
	}
	if !slices.Equal(j.lines, want) {
		t.Errorf("got  %v\nwant %v", j.lines, want)
	}
}

func TestOneFailureStopsAll(t *testing.T) {
	broken := errors.New("disk full")
	for name, tc := range map[string]struct {
		run  func(context.Context) error
		want string
	}{
		"error": {func(context.Context) error { return broken }, "worker: disk full\nstop api: disk full"},
		"end":   {func(context.Context) error { return nil }, "worker ended by itself\nstop api: disk full"},
	} {
		var j journal
		g := NewGroup(zap.NewNop(), time.Minute)
		g.Add(j.part("api", StageAPI, broken))
		g.Add(Component{Name: "worker", Stage: StageWorker, Run: tc.run, Close: func() error { j.note("close worker"); return nil }})
		err := g.Run(t.Context())
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
		if want := []string{"stop api", "close api", "close worker"}; !slices.Equal(j.lines, want) {
			t.Errorf("%s: got %v, want %v", name, j.lines, want)
		}
	}
}

func TestAPartThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := NewGroup(zap.NewNop(), time.Hour)
		g.Add(Component{Name: "worker", Stage: StageWorker, Drain: 3 * time.Second, Run: func(context.Context) error { <-release; return nil }})
		closed := false
		g.Add(Component{Name: "catalog", Stage: StageCatalog, Close: func() error { closed = true; return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		err := g.Run(ctx)
		if err == nil || err.Error() != "worker has not stopped within 3s" || time.Since(begin) != 3*time.Second {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
		if !closed {
			t.Error("what comes after the hanging part was not closed")
		}
		close(release)
	})
}

func TestAbandonClosesWhatWasAdded(t *testing.T) {
	var j journal
	g := NewGroup(zap.NewNop(), time.Minute)
	g.Add(j.part("catalog", StageCatalog, nil))
	g.Add(Component{Name: "queue", Stage: StageClients, Close: func() error { return errors.New("already gone") }})
	cause := errors.New("no store")
	err := g.Abandon(cause)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "close queue: already gone") {
		t.Errorf("got %v", err)
	}
	if want := []string{"close catalog"}; !slices.Equal(j.lines, want) {
		t.Errorf("got %v, want %v", j.lines, want)
	}
}
