package dir

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// temp is a file that is not published yet. This process holds its flock.
type temp struct {
	bucket *Bucket
	file   *os.File
	name   string // below the bucket

	published bool // as an object
}

// temp makes a temporary file and locks it.
func (b *Bucket) temp() (*temp, error) {
	for {
		name := tempFolder + "/" + rand.Text()
		file, err := b.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		t := &temp{bucket: b, file: file, name: name}
		err = lock(file, syscall.LOCK_EX)
		if err == nil && t.hasName() {
			return t, nil
		}
		t.remove() // another process started in between and removed it
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock a file, which not every file system can: %w", err)
		}
	}
}

// hasName says whether the name is still that of the open file.
func (t *temp) hasName() bool {
	named, err := t.bucket.root.Lstat(t.name)
	if err != nil {
		return false
	}
	open, err := t.file.Stat()
	return err == nil && os.SameFile(named, open)
}

// infoTemp writes a side file, which is not synced yet.
func (b *Bucket) infoTemp(in info) (*temp, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	t, err := b.temp()
	if err != nil {
		return nil, err
	}
	if _, err = t.file.Write(text); err != nil {
		t.remove()
		return nil, err
	}
	return t, nil
}

// rename publishes the file under a name, and replaces a file that has the name.
func (t *temp) rename(name string) error { return t.bucket.root.Rename(t.name, name) }

// remove closes the file and removes its temporary name, if it still has it. If that fails, the
// next start removes the name.
func (t *temp) remove() {
	_ = t.bucket.root.Remove(t.name) // fails when the file was renamed
	_ = t.file.Close()               // a published file was synced before
}

// lock takes a flock without waiting. Error: syscall.EWOULDBLOCK when another process has it.
func lock(file *os.File, how int) error {
	return syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
}

// removeTemps removes the unfinished files of processes that have ended.
func (b *Bucket) removeTemps() error {
	entries, err := fs.ReadDir(b.root.FS(), tempFolder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := tempFolder + "/" + e.Name()
		if name == lockFile {
			continue
		}
		file, err := b.root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && lock(file, syscall.LOCK_EX) == nil {
			err = b.root.Remove(name)
		}
		if file != nil {
			_ = file.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
