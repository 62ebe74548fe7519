package dir

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack begins to write a range of a file to the disk, so that the sync at the end has less to
// do. It does not wait.
func writeBack(file *os.File, from, size int64) {
	_ = unix.SyncFileRange(int(file.Fd()), from, size, unix.SYNC_FILE_RANGE_WRITE)
}
