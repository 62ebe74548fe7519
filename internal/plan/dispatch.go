package plan

import (
	"context"
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/telemetry"
)

// parallelLookups is how many dispatches are looked up in Redis at the same time.
const parallelLookups = 8

// dispatch enqueues due hours, tenants in turn. A tenant has at most twice as many dispatches
// outstanding as there are worker slots, so hours of small tenants never wait longer than that for
// those of a large one.
func (p *Planner) dispatch(ctx context.Context, r *Report) error {
	epoch, err := p.queue.Epoch(ctx)
	if err != nil {
		return err
	}
	slots, err := p.queue.Slots(ctx)
	if err != nil {
		return err
	}
	due, err := p.catalog.DueHours(ctx, epoch, 2*max(slots, 1), p.cfg.MaxHours)
	if err != nil {
		return err
	}
	if len(due) > 0 {
		ctx = startSpan(ctx)
	}
	for _, d := range due {
		enqueued, err := p.enqueue(ctx, d, epoch)
		if err != nil {
			return err
		}
		if enqueued {
			r.Dispatched++
		}
	}
	r.More = r.More || len(due) == p.cfg.MaxHours
	return nil
}

// enqueue dispatches one hour. It gives false when another planner has dispatched it.
func (p *Planner) enqueue(ctx context.Context, d catalog.DueHour, epoch string) (bool, error) {
	ok, err := p.catalog.Dispatched(ctx, d.HourKey, d.Dispatch, epoch)
	if err != nil || !ok {
		return false, err
	}
	number := d.Dispatch + 1
	ctx, span := p.beginEnqueue(ctx, d, number)
	defer span.End()
	if err := p.queue.Enqueue(ctx, d.HourKey, number); err != nil {
		telemetry.Failed(span, err)
		// If this fails as well, redispatch finds the missing task a minute later.
		if undo := p.catalog.Undispatched(context.WithoutCancel(ctx), d.HourKey, number); undo != nil {
			p.log.Warn("a dispatch that failed could not be taken back", zap.String("hour", d.String()), telemetry.In(ctx), zap.Error(undo))
		}
		return false, err
	}
	return true, nil
}

// redispatch dispatches hours again whose task is gone although they were not built: Redis lost
// the task, somebody deleted it, or it used up its retries.
func (p *Planner) redispatch(ctx context.Context, r *Report) error {
	epoch, err := p.queue.Epoch(ctx)
	if err != nil {
		return err
	}
	old, err := p.catalog.Outstanding(ctx, epoch, p.cfg.DispatchAge, p.cfg.MaxLookups)
	if err != nil {
		return err
	}
	var count atomic.Int64
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLookups)
	for _, d := range old {
		group.Go(func() error {
			state, err := p.queue.State(gctx, d.HourKey, d.Dispatch)
			if err != nil || state == queue.Live {
				return err
			}
			ctx := startSpan(gctx)
			ok, err := p.enqueue(ctx, d, epoch)
			if ok {
				count.Add(1)
				p.log.Warn("a task was lost; its hour is dispatched again", zap.String("hour", d.String()), zap.Int64("dispatch", d.Dispatch+1), telemetry.In(ctx))
			}
			return err
		})
	}
	err = group.Wait()
	r.Redispatched = int(count.Load())
	r.Dispatched += r.Redispatched
	return err
}
