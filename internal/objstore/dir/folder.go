package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxDurable bounds how many folders are remembered as being on disk.
const maxDurable = 10_000

// syncFolders returns when a folder's entries, and the folder itself in all folders above it, are
// on disk. It remembers these folders, because no process removes a folder that another one may
// remember.
func (b *Bucket) syncFolders(folder string) error {
	b.mu.Lock()
	removed := b.removed
	b.mu.Unlock()
	if err := b.syncAt(folder); err != nil {
		return err
	}
	var seen []string
	for at := folder; !b.isDurable(at); at = path.Dir(at) {
		if err := b.syncAt(path.Dir(at)); err != nil {
			return err
		}
		seen = append(seen, at)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if removed != b.removed { // it may have been one of these
		return nil
	}
	if len(b.durable) > maxDurable {
		b.durable = map[string]bool{".": true}
	}
	for _, at := range seen {
		b.durable[at] = true
	}
	return nil
}

func (b *Bucket) isDurable(folder string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.durable[folder]
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
	return b.onKey(ctx, call{"delete", "remove", key}, func(name string) error {
		folder, err := b.root.Open(path.Dir(name))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil
		}
		if err != nil {
			return err
		}
		err = b.removeFrom(folder, name, key)
		if err := errors.Join(err, folder.Close()); err != nil {
			return err
		}
		for at := path.Dir(name); at != "." && b.removeFolder(at); at = path.Dir(at) {
		}
		return nil
	})
}

// removeFrom removes a file and then its side file from their folder, and waits for the disk.
func (b *Bucket) removeFrom(folder *os.File, name, key string) error {
	in, err := b.readInfo(name)
	if err != nil {
		return err
	}
	mine := in != nil && in.Key == key
	if in == nil {
		mine, err = b.exact(name)
	}
	if err != nil || !mine {
		return err
	}
	for _, base := range []string{path.Base(name), path.Base(name) + infoSuffix} {
		switch err := unlink(folder, base, 0); {
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case base == path.Base(name) && isFolder(folder, base):
			return nil // of other objects
		default:
			return err
		}
	}
	return b.sync(folder)
}

// removeFolder removes an empty folder and says whether it did. It removes none while another
// process uses the bucket, because that process remembers which folders are on disk.
func (b *Bucket) removeFolder(name string) bool {
	if !b.cfg.Alone {
		return false
	}
	above, err := b.root.Open(path.Dir(name))
	if err != nil {
		return false
	}
	defer above.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if lock(b.lock, syscall.LOCK_EX) != nil {
		return false
	}
	defer func() { _ = syscall.Flock(int(b.lock.Fd()), syscall.LOCK_UN) }() // it is held, so it can be freed
	if unlink(above, path.Base(name), unix.AT_REMOVEDIR) != nil {
		return false
	}
	delete(b.durable, name)
	b.removed++
	return true
}

// unlink removes a name from an open folder: of a file, or with unix.AT_REMOVEDIR of an empty
// folder. os.Root's Remove does not tell the two apart.
func unlink(folder *os.File, base string, flags int) error {
	if err := unix.Unlinkat(int(folder.Fd()), base, flags); err != nil {
		return &fs.PathError{Op: "unlinkat", Path: base, Err: err}
	}
	return nil
}

func isFolder(folder *os.File, base string) bool {
	var stat unix.Stat_t
	return unix.Fstatat(int(folder.Fd()), base, &stat, unix.AT_SYMLINK_NOFOLLOW) == nil && stat.Mode&unix.S_IFMT == unix.S_IFDIR
}
