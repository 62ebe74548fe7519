package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/client/evidence"
	"github.com/callvault/callvault/client/verify"
)

// verifyTargets is what verify has to check.
type verifyTargets struct {
	zips        []string
	unread      []verifyResult               // links and other things that are no files, and what cannot be read
	days        map[string]*client.PulledDay // by directory; nil where no day.json can be used
	absent      []verifyResult               // hours without their archive
	checkedDays []dayJSON                    // days of which each hour was looked for
	withoutDay  int                          // ZIPs that no day.json lists
	keys        dayseal.Keys                 // of the log; nil without --log-key
	seals       map[string]*sealed           // by directory; nil where no day.seal can be used
	sealList    []*sealed                    // the same, in the order in which they were found
	packs       []string                     // directories that are evidence packs
	reports     []evidence.Report            // of these
}

// dayJSON is a directory with a day.json, in the output of --json.
type dayJSON struct {
	Path   string   `json:"path"`
	UTCDay string   `json:"utcDay"`
	Absent []string `json:"absent"` // hours
}

// add adds a ZIP, or everything below a directory. A single ZIP is compared with the day.json
// beside it, but other hours of the day may be absent. Only the path itself may be a symbolic link.
func (w *verifyTargets) add(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("nothing to verify: %w", err)
	}
	if !info.IsDir() {
		w.addZIP(path)
		return nil
	}
	before := w.count() + len(w.packs)
	root := path + string(filepath.Separator) // so that WalkDir follows a link
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		name = filepath.Clean(name)
		switch {
		case err != nil: // in the middle of a directory, or before its first entry
			w.cannotRead(name, err)
		case entry.IsDir() && evidence.IsPack(name):
			w.packs = append(w.packs, name)
			return fs.SkipDir
		case entry.IsDir():
			w.addDay(name)
		case !strings.EqualFold(filepath.Ext(name), ".zip") && !leadsToDir(name, entry):
		case entry.Type().IsRegular():
			w.addZIP(name)
		default:
			w.cannotRead(name, errors.New("it is a symbolic link, or no file at all; name it alone to verify what it leads to"))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for archives: %w", err)
	}
	if w.count()+len(w.packs) == before {
		return fmt.Errorf("there is no .zip below %s; name a file or another directory", path)
	}
	return nil
}

// leadsToDir reports whether an entry is a symbolic link to a directory, which may have archives.
func leadsToDir(name string, entry fs.DirEntry) bool {
	if entry.Type() != fs.ModeSymlink {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func (w *verifyTargets) count() int {
	return len(w.zips) + len(w.sealList) + len(w.checkedDays) + len(w.absent) + len(w.unread)
}

func (w *verifyTargets) addZIP(path string) {
	w.zips = append(w.zips, path)
	if dir := filepath.Dir(path); w.day(dir) == nil && w.seal(dir) == nil {
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
		w.cannotRead(filepath.Join(dir, "day.json"), err)
	}
	return day
}

// cannotRead notes a file or directory that cannot be read. Of a directory its day.json and
// day.seal need no mention then.
func (w *verifyTargets) cannotRead(path string, err error) {
	w.unread = slices.DeleteFunc(w.unread, func(v verifyResult) bool {
		return v.Path == filepath.Join(path, "day.json") || v.Path == filepath.Join(path, "day.seal")
	})
	v := verifyResult{err: err}
	v.Path = path
	w.unread = append(w.unread, v)
}

// addDay looks for the archive of every hour in a directory with a day.json or a day.seal.
func (w *verifyTargets) addDay(dir string) {
	if s := w.seal(dir); s != nil {
		s.whole = true
	}
	day := w.day(dir)
	if day == nil {
		return
	}
	absent, err := day.Absent()
	if err != nil {
		w.cannotRead(dir, err)
		return
	}
	checked := dayJSON{Path: dir, UTCDay: day.Date(), Absent: []string{}}
	for _, h := range absent {
		v := verifyResult{absent: true}
		v.Path, v.UTCDay, v.Hour = h.Path, day.Date(), h.Hour
		v.Problems = []verify.Problem{{Text: h.Text}}
		w.absent = append(w.absent, v)
		checked.Absent = append(checked.Absent, h.Hour)
	}
	w.checkedDays = append(w.checkedDays, checked)
}

// absentLines has a line for each reason why hours of a day have no archive.
func (w *verifyTargets) absentLines() (lines []string) {
	for i := 0; i < len(w.absent); {
		dir := filepath.Dir(w.absent[i].Path)
		var groups hourGroups
		for ; i < len(w.absent) && filepath.Dir(w.absent[i].Path) == dir; i++ {
			groups.add(w.absent[i].Hour, w.absent[i].Problems[0].Text)
		}
		for _, g := range groups {
			lines = append(lines, fmt.Sprintf("ABSENT  %s  %s  %s", dir, g.hours(), g.text))
		}
	}
	return lines
}

// pullCommands lists the commands that download again what is broken or absent in pulled days, some
// at most.
func (w *verifyTargets) pullCommands(list []verifyResult) (commands []string) {
	const most = 5
	recheck := map[string]bool{} // by directory: whether an archive is broken
	for i := range list {
		v := &list[i]
		dir, name := filepath.Split(v.Path)
		dir = filepath.Clean(dir)
		pulled, err := filepath.Match("[0-2][0-9].zip", name)
		if v.missed() && err == nil && (pulled && (w.days[dir] != nil || w.seals[dir] != nil) || name == "day.json" || name == "day.seal") {
			recheck[dir] = recheck[dir] || !v.absent
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(recheck)) {
		full, err := filepath.Abs(dir)
		day := filepath.Base(full)
		if _, notDay := time.Parse(time.DateOnly, day); err != nil || notDay != nil {
			continue
		}
		flag := ""
		if recheck[dir] {
			flag = "--recheck "
		}
		commands = append(commands, "callvault pull "+flag+"--day "+day+" --out "+shellQuote(filepath.Join(dir, "..")))
	}
	if more := len(commands) - most; more > 0 {
		commands = append(commands[:most], "and the same for "+count(more, "more day"))
	}
	return commands
}

// shellQuote quotes a path for a shell, unless that changes nothing.
func shellQuote(path string) string {
	if regexp.MustCompile(`^[a-zA-Z0-9/._-]+$`).MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
