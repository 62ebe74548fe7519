package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/client/verify"
)

// SealedDay is the day.seal beside the archives of a day.
type SealedDay struct {
	*dayseal.Seal
	dir  string
	seen [24]bool // hours whose sealed archive was checked
}

// ReadSealedDay reads the day.seal in dir. Its error is fs.ErrNotExist when there is none. A
// day.seal that is a symbolic link is not followed. Its proof is not checked.
func ReadSealedDay(dir string) (*SealedDay, error) {
	path := filepath.Join(dir, sealName)
	text, err := readFileIn(dir, sealName)
	if err != nil {
		return nil, fmt.Errorf("read the seal: %w", err)
	}
	s, err := dayseal.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if base := filepath.Base(absolute(dir)); isDay(base) && base != s.Day {
		return nil, fmt.Errorf("%s is the seal of %s, in the directory of another day", path, s.Day)
	}
	return &SealedDay{Seal: s, dir: dir}, nil
}

// Check adds to the report of an archive in the directory what differs from the seal. revision is
// that of the archive, 0 where it is not known.
func (s *SealedDay) Check(r *verify.Report, revision int64) {
	if r.ManifestSHA256 == "" { // it has no SHA256SUMS that can be read, which is a problem already
		return
	}
	hour := s.hourOf(r)
	if hour < 0 {
		r.AddProblem("", "The seal of %s does not know the archive.", s.Day)
		return
	}
	h := &s.Hours[hour]
	switch {
	case h.State != dayseal.Available:
		r.AddProblem("", "The seal of %s says that hour %s was %s: it does not know the archive.", s.Day, h.Hour, h.State)
	case *h.ManifestSHA256 != r.ManifestSHA256:
		r.AddProblem("", "Its SHA256SUMS is not the one that the seal names for hour %s, revision %d: it is another revision, or was changed.", h.Hour, h.Revision)
	case revision > 0 && revision != h.Revision:
		r.AddProblem("", "It is revision %d by day.json; the seal is of revision %d.", revision, h.Revision)
	case int64(r.Files) != h.FileCount || int64(r.MissingCount) != h.MissingFileCount:
		r.AddProblem("", "It has %s and declares %d missing; the seal says %d and %d.", english.Plural(r.Files, "recording", ""), r.MissingCount, h.FileCount, h.MissingFileCount)
	default:
		s.seen[hour] = true
	}
}

// pulledName is the name that Pull gives to an archive.
var pulledName = regexp.MustCompile(`^([01]\d|2[0-3])\.zip$`)

// hourOf returns the hour that an archive should be, by its name, or by what it says of itself if
// it has a name of somebody's own. It returns -1 for another day.
func (s *SealedDay) hourOf(r *verify.Report) int {
	name := filepath.Base(r.Path)
	day, hour := r.UTCDay, r.Hour
	if m := linkName.FindStringSubmatch(name); len(m) > 1 {
		day, hour = m[1], m[2]
	} else if pulledName.MatchString(name) {
		day, hour = s.Day, name[:2]
	}
	if day != s.Day {
		return -1
	}
	return slices.IndexFunc(s.Hours, func(h dayseal.Hour) bool { return h.Hour == hour })
}

// Absent lists the hours whose sealed archive is not among those that were checked, and has no file
// of its name in the directory.
func (s *SealedDay) Absent() ([]AbsentHour, error) {
	var absent []AbsentHour
	for i := range s.Hours {
		h := &s.Hours[i]
		if h.State != dayseal.Available || s.seen[i] {
			continue
		}
		a := AbsentHour{Hour: h.Hour, Path: filepath.Join(s.dir, h.Hour+".zip"), Text: "The seal names an archive, and there is none."}
		switch _, err := os.Lstat(a.Path); {
		case err == nil: // its own report says what is wrong
		case errors.Is(err, fs.ErrNotExist):
			absent = append(absent, a)
		default:
			return nil, fmt.Errorf("look for the archive: %w", err)
		}
	}
	return absent, nil
}

// Revision returns the revision that day.json says an hour's archive has, 0 if it is not known.
func (p *PulledDay) Revision(name string) int64 {
	for _, l := range p.saved.Links {
		if l.File != nil && l.File.Name == name {
			return l.File.Revision
		}
	}
	return 0
}
