package lifecycle

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

// maxRecheckWait is how long failing rechecks may take in one sweep, while the store does not
// answer.
const maxRecheckWait = time.Minute

// recheckMissing looks for recordings that were missing when their archive was built. A recheck
// that fails does not stop those of other hours. It gives the first error.
func (s *Sweeper) recheckMissing(ctx context.Context, r *SweepReport) (failure error) {
	due, err := s.catalog.Rechecks(ctx, s.cfg.Batch)
	if err != nil {
		return err
	}
	var failing time.Duration
	for _, c := range due {
		started := s.now()
		back, err := s.anyReadable(ctx, c.Missing)
		if objstore.Refused(err) { // others are looked for before it is tried again
			err = errors.Join(err, s.catalog.RecheckLater(ctx, c))
		}
		if err != nil {
			failure = cmp.Or(failure, err)
			if failing += s.now().Sub(started); failing > maxRecheckWait || ctx.Err() != nil {
				return failure
			}
			continue
		}
		if back {
			r.Back++
		}
		if err := s.catalog.Rechecked(ctx, c, back); err != nil {
			return err
		}
	}
	return failure
}

// readable says whether a missing recording can be read now.
func (s *Sweeper) readable(ctx context.Context, m catalog.MissingFile) (bool, error) {
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

// anyReadable says whether one of the missing recordings can be read now. A recording with other
// bytes than were registered does not count: another build would leave it out again.
func (s *Sweeper) anyReadable(ctx context.Context, missing []catalog.MissingFile) (bool, error) {
	found := errors.New("found")
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(s.cfg.Parallel)
	for _, m := range missing {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			back, err := s.readable(gctx, m)
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
