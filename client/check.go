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

// recheck says which archives that are there a pull reads again, and which it has read.
type recheck struct {
	all bool

	mu   sync.Mutex
	done map[string]bool // by DAY/HH: whether it is good
	slot sync.Mutex      // one check at a time, since a hostile ZIP takes up to 100 MB of memory
}

// verdict returns what this pull knows of an archive of which day.json says that it is there. read
// says whether it has read the archive, and must whether it still has to.
func (r *recheck) verdict(name string) (good, read, must bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	good, read = r.done[name]
	return good || !read, read, r.all && !read
}

func (r *recheck) set(name string, good bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[name] = good
}

// found is what a folder has of an archive.
type found struct {
	present bool          // it is the link's archive
	noted   bool          // day.json says so
	checked bool          // this pull has read it
	damaged *DamagedError // day.json says so, but the file is damaged
}

// has looks for the link's archive in the folder. When day.json does not say that it is there, after
// a kill for example, it saves that.
func (f *folder) has(ctx context.Context, l Link) (found, error) {
	there, err := f.present(ctx, l)
	if err != nil || !there.present || there.noted {
		return there, err
	}
	return there, f.setFile(l)
}

// present looks for the link's archive in the folder. If day.json does not say that it is there, or
// all archives are to be read, the file is checked like a new download. One that can't be read is as
// good as damaged. The error is that of ctx.
func (f *folder) present(ctx context.Context, l Link) (found, error) {
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
	if good, read, must := f.recheck.verdict(name); noted && !must {
		return found{present: good, noted: true, checked: read}, nil
	}
	damaged, err := f.read(ctx, l)
	if err != nil {
		return found{}, err
	}
	f.recheck.set(name, damaged == nil)
	there := found{present: damaged == nil, noted: noted, checked: true}
	if noted { // else it is another revision, or what a killed pull left
		there.damaged = damaged
	}
	return there, nil
}

// read checks the file of the link's archive. Its error is that of ctx.
func (f *folder) read(ctx context.Context, l Link) (*DamagedError, error) {
	file, err := openFile(f.root, l.Hour+".zip", os.O_RDONLY)
	if err == nil {
		defer file.Close()
		err = f.recheck.archive(ctx, file, f.date, l)
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

// archive verifies a ZIP, and that its day, hour and manifest are those of the link. If anything is
// wrong, the error is a *DamagedError.
func (r *recheck) archive(ctx context.Context, zip io.ReaderAt, day string, l Link) error {
	r.slot.Lock()
	defer r.slot.Unlock()
	report, err := verify.Reader(ctx, zip, l.SizeBytes)
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
