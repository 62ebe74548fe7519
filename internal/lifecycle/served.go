package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// checkServed looks served archives up in the store. An hour is due again only when the key does
// not exist or the object has another size, and not when the store is unavailable. An archive that
// the store refuses to look up counts as checked, so that it does not hold up the others.
func (s *Sweeper) checkServed(ctx context.Context, r *SweepReport) error {
	served, err := s.catalog.Unchecked(ctx, s.cfg.CheckAge, s.cfg.Batch)
	if err != nil {
		return err
	}
	s.unlocked.Store(false)
	var seen, gone, locked atomic.Int64
	err = forEach(ctx, s.cfg.Parallel, served, func(ctx context.Context, a catalog.ServedArchive) error {
		info, err := s.lookUp(ctx, &a)
		if err == nil && info.Size == a.Size {
			seen.Add(1)
			prolonged, err := s.seen(ctx, a, info)
			if prolonged {
				locked.Add(1)
			}
			return err
		}
		if err != nil && domain.KindOf(err) != domain.KindNotFound {
			if objstore.Refused(err) {
				err = errors.Join(err, s.catalog.Checked(ctx, a.ObjectKey))
			}
			return err
		}
		reason := catalog.ReasonNotFound
		if err == nil {
			reason = catalog.ReasonSize
		}
		hit, err := s.catalog.BrokenArchive(ctx, catalog.PatrolArchive{ServedArchive: a}, reason, info.ETag)
		if hit {
			gone.Add(1)
			s.cfg.OnBroken()
			s.log.Error("a served archive is gone or has another size; its hour is built again", zap.String("object", a.ObjectKey), zap.String("reason", reason))
		}
		return err
	})
	r.Checked, r.Gone, r.Locked = int(seen.Load()), int(gone.Load()), int(locked.Load())
	return err
}

// lookUp looks a served archive up. A bucket that was restored or mirrored has the same objects
// with other versions. So an archive whose version the store does not know gets the version of the
// newest object under its key. Its size and ETag then say whether these are the bytes that were
// written.
func (s *Sweeper) lookUp(ctx context.Context, a *catalog.ServedArchive) (objstore.Info, error) {
	info, err := s.archives.StatVersion(ctx, a.ObjectKey, a.VersionID)
	unknown := domain.KindOf(err) == domain.KindNotFound || objstore.Refused(err) && !objstore.Denied(err) // of another store's form
	if a.VersionID == "" || !unknown {
		return info, err
	}
	newest, missing := s.archives.StatVersion(ctx, a.ObjectKey, "")
	if missing != nil || newest.VersionID == a.VersionID {
		return newest, cmp.Or(missing, err)
	}
	s.log.Warn("the store does not know the version of a served archive; its newest one is served", zap.String("object", a.ObjectKey), zap.String("version", newest.VersionID))
	a.VersionID = newest.VersionID
	return newest, s.catalog.SaveVersion(ctx, a.ObjectKey, a.VersionID)
}

// seen stores what the store says of an archive that has its size. It says whether it set a lock.
func (s *Sweeper) seen(ctx context.Context, a catalog.ServedArchive, info objstore.Info) (prolonged bool, err error) {
	if err := s.compareETag(ctx, a, info); err != nil {
		return false, err
	}
	if prolonged, err = s.lockServed(ctx, a, info); err != nil {
		return prolonged, err
	}
	return prolonged, s.catalog.Checked(ctx, a.ObjectKey)
}

// compareETag lets the patrol read an archive next whose object has another ETag than was written.
func (s *Sweeper) compareETag(ctx context.Context, a catalog.ServedArchive, info objstore.Info) error {
	if info.ETag == a.ETag || info.ETag == "" || a.ETag == "" {
		return nil
	}
	isNew, err := s.catalog.SuspectArchive(ctx, a.ObjectKey)
	if isNew {
		s.log.Warn("a served archive has another ETag than was written; the patrol reads it next", zap.String("object", a.ObjectKey))
	}
	return err
}
