package objstore

import (
	"context"
	"errors"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// Single reads objects of a bucket and tells a denied object from a denied bucket. A denied object
// is unreadable when another object of the bucket can be read. When none can, the denial is an
// outage.
type Single struct{ *Bucket }

// Stat is [Bucket.Stat].
func (s Single) Stat(ctx context.Context, key string) (Info, error) {
	info, err := s.Bucket.Stat(ctx, key)
	return info, s.unreadable(ctx, key, err)
}

// Get is [Bucket.Get].
func (s Single) Get(ctx context.Context, key string, opts GetOptions) (*Object, error) {
	object, err := s.Bucket.Get(ctx, key, opts)
	return object, s.unreadable(ctx, key, err)
}

// unreadable turns the denial of one object into unreadable. It reads the denied object once more,
// because the denial may have ended before the other object was read.
func (s Single) unreadable(ctx context.Context, key string, err error) error {
	if Denied(err) && s.canReadAnother(ctx, key) && Denied(Readable(ctx, s.Bucket, key)) {
		return domain.Wrap(domain.KindUnreadable, err, "the object store denies this object alone")
	}
	return err
}

// maxOthers bounds how many objects are tried, of those after the key and of the bucket's first
// ones.
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

// Readable reads one byte, because a store also answers a HEAD for objects that cannot be read. An
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
