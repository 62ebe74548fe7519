package worker

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// clock is what the last sweep saw of the catalog's time. The planner watches it too, but a sweep
// may come before its next pass.
type clock struct {
	catalog time.Time
	process time.Time
}

// watchClock pauses deletions when the catalog's clock has stepped since the last sweep.
func (s *Sweeper) watchClock(ctx context.Context, last *clock) error {
	process := s.cfg.Now()
	seen, err := s.deletions.CheckClock(ctx, last.catalog, process.Sub(last.process))
	if err != nil {
		return err // the next sweep sees the step again
	}
	if seen.Step != 0 {
		s.log.Warn("the catalog's clock stepped, or nobody was up; deletions pause for an hour", zap.Duration("step", seen.Step))
	}
	*last = clock{catalog: seen.At, process: process}
	return nil
}
