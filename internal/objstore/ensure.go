package objstore

import (
	"context"
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// EnsureBuckets makes the buckets that are missing. With Config.Lock the archives bucket gets
// object lock.
func (s *Store) EnsureBuckets(ctx context.Context) error {
	for _, b := range []*Bucket{s.recordings, s.archives} {
		if err := b.ensure(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) ensure(ctx context.Context) error {
	exists, err := b.store.core.BucketExists(ctx, b.name)
	if err != nil {
		return b.explain(ctx, b.failure(ctx, "reach", "", err))
	}
	if exists {
		return nil
	}
	err = b.store.core.MakeBucket(ctx, b.name, minio.MakeBucketOptions{Region: b.store.cfg.Region, ObjectLocking: b.lock != NoLock})
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && (answer.Code == minio.BucketAlreadyOwnedByYou || answer.Code == minio.BucketAlreadyExists) {
		return b.Check(ctx) // another process was faster, or the bucket is another account's
	}
	if err != nil {
		return b.failure(ctx, "make the bucket", "", err)
	}
	return nil
}

// forbidden says whether the credentials lack a right.
func forbidden(err error) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden
}

func unsupported(err error) bool {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusNotImplemented, http.StatusMethodNotAllowed, http.StatusForbidden, http.StatusBadRequest:
		return true
	}
	return false
}
