package testenv

import (
	"context"
	"testing"
	"time"
)

const (
	untilPause  = 20 * time.Millisecond
	untilMargin = 15 * time.Second // for what tests do at their end
)

// Patience bounds ctx for waiting: it ends shortly before the time of the test binary does, so that the
// test can say what it waited for. Nothing else bounds a wait, since how long something takes on a busy
// machine says nothing.
func Patience(ctx context.Context, t testing.TB) (context.Context, context.CancelFunc) {
	if limited, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, ok := limited.Deadline(); ok {
			return context.WithDeadline(ctx, at.Add(-untilMargin))
		}
	}
	return context.WithCancel(ctx)
}

// Until looks again and again until done says that what was waited for is so.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	UntilNothing(t, what, func(context.Context) string {
		if done() {
			return ""
		}
		return "it never came to be"
	})
}

// UntilNothing looks again and again until missing finds that nothing is missing any more.
func UntilNothing(t testing.TB, what string, missing func(ctx context.Context) string) {
	t.Helper()
	ctx, cancel := Patience(context.WithoutCancel(t.Context()), t) // what cleans up waits, too
	defer cancel()
	pause := time.NewTicker(untilPause)
	defer pause.Stop()
	for {
		complaint := missing(ctx)
		if complaint == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %s", what, complaint)
		case <-pause.C:
		}
	}
}
