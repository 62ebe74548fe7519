package lifecycle

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// Repeat calls pass every interval until ctx is cancelled, and at once when it is woken or while
// there is more to do. Failures never stop it; they are logged when they begin and when they end.
func Repeat(ctx context.Context, interval time.Duration, wake <-chan struct{}, log *zap.Logger, doing string, pass func(ctx context.Context) (more bool, err error)) {
	failing := false
	timer := time.NewTimer(0) // at once
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-wake:
		}
		more, err := pass(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			log.Warn(doing+" failed; trying on", zap.Error(err))
		case err == nil && failing:
			log.Info(doing + " succeeds again")
		}
		failing = err != nil
		wait := interval
		if more && err == nil {
			wait = 0
		}
		timer.Reset(wait)
	}
}
