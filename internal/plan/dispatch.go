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

// lookups is how many dispatches are looked up in Redis at once.
const lookups = 8

// dispatch hands due hours to the queue, tenant by tenant. No tenant has more
// outstanding than the workers could build in two rounds, so a large one never
// stands before the small ones by more than that.
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
		ctx = found(ctx)
	}
	for _, d := range due {
		handed, err := p.hand(ctx, d, epoch)
		if err != nil {
			return err
		}
		if handed {
			r.Dispatched++
		}
	}
	r.More = r.More || len(due) == p.cfg.MaxHours
	return nil
}

// hand gives one hour to the queue. False: somebody else was faster.
func (p *Planner) hand(ctx context.Context, d catalog.DueHour, epoch string) (bool, error) {
	ok, err := p.catalog.Dispatched(ctx, d.HourKey, d.Dispatch, epoch)
	if err != nil || !ok {
		return false, err
	}
	number := d.Dispatch + 1
	ctx, span := p.enqueueing(ctx, d, number)
	defer span.End()
	if err := p.queue.Enqueue(ctx, d.HourKey, number); err != nil {
		telemetry.Failed(span, err)
		// Should this fail as well, the task is found gone a minute later.
		if undo := p.catalog.Undispatched(context.WithoutCancel(ctx), d.HourKey, number); undo != nil {
			p.log.Warn("a dispatch that failed could not be taken back", zap.String("hour", d.String()), telemetry.In(ctx), zap.Error(undo))
		}
		return false, err
	}
	return true, nil
}

// redispatch looks for dispatches whose task is gone without the hour being
// built: Redis lost it, or it was deleted or used up its retries.
func (p *Planner) redispatch(ctx context.Context, r *Report) error {
	epoch, err := p.queue.Epoch(ctx)
	if err != nil {
		return err
	}
	old, err := p.catalog.Outstanding(ctx, epoch, p.cfg.DispatchAge, p.cfg.MaxLookups)
	if err != nil {
		return err
	}
	var handed atomic.Int64
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for _, d := range old {
		group.Go(func() error {
			state, err := p.queue.State(gctx, d.HourKey, d.Dispatch)
			if err != nil || state == queue.Live {
				return err
			}
			lost := found(gctx)
			ok, err := p.hand(lost, d, epoch)
			if ok {
				handed.Add(1)
				p.log.Warn("a task was lost; its hour is dispatched again", zap.String("hour", d.String()), zap.Int64("dispatch", d.Dispatch+1), telemetry.In(lost))
			}
			return err
		})
	}
	err = group.Wait()
	r.Redispatched = int(handed.Load())
	r.Dispatched += r.Redispatched
	return err
}
