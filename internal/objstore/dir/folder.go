package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/callvault/callvault/internal/domain"
)

// syncFolders returns when a folder's entries, and the folder itself in all folders above it, are
// on disk. It remembers nothing between calls, because another process may remove a folder.
func (b *Bucket) syncFolders(folder string) error {
	var group errgroup.Group
	for at := folder; ; at = path.Dir(at) {
		group.Go(func() error { return b.syncAt(at) })
		if at == "." {
			return group.Wait()
		}
	}
}

func (b *Bucket) syncAt(name string) error {
	file, err := b.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(b.sync(file), file.Close())
}

// Remove deletes an object. A missing object is no error. Folders that become empty are removed
// too.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	return b.removeIf(ctx, key, func(*os.File, *info) error { return nil })
}

// removeIf is Remove, unless check refuses the object. check gets the locked file and its side
// file's content, nil for none.
func (b *Bucket) removeIf(ctx context.Context, key string, check func(*os.File, *info) error) error {
	return b.onKey(ctx, call{"delete", "remove", key}, func(name string) error {
		folder, err := b.root.Open(path.Dir(name))
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err = b.removeFile(ctx, name, key, check); missing(err) {
			err = nil
		}
		// Also where the object is missing: the call that removed it may still wait for the disk.
		if err := errors.Join(err, b.sync(folder), folder.Close()); err != nil {
			return err
		}
		for at := path.Dir(name); at != "." && b.removeFolder(at); at = path.Dir(at) {
		}
		return nil
	})
}

// missing says whether an error means that there is no such file.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR)
}

// removeFile removes a key's file. Its side file goes first: as long as the file has the name, no
// other call can write another object's side file.
func (b *Bucket) removeFile(ctx context.Context, name, key string, check func(*os.File, *info) error) error {
	held, err := b.openLocked(ctx, name, 0)
	if err != nil {
		return err
	}
	defer held.Close()
	in, err := b.ownInfo(name, key)
	if err != nil {
		return err
	}
	if err := check(held, in); err != nil {
		return err
	}
	if err := b.root.Remove(name + infoSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return b.root.Remove(name)
}

// removeFolder removes an empty folder and says whether it did. os.Root's Remove would also remove
// a file that has the name by now.
func (b *Bucket) removeFolder(name string) bool {
	above, err := b.root.Open(path.Dir(name))
	if err != nil {
		return false
	}
	defer above.Close()
	return unix.Unlinkat(int(above.Fd()), path.Base(name), unix.AT_REMOVEDIR) == nil
}

// lockWait bounds the wait for a flock, because the process that holds it may be stopped.
const lockWait = 10 * time.Second

// lock waits for a file's flock. Errors: unavailable, the cause of ctx's end.
func (b *Bucket) lock(ctx context.Context, file *os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.lockWait, domain.Errorf(domain.KindUnavailable, "another call holds the file's lock for too long"))
	defer cancel()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock a file, which not every file system can: %w", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		time.Sleep(time.Millisecond)
	}
}

// openLocked opens a file and waits for its flock. Until it is closed, no other call gives its name
// to another file, or writes its side file.
func (b *Bucket) openLocked(ctx context.Context, name string, flags int) (*os.File, error) {
	for {
		// O_NONBLOCK: if somebody has put a pipe there, opening it must not wait.
		file, err := b.root.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK|flags, 0o600)
		if flags == 0 && errors.Is(err, fs.ErrPermission) { // a file that somebody has put there
			file, err = b.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		}
		if err != nil {
			return nil, err
		}
		if err := b.lock(ctx, file); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		open, err := file.Stat()
		if err == nil {
			var named fs.FileInfo
			if named, err = b.root.Stat(name); err == nil && os.SameFile(named, open) {
				return file, nil
			}
		}
		if err := errors.Join(err, file.Close()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		// The name has gone to another file while this call waited.
	}
}
