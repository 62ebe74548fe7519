package objstore

import (
	"context"
	"errors"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// Single reads single objects of a bucket. An object that the store denies is unreadable while others
// of the bucket can be read; where none can, the denial is an outage.
type Single struct{ *Bucket }

// Stat is as [Bucket.Stat].
func (s Single) Stat(ctx context.Context, key string) (Info, error) {
	info, err := s.Bucket.Stat(ctx, key)
	return info, s.unreadable(ctx, key, err)
}

// Get is as [Bucket.Get].
func (s Single) Get(ctx context.Context, key string, opts GetOptions) (*Object, error) {
	object, err := s.Bucket.Get(ctx, key, opts)
	return object, s.unreadable(ctx, key, err)
}

// unreadable asks for a denied object once more: others may be read because the denial has passed.
func (s Single) unreadable(ctx context.Context, key string, err error) error {
	if Denied(err) && s.canReadAnother(ctx, key) && Denied(Readable(ctx, s.Bucket, key)) {
		return domain.Wrap(domain.KindUnreadable, err, "the object store denies this object alone")
	}
	return err
}

// maxOthers bounds how many objects are tried, of those behind the key and of the bucket's first ones.
const maxOthers = 4

func (s Single) canReadAnother(ctx context.Context, key string) bool {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, after := range []string{key, ""} {
		tried := 0
		for o := range s.store.core.ListObjectsIter(ctx, s.name, minio.ListObjectsOptions{Recursive: true, StartAfter: after, MaxKeys: maxOthers}) {
			if tried++; o.Err != nil || tried > maxOthers {
				break
			}
			if o.Key != key && Readable(ctx, s.Bucket, o.Key) == nil {
				return true
			}
		}
	}
	return false
}

// Readable reads one byte: a store answers a HEAD also for objects whose bytes it does not give. An
// empty object is readable.
func Readable(ctx context.Context, bucket interface {
	Get(ctx context.Context, key string, opts GetOptions) (*Object, error)
}, key string) error {
	o, err := bucket.Get(ctx, key, GetOptions{To: 1})
	if domain.KindOf(err) == domain.KindConflict {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.ReadFull(o.Body, make([]byte, 1))
	return errors.Join(err, o.Body.Close())
}
