package lifecycle

import (
	"context"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/objstore"
)

// deleteDoomed deletes the objects of doomed archives.
func (s *Sweeper) deleteDoomed(ctx context.Context, r *SweepReport) error {
	if err := s.catalog.AwaitLocks(ctx); err != nil {
		return err
	}
	doomed, err := s.catalog.Doomed(ctx, s.cfg.Batch)
	if err != nil {
		return err
	}
	var deleted, kept, refused atomic.Int64
	err = forEach(ctx, s.cfg.Parallel, doomed, func(ctx context.Context, d catalog.DoomedArchive) error {
		gone, err := s.deleteArchive(ctx, d)
		if lock, locked := objstore.LockOf(err); locked { // by somebody else, or for longer than the catalog knows
			return s.catalog.StillLocked(ctx, d.ObjectKey, lock.Until)
		}
		if objstore.Refused(err) {
			if refused.Add(1) == 1 { // the other archives are mostly refused for the same reason
				s.log.Error("the object store refuses to delete archives; each is tried again in an hour",
					zap.String("object", d.ObjectKey), zap.Error(err), zap.String("hint", objstore.Advice(err)))
			}
			s.cfg.OnRefused()
			return s.catalog.DeletionRefused(ctx, d.ObjectKey)
		}
		if err != nil {
			return err
		}
		if !gone {
			kept.Add(1)
			return nil
		}
		deleted.Add(1)
		return s.catalog.Deleted(ctx, d.ObjectKey)
	})
	r.Deleted, r.Kept, r.Refused = int(deleted.Load()), int(kept.Load()), int(refused.Load())
	r.More = len(doomed) == s.cfg.Batch
	return err
}

// deleteArchive aborts an archive's uploads first, because a later Complete would make the object
// again. The catalog asks for a second deletion a day later, for a Complete that was under way at
// the first. It deletes the object only after the catalog has decided so, under the locks that a
// hold takes. It is false when the object stays.
func (s *Sweeper) deleteArchive(ctx context.Context, d catalog.DoomedArchive) (gone bool, err error) {
	if d.UploadID != "" {
		if err := s.archives.Abort(ctx, d.ObjectKey, d.UploadID); err != nil {
			return false, err
		}
	}
	if err := s.archives.AbortAll(ctx, d.ObjectKey); err != nil {
		return false, err
	}
	if d.Unfinished && !d.Deleting {
		there, err := s.archives.Exists(ctx, d.ObjectKey)
		if err != nil || !there {
			return err == nil, err
		}
		if d.KeepObject {
			return false, s.catalog.KeptObject(ctx, d.ObjectKey)
		}
	}
	if !d.Deleting {
		if started, err := s.catalog.StartDeletion(ctx, d); err != nil || !started {
			return false, err
		}
	}
	if d.Erasure { // also what is locked in governance mode
		return true, s.archives.Erase(ctx, d.ObjectKey)
	}
	return true, s.archives.Remove(ctx, d.ObjectKey)
}
