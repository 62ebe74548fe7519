package dir

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack begins to write a range of a file to the disk, so that less is left to wait for at the
// end. It does not wait, and what it leaves undone the sync at the end does.
func writeBack(file *os.File, from, size int64) {
	_ = unix.SyncFileRange(int(file.Fd()), from, size, unix.SYNC_FILE_RANGE_WRITE)
}
