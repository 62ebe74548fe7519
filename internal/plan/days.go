package plan

import (
	"context"
	"errors"
	"time"

	"github.com/robfig/cron/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/telemetry"
)

// maxLookBack is how many days back a firing is looked for: more than lie
// between two 29ths of February around a year that has none.
const maxLookBack = 3000

// closing is which days the schedule has closed, and until when that holds.
type closing struct {
	until domain.Day // "" before the first firing
	next  time.Time  // the next firing
	from  time.Time
}

// closedUntil gives the latest day whose first firing after its end has
// passed, "" if there is none, and the next firing, zero if there is none. A
// firing at the very end of a day counts as after it.
func closedUntil(schedule cron.Schedule, now time.Time) (until domain.Day, next time.Time) {
	now = now.UTC()
	next = schedule.Next(now)
	day := domain.DayOf(now)
	for range maxLookBack {
		day = day.Add(-1)
		fires := schedule.Next(day.End().Add(-1))
		if !fires.IsZero() && !fires.After(now) {
			return day, next
		}
	}
	return "", next
}

// closed reads which days are to be planned by now.
func (p *Planner) closed(r *Report) domain.Day {
	c := &p.close
	if c.from.IsZero() || r.Now.Before(c.from) || !c.next.IsZero() && !r.Now.Before(c.next) {
		c.until, c.next = closedUntil(p.cfg.Schedule, r.Now)
		c.from = r.Now
	}
	r.NextFiring = c.next
	return c.until
}

// planClosed plans days that hold something and whose firing has passed: last
// night's, and those of nights that nobody was up.
func (p *Planner) planClosed(ctx context.Context, r *Report) error {
	until := p.closed(r)
	if until == "" {
		return nil
	}
	keys, err := p.catalog.UnplannedDays(ctx, until, p.cfg.MaxDays)
	if err != nil {
		return err
	}
	done, err := p.planAll(ctx, keys)
	r.Planned += done
	r.More = r.More || len(keys) == p.cfg.MaxDays && done > 0
	return err
}

// planAll plans days and says how many are planned now. One that can't be
// planned does not keep the others waiting, unless the catalog is away.
func (p *Planner) planAll(ctx context.Context, keys []catalog.DayKey) (done int, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ctx, span := p.tracer.Start(found(ctx), "plan days", trace.WithAttributes(attribute.Int("callvault.days", len(keys))))
	defer func() {
		telemetry.Failed(span, err)
		span.End()
	}()
	var errs []error
	for _, k := range keys {
		planned, err := p.catalog.PlanDay(ctx, k.Tenant, k.Day)
		switch {
		case err != nil && (ctx.Err() != nil || domain.KindOf(err) == domain.KindUnavailable):
			return done, errors.Join(append(errs, err)...)
		case err != nil:
			errs = append(errs, err)
		case planned.Open:
			done++
			level := zap.InfoLevel
			if planned.Due == 0 {
				level = zap.DebugLevel // one for each tenant and quiet day
			}
			p.log.Log(level, "planned a day", zap.String("tenant", k.Tenant), zap.String("day", string(k.Day)), zap.Int("due", planned.Due), telemetry.In(ctx))
		}
	}
	return done, errors.Join(errs...)
}

// forget drops hourly windows that nobody used lately, so that they do not pile up.
func (p *Planner) forget(ctx context.Context, _ *Report) error {
	_, err := p.catalog.PurgeWindows(ctx, p.cfg.MaxDays)
	return err
}
