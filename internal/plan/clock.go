package plan

import (
	"context"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/telemetry"
)

// checkClock reads the catalog's time. A step of it, forward or back, pauses expiry and deletions:
// nobody knows yet which time is right, and bytes that were deleted too early never come back.
func (p *Planner) checkClock(ctx context.Context, r *Report) error {
	check, err := p.clock.Check(ctx)
	if err != nil {
		return err
	}
	r.Now, p.trusted = check.At, check.Trusted
	if check.Step != 0 {
		p.log.Warn("the catalog's clock stepped, or nobody was up; expiry and deletions pause for an hour",
			zap.Duration("step", check.Step), telemetry.In(ctx))
		p.search, p.repaired = emptySearch{}, false
	}
	return nil
}
