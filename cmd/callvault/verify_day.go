package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/callvault/callvault/client"
)

// verifyWork is what verify was asked to look at.
type verifyWork struct {
	zips   []string
	days   map[string]*client.PulledDay // by directory; nil where no day.json can be used
	absent []verified                   // hours without their archive, and a day.json that cannot be read
	whole  []verifiedDay                // days whose every hour was asked for
	alone  int                          // ZIPs that no day.json speaks of
}

// verifiedDay is a directory with a day.json in the output of --json.
type verifiedDay struct {
	Path   string   `json:"path"`
	UTCDay string   `json:"utcDay"`
	Absent []string `json:"absent"` // hours
}

// add takes in a ZIP, or all below a directory. A ZIP that is named itself is held against the
// day.json beside it, but the other hours are not asked for.
func (w *verifyWork) add(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("nothing to verify: %w", err)
	}
	if !info.IsDir() {
		w.zip(path)
		return nil
	}
	before := len(w.zips) + len(w.whole) + len(w.absent)
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
	if len(w.zips)+len(w.whole)+len(w.absent) == before {
		return fmt.Errorf("there is no .zip below %s; name a file or another directory", path)
	}
	return nil
}

func (w *verifyWork) zip(path string) {
	w.zips = append(w.zips, path)
	if w.day(filepath.Dir(path)) == nil {
		w.alone++
	}
}

// day reads a directory's day.json once; nil when there is none that can be used.
func (w *verifyWork) day(dir string) *client.PulledDay {
	if day, known := w.days[dir]; known {
		return day
	}
	day, err := client.ReadPulledDay(dir)
	w.days[dir] = day
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v := verified{err: err}
		v.Path = filepath.Join(dir, "day.json")
		w.absent = append(w.absent, v)
	}
	return day
}

// hours asks for every hour of a directory that has a day.json.
func (w *verifyWork) hours(dir string) error {
	day := w.day(dir)
	if day == nil {
		return nil
	}
	absent, err := day.Absent()
	if err != nil {
		return err
	}
	whole := verifiedDay{Path: dir, UTCDay: day.Date(), Absent: []string{}}
	for _, h := range absent {
		v := verified{absent: true}
		v.Path, v.UTCDay, v.Hour = h.Path, day.Date(), h.Hour
		v.Problems = []client.Problem{{Text: h.Text}}
		w.absent = append(w.absent, v)
		whole.Absent = append(whole.Absent, h.Hour)
	}
	w.whole = append(w.whole, whole)
	return nil
}
