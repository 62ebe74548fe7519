package recordings

import (
	"context"

	"github.com/callvault/callvault/internal/objstore"
)

// Archives is the bucket of archives. Errors are those of package objstore.
type Archives interface {
	StatVersion(ctx context.Context, key, version string) (objstore.Info, error)
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

// version reads one version of an object, whatever others have put over its key since.
type version struct {
	Archives
	id string // "" where the bucket keeps no versions
}

// Stat implements [web.Store].
func (v version) Stat(ctx context.Context, key string) (objstore.Info, error) {
	return v.StatVersion(ctx, key, v.id)
}

// Get implements [web.Store].
func (v version) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	opts.Version = v.id
	return v.Archives.Get(ctx, key, opts)
}
