package objstore

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// LockMode says who may still delete what is locked.
type LockMode string

// The modes of S3's object lock. NoLock is the mode of what is not locked.
const (
	NoLock     LockMode = ""
	Governance LockMode = "GOVERNANCE" // who has the right s3:BypassGovernanceRetention, and asks for it
	Compliance LockMode = "COMPLIANCE" // nobody, before the lock's end
)

// ParseLockMode reads a value of CALLVAULT_ARCHIVES_LOCK: off, governance or compliance.
func ParseLockMode(text string) LockMode {
	if mode := LockMode(strings.ToUpper(text)); mode == Governance || mode == Compliance {
		return mode
	}
	return NoLock
}

// String is the mode as settings and people write it.
func (m LockMode) String() string {
	if m == NoLock {
		return "off"
	}
	return strings.ToLower(string(m))
}

// Lock protects one version of an object from being deleted, by the store's clock. The zero Lock
// protects nothing.
type Lock struct {
	Mode  LockMode
	Until time.Time // whole seconds, as stores keep it
}

// NewLock gives a lock until a time, rounded up to a whole second. With NoLock it is the zero Lock.
func NewLock(mode LockMode, until time.Time) Lock {
	if mode == NoLock {
		return Lock{}
	}
	return Lock{Mode: mode, Until: until.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second)}
}

// NewLockAhead is NewLock for a time that may have come. A store refuses a lock that has ended by
// its own clock, so this one ends an hour after now, by the host's clock, at least.
func NewLockAhead(mode LockMode, until, now time.Time) Lock {
	if ahead := now.Add(time.Hour); until.Before(ahead) {
		until = ahead
	}
	return NewLock(mode, until)
}

// Microseconds is the end as the catalog keeps it; 0 for the zero Lock.
func (l Lock) Microseconds() int64 {
	if l.Mode == NoLock {
		return 0
	}
	return l.Until.UnixMicro()
}

// clockSkew is how far the store's clock may be from this host's: S3 refuses requests beyond it.
const clockSkew = 15 * time.Minute

// lockedError is the refusal to delete what is locked.
type lockedError struct {
	lock  Lock
	cause error
}

func (e *lockedError) Error() string { return e.cause.Error() }
func (e *lockedError) Unwrap() error { return e.cause }

// LockOf says which lock a deletion was refused for: until when the version stays, and whether
// [Bucket.Erase] could still delete it. ok is false for every other error. The error's kind is
// refused.
func LockOf(err error) (lock Lock, ok bool) {
	var e *lockedError
	if errors.As(err, &e) {
		return e.lock, true
	}
	return Lock{}, false
}

// refusedByLock adds the lock to a refusal to delete a version, if a lock is the reason. It asks
// for the lock, because stores refuse in different words (AWS: AccessDenied, MinIO:
// InvalidRequest). It is nil when there is no such version any more.
func (b *Bucket) refusedByLock(ctx context.Context, key, version string, err error) error {
	if !Refused(err) {
		return err
	}
	lock, lockErr := b.lockOf(ctx, key, version)
	lockErr = b.absent(ctx, key, lockErr)
	switch {
	case domain.KindOf(lockErr) == domain.KindNotFound: // another one has deleted it since
		return nil
	case lockErr != nil && !Refused(lockErr): // the store does not answer any more
		return lockErr
	case lockErr != nil || time.Since(lock.Until) > clockSkew:
		return err
	}
	return domain.Wrap(domain.KindRefused, &lockedError{lock: lock, cause: err}, "remove %s/%s: it is locked (%s) until %s",
		b.name, key, lock.Mode, lock.Until.Format(time.RFC3339))
}

// lockOf asks for the lock of a version, or of the object where version is "".
func (b *Bucket) lockOf(ctx context.Context, key, version string) (Lock, error) {
	mode, until, err := b.store.core.GetObjectRetention(ctx, b.name, key, version)
	var answer minio.ErrorResponse
	switch {
	case errors.As(err, &answer) && answer.Code == "NoSuchObjectLockConfiguration":
		return Lock{}, nil
	case err != nil:
		return Lock{}, b.failure(ctx, "ask for the lock (s3:GetObjectRetention) of", key, err)
	case mode == nil || until == nil:
		return Lock{}, nil
	}
	return Lock{Mode: LockMode(*mode), Until: until.UTC()}, nil
}

// Prolong makes sure that a version is locked until want.Until at least, and returns the lock that
// it has then. It never shortens a lock. While a lock lasts it keeps its mode. Errors: not_found
// (there is no such version), refused, unavailable.
func (b *Bucket) Prolong(ctx context.Context, key, version string, want Lock) (Lock, error) {
	if err := b.CheckKey(key); err != nil {
		return Lock{}, err
	}
	now, err := b.lockOf(ctx, key, version)
	if err != nil {
		return Lock{}, b.absent(ctx, key, err)
	}
	if !now.Until.Before(want.Until) {
		return now, nil
	}
	if now.Mode != NoLock && time.Since(now.Until) < clockSkew {
		want.Mode = now.Mode
	}
	mode := minio.RetentionMode(want.Mode)
	err = b.store.core.PutObjectRetention(ctx, b.name, key, minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &want.Until, VersionID: version})
	if err != nil {
		return Lock{}, b.absent(ctx, key, b.failure(ctx, "lock (s3:PutObjectRetention)", key, err))
	}
	return want, nil
}

// CheckLock returns nil when the bucket has object lock, and no default lock for every new object.
// Errors: refused, with what to do; unavailable, also when the credentials may not ask.
func (b *Bucket) CheckLock(ctx context.Context) error {
	enabled, mode, _, _, err := b.store.core.GetObjectLockConfig(ctx, b.name)
	var answer minio.ErrorResponse
	none := errors.As(err, &answer) && answer.Code == "ObjectLockConfigurationNotFoundError" || unsupported(err) && !forbidden(err)
	switch {
	case none || err == nil && enabled != "Enabled":
		return domain.Errorf(domain.KindRefused, "the bucket %s has no object lock, which CALLVAULT_ARCHIVES_LOCK=%s needs; "+
			"set CALLVAULT_ARCHIVES_BUCKET to a bucket that has it (callvault migrate up makes a missing one so; mc mb --with-lock), or turn it on where your store can for a bucket that exists, "+
			"or set CALLVAULT_ARCHIVES_LOCK=off", b.name, b.lock)
	case err != nil:
		return b.failure(ctx, "ask for the object lock (s3:GetBucketObjectLockConfiguration) of", "", err)
	case mode != nil:
		return domain.Errorf(domain.KindRefused, "the bucket %s locks every new object by a default of its own (%s), which would lock what callvault must delete; "+
			"remove that default (mc retention clear --default): callvault locks each archive itself", b.name, *mode)
	}
	return nil
}

// lockIn is the lock that the answer to a GET or HEAD tells of.
func lockIn(header http.Header) Lock {
	until, err := time.Parse(time.RFC3339, header.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	mode := LockMode(strings.ToUpper(header.Get("X-Amz-Object-Lock-Mode")))
	if err != nil || mode == NoLock {
		return Lock{}
	}
	return Lock{Mode: mode, Until: until.UTC()}
}
