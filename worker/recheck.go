package worker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// wasted bounds how long a sweep waits for failing rechecks while the store does not answer.
const wasted = time.Minute

// recheck looks for recordings that were missing when their archive was built. An hour whose recheck
// fails, as without the right to read a recording, does not keep the others from theirs. It gives the
// first error.
func (s *Sweeper) recheck(ctx context.Context, r *Swept) (failure error) {
	due, err := s.served.Rechecks(ctx, s.cfg.Batch)
	if err != nil {
		return err
	}
	var vain time.Duration
	for _, c := range due {
		begun := s.cfg.Now()
		back, err := s.anyBack(ctx, c.Missing)
		if err != nil {
			failure = cmp.Or(failure, err)
			if vain += s.cfg.Now().Sub(begun); vain > wasted || ctx.Err() != nil {
				return failure
			}
			continue
		}
		if back {
			r.Back++
		}
		if err := s.served.Rechecked(ctx, c, back); err != nil {
			return err
		}
	}
	return failure
}

// isBack says whether a missing recording can be read by now.
func (s *Sweeper) isBack(ctx context.Context, m catalog.MissingFile) (bool, error) {
	var err error
	switch m.Reason {
	case catalog.ReasonNotFound:
		_, err = s.recordings.Stat(ctx, m.ObjectKey)
	case catalog.ReasonUnreadable:
		err = objstore.Readable(ctx, s.recordings, m.ObjectKey)
	default:
		return false, nil
	}
	switch kind := domain.KindOf(err); {
	case kind == "":
		return true, nil
	case kind == domain.KindNotFound, kind == domain.KindInvalid, kind == domain.KindUnreadable, m.Reason == catalog.ReasonUnreadable && objstore.Denied(err):
		return false, nil
	}
	return false, err
}

// anyBack says whether one of the missing recordings exists by now. Those that
// exist with other bytes than were registered do not count, or their hour
// would be built again and again in vain.
func (s *Sweeper) anyBack(ctx context.Context, missing []catalog.MissingFile) (bool, error) {
	found := errors.New("found")
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(s.cfg.Parallel)
	for _, m := range missing {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			back, err := s.isBack(gctx, m)
			if back {
				return found
			}
			return err
		})
	}
	err := group.Wait()
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}
