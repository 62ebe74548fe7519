package plan

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/telemetry"
)

// clock compares how the catalog's time goes on with how the process's does.
type clock struct {
	catalog time.Time
	process time.Time
}

// readClock reads the catalog's time. A step of it, forward or back, pauses
// expiry and deletions: nobody knows yet which time is right, and bytes that
// are deleted too early never come back.
func (p *Planner) readClock(ctx context.Context, r *Report) error {
	process := p.now()
	at, err := p.catalog.Now(ctx)
	if err != nil {
		return err
	}
	r.Now = at
	before := p.clock
	if !before.catalog.IsZero() {
		step := at.Sub(before.catalog) - process.Sub(before.process)
		if step.Abs() > p.cfg.MaxStep {
			if err := p.catalog.PauseDeletions(ctx, p.cfg.StepPause); err != nil {
				return err // the step is seen again by the next pass
			}
			p.log.Warn("the catalog's clock stepped; expiry and deletions pause",
				zap.Duration("step", step), zap.Duration("pause", p.cfg.StepPause), telemetry.In(ctx))
			p.close, p.quiet = closing{}, quiet{}
		}
	}
	p.clock = clock{catalog: at, process: process}
	return nil
}
