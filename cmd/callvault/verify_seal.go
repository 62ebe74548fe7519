package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/client/verify"
)

// maxKeyFile is the most bytes of a file with keys of a log.
const maxKeyFile = 1 << 20

// readLogKeys reads the file of --log-key; nil without one.
func readLogKeys(path string) (dayseal.Keys, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, &usageError{"--log-key: " + err.Error()}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("it has more than %d bytes", maxKeyFile)
	}
	var keys dayseal.Keys
	if err == nil {
		keys, err = dayseal.ParseKeys(text)
	}
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--log-key %s: %v", path, err)}
	}
	return keys, nil
}

// sealed is a day.seal with what was found out about it. Its JSON is for --json.
type sealed struct {
	*client.SealedDay `json:"-"`
	Path              string    `json:"path"`
	Tenant            string    `json:"tenant"`
	UTCDay            string    `json:"utcDay"`
	SealedAt          time.Time `json:"sealedAt"`
	Proven            bool      `json:"proven"` // by a key of --log-key
	whole             bool      // the directory itself is to be verified, so no archive may be absent
}

// seal reads a directory's day.seal once; nil when there is none, or when it can't be used. Its
// proof is checked if there are keys.
func (w *verifyTargets) seal(dir string) *sealed {
	if s, known := w.seals[dir]; known {
		return s
	}
	path := filepath.Join(dir, "day.seal")
	w.seals[dir] = nil
	day, err := client.ReadSealedDay(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		w.cannotRead(path, err)
		return nil
	}
	s := &sealed{SealedDay: day, Path: path, Tenant: day.Tenant, UTCDay: day.Day, SealedAt: day.SealedAt.UTC()}
	w.seals[dir] = s
	w.sealList = append(w.sealList, s)
	if w.keys == nil {
		return s
	}
	if err = w.keys.VerifyProof(day.Data(), day.Proof); err != nil {
		v := verifyResult{}
		v.Path, v.UTCDay = path, day.Day
		v.AddProblem("", "The seal is not proven: %v.", err)
		w.unread = append(w.unread, v)
	}
	s.Proven = err == nil
	return s
}

// checkSeal compares an archive with the day.seal beside it. If there are keys, there must be one.
func (w *verifyTargets) checkSeal(v *verifyResult) {
	dir, name := filepath.Split(v.Path)
	dir = filepath.Clean(dir)
	s := w.seal(dir)
	if s == nil {
		if w.keys != nil && !w.hasSeal(dir) {
			v.AddProblem("", "There is no day.seal beside it, so nothing proves it; pull the day again.")
		}
		return
	}
	revision := int64(0)
	if day := w.days[dir]; day != nil {
		revision = day.Revision(name)
	}
	s.Check(&v.Report, revision)
}

// hasSeal reports whether a directory has a day.seal, even if that can't be used.
func (w *verifyTargets) hasSeal(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "day.seal"))
	return !errors.Is(err, fs.ErrNotExist)
}

// addAbsent adds the archives that the seals name and that are absent, unless they were added by
// their day.json. It also notes days without a seal where there are keys. It is called after all
// archives were checked.
func (w *verifyTargets) addAbsent() {
	known := map[string]bool{}
	for i := range w.absent {
		known[w.absent[i].Path] = true
	}
	for _, day := range w.checkedDays {
		archives := slices.ContainsFunc(w.zips, func(path string) bool { return filepath.Dir(path) == day.Path })
		if w.keys != nil && !archives && !w.hasSeal(day.Path) {
			w.cannotRead(filepath.Join(day.Path, "day.seal"), errors.New("there is none, so nothing proves the day; pull it again"))
		}
	}
	for _, s := range w.sealList {
		if !s.whole {
			continue
		}
		absent, err := s.Absent()
		if err != nil {
			w.cannotRead(s.Path, err)
			continue
		}
		for _, h := range absent {
			if known[h.Path] {
				continue
			}
			v := verifyResult{absent: true}
			v.Path, v.UTCDay, v.Hour = h.Path, s.UTCDay, h.Hour
			v.Problems = []verify.Problem{{Text: h.Text}}
			w.absent = append(w.absent, v)
		}
	}
}

// sealLines has a line for each seal, and one that says whether proofs were checked.
func (w *verifyTargets) sealLines() (lines []string) {
	for _, s := range w.sealList {
		if s.Proven {
			lines = append(lines, fmt.Sprintf("ok      %s  seal of %s %s, made %s, proven by the log %s",
				s.Path, s.Tenant, s.UTCDay, s.SealedAt.Format(time.RFC3339), w.keys.Name()))
		}
	}
	if n := len(w.sealList); n > 0 && w.keys == nil {
		lines = append(lines, "the signatures of "+count(n, "seal")+" were not checked; name the log's public key with --log-key")
	}
	return lines
}

// sealedDays counts the days whose archives were all looked for by their seal alone.
func (w *verifyTargets) sealedDays() (n int) {
	for dir, s := range w.seals {
		if s != nil && s.whole && w.days[dir] == nil {
			n++
		}
	}
	return n
}
