package plan

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/telemetry"
)

// clock is what the last pass saw of the catalog's time.
type clock struct {
	catalog  time.Time
	process  time.Time
	trusted  bool // days may be ended and archives deleted by it
	repaired bool // nothing is left of what was planned by a clock that was ahead
}

// watchClock reads the catalog's time. A step of it, forward or back, pauses expiry and deletions:
// nobody knows yet which time is right, and bytes that were deleted too early never come back.
func (p *Planner) watchClock(ctx context.Context, r *Report) error {
	process := p.now()
	check, err := p.catalog.CheckClock(ctx, p.clock.catalog, process.Sub(p.clock.process))
	if err != nil {
		return err // the next pass sees the step again
	}
	r.Now = check.At
	if check.Step != 0 {
		p.log.Warn("the catalog's clock stepped, or nobody was up; expiry and deletions pause for an hour",
			zap.Duration("step", check.Step), telemetry.In(ctx))
		p.closed, p.search, p.clock.repaired = closedDays{}, emptySearch{}, false
	}
	p.clock.catalog, p.clock.process, p.clock.trusted = check.At, process, check.Trusted
	return nil
}
