package testenv

import (
	"context"
	"testing"
	"time"
)

const (
	untilPause  = 20 * time.Millisecond
	untilMargin = 15 * time.Second // for the test's clean-up
)

// WaitContext returns a ctx for waiting that ends shortly before the test binary's timeout, so that
// the test can say what it waited for. Waits have no other limit, because a busy machine can be
// slow.
func WaitContext(ctx context.Context, t testing.TB) (context.Context, context.CancelFunc) {
	if limited, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, ok := limited.Deadline(); ok {
			return context.WithDeadline(ctx, at.Add(-untilMargin))
		}
	}
	return context.WithCancel(ctx)
}

// Until calls done until it returns true.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	UntilNothing(t, what, func(context.Context) string {
		if done() {
			return ""
		}
		return "it never came to be"
	})
}

// UntilNothing calls missing until it returns "".
func UntilNothing(t testing.TB, what string, missing func(ctx context.Context) string) {
	t.Helper()
	ctx, cancel := WaitContext(context.WithoutCancel(t.Context()), t) // a clean-up may wait too
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
