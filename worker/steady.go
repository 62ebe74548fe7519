package worker

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// steady is what the last sweep saw of the catalog's time. The planner looks too, but a sweep may
// come before its next pass.
type steady struct {
	catalog time.Time
	process time.Time
}

// steady pauses deletions when the catalog's clock has stepped since the last sweep.
func (s *Sweeper) steady(ctx context.Context, last *steady) error {
	process := s.cfg.Now()
	seen, err := s.trash.CheckClock(ctx, last.catalog, process.Sub(last.process))
	if err != nil {
		return err // a step is seen again before the next sweep
	}
	if seen.Step != 0 {
		s.log.Warn("the catalog's clock stepped, or nobody was up; deletions pause for an hour", zap.Duration("step", seen.Step))
	}
	*last = steady{catalog: seen.At, process: process}
	return nil
}
