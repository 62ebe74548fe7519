package dir

import (
	"context"
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

	// final says that the file is an object, or that its sync has failed. The system reports a
	// failure once: a second sync would succeed although bytes are missing on the disk.
	final bool
}

// temp makes a temporary file and locks it.
func (b *Bucket) temp() (*temp, error) {
	name := tempFolder + "/" + rand.Text()
	file, err := b.openLocked(context.Background(), name, os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	return &temp{bucket: b, file: file, name: name}, nil
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

// removeTemps removes the unfinished files of processes that have ended. Those that run have locked
// theirs.
func (b *Bucket) removeTemps() error {
	entries, err := fs.ReadDir(b.root.FS(), tempFolder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue // it is not callvault's, and opening it could wait for ever
		}
		name := tempFolder + "/" + e.Name()
		file, err := b.root.Open(name)
		if err == nil {
			if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
				err = b.root.Remove(name)
			}
			_ = file.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
