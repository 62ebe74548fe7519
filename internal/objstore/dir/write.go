package dir

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"syscall"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// copySize is how many bytes of a stream are copied at a time.
const copySize = 256 << 10

// Put writes an object and returns its ETag. Errors: conflict, store_fault (a wrong CRC32),
// invalid, unavailable.
func (b *Bucket) Put(ctx context.Context, key string, data []byte, opts objstore.PutOptions) (etag string, err error) {
	err = b.onKey(ctx, call{"put", "write", key}, func(name string) error {
		if opts.Lock != (objstore.Lock{}) {
			return errNoLock()
		}
		sum := crc32.ChecksumIEEE(data)
		if opts.CRC32 != nil && *opts.CRC32 != sum {
			return domain.Errorf(domain.KindStoreFault, "the bytes have another CRC-32")
		}
		t, err := b.temp()
		if err != nil {
			return err
		}
		defer t.remove()
		if _, err := t.file.Write(data); err != nil {
			return err
		}
		etag, err = b.publish(ctx, t, name, info{Key: key, ContentType: opts.ContentType, CRC32: &sum}, opts.IfNoneMatch)
		return err
	})
	return etag, err
}

// PutStream writes the bytes of r under a key that must be new; see objstore.Bucket.PutStream.
func (b *Bucket) PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (stored objstore.Stored, err error) {
	err = b.onKey(ctx, call{"put", "write", key}, func(name string) error {
		in := objstore.NewIncoming(r, size)
		defer func() { stored = in.Stored(stored.ETag) }()
		t, err := b.temp()
		if err != nil {
			return err
		}
		defer t.remove()
		buffer := make([]byte, copySize)
		for last := false; !last; {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			var n int
			if n, last, err = in.Fill(buffer); err != nil {
				return err
			}
			if _, err := t.file.Write(buffer[:n]); err != nil {
				return err
			}
		}
		sum := in.Stored("").CRC32
		stored.ETag, err = b.publish(ctx, t, name, info{Key: key, ContentType: contentType, CRC32: &sum}, true)
		return err
	})
	return stored, err
}

// publish gives a finished file its name and its side file, and returns the ETag when both are on
// disk. With once, only one of several that publish under the same name succeeds.
func (b *Bucket) publish(ctx context.Context, t *temp, name string, in info, once bool) (string, error) {
	stat, err := t.file.Stat()
	if err != nil {
		return "", err
	}
	in = newInfo(in.Key, in.ContentType, *in.CRC32, identityOf(stat))
	side, err := b.infoTemp(in)
	if err != nil {
		return "", err
	}
	defer side.remove()
	synced := make(chan error, 1)
	go func() { synced <- b.sync(side.file) }() // the two syncs run at the same time
	if err := errors.Join(b.sync(t.file), <-synced); err != nil {
		t.final = true
		return "", err
	}
	if err := b.place(ctx, t, side, name, in.Key, once); err != nil {
		return "", err
	}
	return in.ETag, b.syncFolders(path.Dir(name))
}

// placeTries bounds how often a file is given its name while other calls take the name, or remove
// the folders above.
const placeTries = 100

// place gives a file its name and its side file, and makes the folders above. Errors: fs.ErrExist,
// errFolder, errTwin.
func (b *Bucket) place(ctx context.Context, t, side *temp, name, key string, once bool) error {
	var err error
	for range placeTries {
		if err = b.root.Link(t.name, name); err == nil {
			t.final = true
			return side.rename(name + infoSuffix)
		}
		stat, statErr := b.root.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err = b.root.MkdirAll(path.Dir(name), 0o700); errors.Is(err, fs.ErrExist) {
				err = nil // another call has made one of them, and may have removed it
			}
		case statErr == nil && stat.IsDir():
			err = errFolder
			if b.removeFolder(name) { // it was empty: a removal has left it
				err = nil
			}
		case errors.Is(err, fs.ErrExist) && once:
			err = b.taken(ctx, name, key)
		case errors.Is(err, fs.ErrExist):
			err = b.replace(ctx, t, side, name, key)
		}
		switch {
		case t.final:
			return err
		case errors.Is(err, syscall.ENOTDIR):
			return errFolder
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return domain.Wrap(domain.KindUnavailable, err, "other calls keep removing its folders")
}

// replace puts a file and its side file in the place of the key's object. Errors: errTwin,
// fs.ErrNotExist when the object was removed meanwhile.
func (b *Bucket) replace(ctx context.Context, t, side *temp, name, key string) error {
	held, err := b.openLocked(ctx, name, 0)
	if err != nil {
		return err
	}
	defer held.Close()
	switch _, err := b.ownInfo(name, key); {
	case errors.Is(err, errOther):
		return errTwin
	case err != nil:
		return err
	}
	if err := t.rename(name); err != nil {
		return err
	}
	t.final = true
	return side.rename(name + infoSuffix)
}

// taken says who has a name: fs.ErrExist when it is the key's own object, which is on disk by then,
// errTwin when it is another key's, fs.ErrNotExist when it is free.
func (b *Bucket) taken(ctx context.Context, name, key string) error {
	file, _, err := b.object(ctx, name, key)
	switch {
	case errors.Is(err, errOther):
		return errTwin
	case err != nil:
		return err
	}
	if err := errors.Join(b.sync(file), file.Close(), b.syncFolders(path.Dir(name))); err != nil {
		return err
	}
	return fs.ErrExist
}

// Sync returns when the object is on disk. All writing calls do this themselves. It is for a caller
// that finds an object whose writer was killed.
func (b *Bucket) Sync(key string) error {
	ctx := context.Background()
	return b.onKey(ctx, call{"head", "sync", key}, func(name string) error {
		if err := b.taken(ctx, name, key); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}
