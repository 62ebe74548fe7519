package plan

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// emptySearch is the search for empty days of all tenants. It goes back from the last closed day,
// one day after the other, over as many passes as it takes.
type emptySearch struct {
	until domain.Day // where it began
	day   domain.Day // searched next; "" when it has ended
	ended time.Time
}

// planEmptyDays plans days without any recording, so that they are answered as empty and not as
// pending. Days of tenants that need a backfill come first. Days of all tenants within retention
// are searched at the start, when another day closes, and every EmptyInterval. It waits until the
// clock is trusted: without a recording only the clock says that these days were.
func (p *Planner) planEmptyDays(ctx context.Context, r *Report) error {
	until := p.lastClosed(r)
	if until == "" || !p.trusted {
		return nil
	}
	budget, err := p.planBackfill(ctx, r, until)
	if err != nil || budget <= 0 {
		return err
	}
	q := &p.search
	if q.until != until || q.day == "" && r.Now.Sub(q.ended) >= p.cfg.EmptyInterval {
		q.until, q.day = until, until
	}
	if q.day == "" {
		return nil
	}
	days, err := p.catalog.LongestRetention(ctx)
	if err != nil {
		return err
	}
	for domain.RetentionEnd(q.day, time.Time{}, time.Time{}, days).After(r.Now) {
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
	q.day, q.ended = "", r.Now
	return nil
}

// planBackfill plans the empty past days of tenants that need a backfill, and gives how many more
// days this pass may plan.
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

// planEmpty plans days without any recording and says how many it planned. A day that can't be
// planned is tried again by the next search.
func (p *Planner) planEmpty(ctx context.Context, r *Report, keys []catalog.DayKey) (int, error) {
	done, err := p.planAll(ctx, keys)
	r.Planned, r.Empty = r.Planned+done, r.Empty+done
	if err != nil && domain.KindOf(err) == domain.KindUnavailable {
		return done, err
	}
	if err != nil {
		p.log.Warn("a day without recordings could not be planned", zap.String("day", string(keys[0].Day)), telemetry.In(ctx), zap.Error(err))
	}
	return done, nil
}

// NeedsBackfill says whether a full pass would find a tenant that needs a backfill.
func (p *Planner) NeedsBackfill(ctx context.Context) (bool, error) {
	return p.catalog.NeedsBackfill(ctx)
}
