package lifecycle

import (
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
	var seen, gone, locked atomic.Int64
	err = forEach(ctx, s.cfg.Parallel, served, func(ctx context.Context, a catalog.ServedArchive) error {
		info, err := s.archives.StatVersion(ctx, a.ObjectKey, a.VersionID)
		if err == nil && info.Size == a.Size {
			seen.Add(1)
			if err := s.compareETag(ctx, a, info); err != nil {
				return err
			}
			prolonged, err := s.lockServed(ctx, a, info)
			if prolonged {
				locked.Add(1)
			}
			if err != nil {
				return err
			}
			return s.catalog.Checked(ctx, a.ObjectKey)
		}
		if err != nil && domain.KindOf(err) != domain.KindNotFound {
			if objstore.Refused(err) {
				err = errors.Join(err, s.catalog.Checked(ctx, a.ObjectKey))
			}
			return err
		}
		hit, err := s.catalog.Gone(ctx, a)
		if hit {
			gone.Add(1)
			s.log.Error("a served archive is not in the store; its hour is built again", zap.String("object", a.ObjectKey))
		}
		return err
	})
	r.Checked, r.Gone, r.Locked = int(seen.Load()), int(gone.Load()), int(locked.Load())
	return err
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
