package dir

import (
	"context"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// errNoLock refuses what only a store with object lock can do. Whoever owns the disk can delete
// every file.
func errNoLock() error {
	return domain.Errorf(domain.KindRefused, "a directory can't lock objects; set CALLVAULT_ARCHIVES_LOCK=off, or use a bucket with object lock")
}

// StatVersion is Stat: a directory keeps one version of an object, which has no name.
func (b *Bucket) StatVersion(ctx context.Context, key, _ string) (objstore.Info, error) {
	return b.Stat(ctx, key)
}

// Exists says whether there is an object.
func (b *Bucket) Exists(ctx context.Context, key string) (bool, error) {
	_, err := b.Stat(ctx, key)
	if domain.KindOf(err) == domain.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// Erase is Remove.
func (b *Bucket) Erase(ctx context.Context, key string) error { return b.Remove(ctx, key) }

// Prolong is refused.
func (b *Bucket) Prolong(context.Context, string, string, objstore.Lock) (objstore.Lock, error) {
	return objstore.Lock{}, errNoLock()
}
