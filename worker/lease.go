package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// keepLease renews a claim's lease, and gives a context that ends when the claim is lost, with
// that as its cause. It goes on while the catalog is unavailable: if no other worker takes the
// hour meanwhile the claim is still valid, and otherwise the commit is refused. The returned
// function ends the renewals; call it before giving the claim back.
func (b *Builder) keepLease(ctx context.Context, c catalog.Claim, log *zap.Logger) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	every := b.catalog.Lease() / 3
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := b.renew(ctx, c, every)
			switch {
			case ctx.Err() != nil:
				return
			case domain.KindOf(err) == domain.KindLost:
				cancel(err)
				return
			case err != nil:
				log.Warn("the claim could not be renewed", zap.Error(err))
			}
		}
	})
	return ctx, func() {
		cancel(context.Canceled)
		wait.Wait()
	}
}

func (b *Builder) renew(ctx context.Context, c catalog.Claim, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return b.catalog.Renew(ctx, c)
}

// cancelWith gives a context that ends with ctx or with other, whichever ends first.
func cancelWith(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// withGrace gives a context with ctx's values that ends by grace later than drain. Work that has
// to be done after the order to stop, which ends drain, gets it.
func withGrace(ctx, drain context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(drain, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// backoff waits before the next try, longer each time. It gives false when limit is over since the
// first try, or ctx has ended.
func (b *Builder) backoff(ctx context.Context, try int, since time.Time, limit time.Duration) bool {
	if b.now().Sub(since) >= limit {
		return false
	}
	timer := time.NewTimer(min(b.cfg.Retry<<min(try-1, 10), 15*time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
