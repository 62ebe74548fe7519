package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/client/verify"
)

// verifyTargets is what verify has to check.
type verifyTargets struct {
	zips        []string
	days        map[string]*client.PulledDay // by directory; nil where no day.json can be used
	absent      []verifyResult               // hours without their archive, and a day.json that cannot be read
	checkedDays []dayJSON                    // days whose every hour was asked for
	withoutDay  int                          // ZIPs that no day.json lists
}

// dayJSON is a directory with a day.json, in the output of --json.
type dayJSON struct {
	Path   string   `json:"path"`
	UTCDay string   `json:"utcDay"`
	Absent []string `json:"absent"` // hours
}

// add adds a ZIP, or everything below a directory. A single ZIP is compared with the day.json
// beside it, but other hours of the day may be absent.
func (w *verifyTargets) add(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("nothing to verify: %w", err)
	}
	if !info.IsDir() {
		w.zip(path)
		return nil
	}
	before := len(w.zips) + len(w.checkedDays) + len(w.absent)
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return w.hours(name)
		case strings.EqualFold(filepath.Ext(name), ".zip"):
			w.zip(name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for archives: %w", err)
	}
	if len(w.zips)+len(w.checkedDays)+len(w.absent) == before {
		return fmt.Errorf("there is no .zip below %s; name a file or another directory", path)
	}
	return nil
}

func (w *verifyTargets) zip(path string) {
	w.zips = append(w.zips, path)
	if w.day(filepath.Dir(path)) == nil {
		w.withoutDay++
	}
}

// day reads a directory's day.json once; nil when there is none, or when it can't be read.
func (w *verifyTargets) day(dir string) *client.PulledDay {
	if day, known := w.days[dir]; known {
		return day
	}
	day, err := client.ReadPulledDay(dir)
	w.days[dir] = day
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v := verifyResult{err: err}
		v.Path = filepath.Join(dir, "day.json")
		w.absent = append(w.absent, v)
	}
	return day
}

// hours looks for the archive of every hour in a directory with a day.json.
func (w *verifyTargets) hours(dir string) error {
	day := w.day(dir)
	if day == nil {
		return nil
	}
	absent, err := day.Absent()
	if err != nil {
		return err
	}
	checkedDays := dayJSON{Path: dir, UTCDay: day.Date(), Absent: []string{}}
	for _, h := range absent {
		v := verifyResult{absent: true}
		v.Path, v.UTCDay, v.Hour = h.Path, day.Date(), h.Hour
		v.Problems = []verify.Problem{{Text: h.Text}}
		w.absent = append(w.absent, v)
		checkedDays.Absent = append(checkedDays.Absent, h.Hour)
	}
	w.checkedDays = append(w.checkedDays, checkedDays)
	return nil
}
