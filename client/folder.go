package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/gofrs/flock"
)

const (
	lockName = ".callvault-pull.lock"
	dayName  = "day.json"
)

// lockedDir is the directory of a pull, locked against other pulls.
type lockedDir struct {
	*os.Root
	lock *flock.Flock
}

// lockDir makes and opens dir, and locks it until it is closed. The lock file stays: if it were
// removed, two pulls could lock two files of the same name.
func lockDir(dir string) (*lockedDir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	lock, err := lockRoot(root)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), root.Close())
	}
	return &lockedDir{root, lock}, nil
}

// lockRoot makes the lock file and locks it.
func lockRoot(root *os.Root) (*flock.Flock, error) {
	file, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		file, err = openFile(root, lockName, os.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The lock opens the file once more, by its path, and makes none.
	lock := flock.New(filepath.Join(root.Name(), lockName), flock.SetFlag(os.O_RDONLY|syscall.O_NONBLOCK))
	held, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, ErrBusy
	}
	mine, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	locked, err := lock.Stat()
	if err == nil && !os.SameFile(mine, locked) {
		err = &fs.PathError{Op: "open", Path: lockName, Err: errNotPlain}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// Close unlocks the directory.
func (d *lockedDir) Close() error { return errors.Join(d.lock.Close(), d.Root.Close()) }

// fileRecord is a checked archive in a folder.
type fileRecord struct {
	Name           string `json:"name"`
	Revision       int64  `json:"revision"`
	SizeBytes      int64  `json:"sizeBytes"`
	ManifestSHA256 string `json:"manifestSha256"`
}

func recordOf(l Link) fileRecord {
	return fileRecord{Name: l.Hour + ".zip", Revision: l.Revision, SizeBytes: l.SizeBytes, ManifestSHA256: l.ManifestSHA256}
}

// savedLink is a Link without its URL, and with the file that was downloaded.
type savedLink struct {
	Hour             string      `json:"hour"`
	SessionCount     int64       `json:"sessionCount"`
	FileCount        int64       `json:"fileCount"`
	SizeBytes        int64       `json:"sizeBytes"`
	Status           string      `json:"status"`
	ManifestSHA256   *string     `json:"manifestSha256"`
	Revision         int64       `json:"revision"`
	Rebuilding       bool        `json:"rebuilding"`
	MissingFileCount int64       `json:"missingFileCount"`
	File             *fileRecord `json:"file"`
}

func (l savedLink) hour() string { return l.Hour }

// link returns the fields of a Link that identify its archive.
func (l savedLink) link() Link {
	out := Link{Hour: l.Hour, Revision: l.Revision, SizeBytes: l.SizeBytes}
	if l.ManifestSHA256 != nil {
		out.ManifestSHA256 = *l.ManifestSHA256
	}
	return out
}

// savedDay is the content of day.json.
type savedDay struct {
	Day
	Links []savedLink `json:"links"`
}

// folder is the directory of one day. It is safe for concurrent use by goroutines that each work on
// another hour.
type folder struct {
	parent *os.Root
	root   *os.Root // nil while there is no such directory
	date   string
	checks *checks

	mu    sync.Mutex
	day   *Day // nil until the server has answered
	files map[string]fileRecord
	saved []byte   // the content of day.json
	last  savedDay // the same, decoded
}

// openFolder opens the directory of a day, if there is one, and reads the day.json of earlier
// pulls. A day.json that can't be used is ignored: then every archive is checked again.
func openFolder(parent *os.Root, date string, checks *checks) (*folder, error) {
	f := &folder{parent: parent, date: date, checks: checks, files: map[string]fileRecord{}}
	root, err := openDir(parent, date)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the day's directory: %w", err)
	}
	f.root = root
	if body, err := readFile(root, dayName); err == nil && json.Unmarshal(body, &f.last) == nil && hoursFault(f.last.Links) == "" {
		f.saved = body
	} else {
		f.last = savedDay{}
	}
	for _, l := range f.last.Links {
		if l.File != nil && l.File.Name == l.Hour+".zip" {
			f.files[l.Hour] = *l.File
		}
	}
	return f, nil
}

// close closes the directory.
func (f *folder) close() error {
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}

// path returns the path of a file for people.
func (f *folder) path(name string) string { return filepath.Join(f.parent.Name(), f.date, name) }

// make makes and opens the directory.
func (f *folder) make() error {
	if f.root != nil {
		return nil
	}
	err := f.parent.Mkdir(f.date, 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		f.root, err = openDir(f.parent, f.date)
	}
	if err != nil {
		return fmt.Errorf("make the day's directory: %w", err)
	}
	return nil
}

// setDay saves the server's latest answer.
func (f *folder) setDay(d *Day) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.make(); err != nil {
		return err
	}
	f.day = d
	return f.save()
}

// setFile saves that the link's archive is in the folder.
func (f *folder) setFile(l Link) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[l.Hour] = recordOf(l)
	return f.save()
}

func (f *folder) record(hour string) (fileRecord, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.files[hour]
	return r, ok
}

// save writes day.json if it has changed.
func (f *folder) save() error {
	s := savedDay{Day: *f.day}
	for _, l := range f.day.Links {
		saved := savedLink{l.Hour, l.SessionCount, l.FileCount, l.SizeBytes, l.Status, nil, l.Revision, l.Rebuilding, l.MissingFileCount, nil}
		if l.ManifestSHA256 != "" {
			saved.ManifestSHA256 = &l.ManifestSHA256
		}
		if r, ok := f.files[l.Hour]; ok {
			saved.File = &r
		}
		s.Links = append(s.Links, saved)
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return fmt.Errorf("write %s: %w", dayName, err)
	}
	if bytes.Equal(body.Bytes(), f.saved) {
		return nil
	}
	if err := writeFile(f.root, dayName, body.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", dayName, err)
	}
	f.saved, f.last = body.Bytes(), s
	return nil
}
