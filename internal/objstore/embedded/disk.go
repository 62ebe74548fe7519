package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// maxName is the longest file name, in bytes, that file systems hold.
const maxName = 255

// Disk is the directory under a server. A process beside the one that runs the
// server, and that writes through it, needs it as much as the server's own.
type Disk struct {
	objects  string // absolute
	metadata string // absolute; empty with extended attributes
}

// OpenDisk opens the directory that a server was started on, which may run or
// not, here or elsewhere. It changes nothing.
func OpenDisk(dir string) (*Disk, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the embedded object store's directory: %w", err)
	}
	disk := &Disk{objects: filepath.Join(root, objectsDir)}
	if _, err := os.Stat(disk.objects); err != nil {
		return nil, fmt.Errorf("open the embedded object store's directory: %w", err)
	}
	metadata := filepath.Join(root, metadataDir)
	switch _, err := os.Stat(metadata); {
	case err == nil:
		disk.metadata = metadata
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open the embedded object store's directory: %w", err)
	}
	return disk, nil
}

// CheckKey refuses, as invalid, keys that are no path below a directory: with
// an empty part, "." or "..", a part of more than 255 bytes, or a NUL byte.
func (d *Disk) CheckKey(key string) error {
	if strings.ContainsRune(key, 0) {
		return domain.Errorf(domain.KindInvalid, "an object key holds a NUL byte")
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return domain.Errorf(domain.KindInvalid, "an object key has the part %q, which embedded storage can't hold", part)
		case len(part) > maxName:
			return domain.Errorf(domain.KindInvalid, "an object key has a part of more than %d bytes, which embedded storage can't hold", maxName)
		}
	}
	// The server keeps its own temporary files under this name.
	if first, _, _ := strings.Cut(key, "/"); first == ".sgwtmp" {
		return domain.Errorf(domain.KindInvalid, "an object key begins with %q, which embedded storage keeps for itself", first)
	}
	return nil
}

// Sync returns when the object and the way to it are safe on disk: the file,
// its metadata, and every directory above that may have been made for it.
func (d *Disk) Sync(bucket, key string) error {
	if err := d.CheckKey(key); err != nil {
		return err
	}
	name := filepath.Join(bucket, filepath.FromSlash(path.Clean(key)))
	file := filepath.Join(d.objects, name)
	if err := syncPath(file); err != nil {
		return err
	}
	if err := syncDirs(filepath.Dir(file), d.objects); err != nil {
		return err
	}
	if d.metadata == "" {
		return nil
	}
	attributes := filepath.Join(d.metadata, name)
	err := filepath.WalkDir(attributes, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(path)
	})
	if err != nil {
		return fmt.Errorf("sync attributes: %w", err)
	}
	return syncDirs(filepath.Dir(attributes), d.metadata)
}

// syncDirs syncs dir and every directory above it up to, and with, root.
func syncDirs(dir, root string) error {
	for {
		if err := syncPath(dir); err != nil {
			return err
		}
		if dir == root || dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func syncPath(path string) error {
	file, err := os.Open(path) //nolint:gosec // below the own directory, by a key that CheckKey let pass
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}
