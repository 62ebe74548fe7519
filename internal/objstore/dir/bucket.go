package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Config says where a bucket is and who opens it.
type Config struct {
	Path string // of its folder; its last name is the bucket's
	// Alone is set by the one process that has locked the data directory. Open then makes the
	// folder if it is missing, and removes the unfinished files of processes that have ended.
	Alone bool
	// ReadOnly is for those who only read: nothing is tried on the disk, and no side file is made
	// again.
	ReadOnly bool
	// Observe, when set, is called for every call, for metrics. It must not block.
	Observe func(objstore.Observed)
}

// Bucket is one folder of objects. It is safe for concurrent use.
type Bucket struct {
	cfg  Config
	name string
	root *os.Root
	sync func(*os.File) error // (*os.File).Sync, except in tests

	lockWait time.Duration // lockWait, except in tests

	mu      sync.Mutex
	uploads map[string]*upload // by id
}

// Open opens a bucket. Error: unavailable.
func Open(cfg Config) (*Bucket, error) {
	b := &Bucket{cfg: cfg, name: filepath.Base(cfg.Path), sync: (*os.File).Sync, lockWait: lockWait, uploads: map[string]*upload{}}
	if err := b.open(); err != nil {
		return nil, errors.Join(domain.Wrap(domain.KindUnavailable, err, "the bucket %s can't be opened", b.name), b.Close())
	}
	return b, nil
}

func (b *Bucket) open() (err error) {
	if b.cfg.Alone {
		if err := MakeFolder(filepath.Join(b.cfg.Path, tempFolder)); err != nil {
			return err
		}
	}
	if b.root, err = os.OpenRoot(b.cfg.Path); err != nil {
		return err
	}
	if b.cfg.Alone {
		if err := b.removeTemps(); err != nil {
			return err
		}
	}
	if b.cfg.ReadOnly {
		_, err := b.root.Stat(tempFolder) // every bucket has one
		return err
	}
	t, err := b.temp()
	if err != nil {
		return err
	}
	defer t.remove()
	if err := b.root.Link(t.name, t.name+"-link"); err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "%s: its disk makes no hard links; choose a directory on another one", b.root.Name())
	}
	return b.root.Remove(t.name + "-link")
}

// MakeFolder makes a folder and all folders above it, and returns when they are on disk.
func MakeFolder(path string) error {
	missing := []string{}
	for at := path; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		missing = append(missing, at)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, folder := range missing {
		if err := syncFolder(filepath.Dir(folder)); err != nil {
			return err
		}
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the operator names the directory
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Close ends uploads that are not complete and closes the bucket.
func (b *Bucket) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, u := range b.uploads {
		u.temp.remove()
		delete(b.uploads, id)
	}
	if b.root == nil {
		return nil
	}
	return b.root.Close()
}

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.name }

// CheckKey refuses, as invalid, keys that no store takes.
func (b *Bucket) CheckKey(key string) error { return objstore.CheckKey(key) }

// Check is nil while the bucket's folder is there. Error: unavailable.
func (b *Bucket) Check(ctx context.Context) error {
	return b.do(ctx, call{"head", "reach", ""}, b.present)
}

// present says whether the bucket's folders are still those that it has opened. If they are not,
// nothing is known of its objects. Error: unavailable.
func (b *Bucket) present() error {
	path := filepath.Join(b.cfg.Path, tempFolder)
	open, err := b.root.Stat(tempFolder)
	named, nameErr := os.Stat(path)
	if err := errors.Join(err, nameErr); err != nil || !os.SameFile(open, named) {
		return domain.Wrap(domain.KindUnavailable, err, "the folder %s is gone", path)
	}
	return nil
}

// call is one use of a bucket.
type call struct {
	operation string // for metrics, as package objstore names it
	verb      string // for errors
	key       string
}

// do runs work unless ctx has ended, translates its error and reports the call to Observe.
func (b *Bucket) do(ctx context.Context, c call, work func() error) error {
	begun := time.Now()
	err := context.Cause(ctx)
	if err != nil {
		err = objstore.Interrupted(b.what(c), err, ctx.Err())
	} else if err = work(); err != nil {
		err = b.failure(ctx, c, err)
	}
	if b.cfg.Observe != nil {
		b.cfg.Observe(objstore.Observed{Operation: c.operation, Outcome: outcome(err), Took: time.Since(begun)})
	}
	return err
}

// onKey is do for calls that name an object. work gets the path of the object's file.
func (b *Bucket) onKey(ctx context.Context, c call, work func(name string) error) error {
	if err := objstore.CheckKey(c.key); err != nil {
		return err
	}
	return b.do(ctx, c, func() error { return work(encode(c.key)) })
}
