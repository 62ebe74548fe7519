package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/internal/domain"
)

// Least is what must be free, in bytes, for work to go on: some parts of archives and a day of
// catalog.
const Least = 256 << 20

// Free is how many bytes this user may still write below dir, and how large its file system is.
// Error: KindUnavailable.
func Free(dir string) (free, size uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, domain.Wrap(domain.KindUnavailable, fmt.Errorf("%s: %w", dir, err), "the disk cannot be asked how full it is")
	}
	block := uint64(s.Bsize)
	return s.Bavail * block, s.Blocks * block, nil
}

// Check fails with KindUnavailable when less than least bytes are free in dir, or when a file
// cannot be written there. The directory stands in the cause alone: strangers may read the message.
func Check(dir string, least uint64) error {
	free, _, err := Free(dir)
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

// write writes a page, syncs and removes it.
func write(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}
