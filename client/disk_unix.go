//go:build linux || darwin

package client

import (
	"io/fs"
	"math"
	"syscall"
)

// freeBytes returns how many bytes this user can still write below dir. Some network file systems
// have no size; there it is as if there were no end.
func freeBytes(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	if s.Blocks == 0 {
		return math.MaxInt64, nil
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// linked reports whether a file has other names, through which somebody may see what is written.
func linked(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}
