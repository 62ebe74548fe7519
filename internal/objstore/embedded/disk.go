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

// CheckKey refuses, as invalid, keys that are no path below a directory: with
// an empty part, "." or "..", a part of more than 255 bytes, or a NUL byte.
func (s *Server) CheckKey(key string) error { return checkKey(key) }

func checkKey(key string) error {
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
func (s *Server) Sync(bucket, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	name := filepath.Join(bucket, filepath.FromSlash(path.Clean(key)))
	file := filepath.Join(s.objects, name)
	if err := syncPath(file); err != nil {
		return err
	}
	if err := syncDirs(filepath.Dir(file), s.objects); err != nil {
		return err
	}
	if s.metadata == "" {
		return nil
	}
	attributes := filepath.Join(s.metadata, name)
	err := filepath.WalkDir(attributes, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(path)
	})
	if err != nil {
		return fmt.Errorf("sync attributes: %w", err)
	}
	return syncDirs(filepath.Dir(attributes), s.metadata)
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
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}
