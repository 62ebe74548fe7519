package objstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

const (
	// versioningAge is how long an answer about a bucket's versioning is reused.
	versioningAge = time.Minute
	// versionBatch is how many versions of one key are deleted before they are listed again.
	versionBatch = 1000
	// versionRounds bounds the removal of a key that is written again meanwhile.
	versionRounds = 100
)

// versioning is the last answer about a bucket's versioning.
type versioning struct {
	mu   sync.Mutex
	at   time.Time
	kept bool
}

// Remove deletes an object. A missing object is no error. In a bucket that keeps versions it
// deletes all versions and delete markers of this key, because only that frees the bytes. The
// newest is deleted last, so that an interrupted removal makes no earlier version the current one.
// At a locked version it stops, and the versions after it stay; [LockOf] reads the lock from the
// error.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	return b.remove(ctx, key, b.removeVersion)
}

// Erase is Remove for an erasure: it also deletes what is locked in governance mode, for which the
// store demands the right s3:BypassGovernanceRetention. What is locked in compliance mode stays;
// [LockOf] says until when.
func (b *Bucket) Erase(ctx context.Context, key string) error {
	return b.remove(ctx, key, func(ctx context.Context, key, id string) error {
		err := b.removeVersion(ctx, key, id)
		if lock, _ := LockOf(err); lock.Mode != Governance {
			return err
		}
		return b.removeBy(ctx, key, minio.RemoveObjectOptions{VersionID: id, GovernanceBypass: true})
	})
}

// remove deletes the versions of a key, each by calling one.
func (b *Bucket) remove(ctx context.Context, key string, one func(ctx context.Context, key, id string) error) error {
	if err := b.CheckKey(key); err != nil {
		return err
	}
	kept, err := b.keepsVersions(ctx)
	if err != nil {
		return err
	}
	if !kept {
		return one(ctx, key, "")
	}
	for range versionRounds {
		versions, err := b.versions(ctx, key)
		if err != nil {
			return err
		}
		for _, v := range slices.Backward(versions) {
			if err := one(ctx, key, v.VersionID); err != nil {
				return err
			}
		}
		if len(versions) < versionBatch {
			return nil
		}
	}
	return domain.Errorf(domain.KindUnavailable, "remove %s/%s: somebody keeps writing new versions of it", b.name, key)
}

// Exists says whether there are bytes under a key, also those of a version that is not the newest
// or lies below a delete marker. Error: unavailable.
func (b *Bucket) Exists(ctx context.Context, key string) (bool, error) {
	kept, err := b.keepsVersions(ctx)
	if err != nil {
		return false, err
	}
	if kept {
		versions, err := b.versions(ctx, key)
		return slices.ContainsFunc(versions, isVersion), err
	}
	_, err = b.Stat(ctx, key)
	if domain.KindOf(err) == domain.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// removeVersion deletes one version, or with an empty id the object. [LockOf] tells from the error
// until when a version is locked.
func (b *Bucket) removeVersion(ctx context.Context, key, id string) error {
	err := b.removeBy(ctx, key, minio.RemoveObjectOptions{VersionID: id})
	return b.refusedByLock(ctx, key, id, err)
}

func (b *Bucket) removeBy(ctx context.Context, key string, opts minio.RemoveObjectOptions) error {
	id := opts.VersionID
	err := b.store.core.RemoveObject(ctx, b.name, key, opts)
	var answer minio.ErrorResponse
	if err == nil || id != "" && errors.As(err, &answer) && answer.Code == "NoSuchVersion" {
		return nil
	}
	verb := "remove"
	switch {
	case opts.GovernanceBypass:
		verb = "remove (s3:BypassGovernanceRetention)"
	case id != "":
		verb = "remove a version (s3:DeleteObjectVersion) of"
	}
	err = b.failure(ctx, verb, key, err)
	if domain.KindOf(err) == domain.KindNotFound {
		return b.Check(ctx)
	}
	return err
}

// versions lists the versions and delete markers of exactly this key, the newest first, at most
// [versionBatch]. Longer keys that begin with it come later in the listing.
func (b *Bucket) versions(ctx context.Context, key string) (list []minio.ObjectInfo, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for v := range b.store.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: key, Recursive: true, WithVersions: true}) {
		if v.Err != nil {
			return nil, b.failure(ctx, "list the versions (s3:ListBucketVersions) of", key, v.Err)
		}
		if v.Key != key || len(list) == versionBatch {
			break
		}
		list = append(list, v)
	}
	return list, nil
}

// KeepsVersions says whether the bucket keeps the bytes of an object that is deleted by its key. A
// bucket with suspended versioning still has earlier versions. Error: unavailable, also when the
// credentials may not ask.
func (b *Bucket) KeepsVersions(ctx context.Context) (bool, error) {
	config, err := b.store.core.GetBucketVersioning(ctx, b.name)
	if unsupported(err) && !forbidden(err) {
		return false, nil
	}
	if err != nil {
		return false, b.failure(ctx, "ask for the versioning (s3:GetBucketVersioning) of", "", err)
	}
	return config.Status != "", nil
}

// DoWithoutVersions sets whether [Info] names no versions, from the next request on. It is for
// credentials that may not read a version by its name.
func (b *Bucket) DoWithoutVersions(yes bool) { b.noVersions.Store(yes) }

// keepsVersions asks once a minute, because versioning can be switched on at any time. The
// sweeper's second deletion covers what was deleted in that minute. When the credentials may not
// ask, it assumes that the bucket keeps no versions; the doctor reports that.
func (b *Bucket) keepsVersions(ctx context.Context) (bool, error) {
	if b.lock != NoLock { // a bucket with object lock keeps them, always
		return true, nil
	}
	b.versioning.mu.Lock()
	defer b.versioning.mu.Unlock()
	if !b.versioning.at.IsZero() && time.Since(b.versioning.at) < versioningAge {
		return b.versioning.kept, nil
	}
	kept, err := b.KeepsVersions(ctx)
	if err != nil && !forbidden(err) {
		return false, err
	}
	b.versioning.kept, b.versioning.at = kept, time.Now()
	return kept, nil
}
