package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
)

// keepLease renews the claim's lease, and gives a context that ends when the claim is lost, with
// that as its cause. It goes on while the catalog is unavailable: if no other worker takes the
// hour meanwhile the claim is still valid, and otherwise the commit is refused. The returned
// function ends the renewals; call it before giving the claim back.
func (b *build) keepLease(ctx context.Context) (context.Context, func()) {
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
			err := within(ctx, every, func(ctx context.Context) error { return b.catalog.Renew(ctx, b.claim) })
			switch {
			case ctx.Err() != nil:
				return
			case domain.KindOf(err) == domain.KindLost:
				cancel(err)
				return
			case err != nil:
				b.log.Warn("the claim could not be renewed", zap.Error(err))
			}
		}
	})
	return ctx, func() {
		cancel(context.Canceled)
		wait.Wait()
	}
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

// withGrace gives a context for what has to be done after the order to stop. It ends by grace
// later than stop, and after timeout.
func withGrace(stop context.Context, grace, timeout time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), timeout)
	end := context.AfterFunc(stop, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		end()
		cancel()
	}
}
