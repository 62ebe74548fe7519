package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/callvault/callvault/client/verify"
)

// checks are the archives that a pull has read.
type checks struct {
	all bool // archives that day.json names are read too

	mu   sync.Mutex
	good map[string]bool // by DAY/HH
	slot sync.Mutex      // one check at a time, since a hostile ZIP takes up to 150 MB of memory
}

// of says whether an archive was read, and whether it was good.
func (c *checks) of(name string) (good, read bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	good, read = c.good[name]
	return good, read
}

func (c *checks) set(name string, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good[name] = good
}

// found is what a folder has of an archive.
type found struct {
	present bool          // it is the link's archive
	noted   bool          // day.json says so
	checked bool          // this pull has read it
	damaged *DamagedError // day.json says so, but the file is damaged
}

// find looks for the link's archive in the folder. If day.json does not say that it is there, or
// all archives are to be read, the file is checked like a new download. One that can't be read
// counts as damaged. The error is that of ctx.
func (f *folder) find(ctx context.Context, l Link) (found, error) {
	if f.root == nil {
		return found{}, nil
	}
	info, err := f.root.Lstat(l.Hour + ".zip")
	if err != nil || !info.Mode().IsRegular() || info.Size() != l.SizeBytes {
		return found{}, nil //nolint:nilerr // it is downloaded, and what has the name is replaced
	}
	r, ok := f.record(l.Hour)
	noted := ok && r == recordOf(l)
	name := f.date + "/" + l.Hour
	if good, read := f.checks.of(name); noted && (read || !f.checks.all) {
		return found{present: good || !read, noted: true, checked: read}, nil
	}
	damaged, err := f.check(ctx, l)
	if err != nil {
		return found{}, err
	}
	f.checks.set(name, damaged == nil)
	there := found{present: damaged == nil, noted: noted, checked: true}
	if noted { // else it is another revision, or what a killed pull left
		there.damaged = damaged
	}
	return there, nil
}

// check reads the file of the link's archive. Its error is that of ctx.
func (f *folder) check(ctx context.Context, l Link) (*DamagedError, error) {
	file, err := openFile(f.root, l.Hour+".zip", os.O_RDONLY)
	if err == nil {
		defer file.Close()
		err = f.checks.run(ctx, file, f.date, l)
	}
	var damaged *DamagedError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && !errors.As(err, &damaged):
		damaged = &DamagedError{Problems: []verify.Problem{{Text: "It cannot be read (" + err.Error() + ")."}}}
	}
	return damaged, nil
}

// run verifies a ZIP, and that its day, hour and manifest are those of the link. If anything is
// wrong, the error is a *DamagedError.
func (c *checks) run(ctx context.Context, zip io.ReaderAt, day string, l Link) error {
	c.slot.Lock()
	defer c.slot.Unlock()
	report, err := verify.Reader(ctx, zip, l.SizeBytes)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("check the archive: %w", err)
	case l.ManifestSHA256 != "" && report.ManifestSHA256 != l.ManifestSHA256:
		report.AddProblem("", "Its SHA256SUMS is not the one that the server's answer names.")
	default:
		wrongHour(&report, day, l.Hour)
	}
	if !report.OK() {
		return &DamagedError{Problems: report.Problems}
	}
	return nil
}
