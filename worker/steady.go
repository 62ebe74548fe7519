package worker

import (
	"context"
	"time"

	"go.uber.org/zap"
)

const (
	// maxStep is a step of the catalog's clock beyond which nobody knows what time it is.
	maxStep = 10 * time.Minute
	// stepPause is how long expiry and deletions then pause.
	stepPause = time.Hour
)

// steady compares how the catalog's time goes on with how the process's does. The planner does the
// same, but a sweep may come before its next pass.
type steady struct {
	catalog time.Time
	process time.Time
}

// steady pauses deletions when the catalog's clock has stepped since the last sweep.
func (s *Sweeper) steady(ctx context.Context, last *steady) error {
	process := s.cfg.Now()
	at, err := s.trash.Now(ctx)
	if err != nil {
		return err
	}
	if !last.catalog.IsZero() {
		step := at.Sub(last.catalog) - process.Sub(last.process)
		if step.Abs() > maxStep {
			if err := s.trash.PauseDeletions(ctx, stepPause); err != nil {
				return err // the step is seen again before the next sweep
			}
			s.log.Warn("the catalog's clock stepped; deletions pause", zap.Duration("step", step), zap.Duration("pause", stepPause))
		}
	}
	*last = steady{catalog: at, process: process}
	return nil
}
