package plan

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/telemetry"
)

// clock is what the last pass saw of the catalog's time.
type clock struct {
	catalog time.Time
	process time.Time
	calm    bool // it can be trusted with expiry and deletions
	healed  bool // nothing stands that another time left behind
}

// readClock reads the catalog's time. A step of it, forward or back, pauses
// expiry and deletions: nobody knows yet which time is right, and bytes that
// are deleted too early never come back.
func (p *Planner) readClock(ctx context.Context, r *Report) error {
	process := p.now()
	seen, err := p.catalog.CheckClock(ctx, p.clock.catalog, process.Sub(p.clock.process))
	if err != nil {
		return err // a step is seen again by the next pass
	}
	r.Now = seen.At
	if seen.Step != 0 {
		p.log.Warn("the catalog's clock stepped, or nobody was up; expiry and deletions pause for an hour",
			zap.Duration("step", seen.Step), telemetry.In(ctx))
		p.close, p.quiet, p.clock.healed = closing{}, quiet{}, false
	}
	p.clock.catalog, p.clock.process, p.clock.calm = seen.At, process, seen.Trusted
	return nil
}
