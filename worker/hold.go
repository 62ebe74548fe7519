package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// hold keeps a claim alive and gives a context that ends, with the reason,
// when the claim is lost. While the catalog is away it goes on: if nobody took
// the hour meanwhile the claim still stands, and else a commit is refused.
// The returned function ends the hold; call it before giving the claim back.
func (b *Builder) hold(ctx context.Context, c catalog.Claim, log *zap.Logger) (context.Context, func()) {
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

// link gives a context that ends with either of two.
func link(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() {
		unlink()
		cancel(context.Canceled)
	}
}

// parting gives a context for what is still done when the process stops: it outlives the order to stop, which
// ends drain, by grace.
func parting(ctx, drain context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(drain, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		unlink()
		cancel()
	}
}

// again waits before another try, longer each time. False: the time is over.
func (b *Builder) again(ctx context.Context, try int, since time.Time, limit time.Duration) bool {
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
