package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"github.com/callvault/callvault/client/verify"
)

const (
	lockName = ".callvault-pull.lock"
	dayName  = "day.json"
)

// lockDir makes dir and locks it against other pulls until the lock is closed. The lock file stays:
// if it were removed, two pulls could lock two files of the same name.
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

// link returns the fields of a Link that identify its archive.
func (l *savedLink) link() Link {
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
	dir string

	mu    sync.Mutex
	day   *Day // nil until the server has answered
	files map[string]fileRecord
	saved []byte   // the content of day.json
	last  savedDay // the same, decoded
}

// openFolder reads the day.json of earlier pulls. One that can't be decoded is ignored: then every
// archive is checked again.
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

// setDay saves the server's latest answer.
func (f *folder) setDay(d *Day) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make the day's directory: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
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
	if err := writeFile(f.path(dayName), body.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", dayName, err)
	}
	f.saved, f.last = body.Bytes(), s
	return nil
}

// has reports whether the link's archive is in the folder. When day.json does not say so, after a
// kill for example, it saves that.
func (f *folder) has(ctx context.Context, l Link) (bool, error) {
	present, noted, err := f.present(ctx, l)
	if err != nil || !present || noted {
		return present, err
	}
	return true, f.setFile(l)
}

// present reports whether the link's archive is in the folder, and whether day.json says so. If
// day.json does not, the file is checked like a new download.
func (f *folder) present(ctx context.Context, l Link) (present, noted bool, err error) {
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
	err = checkArchive(ctx, f.path(l.Hour+".zip"), f.date(), l)
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		return false, false, nil
	}
	return err == nil, false, err
}

func (f *folder) date() string { return filepath.Base(f.dir) }

// complete reports whether the last answer in day.json is of a complete day, and its archives are
// in the folder.
func (f *folder) complete(ctx context.Context) bool {
	if len(f.last.Links) != 24 || f.last.Date != f.date() {
		return false
	}
	for _, l := range f.last.Links {
		if l.Status == StatusNoData {
			continue
		}
		if l.Status != StatusAvailable {
			return false
		}
		if present, _, err := f.present(ctx, l.link()); err != nil || !present {
			return false
		}
	}
	return true
}

// checkArchive verifies a ZIP, and that its day, hour and manifest are those of the link. If
// anything is wrong, the error is a *DamagedError.
func checkArchive(ctx context.Context, path, day string, l Link) error {
	file, err := os.Open(path) //nolint:gosec // made from a directory that the user names and an hour
	if err != nil {
		return fmt.Errorf("check the archive: %w", err)
	}
	defer file.Close()
	report, err := verify.Reader(ctx, file, l.SizeBytes)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("check the archive: %w", err)
	case l.ManifestSHA256 != "" && report.ManifestSHA256 != l.ManifestSHA256:
		report.AddProblem("", "Its SHA256SUMS is not the one that the server's answer names.")
	case report.OK() && (report.UTCDay != day || report.Hour != l.Hour):
		report.AddProblem("", "It is the archive of %.20q, hour %.20q.", report.UTCDay, report.Hour)
	}
	if !report.OK() {
		return &DamagedError{Problems: report.Problems}
	}
	return nil
}

// writeFile writes a small file whole, or not at all.
func writeFile(path string, body []byte) error {
	file, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	return publishFile(file, err, path)
}

// publishFile syncs and closes a file and renames it to path, so that a crash leaves the old file
// or the new one. err is the error of writing the file: then it only closes it.
func publishFile(file *os.File, err error, path string) error {
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
