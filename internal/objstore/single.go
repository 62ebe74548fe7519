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
	return info, s.judge(ctx, key, err)
}

// Get is as [Bucket.Get].
func (s Single) Get(ctx context.Context, key string, opts GetOptions) (*Object, error) {
	object, err := s.Bucket.Get(ctx, key, opts)
	return object, s.judge(ctx, key, err)
}

func (s Single) judge(ctx context.Context, key string, err error) error {
	if Denied(err) && s.readsOther(ctx, key) {
		return domain.Wrap(domain.KindUnreadable, err, "the object store denies this object alone")
	}
	return err
}

// others bounds how many objects are tried, of those behind the key and of the bucket's first ones.
const others = 4

func (s Single) readsOther(ctx context.Context, key string) bool {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, after := range []string{key, ""} {
		tried := 0
		for o := range s.store.core.ListObjectsIter(ctx, s.name, minio.ListObjectsOptions{Recursive: true, StartAfter: after, MaxKeys: others}) {
			if tried++; o.Err != nil || tried > others {
				break
			}
			if o.Key != key && o.Size > 0 && s.readable(ctx, o.Key) {
				return true
			}
		}
	}
	return false
}

func (s Single) readable(ctx context.Context, key string) bool {
	o, err := s.Bucket.Get(ctx, key, GetOptions{To: 1})
	if err != nil {
		return false
	}
	_, err = io.ReadFull(o.Body, make([]byte, 1))
	return errors.Join(err, o.Body.Close()) == nil
}
