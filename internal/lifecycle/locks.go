package lifecycle

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

const (
	// A held archive that is not served is locked for the next heldLock, because nobody knows when
	// a hold ends. It is locked again when only heldLeast of that is left.
	heldLock  = 8 * 24 * time.Hour
	heldLeast = 7 * 24 * time.Hour
)

// lockServed locks a served archive that the store does not lock until its day has ended, and
// stores what the store says of it. It learns the version of an archive that was written by a
// former program, or before the bucket kept versions. It says whether it set a lock. A refusal is
// no error: the next check tries again, and the catalog counts the archive meanwhile.
func (s *Sweeper) lockServed(ctx context.Context, a catalog.ServedArchive, info objstore.Info) (bool, error) {
	version := a.VersionID
	if version == "" && info.ETag == a.ETag {
		version = info.VersionID
	}
	least := catalog.LeastLock(a.DayEnd)
	prolonged := false
	if s.cfg.Lock != objstore.NoLock && version != "" && info.Lock.Until.Before(least) {
		lock, err := s.prolong(ctx, a.ObjectKey, version, catalog.LockEnd(a.DayEnd))
		switch {
		case err == nil:
			info.Lock, prolonged = lock, true
		case objstore.Refused(err):
			if s.unlocked.CompareAndSwap(false, true) { // the others are mostly refused for the same reason
				s.notLocked(a.ObjectKey, err)
			}
		default:
			return false, err
		}
	}
	short := s.cfg.Lock != objstore.NoLock && info.Lock.Until.Before(least)
	if version == a.VersionID && info.Lock.Until.Equal(a.LockedUntil) && short == a.LockShort {
		return prolonged, nil
	}
	return prolonged, s.catalog.SaveLock(ctx, catalog.ArchiveLock{ObjectKey: a.ObjectKey, VersionID: version, Until: info.Lock.Until, Short: short})
}

// lockHeld prolongs the locks of archives that stay because they are held.
func (s *Sweeper) lockHeld(ctx context.Context, r *SweepReport) error {
	if s.cfg.Lock == objstore.NoLock {
		return nil
	}
	held, err := s.catalog.HeldLocks(ctx, heldLeast, s.cfg.Batch)
	if err != nil {
		return err
	}
	var locked, failed atomic.Int64
	err = forEach(ctx, s.cfg.Parallel, held, func(ctx context.Context, a catalog.HeldArchive) error {
		err := s.prolongHeld(ctx, a)
		switch kind := domain.KindOf(err); {
		case err == nil:
			locked.Add(1)
		case objstore.Refused(err), kind == domain.KindNotFound, kind == domain.KindStoreFault:
			if failed.Add(1) == 1 { // the others mostly fail for the same reason
				s.notLocked(a.ObjectKey, err)
			}
			return s.catalog.Checked(ctx, a.ObjectKey) // it is tried again in an hour, so that it does not delay others
		}
		return err
	})
	r.Locked += int(locked.Load())
	return err
}

// prolongHeld prolongs one lock. Errors: not_found, store_fault (other bytes are there),
// refused, unavailable.
func (s *Sweeper) prolongHeld(ctx context.Context, a catalog.HeldArchive) error {
	if a.VersionID == "" {
		info, err := s.archives.StatVersion(ctx, a.ObjectKey, "")
		if err != nil {
			return err
		}
		if info.ETag != a.ETag {
			return domain.Errorf(domain.KindStoreFault, "lock %s: other bytes are there than were written", a.ObjectKey)
		}
		a.VersionID = info.VersionID
	}
	lock, err := s.prolong(ctx, a.ObjectKey, a.VersionID, a.Now.Add(heldLock))
	if err != nil {
		return err
	}
	return s.catalog.SaveLock(ctx, catalog.ArchiveLock{ObjectKey: a.ObjectKey, VersionID: a.VersionID, Until: lock.Until})
}

// prolong locks a version until a time, or an hour ahead if that is later.
func (s *Sweeper) prolong(ctx context.Context, key, version string, until time.Time) (objstore.Lock, error) {
	return s.archives.Prolong(ctx, key, version, objstore.NewLockAhead(s.cfg.Lock, until, s.now()))
}

func (s *Sweeper) notLocked(key string, err error) {
	s.log.Error("the object store does not lock an archive; it is tried again in an hour", zap.String("object", key), zap.Error(err), zap.String("hint", objstore.Advice(err)))
}
