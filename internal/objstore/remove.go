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
func (b *Bucket) Remove(ctx context.Context, key string) error {
	if err := b.CheckKey(key); err != nil {
		return err
	}
	kept, err := b.keepsVersions(ctx)
	if err != nil {
		return err
	}
	if !kept {
		return b.removeVersion(ctx, key, "")
	}
	for range versionRounds {
		versions, err := b.versions(ctx, key)
		if err != nil {
			return err
		}
		for _, id := range slices.Backward(versions) {
			if err := b.removeVersion(ctx, key, id); err != nil {
				return err
			}
		}
		if len(versions) < versionBatch {
			return nil
		}
	}
	return domain.Errorf(domain.KindUnavailable, "remove %s/%s: somebody keeps writing new versions of it", b.name, key)
}

// removeVersion deletes one version; with an empty id the object.
func (b *Bucket) removeVersion(ctx context.Context, key, id string) error {
	err := b.store.core.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{VersionID: id})
	var answer minio.ErrorResponse
	if err == nil || id != "" && errors.As(err, &answer) && answer.Code == "NoSuchVersion" {
		return nil
	}
	verb := "remove"
	if id != "" {
		verb = "remove a version (s3:DeleteObjectVersion) of"
	}
	err = b.failure(ctx, verb, key, err)
	if domain.KindOf(err) == domain.KindNotFound {
		return b.Check(ctx)
	}
	return err
}

// versions returns the ids of the versions of exactly this key, the newest first, at most
// [versionBatch]. Longer keys that begin with it come later in the listing.
func (b *Bucket) versions(ctx context.Context, key string) ([]string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var ids []string
	for v := range b.store.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: key, Recursive: true, WithVersions: true}) {
		if v.Err != nil {
			return nil, b.failure(ctx, "list the versions (s3:ListBucketVersions) of", key, v.Err)
		}
		if v.Key != key || len(ids) == versionBatch {
			break
		}
		ids = append(ids, v.VersionID)
	}
	return ids, nil
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

// keepsVersions asks once a minute, because versioning can be switched on at any time. The
// sweeper's second deletion covers what was deleted in that minute. When the credentials may not
// ask, it assumes that the bucket keeps no versions; the doctor reports that.
func (b *Bucket) keepsVersions(ctx context.Context) (bool, error) {
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
