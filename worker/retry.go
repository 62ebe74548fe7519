package worker

import (
	"context"
	"errors"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// within calls do with a context that ends after timeout.
func within(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx)
}

// retryable says whether an error may be gone at the next try.
func retryable(err error) bool {
	return domain.KindOf(err) == domain.KindUnavailable || errors.Is(err, context.DeadlineExceeded)
}

// retry is the backoff between the tries of a call.
type retry struct {
	*Builder
	since time.Time
	tries int
}

func (b *Builder) retry() *retry { return &retry{Builder: b, since: b.now()} }

// wait waits before the next try, longer each time. It gives false when limit is over since the
// first try, or ctx has ended.
func (r *retry) wait(ctx context.Context, limit time.Duration) bool {
	if r.now().Sub(r.since) >= limit {
		return false
	}
	timer := time.NewTimer(min(r.cfg.Retry<<min(r.tries, 10), 15*time.Second))
	defer timer.Stop()
	r.tries++
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
