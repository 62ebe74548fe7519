package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

const (
	lockName = ".callvault-pull.lock"
	dayName  = "day.json"
)

// lockDir makes dir and keeps other pulls out of it until the lock is closed.
// The lock file stays: removing it would let two pulls lock two files.
func lockDir(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the directory: %w", err)
	}
	if !held {
		return nil, fmt.Errorf("%s: %w", dir, ErrBusy)
	}
	return lock, nil
}

// fileRecord is an archive that stands in a folder, checked.
type fileRecord struct {
	Name           string `json:"name"`
	Revision       int64  `json:"revision"`
	SizeBytes      int64  `json:"sizeBytes"`
	ManifestSHA256 string `json:"manifestSha256"`
}

func recordOf(l Link) fileRecord {
	return fileRecord{Name: l.Hour + ".zip", Revision: l.Revision, SizeBytes: l.SizeBytes, ManifestSHA256: l.ManifestSHA256}
}

// savedLink is a Link without what fetches it, and the file that was fetched.
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

// link gives what of a Link tells which archive it is.
func (l *savedLink) link() Link {
	out := Link{Hour: l.Hour, Revision: l.Revision, SizeBytes: l.SizeBytes}
	if l.ManifestSHA256 != nil {
		out.ManifestSHA256 = *l.ManifestSHA256
	}
	return out
}

// savedDay is day.json.
type savedDay struct {
	Day
	Links []savedLink `json:"links"`
}

// folder is the directory of one day. Its methods may be called by several
// goroutines, each for another hour.
type folder struct {
	dir string

	mu    sync.Mutex
	day   *Day // nil until the server has answered
	files map[string]fileRecord
	saved []byte   // what day.json holds
	last  savedDay // the same
}

// openFolder reads what earlier pulls left. A day.json that can't be read counts
// as none: the archives themselves are looked at then.
func openFolder(dir string) (*folder, error) {
	f := &folder{dir: dir, files: map[string]fileRecord{}}
	body, err := os.ReadFile(filepath.Join(dir, dayName)) //nolint:gosec // the user names the directory
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is there: %w", err)
	}
	f.saved = body
	if broken := json.Unmarshal(body, &f.last); broken != nil {
		f.last, f.saved = savedDay{}, nil
	}
	for _, l := range f.last.Links {
		if l.File != nil && l.File.Name == l.Hour+".zip" {
			f.files[l.Hour] = *l.File
		}
	}
	return f, nil
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// answered notes the server's latest answer.
func (f *folder) answered(d *Day) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make the day's directory: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.day = d
	return f.save()
}

// fetched notes that the link's archive stands in the folder.
func (f *folder) fetched(l Link) error {
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

// save writes day.json where it changed.
func (f *folder) save() error {
	s := savedDay{Day: *f.day}
	for _, l := range f.day.Links {
		kept := savedLink{l.Hour, l.SessionCount, l.FileCount, l.SizeBytes, l.Status, nil, l.Revision, l.Rebuilding, l.MissingFileCount, nil}
		if l.ManifestSHA256 != "" {
			kept.ManifestSHA256 = &l.ManifestSHA256
		}
		if r, ok := f.files[l.Hour]; ok {
			kept.File = &r
		}
		s.Links = append(s.Links, kept)
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
	if err := writeFile(f.path(dayName), body.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", dayName, err)
	}
	f.saved, f.last = body.Bytes(), s
	return nil
}

// has says whether the link's archive stands in the folder already, and notes it where day.json
// does not vouch for it, after a kill for example.
func (f *folder) has(ctx context.Context, l Link) (bool, error) {
	stands, noted, err := f.stands(ctx, l)
	if err != nil || !stands || noted {
		return stands, err
	}
	return true, f.fetched(l)
}

// stands says whether the link's archive is in the folder. A file that is not noted in day.json is
// checked as if it had just come.
func (f *folder) stands(ctx context.Context, l Link) (stands, noted bool, err error) {
	info, err := os.Stat(f.path(l.Hour + ".zip"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("look for the archive: %w", err)
	case !info.Mode().IsRegular() || info.Size() != l.SizeBytes:
		return false, false, nil
	}
	if r, ok := f.record(l.Hour); ok && r == recordOf(l) {
		return true, true, nil
	}
	err = checkArchive(ctx, f.path(l.Hour+".zip"), f.dayOf(), l)
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		return false, false, nil
	}
	return err == nil, false, err
}

func (f *folder) dayOf() string { return filepath.Base(f.dir) }

// whole says whether day.json tells of a day that was complete when it was last
// asked for, and its archives are there.
func (f *folder) whole(ctx context.Context) bool {
	if len(f.last.Links) != 24 || f.last.Date != f.dayOf() {
		return false
	}
	for _, l := range f.last.Links {
		if l.Status == StatusNoData {
			continue
		}
		if l.Status != StatusAvailable {
			return false
		}
		if stands, _, err := f.stands(ctx, l.link()); err != nil || !stands {
			return false
		}
	}
	return true
}

// stoppable reads until ctx ends.
type stoppable struct {
	ctx context.Context
	r   io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (s *stoppable) ReadAt(b []byte, offset int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.ReadAt(b, offset)
}

// checkArchive verifies a ZIP, and that it is the one of the day, hour and
// manifest that the link names. What is wrong with it is a *DamagedError.
func checkArchive(ctx context.Context, path, day string, l Link) error {
	file, err := os.Open(path) //nolint:gosec // made from a directory that the user names and an hour
	if err != nil {
		return fmt.Errorf("check the archive: %w", err)
	}
	defer file.Close()
	report, err := VerifyReader(&stoppable{ctx, file}, l.SizeBytes)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("check the archive: %w", err)
	case l.ManifestSHA256 != "" && report.ManifestSHA256 != l.ManifestSHA256:
		report.problem("", "Its SHA256SUMS is not the one that the server's answer names.")
	case report.OK() && (report.UTCDay != day || report.Hour != l.Hour):
		report.problem("", "It is the archive of %.20q, hour %.20q.", report.UTCDay, report.Hour)
	}
	if !report.OK() {
		return &DamagedError{Problems: report.Problems}
	}
	return nil
}

// writeFile puts a small file in place as a whole, or not at all.
func writeFile(path string, body []byte) error {
	file, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	return place(file, err, path)
}

// place syncs and closes a file that was just written, unless err says that it
// could not be, and moves it to path so that a crash leaves the old or the new.
func place(file *os.File, err error, path string) error {
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
