package objstore

import (
	"context"

	"github.com/minio/minio-go/v7"
)

// Keys gives the keys right below a folder, in their order, each once. In a bucket that keeps
// versions it also gives keys whose newest version is a delete marker, as long as an older one has
// bytes. A listing can be late, so a key that it lacks may have an object all the same.
func (b *Bucket) Keys(ctx context.Context, folder string) ([]string, error) {
	return b.KeysAfter(ctx, folder, "")
}

// KeysAfter is Keys for the keys that come after a key in their order.
func (b *Bucket) KeysAfter(ctx context.Context, folder, after string) (keys []string, err error) {
	kept, err := b.keepsVersions(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	last := ""
	for o := range b.store.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: folder + "/", StartAfter: after, WithVersions: kept}) {
		switch {
		case o.Err != nil:
			return nil, b.failure(ctx, "list (s3:ListBucket)", folder+"/", o.Err)
		case o.Key == last, o.Key <= after, o.Key[len(o.Key)-1] == '/', o.IsDeleteMarker:
			continue
		}
		last = o.Key
		keys = append(keys, o.Key)
	}
	return keys, nil
}
