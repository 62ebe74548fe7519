package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Get opens an object. Errors: not_found, conflict (another ETag, or shorter than the range),
// invalid, unavailable.
func (b *Bucket) Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error) {
	c := call{"get", "read", key}
	if opts.From < 0 || opts.To < 0 || opts.To > 0 && opts.To <= opts.From {
		return nil, domain.Errorf(domain.KindInvalid, "%s: no range from %d to %d", b.what(c), opts.From, opts.To)
	}
	var object *objstore.Object
	err := b.onKey(ctx, c, func(name string) error {
		file, info, err := b.object(ctx, name, key)
		if err != nil {
			return err
		}
		switch {
		case opts.IfMatch != "" && opts.IfMatch != info.ETag:
			err = domain.Errorf(domain.KindConflict, "the object has changed")
		case opts.From >= info.Size && (opts.From > 0 || opts.To > 0):
			err = domain.Errorf(domain.KindConflict, "the object is shorter than the range")
		}
		if err != nil {
			return errors.Join(err, file.Close())
		}
		to := info.Size
		if opts.To > 0 {
			to = min(to, opts.To)
		}
		object = &objstore.Object{Info: info, From: opts.From, To: to, Body: &body{ctx, file, opts.From, to}}
		return nil
	})
	return object, err
}

// Stat describes an object without reading it. Errors: not_found, invalid, unavailable.
func (b *Bucket) Stat(ctx context.Context, key string) (info objstore.Info, err error) {
	err = b.onKey(ctx, call{"head", "look up", key}, func(name string) error {
		file, found, err := b.object(ctx, name, key)
		if err != nil {
			return err
		}
		info = found
		return file.Close()
	})
	return info, err
}

// Folders gives the folders directly below a folder. It looks at most entries at most, and says at
// how many it looked. Encoded names are left out.
func (b *Bucket) Folders(ctx context.Context, folder string, most int) (folders []string, looked int, err error) {
	err = b.onKey(ctx, call{"list", "list", folder}, func(name string) error {
		open, err := b.root.Open(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil
		}
		if err != nil {
			return err
		}
		entries, err := open.ReadDir(most)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		for _, e := range entries {
			if e.IsDir() && !strings.Contains(e.Name(), "%") {
				folders = append(folders, folder+"/"+e.Name())
			}
		}
		looked = len(entries)
		return errors.Join(err, open.Close())
	})
	return folders, looked, err
}

// body is a range of an open file. Reads fail once its context has ended.
type body struct {
	ctx  context.Context // as the body of an HTTP answer does
	file *os.File
	at   int64
	to   int64
}

// Read implements io.Reader. Error: unavailable, also when the file has become shorter.
func (r *body) Read(p []byte) (int, error) {
	if cause := context.Cause(r.ctx); cause != nil {
		return 0, objstore.Interrupted("read "+r.file.Name(), cause, r.ctx.Err())
	}
	if r.at >= r.to {
		return 0, io.EOF
	}
	n, err := r.file.ReadAt(p[:min(int64(len(p)), r.to-r.at)], r.at)
	r.at += int64(n)
	if err != nil {
		err = domain.Wrap(domain.KindUnavailable, err, "the disk gives less than the object has")
	}
	return n, err
}

func (r *body) Close() error { return r.file.Close() }
