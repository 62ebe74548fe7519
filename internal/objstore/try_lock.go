package objstore

import (
	"context"
	"fmt"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// lockTime is how long the object is locked that a trial writes.
const lockTime = time.Minute

// LockProbe is the name of the object with which a trial tries the lock, below the folder of the
// trial. Its last version stays for a minute at least; the next trial removes it.
const LockProbe = "locked"

// locks checks that an object that is written with a lock can't be deleted, and that its answer to
// a HEAD tells of the lock.
func (t *trial) locks(ctx context.Context) error {
	key := t.dir + LockProbe
	if err := t.Remove(ctx, key); err != nil { // what an earlier trial left
		if _, locked := LockOf(err); !locked {
			return err
		}
	}
	lock := NewLock(t.lock, time.Now().Add(lockTime))
	if _, err := t.Put(ctx, key, t.data, PutOptions{Lock: lock}); Denied(err) {
		return domain.Wrap(domain.KindRefused, err, "objects can't be locked; let callvault's user do so (s3:PutObjectRetention on arn:aws:s3:::%s/*)", t.name)
	} else if err != nil {
		return err
	}
	info, err := t.Stat(ctx, key)
	switch {
	case err != nil:
		return err
	case info.VersionID == "":
		return unexpected("the store does not say which version of an object it stored")
	case info.Lock != lock:
		return unexpected("the store does not say that it locked what it was told to lock; let callvault's user write and read locks (s3:PutObjectRetention and s3:GetObjectRetention on arn:aws:s3:::%s/*)", t.name)
	}
	err = t.removeVersion(ctx, key, info.VersionID)
	if _, locked := LockOf(err); locked {
		return nil
	}
	if err == nil {
		err = unexpected("an object was deleted in spite of its lock (%s)", lock.Mode)
	}
	return fmt.Errorf("delete what is locked: %w", err)
}
