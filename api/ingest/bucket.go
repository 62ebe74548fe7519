package ingest

import (
	"context"
	"io"

	"github.com/callvault/callvault/internal/objstore"
)

// Store is a bucket of the object store. Errors as of package objstore.
type Store interface {
	CheckKey(key string) error
	PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (objstore.Stored, error)
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

// Bucket is an Audio over a Store.
type Bucket struct {
	Bucket  Store
	Refused error // the error of every Put; nil when audio is accepted
}

func (b Bucket) CheckKey(key string) error { return b.Bucket.CheckKey(key) }

func (b Bucket) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) (Stored, error) {
	if b.Refused != nil {
		return Stored{}, b.Refused
	}
	s, err := b.Bucket.PutStream(ctx, key, r, size, contentType)
	return Stored{Size: s.Size, CRC32: s.CRC32, SHA256: s.SHA256}, err
}

func (b Bucket) Get(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	o, err := b.Bucket.Get(ctx, key, objstore.GetOptions{})
	if err != nil {
		return nil, 0, err
	}
	return o.Body, o.Size, nil
}
