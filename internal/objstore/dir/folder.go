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

// maxDurable bounds the memory of which folders are on disk.
const maxDurable = 10_000

// settle returns when a folder's entries, and the way to them from the bucket, are safe on disk. It
// remembers what it has seen to: nobody removes a folder while another process may remember it.
func (b *Bucket) settle(folder string) error {
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
	if removed != b.removed { // it may have been one of these, and another stands there by now
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

// Remove deletes an object; it is no error when there is none. Folders that become empty go too.
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

// removeFolder removes an empty folder and says whether it did. It leaves all where they are while
// another process uses the bucket: that remembers which ones are on disk.
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
	if !lock(b.lock, syscall.LOCK_EX) {
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
// folder. os.Root's Remove takes either for the other.
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
