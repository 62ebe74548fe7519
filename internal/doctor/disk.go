package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	humanize "github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/callvault/callvault/internal/domain"
)

// LeastFree is how many bytes must be free for work to go on: enough for some parts of archives and
// for what a day adds to the catalog.
const LeastFree = 256 << 20

// freeSpace returns how many bytes this user may still write below dir, and the size of its file
// system. Error: KindUnavailable.
func freeSpace(dir string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, domain.Wrap(domain.KindUnavailable, fmt.Errorf("%s: %w", dir, err), "the disk cannot be asked how full it is")
	}
	block := uint64(s.Bsize)
	return s.Bavail * block, s.Blocks * block, nil
}

// CheckDisk returns KindUnavailable when less than least bytes are free in dir, or when no file can
// be written there. Only the cause names the directory, since strangers may read the message.
func CheckDisk(dir string, least uint64) error { return checkDisk(dir, least, writePage) }

// lookAtDisk is CheckDisk for those who write nothing: it asks whether this user may.
func lookAtDisk(dir string, least uint64) error {
	return checkDisk(dir, least, func(dir string) error {
		if err := unix.Access(dir, unix.W_OK); err != nil {
			return &fs.PathError{Op: "write to", Path: dir, Err: err}
		}
		return nil
	})
}

func checkDisk(dir string, least uint64, write func(dir string) error) error {
	free, _, err := freeSpace(dir)
	if err != nil {
		return err
	}
	if free < least {
		return domain.Wrap(domain.KindUnavailable, errors.New(dir), "the disk is full: %s are free, %s are needed", humanize.IBytes(free), humanize.IBytes(least))
	}
	if err := write(dir); err != nil {
		return domain.Wrap(domain.KindUnavailable, err, "nothing can be written to the disk")
	}
	return nil
}

// writePage writes a file of one page, syncs it and removes it.
func writePage(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}
