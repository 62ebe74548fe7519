package plan

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// quiet is the search for days of which nothing was ever registered.
type quiet struct {
	until   domain.Day // it went back from here
	day     domain.Day // looked at next; "" when it is through
	through time.Time
}

// planQuiet plans days without any recording, so that they are answered as
// empty, not as pending: at once those of tenants that are new or keep more
// days. All tenants' days within retention are looked at at start, when
// another day closes, and now and then. It waits until the clock can be
// trusted: nothing says that these days were.
func (p *Planner) planQuiet(ctx context.Context, r *Report) error {
	until := p.closed(r)
	if until == "" || !p.clock.calm {
		return nil
	}
	budget, err := p.planBackfill(ctx, r, until)
	if err != nil || budget <= 0 {
		return err
	}
	q := &p.quiet
	if q.until != until || q.day == "" && r.Now.Sub(q.through) >= p.cfg.QuietInterval {
		q.until, q.day = until, until
	}
	if q.day == "" {
		return nil
	}
	longest, err := p.catalog.LongestRetention(ctx)
	if err != nil {
		return err
	}
	retention := time.Duration(longest) * 24 * time.Hour
	for q.day.End().Add(retention).After(r.Now) {
		keys, err := p.catalog.EmptyDays(ctx, q.day, budget)
		if err != nil {
			return err
		}
		done, err := p.planEmpty(ctx, r, keys)
		if err != nil {
			return err
		}
		budget -= len(keys)
		if stuck := len(keys) > 0 && done == 0; budget > 0 || stuck {
			q.day = q.day.Add(-1)
		}
		if budget <= 0 {
			r.More = true
			return nil
		}
	}
	q.day, q.through = "", r.Now
	return nil
}

// planBackfill plans the empty past days of tenants that need a backfill. It
// gives how many more days may be planned in this pass.
func (p *Planner) planBackfill(ctx context.Context, r *Report, until domain.Day) (budget int, err error) {
	budget = p.cfg.MaxDays
	tenants, err := p.catalog.BackfillTenants(ctx, budget)
	if err != nil {
		return 0, err
	}
	for _, t := range tenants {
		keys, err := p.catalog.BackfillDays(ctx, t, until, budget)
		if err != nil {
			return 0, err
		}
		done, err := p.planEmpty(ctx, r, keys)
		if err != nil {
			return 0, err
		}
		if budget -= len(keys); budget <= 0 && done > 0 {
			break // it may have more of them
		}
		if err := p.catalog.BackfillDone(ctx, t); err != nil {
			return 0, err
		}
		if budget <= 0 {
			break
		}
	}
	r.More = r.More || budget <= 0 || len(tenants) == p.cfg.MaxDays
	return budget, nil
}

// planEmpty plans days without any recording and says how many are planned
// now. One that can't be planned waits for the next look at all tenants.
func (p *Planner) planEmpty(ctx context.Context, r *Report, keys []catalog.DayKey) (int, error) {
	done, err := p.planAll(ctx, keys)
	r.Planned, r.Quiet = r.Planned+done, r.Quiet+done
	if err != nil && domain.KindOf(err) == domain.KindUnavailable {
		return done, err
	}
	if err != nil {
		p.log.Warn("a day without recordings could not be planned", zap.String("day", string(keys[0].Day)), telemetry.In(ctx), zap.Error(err))
	}
	return done, nil
}

// NeedsBackfill says whether a whole pass would find a tenant that needs a backfill.
func (p *Planner) NeedsBackfill(ctx context.Context) (bool, error) {
	return p.catalog.NeedsBackfill(ctx)
}
