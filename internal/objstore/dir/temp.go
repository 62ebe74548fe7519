package dir

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// temp is a file that is not published yet. This process holds its flock.
type temp struct {
	bucket *Bucket
	file   *os.File
	name   string // below the bucket
}

// temp makes one.
func (b *Bucket) temp() (*temp, error) {
	for {
		name := tempFolder + "/" + rand.Text()
		file, err := b.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		t := &temp{bucket: b, file: file, name: name}
		if lock(file, syscall.LOCK_EX) && t.stands() {
			return t, nil
		}
		t.remove() // the start of another process was between the two
	}
}

// stands says that the name is the open file's.
func (t *temp) stands() bool {
	named, err := t.bucket.root.Lstat(t.name)
	if err != nil {
		return false
	}
	open, err := t.file.Stat()
	return err == nil && os.SameFile(named, open)
}

// infoTemp writes a side file, and does not wait for the disk.
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

// rename publishes the file under a name, whatever stood there.
func (t *temp) rename(name string) error { return t.bucket.root.Rename(t.name, name) }

// remove takes the temporary name away, if the file still has it. What stays is removed by the next
// start.
func (t *temp) remove() {
	_ = t.bucket.root.Remove(t.name) // renamed, or of no more use
	_ = t.file.Close()               // what is kept was synced
}

// lock takes a flock without waiting and says whether it got it.
func lock(file *os.File, how int) bool {
	return syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB) == nil
}

// removeTemps removes the unfinished files of processes that are gone.
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
		if err == nil && lock(file, syscall.LOCK_EX) {
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
