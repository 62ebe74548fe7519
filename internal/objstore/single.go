package objstore

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// Single reads a bucket's objects; one that is denied while another can be read is unreadable.
type Single struct{ *Bucket }

// Stat is [Bucket.Stat] with the rule of Single.
func (s Single) Stat(ctx context.Context, key string) (Info, error) {
	info, err := s.Bucket.Stat(ctx, key)
	return info, s.unreadable(ctx, key, err)
}

// Get is [Bucket.Get] with the rule of Single.
func (s Single) Get(ctx context.Context, key string, opts GetOptions) (*Object, error) {
	object, err := s.Bucket.Get(ctx, key, opts)
	return object, s.unreadable(ctx, key, err)
}

// unreadable turns the denial of one object into unreadable.
func (s Single) unreadable(ctx context.Context, key string, err error) error {
	if DeniedAlone(ctx, s.Bucket, key, err, s.neighbours(ctx, key)) {
		return domain.Wrap(domain.KindUnreadable, err, "the object store denies this object alone")
	}
	return err
}

// maxNeighbours is how many objects after the key, and how many of the bucket's first ones, are
// tried.
const maxNeighbours = 4

func (s Single) neighbours(ctx context.Context, key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		for _, after := range []string{key, ""} {
			tried := 0
			for o := range s.store.core.ListObjectsIter(ctx, s.name, minio.ListObjectsOptions{Recursive: true, StartAfter: after, MaxKeys: maxNeighbours}) {
				if tried++; o.Err != nil || tried > maxNeighbours {
					break
				}
				if !yield(o.Key) {
					return
				}
			}
		}
	}
}

// Getter gives objects.
type Getter interface {
	Get(ctx context.Context, key string, opts GetOptions) (*Object, error)
}

// DeniedAlone says whether err is a denial of this object only, because one of the others can be
// read. If none can, the store denies the whole bucket, which is an outage. The object is read once
// more after the other one, because the denial may have ended before.
func DeniedAlone(ctx context.Context, bucket Getter, key string, err error, others iter.Seq[string]) bool {
	if !Denied(err) {
		return false
	}
	for other := range others {
		if other != key && Readable(ctx, bucket, other) == nil {
			return Denied(Readable(ctx, bucket, key))
		}
	}
	return false
}

// Readable reads one byte, because a store also answers a HEAD for objects that cannot be read. An
// empty object is readable.
func Readable(ctx context.Context, bucket Getter, key string) error {
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
