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

// maxLookBack is how many days back a firing is looked for. It is more than the eight years
// between two leap days, for a schedule that fires on the 29th of February only.
const maxLookBack = 3000

// closedDays keeps an answer of closedUntil, which holds until the next firing.
type closedDays struct {
	until domain.Day // the last closed day; "" before the first firing
	next  time.Time  // the next firing
	asked time.Time
}

// closedUntil gives the last closed day and the next firing of the schedule. A day is closed once
// the schedule has fired after its end; a firing at the instant of its end counts. Without a
// closed day the first result is "", without a next firing the second is zero.
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

// lastClosed gives the last day that is to be planned by now.
func (p *Planner) lastClosed(r *Report) domain.Day {
	c := &p.closed
	if c.asked.IsZero() || r.Now.Before(c.asked) || !c.next.IsZero() && !r.Now.Before(c.next) {
		c.until, c.next = closedUntil(p.cfg.Schedule, r.Now)
		c.asked = r.Now
	}
	r.NextFiring = c.next
	return c.until
}

// planClosed plans closed days that hold recordings: yesterday, and the days of nights in which no
// scheduler ran.
func (p *Planner) planClosed(ctx context.Context, r *Report) error {
	until := p.lastClosed(r)
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

// planAll plans days and says how many it planned. A day that can't be planned does not stop the
// others, unless the catalog is unavailable.
func (p *Planner) planAll(ctx context.Context, keys []catalog.DayKey) (done int, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ctx, span := p.tracer.Start(startSpan(ctx), "plan days", trace.WithAttributes(attribute.Int("callvault.days", len(keys))))
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
				level = zap.DebugLevel // there is one for each tenant and empty day
			}
			p.log.Log(level, "planned a day", zap.String("tenant", k.Tenant), zap.String("day", string(k.Day)), zap.Int("due", planned.Due), telemetry.In(ctx))
		}
	}
	return done, errors.Join(errs...)
}

// purge deletes what was remembered for an hour.
func (p *Planner) purge(ctx context.Context, _ *Report) error {
	_, err := p.catalog.PurgeWindows(ctx, p.cfg.MaxDays)
	return errors.Join(err, p.catalog.PurgeOnce(ctx, p.cfg.MaxDays))
}
